"""Settings of the mask search: how masks are relaxed, and how they and the weights are learned."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from groupnas.engine.search_job import SearchJob
from groupnas.engine.strategy import Natural, Optimizer, Positive, Rate, Strategy
from groupnas.spaces.space import SearchSpace
from groupnas.task import Task


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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


class MaskSearch(Strategy):
    """All settings of a bilevel search (paper 000, Algorithm 1).

    Attributes:
        warmup_epochs: Epochs that train weights only, before the search epochs.
        epochs: Search epochs: mask and weight steps in turn.
        batch_size: Samples of a step.
        validation: Share of the training samples that the masks learn from.
        mask_every: Weight steps for each mask step.
        weights: Optimiser of the weights, over warm-up and search.
        masks: The masks' settings.
    """

    algorithm: Literal["masks"] = "masks"
    warmup_epochs: Natural
    epochs: Positive
    batch_size: Positive
    validation: Annotated[float, Field(gt=0, lt=1)]
    mask_every: Positive = 1
    weights: Optimizer
    masks: Masks

    def start(
        self, space: SearchSpace, task: Task, *, seed: int = 0, device: str = "cpu"
    ) -> SearchJob:
        from groupnas.strategies.masks.job import BilevelSearch

        return BilevelSearch(space, task, self, seed, device)
