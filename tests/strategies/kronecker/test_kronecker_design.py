"""Networks of learned numbers of groups: counted as they are built, within any budget."""

from __future__ import annotations

import random

import pytest
import torch
from helpers import SMALL
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import groupnas
from groupnas.accountant import flops
from groupnas.budget import Budget
from groupnas.errors import InputError
from groupnas.spaces.measure import measure
from groupnas.strategies.kronecker.design import (
    KroneckerDesign,
    convolutions,
    factors,
    network_cost,
)
from groupnas.strategies.kronecker.fitting import Logits, fitted


def logits_of(space: groupnas.SearchSpace, seed: int = 0) -> Logits:
    draw = random.Random(seed)
    return {
        layer.name: tuple(draw.gauss(0, 1) for _ in factors(layer).gated)
        for layer in convolutions(space)
    }


def by_sign(space: groupnas.SearchSpace, seed: int = 0) -> KroneckerDesign:
    logits = logits_of(space, seed)
    return KroneckerDesign(space, {n: tuple(int(v > 0) for v in r) for n, r in logits.items()})


def counted(network: nn.Module, space: groupnas.SearchSpace) -> int:
    """Multiply-accumulates by PyTorch's own counter."""
    x = torch.zeros(1, sum(space.inputs.values()), *space.input_size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(x)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", ["shapes", "branches", "plain", "pools", "ties"])
def test_costs_are_those_of_the_network_built(
    name: str, shapes_space: groupnas.SearchSpace
) -> None:
    space = shapes_space if name == "shapes" else groupnas.load_space(SMALL / f"{name}.yaml")
    design = by_sign(space)
    assert len(set(design.groups().values())) > 1
    network = design.build()
    assert design.costs() == {"all": counted(network, space)}
    assert design.costs("params") == {"all": sum(p.numel() for p in network.parameters())}


def test_no_groups_at_all_is_the_ungrouped_network(shapes_space: groupnas.SearchSpace) -> None:
    dense = {layer.name: (1,) * len(factors(layer).gated) for layer in convolutions(shapes_space)}
    whole = shapes_space.ungrouped()
    even = groupnas.Grouping.even(whole)
    assert (
        KroneckerDesign(shapes_space, dense).costs()["all"]
        == flops(groupnas.Allocation(whole, even)).total
    )


def test_it_is_no_grouping_and_mixes_parts(shapes_space: groupnas.SearchSpace) -> None:
    torch.manual_seed(0)
    dense = {layer.name: (1,) * len(factors(layer).gated) for layer in convolutions(shapes_space)}
    design = KroneckerDesign(shapes_space, dense)
    assert design.grouping is None
    x = torch.randn(2, 3, 16, 16, requires_grad=True)
    design.build().eval()(x)[:, :3].sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().sum(dim=(0, 2, 3)) > 0).all()  # the disc's outputs see every part


def test_outputs_start_near_what_is_asked_for(shapes_space: groupnas.SearchSpace) -> None:
    torch.manual_seed(0)
    start = torch.arange(9.0)
    with torch.no_grad():
        found = by_sign(shapes_space).build(start)(torch.randn(8, 3, 16, 16))
    torch.testing.assert_close(found.mean(dim=0), start, atol=0.2, rtol=0)


@pytest.mark.parametrize("total", [0.25, 0.5, 1.0, 2.0, 5.0])
def test_the_local_network_meets_any_budget(total: float) -> None:
    space = groupnas.load_space("picasso_local")
    even = sum(groupnas.Allocation.even(space).costs().values())
    design = fitted(space, logits_of(space), Budget(total=total))
    assert design.costs()["all"] == pytest.approx(total * even, rel=0.01)
    # what is counted can be built: every number of groups divides both widths
    for layer in convolutions(design.space):
        groups = design.groups()[layer.name]
        assert layer.in_channels % groups == layer.out_channels % groups == 0
    if total in (0.5, 1.0, 2.0):  # gates alone go nearly all the way
        widths = sum(design.space.free_units.values()) / sum(space.free_units.values())
        assert widths == pytest.approx(1, abs=0.02)


def test_other_measures(shapes_space: groupnas.SearchSpace) -> None:
    budget = Budget(measure="params", total=1.5, tolerance=0.03)
    design = fitted(shapes_space, logits_of(shapes_space), budget)
    even = groupnas.Grouping.even(shapes_space)
    cost = sum(groupnas.Allocation(shapes_space, even).costs(measure("params")).values())
    assert sum(p.numel() for p in design.build().parameters()) == pytest.approx(
        1.5 * cost, rel=0.03
    )


def test_within_a_generous_budget_the_most_wanted_gates_open_first() -> None:
    space = groupnas.load_space("picasso_local")
    logits = {name: tuple(-1.0 - v * v for v in row) for name, row in logits_of(space).items()}
    name = "stage3.block2.expand"
    logits[name] = (-0.1,) * len(logits[name])
    groups = fitted(space, logits, Budget(total=0.8)).groups()
    assert groups[name] == 1 and max(groups.values()) > 1


def test_the_network_s_cost_is_differentiable_in_groups(
    shapes_space: groupnas.SearchSpace,
) -> None:
    """Twice the groups, half the multiply-accumulates of that layer."""
    groups = {
        layer.name: torch.tensor(2.0, requires_grad=True) for layer in convolutions(shapes_space)
    }
    cost = network_cost(shapes_space, groups, measure("mac"))
    cost.backward()
    head = next(layer for layer in shapes_space.layers if layer.name == "head")
    macs = head.in_channels * head.out_channels * head.out_size[0] * head.out_size[1]
    gradient = groups["head"].grad
    assert gradient is not None and gradient.item() == pytest.approx(-macs / 4)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget(groups={"ring": 1.0}), "kronecker keeps no groups apart"),
        (Budget(total=0.01), "kronecker cannot make this network as cheap"),
    ],
)
def test_budgets_that_cannot_be_met(
    shapes_space: groupnas.SearchSpace, budget: Budget, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fitted(shapes_space, logits_of(shapes_space), budget)
