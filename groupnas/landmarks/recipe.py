"""The recipe file: how a cascade is trained on a data set, stage by stage."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from groupnas.engine.training_settings import Training
from groupnas.landmarks.augment import Augmentation
from groupnas.landmarks.cascade import Blend
from groupnas.landmarks.crops import CropSettings
from groupnas.landmarks.losses import (
    AdaptiveLoss,
    LandmarkLoss,
    PointLoss,
    neighbours_among,
)
from groupnas.landmarks.markup import Markup
from groupnas.schema import Settings, read_preset, validate

KIND = "strategies/recipes"  # the folder of recipe files


class Loss(Settings):
    """The training loss; see :class:`groupnas.landmarks.losses.LandmarkLoss`.

    Or ``adaptive``, :class:`groupnas.landmarks.losses.AdaptiveLoss`, of which ``unit`` is.
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
        return LandmarkLoss(self.name, self.alpha, neighbours, self.width, self.epsilon)


class StageRecipe(Settings):
    """The training of one network of the cascade.

    Attributes:
        space: Its search space; the markup picks the variant.
        crops: What it is shown.
        augmentation: Random changes of that.
        loss: What it descends.
        balance_poses: Whether faces are drawn so that all poses are seen equally often (PDB).
        training: Epochs, optimiser, averaging.
    """

    space: str
    crops: CropSettings
    augmentation: Augmentation
    loss: Loss = Loss()
    balance_poses: bool = False
    training: Training


class LocalRecipe(StageRecipe):
    """The search and the training of the local network.

    Attributes:
        grouping: ``even``, a grouping's file, or a search strategy (``gumbel:quick``).
        inherit: Whether training starts from the weights of the search.
        blend: Share of its answer; see :class:`groupnas.landmarks.cascade.Cascade`.
    """

    grouping: str = "even"
    inherit: bool = False
    blend: Blend = 1.0


class Recipe(Settings):
    """The training of a cascade on a data set.

    Attributes:
        format: 1.
        title: One line for lists.
        source: Where the settings were published.
        data: The data set.
        validation: Share of the training photos that choose the epoch, and never train.
        global_stage: The first network.
        local_stage: The second.
    """

    format: Literal[1] = 1
    title: str
    source: str = ""
    data: str
    validation: Annotated[float, Field(gt=0, lt=1)]
    global_stage: StageRecipe
    local_stage: LocalRecipe

    def with_epochs(self, epochs: int | None) -> Recipe:
        """The same recipe with another number of epochs in both trainings."""
        if epochs is None:
            return self
        data = self.model_dump()
        for stage in ("global_stage", "local_stage"):
            data[stage]["training"]["epochs"] = epochs
        return validate(Recipe, data, "--epochs")

    def with_grouping(self, grouping: str | None) -> Recipe:
        """The same recipe with another grouping of the local network, or a search for one."""
        if grouping is None:
            return self
        local = self.local_stage.model_copy(update={"grouping": grouping})
        return self.model_copy(update={"local_stage": local})


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
