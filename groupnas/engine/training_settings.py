"""Settings of the training of one network, and what it records; no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from groupnas.engine.strategy import Optimizer, Positive, Share
from groupnas.runs.fields import ERROR, Recorded, RecordField
from groupnas.runs.records import Epoch, PartValues
from groupnas.schema import Settings


class TrainingEpoch(Epoch):
    """A record of a training: losses and errors.

    Attributes:
        train_loss: Mean over the steps, of augmented samples.
        train_error: Of as many training samples as validate, spread over all, as they are, of the
            network that is validated. Far below the validation error, the network is overfitted;
            about as large, it is underfitted.
        validation: Of the samples that validate.
    """

    train_loss: float
    train_error: PartValues | None = None
    validation: Annotated[dict[str, float], Field(min_length=2)]


class Training(Settings):
    """Settings of the training of one plain network.

    Attributes:
        epochs: Passes over the training side.
        batch_size: Samples of a step.
        weights: Optimiser of the weights.
        average: Decay, for each step, of the moving average of weights and BatchNorm statistics
            that is validated and kept; it begins lower, so that the first steps are soon
            forgotten. 0 keeps the latest weights themselves.
        precision: What the network computes in while it is trained; see
            :func:`groupnas.engine.precision.forward`.
        keep: What ends up in the network: ``"whole"``, all weights of the epoch with the least mean
            validation error, or with the least of the group that the task says; ``"groups"``, each
            group's of the epoch with its own least one, since groups share none. The least of more
            errors is a little further below the truth.
    """

    fields: ClassVar[tuple[RecordField, ...]] = (
        RecordField("train_loss", "training", chart="Loss"),
        RecordField("train_error", "Training error", unit=ERROR, each="group", shown=False),
        RecordField("validation", "Validation error", unit=ERROR, each="group", format=".2f"),
    )

    epochs: Positive
    batch_size: Annotated[int, Field(ge=2, strict=True)]  # BatchNorm needs two
    weights: Optimizer
    average: Share = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    keep: Literal["whole", "groups"] = "whole"

    def recorded(self) -> Recorded:
        """Return what the records of its epochs hold."""
        return Recorded(fields=self.fields, planned=self.epochs, plots=("training",))
