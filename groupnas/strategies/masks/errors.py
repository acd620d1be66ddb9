"""What a mask search is worth: validation errors of the supernet and of the derived network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from groupnas.engine.evaluate import recalibrate, validation_errors
from groupnas.spaces.derive import derive

if TYPE_CHECKING:
    from groupnas.strategies.masks.job import BilevelSearch


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
