"""Errors of a network on some samples of a task, and BatchNorm statistics of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from groupnas.engine.missing import known_means, with_mean
from groupnas.engine.parts import part_errors
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
    """A batch on a device, as of :meth:`groupnas.task.Task.batch`.

    Inputs are in ``dtype``, whatever the task keeps them in; in torch's default one by default.
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

    Those of a search are a mixture over draws of the masks: no network's own. BatchNorm is left in
    evaluation mode. Arguments are those of :func:`sample_errors`; what fills no batch is left out,
    and a ``generator`` augments.
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
    """Mean error of every group, and ``mean`` over all; arguments as of :func:`sample_errors`.

    A group's mean is over the samples that show it, NaN if none does. ``mean`` is that of the
    samples' own means, which weigh the groups that a sample shows by their outputs, as the error
    over all points does. A network that is no longer finite has infinite errors.
    """
    weights = np.array(list(task.outputs.values()), dtype=np.float64)
    errors = sample_errors(network, task, indices, batch_size, device).numpy()
    means = known_means(with_mean(errors, weights))
    return dict(zip((*task.outputs, "mean"), means.tolist(), strict=True))


@torch.no_grad()
def sample_errors(
    network: Network, task: Task, indices: Tensor, batch_size: int, device: str | torch.device
) -> Tensor:
    """Error of every sample and group, unaugmented: ``(N, G)`` float64 on the CPU.

    As of :func:`groupnas.engine.parts.part_errors`: NaN where a sample does not show a group.

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
        rows.append(part_errors(task, network(x), target))
    return torch.cat(rows).double().cpu()


def _dtype(network: Network) -> torch.dtype | None:
    """The type of a network's parameters, if it has any."""
    parameters = network.parameters() if isinstance(network, nn.Module) else iter(())
    return next((parameter.dtype for parameter in parameters), None)
