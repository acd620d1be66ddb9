"""Training of GroupBench's networks, each group apart: :mod:`groupnas.tabular.training`.

A group's fresh weights are drawn from ``(seed, group, its sizes)``, and batches and augmentation
from the seed. So its error is a function of ``(group, its sizes, seed)``, which the table holds.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from groupnas.engine.strategy import Optimizer
from groupnas.engine.training_settings import Training
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.network import GroupedNetwork
from groupnas.tabular.training import PartErrors, build_apart, train_apart
from groupnas.task import Task, TaskParts, TaskSubset
from groupnas.tasks import load_task

GROUPS = ("left_eye", "nose", "mouth")
CROP = 16  # pixels
TRAIN, VALIDATION, TEST = 480, 200, 320  # of the 1,000 drawn samples, in their order
TRAINING = Training(
    epochs=15,
    batch_size=32,
    weights=Optimizer(lr=0.02, schedule="cosine"),
    average=0.99,
)


@cache
def all_samples() -> Task:
    """Return the three groups of all samples: those that train, validation's, the test's.

    The mean shape that training starts from is that of all.
    """
    whole = load_task("synthetic", crops={"size": CROP}, loss={"name": "l1"})
    chosen: Any = TaskParts(whole, GROUPS)
    return chosen


def search_task() -> Task:
    """Return what a search may learn from: the samples of training and validation."""
    return TaskSubset(all_samples(), torch.arange(TRAIN + VALIDATION))


def train(allocation: Allocation, seed: int, settings: Training = TRAINING) -> PartErrors:
    """Train an allocation's network and judge it; a second or two.

    Args:
        allocation: Of GroupBench's space, at any widths.
        seed: Of weights, batches and augmentation.
        settings: The table's by default.
    """
    sides = (TRAIN, VALIDATION, TEST)
    return train_apart(allocation, all_samples(), sides, settings, _texts(seed), seed)


def build_seeded(allocation: Allocation, seed: int, start: Tensor | None = None) -> GroupedNetwork:
    """Build the network of an allocation; each group's weights depend on that group alone.

    They are drawn from ``(seed, group, the group's channels)``. No other draws are shifted.
    """
    return build_apart(allocation, _texts(seed), start)


def _texts(seed: int) -> dict[str, str]:
    return {group: f"{seed} {group}" for group in GROUPS}
