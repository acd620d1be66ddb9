"""A way to make one more small space, and to see who depends on whom."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from helpers import space_of
from torch import Tensor, nn

from groupnas.spaces import SearchSpace


@pytest.fixture
def compiled() -> Callable[..., SearchSpace]:
    """:func:`helpers.space_of`"""
    return space_of


def _leaky(network: nn.Module) -> nn.Module:
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, (nn.ReLU, nn.ReLU6, nn.Hardswish)):
                setattr(module, name, nn.LeakyReLU(0.5))
    return network


@pytest.fixture
def reach() -> Callable[[nn.Module, SearchSpace, int], Tensor]:
    """How strongly every group's outputs depend on every group's inputs, ``(out G, in G)``.

    Sums of absolute derivatives of randomly weighed outputs: exactly 0 only where all are. The
    activations are made leaky, so that no group falls silent for another reason than its masks.
    """

    def measure(network: nn.Module, space: SearchSpace, batch: int = 4) -> Tensor:
        torch.manual_seed(1)
        x = torch.randn(batch, sum(space.inputs.values()), *space.input_size, requires_grad=True)
        y = _leaky(network)(x)  # once: in training mode, all groups must see the same draw
        rows = []
        for outputs in y.split(list(space.outputs.values()), dim=1):
            weighed = (outputs * torch.randn_like(outputs)).sum()
            (gradient,) = torch.autograd.grad(weighed, x, retain_graph=True)
            parts = gradient.split(list(space.inputs.values()), dim=1)
            rows.append(torch.stack([part.abs().sum() for part in parts]))
        return torch.stack(rows)

    return measure
