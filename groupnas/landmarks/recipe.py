"""The recipe file: the stages of a cascade, and the steps in which they are trained."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from groupnas.engine.strategy import Positive, Rate, Share
from groupnas.engine.training_settings import Training
from groupnas.files import nearest
from groupnas.landmarks.answers import HeatmapsAnswer
from groupnas.landmarks.augment import Augmentation
from groupnas.landmarks.losses import (
    AdaptiveLoss,
    LandmarkLoss,
    PointLoss,
    neighbours_among,
)
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.roles import Cells, Name, Role, check_roles
from groupnas.landmarks.upgrade import upgraded_recipe
from groupnas.schema import Settings, read_preset, validate

KIND = "strategies/recipes"  # the folder of recipe files


class Loss(Settings):
    """The training loss; see :class:`groupnas.landmarks.losses.LandmarkLoss`.

    Or ``adaptive``, :class:`groupnas.landmarks.losses.AdaptiveLoss`. ``unit: relative`` means
    pixels of the crop for all but that one.
    """

    name: Literal["wing", "smooth_l1", "l1", "l2", "adaptive"] = "wing"
    alpha: Annotated[float, Field(ge=0, le=2)] = 1.0
    width: Annotated[float, Field(gt=0)] = 10.0
    epsilon: Annotated[float, Field(gt=0)] = 2.0
    unit: Literal["relative"] | Annotated[float, Field(gt=0)] = "relative"

    @model_validator(mode="after")
    def _plain(self) -> Loss:
        if self.name == "adaptive" and self.alpha != 1:
            raise ValueError("alpha: adaptive looks along no boundary; set it to 1")
        return self

    def of(self, markup: Markup) -> PointLoss:
        """The loss on the points of a markup's parts."""
        if self.name == "adaptive":
            return AdaptiveLoss(self.unit)
        neighbours = neighbours_among(markup.neighbours, markup.part_points)
        unit = 1.0 if self.unit == "relative" else self.unit
        return LandmarkLoss(self.name, self.alpha, neighbours, self.width, self.epsilon, unit)


class StageRecipe(Role):
    """A stage of a cascade that is to be trained; its role's settings stand beside these.

    Attributes:
        space: The search space of its network; the markup picks the variant.
        grouping: ``even``, a grouping's file, or a search strategy (``gumbel:quick``).
        inherit: Whether training starts from the weights of the search.
    """

    space: str
    grouping: str = "even"
    inherit: bool = False


class StepRecipe(Settings):
    """A step of the training, which goes on with what the steps before it trained.

    Attributes:
        train: The stages whose networks are trained, by default the one of the step's name. Several
            are trained in one pass with the stages before them; all but the cascade's first look
            at features.
        augmentation: Random changes of what it is shown.
        loss: What it descends.
        balance_poses: Whether faces are drawn so that all poses are seen equally often (PDB).
        starts: Where the stage's regions lie, of one that looks at a photo behind others: at the
            ``truth``, by true points, or where they are ``found``, by those of the stages before,
            as trained so far. The augmentation comes on top.
        dropout: By stage, the share of what its network's last row reads that is dropped while the
            step trains, 0 to below 1; of steps that go through several stages.
        training: Epochs, optimiser, averaging.
    """

    train: Annotated[tuple[Name, ...], Field(min_length=1)]
    augmentation: Augmentation
    loss: Loss = Loss()
    balance_poses: bool = False
    starts: Literal["truth", "found"] = "truth"
    dropout: dict[Name, Share] = {}
    training: Training


class SmallerRecipe(Settings):
    """How a trained cascade is made smaller; see :func:`groupnas.landmarks.family.train_family`.

    Attributes:
        prune_epochs: Passes in which channels go, of each stage.
        tune_epochs: Passes of each stage of each size, at a rate that falls to 0.
        lr: Learning rate of Adam in the former, and at the start of the latter.
    """

    prune_epochs: Positive = 20
    tune_epochs: Positive = 40
    lr: Rate = 0.0015


class Recipe(Settings):
    """The training of a cascade on a data set.

    Attributes:
        format: 2; recipes of format 1 are read, as if they were written so.
        title: One line for lists.
        source: Where the settings were published.
        data: The data set.
        validation: Share of the training photos that choose the epoch, and never train.
        stages: In the order in which they look at a face.
        steps: In the order in which they are trained.
        smaller: How it is brought to a budget, where one is given.
    """

    format: Literal[2] = 2
    title: str
    source: str = ""
    data: str
    validation: Annotated[float, Field(gt=0, lt=1)]
    stages: Annotated[dict[Name, StageRecipe], Field(min_length=1)]
    steps: Annotated[dict[Name, StepRecipe], Field(min_length=1)]
    smaller: SmallerRecipe = SmallerRecipe()

    @model_validator(mode="before")
    @classmethod
    def _as_now(cls, data: Any) -> Any:
        return upgraded_recipe(data)

    @field_validator("steps", mode="before")
    @classmethod
    def _named(cls, steps: Any) -> Any:
        if not isinstance(steps, dict):
            return steps
        found = {k: {"train": k, **v} if isinstance(v, dict) else v for k, v in steps.items()}
        for step in found.values():
            if isinstance(step, dict) and isinstance(step["train"], str):
                step["train"] = [step["train"]]
        return found

    @model_validator(mode="after")
    def _fit(self) -> Self:
        check_roles(self.stages)
        if "search" in self.steps:
            raise ValueError("steps.search: means something else; give the step another name")
        trained: set[str] = set()
        for name, step in self.steps.items():
            for stage in step.train:
                if stage not in self.stages:
                    raise ValueError(f"steps.{name}.train: {nearest(stage, self.stages)}")
            if len(set(step.train)) < len(step.train):
                raise ValueError(f"steps.{name}.train: names a stage twice; name each once")
            trained.update(step.train)
            if len(self.together(step)) > 1:
                self._check_together(name, step, trained)
            if step.starts == "found":
                self._check_found(name, step, trained)
            for stage in step.dropout:
                passed = self.together(step)
                if len(passed) == 1:
                    raise ValueError(
                        f"steps.{name}.dropout: is for steps that go through several stages; "
                        "leave it out"
                    )
                if stage not in passed:
                    raise ValueError(f"steps.{name}.dropout: {nearest(stage, passed)}")
            if step.loss != Loss() and any(
                isinstance(self.stages[stage].answer, HeatmapsAnswer) for stage in step.train
            ):
                raise ValueError(
                    f"steps.{name}.loss: is of points; that of heatmaps is answer.loss of the stage"
                )
        for name in self.stages:
            if name not in trained:
                raise ValueError(f"stages.{name}: no step trains it; add one")
        self._check_order()
        return self

    def _check_found(self, name: str, step: StepRecipe, trained: set[str]) -> None:
        stage = step.train[0]
        before = [*self.stages][: [*self.stages].index(stage)]
        if len(self.together(step)) > 1 or self.stages[stage].look.frame == "box":
            raise ValueError(
                f"steps.{name}.starts: found: is of a stage that looks at a photo where others "
                "found points; expected truth"
            )
        if lacking := [one for one in before if one not in trained]:
            raise ValueError(
                f"steps.{name}.starts: found: needs {lacking[0]}, which no step before trains"
            )

    def _check_order(self) -> None:
        """Nothing that a stage looks at changes behind its own last step."""
        final = {stage: name for name, step in self.steps.items() for stage in step.train}
        places, before = list(self.steps), list[str]()
        for stage, settings in self.stages.items():
            for earlier in before if isinstance(settings.look, Cells) else ():
                if places.index(final[earlier]) > places.index(final[stage]):
                    raise ValueError(
                        f"steps.{final[earlier]}.train: changes {earlier}, whose features {stage} "
                        f"learned to read; add {stage}, or train it in a later step"
                    )
            before.append(stage)

    def _check_together(self, name: str, step: StepRecipe, trained: set[str]) -> None:
        first, *others = self.together(step)
        for stage in others:
            if not isinstance(self.stages[stage].look, Cells):
                raise ValueError(
                    f"steps.{name}.train: {stage} looks at the photo anew; it can only be trained "
                    "alone, in a step of its own"
                )
        for stage in (first, *others):
            if stage not in trained:
                raise ValueError(
                    f"steps.{name}.train: needs {stage}, which no step before trains; add it"
                )

    def together(self, step: StepRecipe) -> tuple[str, ...]:
        """The stages that one pass of a step goes through, trained or not."""
        (only, *others), names = step.train, [*self.stages]
        if not others and not isinstance(self.stages[only].look, Cells):
            return (only,)
        return tuple(names[: 1 + max(names.index(stage) for stage in step.train)])

    @property
    def first(self) -> str:
        """The name of the first stage."""
        return next(iter(self.stages))

    @property
    def last(self) -> str:
        """The name of the last stage, whose answer is the cascade's."""
        return next(reversed(self.stages))

    def final_step(self, stage: str) -> StepRecipe:
        """The last step that trains a stage."""
        return [step for step in self.steps.values() if stage in step.train][-1]

    def with_epochs(self, epochs: int | None) -> Recipe:
        """The same recipe with another number of epochs in all steps."""
        if epochs is None:
            return self
        data = self.model_dump()
        for step in data["steps"].values():
            step["training"]["epochs"] = epochs
        return validate(Recipe, data, "--epochs")

    def with_grouping(self, grouping: str | None) -> Recipe:
        """The same recipe with another grouping of the last stage, or a search for one."""
        return self if grouping is None else self.with_stage(self.last, grouping=grouping)

    def with_stage(self, stage: str, **changes: Any) -> Recipe:
        """The same recipe with other settings of a stage."""
        changed = self.stages[stage].model_copy(update=changes)
        return self.model_copy(update={"stages": {**self.stages, stage: changed}})


def load_recipe(recipe: str | os.PathLike[str]) -> Recipe:
    """The recipe that a name, ``name:preset`` or a path means.

    Raises:
        InputError: no such recipe or preset, or a file that is wrong (names the key at fault).
    """
    data, path = read_preset(KIND, os.fspath(recipe))
    return validate(Recipe, data, str(path))


def recipe_from(data: Any, origin: str) -> Recipe:
    """The recipe that a run records, whole; an :class:`InputError` names ``origin``."""
    return validate(Recipe, data, origin)
