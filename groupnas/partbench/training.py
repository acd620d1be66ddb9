"""PartBench's space, samples, and training, each part apart: :mod:`groupnas.tabular.training`.

A part's samples and fresh weights follow from its difficulty and its *draw*, and batches are the
same for all. So its error is a function of ``(difficulty, its sizes, draw)``, which the table
holds.
"""

from __future__ import annotations

from collections.abc import Mapping

from groupnas.engine.strategy import Optimizer
from groupnas.engine.training_settings import Training
from groupnas.partbench.task import DrawnPart, DrawnParts
from groupnas.spaces.allocation import Allocation
from groupnas.tabular.training import PartErrors, train_apart

TRAIN, VALIDATION, TEST = 960, 256, 512  # samples, in their order
TRAINING = Training(
    epochs=16,
    batch_size=64,
    weights=Optimizer(lr=0.02, schedule="cosine"),
    average=0.99,
)


def all_samples(parts: Mapping[str, DrawnPart]) -> DrawnParts:
    """Return the samples of some parts: those that train, validation's, the test's."""
    return DrawnParts("partbench", parts, TRAIN + VALIDATION + TEST)


def train(
    allocation: Allocation, parts: Mapping[str, DrawnPart], settings: Training = TRAINING
) -> PartErrors:
    """Train an allocation's network and judge it; about a second.

    Args:
        allocation: Its groups are the parts'.
        parts: By group.
        settings: The table's by default.
    """
    texts = {group: f"{part.draw} {part.difficulty:.6f}" for group, part in parts.items()}
    sides = (TRAIN, VALIDATION, TEST)
    return train_apart(allocation, all_samples(parts), sides, settings, texts, seed=0)
