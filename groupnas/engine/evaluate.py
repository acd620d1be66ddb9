"""What a search is worth: validation errors of the supernet and of the derived network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from groupnas.engine.bilevel import BilevelSearch
from groupnas.engine.job import Job
from groupnas.spaces.derive import derive


@torch.no_grad()
def recalibrate(
    search: BilevelSearch, network: nn.Module, generator: torch.Generator | None = None
) -> None:
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
    size = search.train_stream.batch_size
    for indices in search.split.train.split(size):
        if len(indices) == size:  # the rest, if any, would weigh more than its share
            network(search.load(indices, generator)[0])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


@torch.no_grad()
def validation_errors(job: Job, network: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """Mean error of every group and over all groups' outputs, on the validation side, unaugmented.

    The mean weighs every group by its outputs, as the error over all points does.
    """
    rows = []
    for indices in job.split.validation.split(job.batch_size):
        x, target = job.load(indices)
        rows.append(job.task.errors(network(x), target))
    per_group = torch.cat(rows).double().mean(dim=0)
    weights = torch.tensor(list(job.task.outputs.values()), dtype=torch.float64)
    mean = (per_group.cpu() * weights).sum() / weights.sum()
    return {**dict(zip(job.task.outputs, per_group.tolist(), strict=True)), "mean": mean.item()}


def final_errors(search: BilevelSearch) -> dict[str, dict[str, float]]:
    """Validation errors of ``supernet`` (masks drawn as in the search) and ``derived`` network.

    Both see BatchNorm statistics of their own, from the augmented training side. The difference
    is what the relaxation hid. ``constant`` is the error of the derived network's mean output, the
    same for every sample: what a network that looks at nothing has. Does not change the search's
    weights.
    """
    seed = torch.Generator().manual_seed(0)
    network = derive(search.net)
    recalibrate(search, network, seed)
    network.eval()
    with _drawing(search.net):
        recalibrate(search, search.net, seed)
        supernet = validation_errors(search, search.net)
    mean = _mean_output(search, network)
    return {
        "constant": validation_errors(search, lambda x: mean.expand(len(x), -1)),
        "supernet": supernet,
        "derived": validation_errors(search, network),
    }


@torch.no_grad()
def _mean_output(search: BilevelSearch, network: nn.Module) -> Tensor:
    """Mean output over the validation side, ``(outputs,)``."""
    batches = search.split.validation.split(search.strategy.batch_size)
    return torch.cat([network(search.load(indices)[0]) for indices in batches]).mean(dim=0)


@contextmanager
def _drawing(net: nn.Module) -> Iterator[None]:
    """Masks draw, and BatchNorm's statistics are put back afterwards."""
    kept: dict[str, Tensor] = {k: v.clone() for k, v in net.state_dict().items()}
    net.train()
    try:
        yield
    finally:
        net.load_state_dict(kept)
        net.train()
