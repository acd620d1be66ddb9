"""The :class:`Strategy` interface, and the files that choose and set one.

A strategy is a file in ``strategies/`` that names an algorithm and its settings;
``name:preset`` picks one of the file's presets, which replace single settings of it. Algorithms are
:class:`Strategy` classes registered as entry points of the group ``groupnas.strategies``: the
built-in ones in groupnas's own ``pyproject.toml``, others in their packages'.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from groupnas.budget import Budget
from groupnas.errors import InputError
from groupnas.extras import install_hint
from groupnas.files import nearest, split_text
from groupnas.registry import Registry
from groupnas.runs.fields import Recorded, RecordField
from groupnas.schema import Settings, merged, read_preset, validate
from groupnas.values import instance
from groupnas.values import path as path_of

if TYPE_CHECKING:
    from groupnas.engine.evaluate import Evaluate
    from groupnas.engine.search_job import SearchJob
    from groupnas.spaces.space import SearchSpace
    from groupnas.task import Task

Positive = Annotated[int, Field(ge=1, strict=True)]
Natural = Annotated[int, Field(ge=0, strict=True)]
Rate = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Optimizer(Settings):
    """An optimiser and how its learning rate falls over the run.

    Attributes:
        name: ``adam`` or ``sgd`` (with momentum).
        lr: Learning rate at the start.
        weight_decay: L2 penalty.
        betas: Adam's decay rates.
        momentum: SGD's momentum.
        schedule: What the learning rate does: ``constant``; ``cosine``, down to ``end_lr`` at the
            end of the run; ``poly``, likewise, as the ``power`` of what is left of the run (a
            straight line at 1; 0.9 is that of Chen et al., "DeepLab", TPAMI 2018); ``steps``,
            times ``factor`` at each of the ``milestones``; ``plateau``, times ``factor`` whenever
            the validation error that chooses the epoch has had no new least value for more than
            ``patience`` epochs, in trainings alone: a search has no such errors.
        end_lr: Final learning rate of ``cosine`` and ``poly``; the lowest of ``plateau``.
        warmup: Share of the run in which the learning rate rises from 0 to what it would be.
        power: Of ``poly``.
        factor: Of ``plateau`` and ``steps``.
        milestones: Of ``steps``: shares of the run.
        patience: Of ``plateau``, in epochs.
        slow: Rows that learn more slowly, in trainings alone: the share of the learning rate that
            each has, 0 to 1. A name means the row, or all rows and layers whose dotted names go on
            from it (``trunk``: ``trunk.block1`` as well); the longest that fits counts. A row at 0
            keeps its weights; its BatchNorm statistics still follow the data.
    """

    name: Literal["adam", "sgd"] = "adam"
    lr: Rate
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    betas: tuple[Share, Share] = (0.9, 0.999)
    momentum: Share = 0.9
    schedule: Literal["constant", "cosine", "poly", "plateau", "steps"] = "constant"
    end_lr: Annotated[float, Field(ge=0)] = 0.0
    warmup: Share = 0.0
    power: Rate = 0.9
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.75
    patience: Natural = 10
    milestones: tuple[Share, ...] = (0.5, 0.75)
    slow: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}

    @model_serializer(mode="wrap")
    def _what_counts(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is of other schedules: runs that began without these keys go on."""
        used = {
            "power": ("poly",),
            "factor": ("plateau", "steps"),
            "patience": ("plateau",),
            "milestones": ("steps",),
        }
        found: dict[str, Any] = handler(self)
        return {
            key: value
            for key, value in found.items()
            if (key != "slow" or value) and self.schedule in used.get(key, (self.schedule,))
        }


class Strategy(Settings):
    """A way to choose a grouping, with all its settings: what a strategy file holds.

    Inherit from it to add an algorithm: give ``algorithm`` its one value, add the settings as
    fields, say in ``job`` what does the work, and register the class as an entry point of the group
    ``groupnas.strategies`` under that value.

    Attributes:
        job: Place of the :class:`~groupnas.engine.search_job.SearchJob`, ``"package.module:Name"``,
            which is imported when a search starts; see :meth:`start`.
        resizes: It searches how wide units are, so that a single group has something to search.
        isolated: It takes each group by itself, so that a space may have no joint channels.
        extra: The extra of groupnas that the job needs, if any.
        format: 1.
        algorithm: The entry point's name.
        title: One line for lists.
        source: Where the algorithm was published.
        budget: What the network found may cost; as much as it turns out where there is none.
        fields: What the records of its runs hold, for all who show them; see :meth:`recorded`.
    """

    fields: ClassVar[tuple[RecordField, ...]] = ()
    job: ClassVar[str]
    extra: ClassVar[str] = ""
    resizes: ClassVar[bool] = False
    isolated: ClassVar[bool] = False

    format: Literal[1] = 1
    algorithm: str
    title: str
    source: str = ""
    budget: Budget | None = None

    @field_validator("title")
    @classmethod
    def _one_line(cls, title: str) -> str:
        return " ".join(title.split())

    @property
    def trains_candidates(self) -> bool:
        """True where groupings are judged one by one, so that something else may judge them."""
        return False

    def start(
        self,
        space: SearchSpace,
        task: Task,
        *,
        seed: int = 0,
        device: str = "cpu",
        evaluate: Evaluate | None = None,
    ) -> SearchJob:
        """Return the search as a job that has not begun.

        It is made as ``Job(space, task, self, seed=..., device=...)``, and gets ``evaluate=...``
        where the strategy trains candidates.

        Args:
            space: What to search.
            task: What to learn from: inputs and outputs of each group are the space's.
            seed: Of everything random.
            device: A torch device.
            evaluate: Judges groupings in place of trainings, e.g. a table or a cluster: called with
                a grouping, the number of training epochs and the seed of the weights, it returns
                the validation error of every group and ``mean``. Depends on these alone.

        Raises:
            InputError: settings, space and task do not fit together; an extra is not installed; or
                there is an ``evaluate``, and nothing that it could judge.
        """
        judged = {"evaluate": evaluate} if self.trains_candidates else {}
        if evaluate is not None and not judged:
            raise InputError(
                f"evaluate: {self.algorithm} trains no candidates that it could judge; leave it out"
            )
        return self.job_class()(space, task, self, seed=seed, device=device, **judged)

    def job_class(self) -> Callable[..., SearchJob]:
        """Return the class at :attr:`job`; override it where that depends on the settings."""
        return self.resolve(self.job)

    def resolve(self, place: str) -> Any:
        """Return what is at ``"package.module:Name"``, imported now: settings load no torch.

        Raises:
            InputError: the module needs an extra that is not installed.
        """
        module, _, name = place.partition(":")
        try:
            return getattr(import_module(module), name)
        except ImportError as error:
            if not self.extra:
                raise
            raise InputError(
                f"algorithm {self.algorithm}: {error}; install it with: {install_hint(self.extra)}"
            ) from error

    @property
    def planned(self) -> int | None:
        """The number of epochs of a search; ``None`` where the settings do not say."""
        return getattr(self, "epochs", None)

    def recorded(self) -> Recorded:
        """Return what the records of its runs hold; without ``fields``, all their numbers."""
        return Recorded(fields=self.fields, planned=self.planned)

    def summary(self, result: Mapping[str, Any]) -> str:
        """Return a sentence on a ``result.json``, which the command prints; empty for none."""
        return ""

    def with_epochs(self, epochs: int | None) -> Self:
        """Return the same strategy with another number of search epochs.

        Raises:
            InputError: it has none, or the number is out of its range.
        """
        if epochs is None:
            return self
        if "epochs" not in type(self).model_fields:
            raise InputError(f"epochs: {self.algorithm} has none; leave it out")
        return self.with_settings(epochs=epochs)

    def with_settings(self, **changes: Any) -> Self:
        """Return the same strategy with settings replaced: ``epochs=5, weights={"lr": 0.02}``.

        A mapping replaces single settings of a group, and leaves the others.

        Raises:
            InputError: a setting that there is not, or a value out of its range.
        """
        return validate(type(self), merged(self.model_dump(), changes), self.algorithm)

    def with_text(self, text: str) -> Self:
        """Return the same strategy with the text behind ``=`` in its name, e.g. shares by hand.

        Raises:
            InputError: it takes no such text.
        """
        raise InputError(f"{self.algorithm}={text}: {self.algorithm} takes nothing behind '='")

    def with_budget(self, budget: Budget | None) -> Self:
        """Return the same strategy with another budget, or none.

        Raises:
            InputError: it is no :class:`groupnas.Budget`.
        """
        if budget is not None:
            instance("budget", budget, Budget)
        return self.model_copy(update={"budget": budget})


def load_strategy(strategy: str | os.PathLike[str]) -> Strategy:
    """Return the strategy that a name, ``name:preset`` or a path means; ``./strategies`` first.

    What follows a ``=`` is for the algorithm: ``manual=nose:0.8,mouth:1.2``.

    Raises:
        InputError: no such strategy, preset or algorithm, or a file that is wrong (names the key
            at fault).
    """
    name, text = split_text("strategies", path_of("strategy", strategy))
    data, path = read_preset("strategies", name)
    found = strategy_from(data, str(path))
    return found if text is None else found.with_text(text)


def strategy_from(data: Any, origin: str) -> Strategy:
    """Return the strategy that settings describe.

    Args:
        data: What a strategy file holds.
        origin: Named in errors.

    Raises:
        InputError: no mapping, no or an unknown algorithm, or settings that it does not take.
    """
    name = data.get("algorithm") if isinstance(data, dict) else None
    if not isinstance(name, str):
        raise InputError(f"{origin}: algorithm: missing; {nearest('', ALGORITHMS)}")
    return validate(ALGORITHMS.find(name, origin), data, origin)


def _is_strategy(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, Strategy)


# groupnas's own and those of other packages.
ALGORITHMS: Registry[type[Strategy]] = Registry(
    "groupnas.strategies", "algorithm", _is_strategy, "class that inherits from Strategy"
)
