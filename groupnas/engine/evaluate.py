"""What a network is worth on the validation side, with BatchNorm statistics of its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from groupnas.engine.job import Job
from groupnas.engine.missing import known_means, with_mean
from groupnas.engine.parts import part_errors


@torch.no_grad()
def recalibrate(job: Job, network: nn.Module, generator: torch.Generator | None = None) -> None:
    """Replace BatchNorm's running statistics by the means over the training side.

    Those of the search are a mixture over draws of the masks: no network's own. BatchNorm is left
    in evaluation mode.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
        norm.train()
    for indices in job.split.train.split(job.batch_size):
        if len(indices) == job.batch_size:  # the rest, if any, would weigh more than its share
            network(job.load(indices, generator)[0])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


@torch.no_grad()
def validation_errors(job: Job, network: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """Mean error of every group, and ``mean`` over all, on the validation side, unaugmented.

    A group's mean is over the samples that show it, NaN if none does. ``mean`` is that of the
    samples' own means, which weigh the groups that a sample shows by their outputs, as the error
    over all points does. A network that is no longer finite has infinite errors.
    """
    weights = np.array(list(job.task.outputs.values()), dtype=np.float64)
    means = known_means(with_mean(sample_errors(job, network).numpy(), weights))
    return dict(zip((*job.task.outputs, "mean"), means.tolist(), strict=True))


@torch.no_grad()
def sample_errors(job: Job, network: Callable[[Tensor], Tensor]) -> Tensor:
    """Error of every validation sample and group, unaugmented: ``(N, G)`` float64 on the CPU.

    As of :func:`groupnas.engine.parts.part_errors`: NaN where a sample does not show a group.
    """
    rows = []
    for indices in job.split.validation.split(job.batch_size):
        x, target = job.load(indices)
        rows.append(part_errors(job.task, network(x), target))
    return torch.cat(rows).double().cpu()
