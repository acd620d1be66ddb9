"""What a grouping is worth: a short training from scratch, or whatever takes its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from groupnas.engine.search_job import SearchJob
from groupnas.engine.training import Trainer
from groupnas.engine.training_settings import Training
from groupnas.grouping import Grouping
from groupnas.spaces.derive import build

# Grouping, training epochs, seed of the weights -> validation error of each group and "mean".
Evaluate = Callable[[Grouping, int, int], Mapping[str, float]]


@dataclass(frozen=True)
class Worth:
    """What came of one evaluation.

    Attributes:
        errors: Validation error of each group, and ``mean``.
        steps: Optimiser steps that it took.
        data_seconds: Time spent waiting for data.
    """

    errors: dict[str, float]
    steps: int = 0
    data_seconds: float = 0.0


def train_from_scratch(
    job: SearchJob,
    grouping: Grouping,
    training: Training,
    seed: int,
    on_step: Callable[[int, int], None],
) -> Worth:
    """Train the derived network of a grouping on the job's split; its best epoch's errors.

    Args:
        job: Space, task, split and device.
        grouping: Need not have the space's widths.
        training: How.
        seed: Of the weights, the order of the data and its augmentation.
        on_step: Told how many steps of all are over.

    Raises:
        InputError: the loss is no longer finite.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build(job.space.fitted(grouping), grouping, job.task.mean_output())
    trainer = Trainer(network, job.task, training, job.split, seed, job.device)
    for epoch in range(training.epochs):
        before = epoch * trainer.steps
        trainer.run_epoch(
            lambda done, total, before=before: on_step(before + done, training.epochs * total)  # type: ignore[misc]
        )
    return Worth(
        errors=dict(trainer.history[trainer.best_epoch - 1]["validation"]),
        steps=training.epochs * trainer.steps,
        data_seconds=trainer.data_seconds,
    )
