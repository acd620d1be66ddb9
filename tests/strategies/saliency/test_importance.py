"""Importance against differences of the loss; closed gates against channels that are not there."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from helpers import SMALL_SPACES, UNPLANNED_SPACES, some_input
from torch import Tensor, nn

from groupnas.spaces import SearchSpace, load_space
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.network import GroupedNetwork
from groupnas.strategies.saliency.importance import Gates
from groupnas.strategies.saliency.trajectory import kept_places, table

every_space = pytest.mark.parametrize(
    "path", [*SMALL_SPACES, *UNPLANNED_SPACES], ids=lambda path: path.stem
)


def built(space: SearchSpace) -> GroupedNetwork:
    torch.manual_seed(0)
    network = Allocation.even(space).build()
    with torch.no_grad():  # so that nothing is symmetric, nor the output near 0
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.add_(0.2 * torch.rand_like(buffer))
    return network


@every_space
def test_importance_is_the_square_of_a_batchs_derivative(path: Path) -> None:
    space = load_space(path)
    network, x = built(space).double(), some_input(space, 3).double()
    gates = Gates(network, space.free_units)

    def loss() -> Tensor:
        with gates:
            return cast(Tensor, network(x).square().mean())

    loss().backward()
    found, place = gates.importance(), 0
    for gate in gates.open.values():
        for channel in range(len(gate)):
            ends = []
            for nudge in (1e-5, -1e-5):
                gate[channel] = 1 + nudge
                ends.append(loss().item())
            gate[channel] = 1
            slope = (ends[0] - ends[1]) / 2e-5
            assert found[place] == pytest.approx(slope**2, rel=1e-3, abs=1e-12)
            place += 1
    assert place == len(found)


@every_space
def test_closed_gates_are_channels_that_are_not_there(path: Path) -> None:
    space = load_space(path)
    network, x = built(space).double().eval(), some_input(space).double()
    start = table(Allocation.even(space).grouping.counts(), space)
    kept = np.random.default_rng(0).random(int(start.sum())) < 0.6
    firsts = start.ravel().cumsum() - start.ravel()
    kept[firsts] = True  # one of each cell at least
    gates = Gates(network, space.free_units)
    closed = torch.from_numpy(~kept).split([len(gate) for gate in gates.open.values()])
    for gate, shut in zip(gates.open.values(), closed, strict=True):
        gate[shut] = 0
    whole = network(x)
    with gates:
        gated = network(x)
    narrow = network.narrowed(kept_places(start, kept, space))
    assert not torch.allclose(gated, whole)
    assert torch.allclose(narrow(x), gated)
    assert torch.equal(network(x), whole)  # nothing is left behind
    assert narrow.sizes["input"] == network.sizes["input"]


def test_before_batch_norm_no_gate_is_felt() -> None:
    torch.manual_seed(0)
    norm, x = nn.BatchNorm2d(4).double(), torch.randn(8, 4, 5, 5, dtype=torch.double)
    gates = [torch.ones(4, dtype=torch.double, requires_grad=True) for _ in range(2)]
    y = norm(x * gates[0].view(-1, 1, 1)).relu() * gates[1].view(-1, 1, 1)
    (y * torch.randn_like(y)).sum().backward()
    before, behind = (gate.grad.abs() for gate in gates if gate.grad is not None)
    assert (before < 1e-3 * behind).all()
