"""Separable costs: against the accountant's table, which counts layer by layer itself."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import groupnas as gn
from groupnas.costs import MEASURES, grouping_costs, measure, part_cost
from groupnas.errors import InputError

SPACES = ("picasso_local", "picasso_local:19", "picasso_global")


@pytest.mark.parametrize("name", SPACES)
@given(seed=st.integers(0, 1000))
def test_parts_add_up_to_the_accountants_table(name: str, seed: int) -> None:
    space = gn.load_space(name)
    grouping = gn.Grouping.random_sizes(space, seed)
    table = gn.flops(space, grouping)
    assert grouping_costs(space, grouping) == table.per_group
    assert grouping_costs(space, grouping, measure("params")) == table.params_per_group


def test_a_part_by_hand() -> None:
    space = gn.load_space("examples/three_parts.yaml")
    # stem: 8x8 of 3x3, 1 -> 4; block 1 expands to 8 at 8x8, depthwise to 4x4, projects to 6 ...
    stem = 8 * 8 * 9 * 1 * 4
    block1 = 8 * 8 * 4 * 8 + 4 * 4 * 9 * 8 + 4 * 4 * 8 * 6
    block2 = 4 * 4 * 6 * 12 + 4 * 4 * 9 * 12 + 4 * 4 * 12 * 6
    rest = 4 * 4 * 6 * 8 + 4 * 4 * 8 * 3
    widths = {unit: channels // 3 for unit, channels in space.free_units.items()}
    assert part_cost(space, "disc", widths) == stem + block1 + block2 + rest


def test_tensors_carry_gradients() -> None:
    space = gn.load_space("picasso_local")
    widths = {
        unit: torch.tensor([n / 4, n / 2], dtype=torch.float64, requires_grad=True)
        for unit, n in space.free_units.items()
    }
    cost = part_cost(space, "nose", widths)
    assert cost.shape == (2,)
    numbers = {unit: n / 4 for unit, n in space.free_units.items()}
    assert cost[0].item() == part_cost(space, "nose", numbers)
    gradients = torch.autograd.grad(cost[0], list(widths.values()))
    bumped = {**numbers, "stem": numbers["stem"] + 1}  # linear in each width on its own
    difference = part_cost(space, "nose", bumped) - cost[0].item()
    assert gradients[list(widths).index("stem")][0].item() == pytest.approx(difference)
    assert all(g[1] == 0 for g in gradients)


def test_an_unknown_measure_is_refused() -> None:
    with pytest.raises(InputError, match=r"measure 'macs': did you mean 'mac'\?"):
        measure("macs")
    assert set(MEASURES) == {"mac", "params"}
