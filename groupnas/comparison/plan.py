"""The plan of a comparison: strategies, seeds, budgets, and the pieces of work they make."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field

from groupnas.budget import LARGEST_SHARE, Budget
from groupnas.engine.strategy import Strategy, load_strategy, strategy_from
from groupnas.errors import InputError, shown
from groupnas.runs.records import Count, Finite
from groupnas.saved import Saved
from groupnas.schema import validate
from groupnas.values import instance, listed, number, text
from groupnas.values import path as path_of
from groupnas.values import seed as seed_of

if TYPE_CHECKING:
    from groupnas.engine.training_settings import Training

_LABEL = re.compile(r"^[\w.+=,-]+$")
SplitBy = Literal["fixed", "seed"]
SPLIT_SEED = 0  # of the held-out sources, where all seeds are judged on the same
Label = Annotated[str, Field(pattern=_LABEL)]


@dataclass(frozen=True)
class Piece:
    """A search, or the training of what it found at one budget.

    Attributes:
        strategy: Its label.
        seed: Of everything random.
        budget: Cost relative to even groups; ``None`` is the search.
    """

    strategy: str
    seed: int
    budget: float | None = None

    @property
    def folder(self) -> Path:
        """Its run folder, inside the comparison's."""
        stem = f"{self.strategy}-s{self.seed}"
        if self.budget is None:
            return Path("search") / stem
        return Path("train") / f"{stem}-b{self.budget:g}"

    def __str__(self) -> str:
        return " ".join(self.folder.parts)


class TaskConfig(Saved):
    """The identity of the task that was learned from."""

    name: str
    samples: Count | None = None


class _Compared(Saved):
    """The compared keys of ``config.yaml``; settings of strategies may be other packages'."""

    measure: str
    strategies: dict[Label, dict[str, Any]]
    seeds: list[Annotated[int, Field(ge=0)]]
    budgets: list[Annotated[Finite, Field(gt=0)]]


class PlanConfig(_Compared):
    """A plan, as ``config.yaml`` has it; older ones are of a fixed split."""

    tolerance: Finite
    validation: Finite
    split: SplitBy = "fixed"
    training: dict[str, Any]


class ComparisonConfig(_Compared):
    """A comparison that is only read."""

    groups: list[str]
    task: TaskConfig


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a comparison runs.

    Attributes:
        strategies: Settings by label; a label names folders.
        seeds: Each strategy searches once with each, and its networks train with the same.
        budgets: Costs of the trained networks, 1.0 being what even groups cost.
        measure: What the budgets count; see :class:`groupnas.budget.Budget`.
        tolerance: By how much, relatively, a network's cost may miss its budget.
        training: How every network is trained.
        validation: Share of the samples, whole sources, that no search and no training sees.
        split: ``"fixed"``: all seeds are judged on the same held-out sources; ``"seed"``: each on
            others, all strategies of one seed on the same.
    """

    strategies: Mapping[str, Strategy]
    seeds: tuple[int, ...]
    budgets: tuple[float, ...]
    measure: str
    tolerance: float
    training: Training
    validation: float
    split: SplitBy = "fixed"

    def __post_init__(self) -> None:
        made = {
            "strategies": _strategies(self.strategies),
            "seeds": tuple(seed_of("seeds", seed) for seed in listed("seeds", self.seeds)),
            "budgets": tuple(
                number("budgets", budget, most=LARGEST_SHARE, above=0)
                for budget in listed("budgets", self.budgets)
            ),
            "measure": text("measure", self.measure),
            "tolerance": number("tolerance", self.tolerance, above=0, below=1),
            "validation": number("validation", self.validation, above=0, below=1),
        }
        if self.split not in get_args(SplitBy):
            raise InputError(f"split: expected fixed or seed, got {shown(self.split)}")
        for name, value in made.items():
            object.__setattr__(self, name, value)
        for what, entries in (
            ("strategies", tuple(self.strategies)),
            ("seeds", self.seeds),
            ("budgets", tuple(f"{budget:g}" for budget in self.budgets)),
        ):
            if not entries or len(set(entries)) < len(entries):
                told = ", ".join(map(str, entries))
                raise InputError(f"{what}: expected one or more, each once; got {told or 'none'}")

    def searches(self) -> list[Piece]:
        """Return all searches, seed by seed, so that the first few are a comparison already."""
        return [Piece(label, seed) for seed in self.seeds for label in self.strategies]

    def trainings(self, search: Piece) -> list[Piece]:
        """Return the trainings of what a search finds."""
        return [replace(search, budget=budget) for budget in self.budgets]

    def split_seed(self, seed: int) -> int:
        """Return the seed of the split that the networks of a seed are judged by."""
        return SPLIT_SEED + (seed if self.split == "seed" else 0)

    def strategy(self, piece: Piece) -> Strategy:
        """Return the settings of a piece's search: its strategy's, at the plan's tolerance."""
        strategy = self.strategies[piece.strategy]
        if strategy.budget is None or strategy.budget.tolerance >= self.tolerance:
            return strategy
        return strategy.with_budget(
            strategy.budget.model_copy(update={"tolerance": self.tolerance})
        )

    def budget(self, piece: Piece) -> Budget:
        """Return what a trained network may cost.

        Its strategy's own limits on single groups are scaled to the piece's budget, and its divisor
        holds.
        """
        assert piece.budget is not None
        own = self.strategies[piece.strategy].budget or Budget()
        changes = {"measure": self.measure, "tolerance": self.tolerance}
        return own.totalling(piece.budget).model_copy(update=changes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for ``config.yaml``."""
        return {
            "measure": self.measure,
            "tolerance": self.tolerance,
            "validation": self.validation,
            "split": self.split,
            "training": self.training.model_dump(mode="json"),
            "strategies": {
                label: strategy.model_dump(mode="json")
                for label, strategy in self.strategies.items()
            },
            "seeds": list(self.seeds),
            "budgets": list(self.budgets),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], origin: str) -> Plan:
        """Undo :meth:`to_dict`; an :class:`InputError` names what is wrong of ``origin``."""
        from groupnas.engine.training_settings import Training

        told = validate(PlanConfig, data, f"{origin}: is damaged")
        training = validate(Training, told.training, f"{origin}: training")
        strategies = {
            label: strategy_from(settings, f"{origin}: strategies.{label}")
            for label, settings in told.strategies.items()
        }
        try:
            return cls(
                measure=told.measure,
                tolerance=told.tolerance,
                validation=told.validation,
                split=told.split,
                training=training,
                strategies=strategies,
                seeds=tuple(told.seeds),
                budgets=tuple(told.budgets),
            )
        except InputError as error:
            message = str(error)
            about = message if message.startswith(origin) else f"{origin}: {message}"
            raise InputError(about) from error

    def joined(self, more: Plan) -> Plan:
        """Return this plan, then another's strategies, seeds and budgets that it does not have."""
        return replace(
            self,
            strategies={**self.strategies, **more.strategies},
            seeds=tuple(dict.fromkeys((*self.seeds, *more.seeds))),
            budgets=tuple(dict.fromkeys((*self.budgets, *more.budgets))),
        )


def _strategies(given: Any) -> dict[str, Strategy]:
    """Return settings by label, from settings or names by label."""
    instance("strategies", given, Mapping)
    found = {}
    for label, strategy in given.items():
        if not _LABEL.fullmatch(text("strategies", label)):
            raise InputError(
                f"strategy {label!r}: a label names folders; use letters, digits and .+=,-_"
            )
        found[label] = strategy if isinstance(strategy, Strategy) else load_strategy(strategy)
    return found


def labelled(names: Sequence[str], epochs: int | None = None) -> dict[str, Strategy]:
    """Return the strategies that names or paths mean, by labels that can name folders.

    ``gumbel:quick`` is labelled ``gumbel_quick`` and ``my/own.yaml`` is labelled ``own``; the
    second of one label gets a number.

    Args:
        names: A list of such as :func:`groupnas.engine.strategy.load_strategy` takes.
        epochs: Replaces the search epochs of those strategies that have any.

    Raises:
        InputError: no list, no such strategy, or a file that is wrong.
    """
    found: dict[str, Strategy] = {}
    for name in dict.fromkeys(path_of("strategies", name) for name in listed("strategies", names)):
        strategy = load_strategy(name)
        if "epochs" in type(strategy).model_fields:
            strategy = strategy.with_epochs(epochs)
        stem = re.sub(r"\.ya?ml(?=:|$)", "", Path(name).name)
        stem = label = re.sub(r"[^\w.+=,-]+", "_", stem)
        number = 1
        while label in found:
            number += 1
            label = f"{stem}-{number}"
        found[label] = strategy
    return found
