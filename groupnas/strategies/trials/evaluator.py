"""The worth of a grouping: a short training from scratch, or whatever takes its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from groupnas.engine.search_job import SearchJob
from groupnas.engine.training import Trainer
from groupnas.engine.training_settings import Training
from groupnas.spaces.allocation import Allocation


@dataclass(frozen=True)
class Worth:
    """The outcome of one evaluation.

    Attributes:
        errors: Validation error of each group, and ``mean``.
        steps: Optimiser steps that it took.
    """

    errors: dict[str, float]
    steps: int = 0


def judge(
    job: SearchJob,
    allocation: Allocation,
    training: Training,
    seed: int,
    on_step: Callable[[int, int], None],
) -> Worth:
    """Train an allocation's derived network on the job's split; return its best epoch's errors.

    The job's ``evaluate``, if any, is asked instead.

    Args:
        job: Space, task, split and device; the time spent waiting for data is added to its own.
        allocation: Of the job's space, at any widths.
        training: Settings of the training.
        seed: Of the weights, the order of the data and its augmentation.
        on_step: Told how many steps of all are over.

    Raises:
        InputError: the loss is no longer finite.
    """
    if job.evaluate is not None:
        errors = job.evaluate(allocation, training.epochs, seed)
        return Worth({name: float(error) for name, error in errors.items()})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = allocation.build(job.task.mean_output())
    trainer = Trainer(network, job.task, training, job.split, seed, job.device)
    for epoch in range(training.epochs):
        before = epoch * trainer.steps
        trainer.run_epoch(
            lambda done, total, before=before: on_step(before + done, training.epochs * total)  # type: ignore[misc]
        )
    job.data_seconds += trainer.data_seconds
    return Worth(
        errors=dict(trainer.history[trainer.best_epoch - 1]["validation"]),
        steps=training.epochs * trainer.steps,
    )
