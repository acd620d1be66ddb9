"""Settings of the search by Kronecker products: each convolution learns its number of groups."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from groupnas.budget import Budget
from groupnas.engine.strategy import Optimizer, Positive, Strategy
from groupnas.runs.fields import ERROR, RecordField


class Kronecker(Strategy):
    """Every convolution that mixes channels learns its number of groups (DGConv, ICCV 2019).

    The space's groups are not kept apart: all inputs enter one network, and each layer has groups
    of its own. It is the baseline of groups that know nothing of the space's. Depthwise
    convolutions stay so, and linear layers see all channels, the output's too: every output may
    need any of them.

    Attributes:
        budget: What the whole network may cost.
        epochs: Passes over the training side.
        batch_size: Samples of a step.
        validation: Share of the training samples that measures errors and nothing else.
        weights: The one optimiser, of weights and gates, on the training loss.
        penalty: Weight of max(cost / budget - 1, 0), which is added to the training loss.
    """

    isolated: ClassVar[bool] = True
    job: ClassVar[str] = "groupnas.strategies.kronecker.job:KroneckerSearch"

    fields: ClassVar[tuple[RecordField, ...]] = (
        RecordField("steps", "Steps", drawn=False),
        RecordField("train_loss", "training", chart="Loss"),
        RecordField("penalty", "penalty", chart="Loss"),
        RecordField("changed", "Gates changed in the epoch", "shares"),
        RecordField("cost", "Cost", "relative to the budget"),
        RecordField("error", "Training error", ERROR, each="group", shown=False),
    )

    algorithm: Literal["kronecker"] = "kronecker"
    budget: Budget | None = Budget()
    epochs: Positive
    batch_size: Positive
    validation: Annotated[float, Field(gt=0, lt=1)]
    weights: Optimizer
    penalty: Annotated[float, Field(ge=0)] = 1.0
