"""The strategy file: how a grouping is searched. The file's edge, and the settings inside.

``name:preset`` picks one of the file's presets, which replace single settings of it.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from groupnas.schema import read_preset, validate

Positive = Annotated[int, Field(ge=1, strict=True)]
Natural = Annotated[int, Field(ge=0, strict=True)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Optimizer(_Model):
    """An optimiser and how its learning rate falls over the run.

    Attributes:
        name: ``adam`` or ``sgd`` (with momentum).
        lr: Learning rate at the start.
        weight_decay: L2 penalty.
        betas: Adam's decay rates.
        momentum: SGD's momentum.
        schedule: ``constant``, or ``cosine`` down to ``end_lr`` at the end of the run.
        end_lr: Final learning rate of the cosine.
        warmup: Share of the run in which the learning rate rises from 0 to what it would be.
    """

    name: Literal["adam", "sgd"] = "adam"
    lr: Rate
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    betas: tuple[Share, Share] = (0.9, 0.999)
    momentum: Share = 0.9
    schedule: Literal["constant", "cosine"] = "constant"
    end_lr: Annotated[float, Field(ge=0)] = 0.0
    warmup: Share = 0.0


class TemperatureSettings(_Model):
    """Of the relaxation, over the search epochs; see :class:`groupnas.nn.Temperature`."""

    start: Rate = 1.0
    end: Rate = 1.0
    schedule: Literal["constant", "linear", "exponential", "cosine"] = "exponential"


class Masks(_Model):
    """How the masks are relaxed and learned.

    Attributes:
        relaxation: A name in :data:`groupnas.nn.RELAXATIONS`.
        init: Logits all one, N(0, 1), or an even division.
        confidence: With the even division, the probability of a channel's own group.
        temperature: Of the relaxation.
        optimizer: Of the logits.
    """

    relaxation: Literal["gumbel_hard", "gumbel_soft", "softmax_hard", "flgc"] = "gumbel_hard"
    init: Literal["ones", "normal", "even"] = "ones"
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9
    temperature: TemperatureSettings = TemperatureSettings()
    optimizer: Optimizer


class Strategy(_Model):
    """All settings of a bilevel search (paper 000, Algorithm 1).

    Attributes:
        format: 1.
        title: One line for lists.
        source: Where the algorithm was published.
        warmup_epochs: Epochs that train weights only, before the search epochs.
        epochs: Search epochs: mask and weight steps in turn.
        batch_size: Samples of a step.
        validation: Share of the training samples that the masks learn from.
        mask_every: Weight steps for each mask step.
        weights: Optimiser of the weights, over warm-up and search.
        masks: The masks' settings.
    """

    format: Literal[1] = 1
    title: str
    source: str = ""
    warmup_epochs: Natural
    epochs: Positive
    batch_size: Positive
    validation: Annotated[float, Field(gt=0, lt=1)]
    mask_every: Positive = 1
    weights: Optimizer
    masks: Masks

    @field_validator("title")
    @classmethod
    def _one_line(cls, title: str) -> str:
        return " ".join(title.split())

    def with_epochs(self, epochs: int | None) -> Strategy:
        """The same strategy with another number of search epochs (warm-up unchanged)."""
        if epochs is None:
            return self
        return validate(Strategy, {**self.model_dump(), "epochs": epochs}, "--epochs")


def load_strategy(strategy: str | os.PathLike[str]) -> Strategy:
    """The strategy that a name, ``name:preset`` or a path means; ``./strategies`` comes first.

    Raises:
        InputError: no such strategy or preset, or a file that is wrong (names the key at fault).
    """
    data, path = read_preset("strategies", os.fspath(strategy))
    return validate(Strategy, data, str(path))
