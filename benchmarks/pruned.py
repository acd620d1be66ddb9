"""Measures what a ``saliency`` search fine-tuned; not called by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

import groupnas as gn
from groupnas.comparison import Evidence
from groupnas.comparison.samples import SampleErrors, Scorer
from groupnas.engine.evaluate import sample_errors
from groupnas.runs.folder import CONFIG
from groupnas.spaces import SearchSpace
from groupnas.strategies.saliency.job import NETWORKS
from groupnas.strategies.saliency.settings import Saliency
from groupnas.strategies.saliency.weights import load_network
from groupnas.task import Task


def on_samples(task: Task, batch_size: int) -> Scorer:
    """A measurement of networks on all samples of a task."""

    def score(network: nn.Module) -> SampleErrors:
        every = torch.arange(len(task.sources))
        return SampleErrors(
            errors=sample_errors(network, task, every, batch_size, "cpu").numpy(),
            groups=tuple(task.outputs),
            weights=np.array(list(task.outputs.values()), dtype=np.float64),
            sources=np.array(task.sources, dtype=np.str_),
            unit=str(task.error_unit),
        )

    return score


def add_pruned(
    evidence: Evidence,
    space: SearchSpace,
    task: Task,
    strategy: Saliency,
    seed: int,
    out: Path,
    score: Scorer,
) -> None:
    """Search with a seed, or go on with that, and measure the networks of every arm."""
    resume = (out / CONFIG).is_file()
    run = gn.search(space, task, strategy, out, seed=seed, resume=resume)
    even = gn.Allocation.even(space)
    epochs = strategy.epochs + strategy.prune_epochs + strategy.tune_epochs
    for label, costs in run.result["tuned_costs"].items():
        arm, _, budget = label.partition("-")
        network = load_network(out / NETWORKS / f"{label}.safetensors", even).eval()
        evidence.add(
            arm,
            seed,
            float(budget or 1),
            {"mac": costs},
            {"test": score(network)},
            steps=run.job.steps * epochs,
        )
