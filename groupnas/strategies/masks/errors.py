"""Validation errors of a mask search's supernet, and of the network derived from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from groupnas.engine.evaluate import load_batch, mean_errors, recalibrate
from groupnas.engine.split import Split
from groupnas.spaces.derive import derive
from groupnas.spaces.supernet import Supernet
from groupnas.task import Task


@torch.no_grad()
def final_errors(
    net: Supernet, task: Task, split: Split, batch_size: int, device: torch.device
) -> dict[str, dict[str, float]]:
    """Return validation errors of ``supernet`` (masks drawn as in the search) and ``derived``.

    Both networks get BatchNorm statistics of their own, from the augmented training side. Their
    difference is what the relaxation hid. ``constant`` is the error of the derived network's mean
    output, the same for every sample, as a network that looks at nothing would have it. The
    supernet is not changed.
    """
    seed = torch.Generator().manual_seed(0)
    training = (task, split.train, batch_size, device)
    validation = (task, split.validation, batch_size, device)
    network = derive(net)
    recalibrate(network, *training, seed)
    network.eval()
    with _drawing(net):
        recalibrate(net, *training, seed)
        supernet = mean_errors(net, *validation)
    batches = split.validation.split(batch_size)
    outputs = [network(load_batch(task, indices, device)[0]) for indices in batches]
    mean = torch.cat(outputs).mean(dim=0)
    return {
        "constant": mean_errors(lambda x: mean.expand(len(x), *mean.shape), *validation),
        "supernet": supernet,
        "derived": mean_errors(network, *validation),
    }


@contextmanager
def _drawing(net: Supernet) -> Iterator[None]:
    """Let masks draw, and put BatchNorm's statistics back afterwards."""
    kept: dict[str, Tensor] = {k: v.clone() for k, v in net.state_dict().items()}
    net.train()
    try:
        yield
    finally:
        net.load_state_dict(kept)
        net.train()
