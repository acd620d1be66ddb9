"""What a network is worth on the validation side, with BatchNorm statistics of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from groupnas.engine.job import Job


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
    """Mean error of every group and over all groups' outputs, on the validation side, unaugmented.

    The mean weighs every group by its outputs, as the error over all points does.
    """
    per_group = sample_errors(job, network).mean(dim=0)
    weights = torch.tensor(list(job.task.outputs.values()), dtype=torch.float64)
    mean = (per_group * weights).sum() / weights.sum()
    return {**dict(zip(job.task.outputs, per_group.tolist(), strict=True)), "mean": mean.item()}


@torch.no_grad()
def sample_errors(job: Job, network: Callable[[Tensor], Tensor]) -> Tensor:
    """Error of every validation sample and group, unaugmented: ``(N, G)`` float64 on the CPU."""
    rows = []
    for indices in job.split.validation.split(job.batch_size):
        x, target = job.load(indices)
        rows.append(job.task.errors(network(x), target))
    return torch.cat(rows).double().cpu()
