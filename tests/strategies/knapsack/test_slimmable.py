"""Every size of the slimmable network is the plain network of that size."""

from __future__ import annotations

import pytest
import torch
from helpers import SMALL_SPACES
from torch import nn

from groupnas.spaces import SearchSpace, load_space
from groupnas.spaces.allocation import Allocation
from groupnas.strategies.knapsack.slimmable import SlimmableNetwork

WIDEST = 5


@pytest.fixture(params=SMALL_SPACES, ids=lambda path: path.stem)
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return load_space(request.param)


def sizes_of(space: SearchSpace, seed: int) -> dict[str, dict[str, int]]:
    generator = torch.Generator().manual_seed(seed)
    return {
        group: {
            unit: int(torch.randint(1, WIDEST + 1, (), generator=generator))
            for unit in space.free_units
        }
        for group in space.groups
    }


@torch.no_grad()
def network_of(space: SearchSpace) -> SlimmableNetwork:
    """With random weights everywhere, so that none can be mixed up."""
    torch.manual_seed(0)
    network = SlimmableNetwork(space, dict.fromkeys(space.free_units, WIDEST))
    for parameter in network.parameters():
        parameter.normal_()
    return network.double()  # many layers of random weights lose half the digits


def crops(space: SearchSpace) -> torch.Tensor:
    return torch.randn(6, sum(space.inputs.values()), *space.input_size, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(3))
def test_a_size_is_the_plain_network_of_that_size(space: SearchSpace, seed: int) -> None:
    network, sizes = network_of(space), sizes_of(space, seed)
    plain = network.plain(Allocation.from_widths(space, sizes)).train()
    x = crops(space)
    torch.testing.assert_close(network(x, sizes), plain(x), rtol=1e-6, atol=1e-8)


def test_even_sizes_are_taken_out_too(space: SearchSpace) -> None:
    # Equal groups make one grouped convolution, uneven ones a convolution each.
    network = network_of(space)
    sizes = {group: dict.fromkeys(space.free_units, 2) for group in space.groups}
    plain = network.plain(Allocation.from_widths(space, sizes)).train()
    x = crops(space)
    torch.testing.assert_close(network(x, sizes), plain(x), rtol=1e-6, atol=1e-8)


def test_parts_take_sizes_of_their_own(space: SearchSpace) -> None:
    network, x = network_of(space), crops(space)
    one, other = sizes_of(space, 0), sizes_of(space, 1)
    first = space.outputs[space.groups[0]]
    mixed = network(x, {**other, space.groups[0]: one[space.groups[0]]})
    assert torch.equal(mixed[:, :first], network(x, one)[:, :first])
    assert torch.equal(mixed[:, first:], network(x, other)[:, first:])


def test_a_pass_trains_its_first_channels_only(space: SearchSpace) -> None:
    network = network_of(space)
    sizes = {group: dict.fromkeys(space.free_units, 2) for group in space.groups}
    network(crops(space), sizes).square().sum().backward()
    for part in network.parts:
        for block in part.space.blocks:  # type: ignore[union-attr]
            for module in part.layers_of(block):  # type: ignore[operator]
                if module.weight is not None and module.layer.out_unit in space.free_units:
                    assert module.weight.grad is not None
                    assert not module.weight.grad[2:].any()


def test_outputs_start_where_they_are_told(space: SearchSpace) -> None:
    start = torch.arange(float(sum(space.outputs.values())))
    torch.manual_seed(0)
    network = SlimmableNetwork(space, dict.fromkeys(space.free_units, WIDEST), start)
    biased = any(layer.bias and layer.out_unit == "output" for layer in space.layers)
    for seed in range(3):
        off = network(crops(space).float(), sizes_of(space, seed)) - (start if biased else 0)
        assert off.abs().max() < 0.2


def test_the_callers_random_state_is_left_alone(space: SearchSpace) -> None:
    network = network_of(space)
    before = torch.get_rng_state()
    network.plain(Allocation.from_widths(space, sizes_of(space, 0)))
    assert torch.equal(torch.get_rng_state(), before)


def test_statistics_of_a_plain_network_are_fresh(space: SearchSpace) -> None:
    plain = network_of(space).plain(Allocation.from_widths(space, sizes_of(space, 0)))
    norms = [module for module in plain.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(int(norm.num_batches_tracked or 0) == 0 for norm in norms)
