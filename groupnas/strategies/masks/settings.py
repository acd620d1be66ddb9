"""Settings of the mask search: the relaxation of masks, and how they and weights are learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from groupnas.engine.strategy import Natural, Optimizer, Positive, Rate, Strategy
from groupnas.runs.fields import ERROR, Recorded, RecordField
from groupnas.schema import Settings

PenaltyWeight = Annotated[float, Field(ge=0)]


class TemperatureSettings(Settings):
    """The relaxation's temperature over the search epochs; see :class:`groupnas.nn.Temperature`."""

    start: Rate = 1.0
    end: Rate = 1.0
    schedule: Literal["constant", "linear", "exponential", "cosine"] = "exponential"


class Masks(Settings):
    """Settings of the masks: how they are relaxed and learned.

    Attributes:
        relaxation: A name in :data:`groupnas.nn.RELAXATIONS`.
        init: Logits all one, N(0, 1), or an even division.
        confidence: With the even division, the probability of a channel's own group.
        place: Where a unit's mask acts: before BatchNorm, on the weights (paper 000, eq. 6), or
            behind BatchNorm and activation; see :class:`groupnas.spaces.supernet.Supernet`.
        temperature: Of the relaxation.
        optimizer: Of the logits, where they have one of their own: with two levels.
        entropy: Weight, in the masks' loss, of the mean entropy of the channels' probabilities
            over ln G, in [0, 1]: undecided channels cost.
    """

    relaxation: Literal["gumbel_hard", "gumbel_soft", "softmax_hard", "flgc"] = "gumbel_hard"
    init: Literal["ones", "normal", "even"] = "ones"
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9
    place: Literal["before", "behind"] = "before"
    temperature: TemperatureSettings = TemperatureSettings()
    optimizer: Optimizer | None = None
    entropy: PenaltyWeight = 0.0


class MaskSearch(Strategy):
    """All settings of a search by masks: bilevel (paper 000, Algorithm 1), or on a single level.

    Attributes:
        warmup_epochs: Epochs that train weights only, before the search epochs.
        epochs: Search epochs.
        batch_size: Samples of a step.
        validation: Share of the training samples that the masks learn from; with one level, it
            only measures errors.
        levels: 2: mask steps on validation batches and weight steps on training batches in turn.
            1: masks and weights descend the training loss in the same steps, by one optimiser,
            ``weights``, whose weight decay pulls at the logits too (FLGC).
        order: Of the masks' gradient. 2: as after one more weight step (DARTS, eq. 7), at four
            passes a mask step instead of one.
        mask_every: Weight steps for each mask step.
        initial_outputs: Of the supernet: ``random``, as its layers are drawn, or near the task's
            ``mean``, as plain networks start.
        weights: Optimiser of the weights, over warm-up and search.
        masks: The masks' settings.
        penalty: Weight, in the masks' loss, of squared ln(expected cost / limit), summed over the
            budget's limits; needs a budget. The grouping found is scaled to meet that anyway.
        precision: What the supernet computes in while it is trained; see
            :func:`groupnas.engine.precision.forward`.
    """

    job: ClassVar[str] = "groupnas.strategies.masks.job:BilevelSearch"

    fields: ClassVar[tuple[RecordField, ...]] = (
        RecordField("train_loss", "training", chart="Loss"),
        RecordField("mask_loss", "masks", chart="Loss", gap="warm-up"),
        RecordField("changed", "in the epoch", "shares", chart="Channels moved", format=".1%"),
        RecordField("moved", "in all", chart="Channels moved", shown=False),
        RecordField("entropy", "entropy", "shares", chart="Decisions of masks", format=".2f"),
        RecordField("decided", "decided", chart="Decisions of masks", shown=False),
        RecordField("temperature", "Temperature", shown=False),
        RecordField("error", "Error of masks' batches", ERROR, each="group", shown=False),
        RecordField("macs", "MACs of each group", each="group", shown=False),
        RecordField("channels", "Channels of each group", each="group"),
    )

    algorithm: Literal["masks"] = "masks"
    warmup_epochs: Natural
    epochs: Positive
    batch_size: Positive
    validation: Annotated[float, Field(gt=0, lt=1)]
    levels: Literal[1, 2] = 2
    order: Literal[1, 2] = 1
    mask_every: Positive = 1
    initial_outputs: Literal["random", "mean"] = "random"
    weights: Optimizer
    masks: Masks
    penalty: PenaltyWeight = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"

    @model_validator(mode="after")
    def _levels_agree(self) -> MaskSearch:
        if self.levels == 2 and self.masks.optimizer is None:
            raise ValueError("masks.optimizer: missing; with two levels the masks have their own")
        if self.levels == 1:
            if self.masks.optimizer is not None:
                raise ValueError("masks.optimizer: with levels: 1, weights is the one optimiser")
            for key in ("order", "mask_every"):
                if getattr(self, key) != 1:
                    raise ValueError(f"{key}: must be 1 with levels: 1, got {getattr(self, key)}")
        return self

    @property
    def planned(self) -> int:
        """Epochs of warm-up and search."""
        return self.warmup_epochs + self.epochs

    def recorded(self) -> Recorded:
        phases = {"warmup": "warm-up"}
        return replace(super().recorded(), health=True, sizes="epoch", phases=phases)

    def summary(self, result: Mapping[str, Any]) -> str:
        """Say how far the masks moved and decided."""
        return (
            f"{result['moved']} channels moved to another group; entropy {result['entropy']:.2f}, "
            f"{result['decided']:.0%} decided."
        )
