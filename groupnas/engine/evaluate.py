"""Errors of a network on some samples of a task, and BatchNorm statistics of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from groupnas.engine.missing import known_means, with_mean
from groupnas.engine.shown import group_errors
from groupnas.spaces.allocation import Allocation
from groupnas.task import Task

Network = Callable[[Tensor], Tensor]  # (N, C_in, H, W) to (N, outputs)

# Allocation, training epochs, seed of the weights -> validation error of each group and "mean".
Evaluate = Callable[[Allocation, int, int], Mapping[str, float]]


def load_batch(
    task: Task,
    indices: Tensor,
    device: str | torch.device,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Any]:
    """Return a batch on a device; see :meth:`groupnas.task.Task.batch`.

    Inputs get ``dtype``, by default torch's default one.
    """
    x, target = task.batch(indices, generator)
    x = x.to(device, dtype or torch.get_default_dtype(), memory_format=torch.channels_last)
    return x, task.to(target, torch.device(device))


@torch.no_grad()
def recalibrate(
    network: nn.Module,
    task: Task,
    indices: Tensor,
    batch_size: int,
    device: str | torch.device,
    generator: torch.Generator | None = None,
) -> None:
    """Replace BatchNorm's running statistics by the means over some samples.

    The statistics that a search gathers are a mixture over draws of the masks, which fits no single
    network. BatchNorm is left in evaluation mode. Arguments are those of :func:`sample_errors`;
    samples that fill no batch are left out, and a ``generator`` augments.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
        norm.train()
    for batch in indices.split(batch_size):
        if len(batch) == batch_size:  # the rest, if any, would weigh more than its share
            network(load_batch(task, batch, device, generator, _dtype(network))[0])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def mean_errors(
    network: Network, task: Task, indices: Tensor, batch_size: int, device: str | torch.device
) -> dict[str, float]:
    """Return every group's mean error, and ``mean``; arguments are :func:`sample_errors`'s.

    A group's mean is over the samples that show it, NaN if none does. ``mean`` is the mean over
    samples of each one's own mean, in which the groups that it shows weigh as much as they have
    outputs. A network that is no longer finite has infinite errors.
    """
    weights = np.array(list(task.outputs.values()), dtype=np.float64)
    errors = sample_errors(network, task, indices, batch_size, device).numpy()
    means = known_means(with_mean(errors, weights))
    return dict(zip((*task.outputs, "mean"), means.tolist(), strict=True))


@torch.no_grad()
def sample_errors(
    network: Network, task: Task, indices: Tensor, batch_size: int, device: str | torch.device
) -> Tensor:
    """Return the error of every sample and group, unaugmented: ``(N, G)`` float64 on the CPU.

    It is NaN where a sample does not show a group; see :func:`groupnas.engine.shown.group_errors`.

    Args:
        network: Is on the device, and in evaluation mode where that makes a difference.
        task: What is learned from.
        indices: The samples, ``(N,)``.
        batch_size: Samples of a batch; the last may have fewer.
        device: A torch device.
    """
    rows = []
    for batch in indices.split(batch_size):
        x, target = load_batch(task, batch, device, dtype=_dtype(network))
        rows.append(group_errors(task, network(x), target))
    return torch.cat(rows).double().cpu()


def _dtype(network: Network) -> torch.dtype | None:
    """Return the type of a network's parameters, if it has any."""
    parameters = network.parameters() if isinstance(network, nn.Module) else iter(())
    return next((parameter.dtype for parameter in parameters), None)
