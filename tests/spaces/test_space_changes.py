"""Other widths, fewer groups, none: the same layers each time."""

from __future__ import annotations

import pytest
import torch

import groupnas as gn
from groupnas.errors import InputError

SPACE = gn.load_space("picasso_local")


def test_other_widths_reach_every_layer_of_a_unit() -> None:
    wide = SPACE.resized({"stage2.trunk": 32})
    assert wide.units == {**SPACE.units, "stage2.trunk": 32}
    for old, new in zip(SPACE.layers, wide.layers, strict=True):
        assert new.in_channels == (32 if old.in_unit == "stage2.trunk" else old.in_channels)
        assert new.out_channels == (32 if old.out_unit == "stage2.trunk" else old.out_channels)
    even = gn.Grouping.even(wide)
    assert gn.Allocation(wide, even).build()(torch.zeros(1, 4, 64, 64)).shape == (1, 102)
    assert gn.Allocation(SPACE, even).space == wide
    assert gn.Allocation.even(SPACE).space is SPACE


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"stage2.trnk": 8}, "did you mean 'stage2.trunk'"),
        ({"input": 8}, "unit 'input'"),
        ({"stem": 3}, "stem: 3 channels cannot hold 4 groups"),
    ],
)
def test_widths_that_cannot_be(widths: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SPACE.resized(widths)


def test_a_grouping_of_other_units_fits_no_widths() -> None:
    other = gn.load_space("examples/three_parts.yaml")
    with pytest.raises(InputError, match="groups"):
        gn.Allocation(SPACE, gn.Grouping.even(other))


def test_some_groups_cost_what_they_cost_among_all() -> None:
    even = gn.Grouping.even(SPACE)
    counts = even.counts()
    some = SPACE.only(["mouth", "left_eye"])
    assert some.groups == ("left_eye", "mouth")
    narrow = some.resized({u: counts[u]["left_eye"] + counts[u]["mouth"] for u in some.free_units})
    costs = gn.flops(gn.Allocation.even(narrow)).per_group
    whole = gn.flops(gn.Allocation(SPACE, even)).per_group
    assert costs == {group: whole[group] for group in some.groups}
    assert gn.Allocation.even(narrow).build()(torch.zeros(2, 2, 64, 64)).shape == (2, 62)
    with pytest.raises(InputError, match="did you mean 'mouth'"):
        SPACE.only(["mouht"])
    with pytest.raises(InputError, match="at least one"):
        SPACE.only([])


def test_without_groups_every_output_sees_every_input() -> None:
    whole = SPACE.ungrouped()
    assert whole.groups == ("all",) and whole.free_units == SPACE.free_units
    torch.manual_seed(0)
    network = gn.Allocation.even(whole).build().eval()
    x = torch.randn(1, 4, 64, 64, requires_grad=True)
    for part in range(4):
        (gradient,) = torch.autograd.grad(network(x)[0, 25 * part], x)
        assert gradient.abs().sum(dim=(0, 2, 3)).min() > 0
