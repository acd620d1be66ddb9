"""Profiles: what the knobs do to sizes and cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groupnas.spaces import load_space
from groupnas.spaces.measure import group_cost
from groupnas.strategies.knapsack.profiles import Family

RANGES = {"tilt": 0.5, "ratio": 0.3}
PLAIN = Path(__file__).parents[2] / "spaces/small/plain.yaml"


def picasso(shapes: Any = "free") -> Family:
    return Family.of(load_space("picasso_local"), shapes, 0.4, 1.6, RANGES)


@pytest.mark.parametrize(
    ("shapes", "knobs"),
    [
        ("uniform", ("scale",)),
        ("depth", ("scale", "tilt")),
        ("free", ("scale", "tilt", "ratio")),
    ],
)
def test_what_may_differ(shapes: Any, knobs: tuple[str, ...]) -> None:
    assert picasso(shapes).knobs == knobs


def test_a_space_without_blocks_has_no_ratio() -> None:
    # Every unit of plain layers lies between two blocks.
    assert Family.of(load_space(PLAIN), "free", 0.5, 2.0, RANGES).knobs == ("scale", "tilt")


def test_scales_by_hand() -> None:
    family = picasso()
    assert family.widths(np.array([-1.0, 0, 0]))["stem"] == 2  # 0.4 x 24 / 4
    assert family.widths(np.array([1.0, 0, 0]))["stage4.block2.hidden"] == 208  # 1.6 x 520 / 4
    even = family.widths(family.even())
    assert even == {unit: n // 4 for unit, n in load_space("picasso_local").free_units.items()}


def test_tilt_and_ratio_by_hand() -> None:
    family = picasso()
    tilt, ratio = family.directions
    # From first to last, a tilt of 1 makes a difference of 2 x 0.5 in the logarithm.
    assert tilt[-1] - tilt[0] == pytest.approx(1.0)
    assert np.diff(tilt) == pytest.approx(1 / (len(tilt) - 1))
    hidden = np.array(["hidden" in unit for unit in family.units])
    assert np.ptp(ratio[hidden]) == np.ptp(ratio[~hidden]) == 0
    assert ratio[hidden][0] - ratio[~hidden][0] == pytest.approx(0.6)


@pytest.mark.parametrize("knob", [1, 2])
def test_shapes_cost_the_same_to_first_order(knob: int) -> None:
    space, family = load_space("picasso_local"), picasso()

    def cost(knobs: np.ndarray[Any, Any]) -> float:
        exact = family.shares * np.exp(knobs @ family.directions)
        widths = dict(zip(family.units, exact, strict=True))
        return sum(float(group_cost(space, group, widths)) for group in space.groups)

    bent = np.zeros(2)
    bent[knob - 1] = 0.01
    assert cost(bent) / cost(np.zeros(2)) == pytest.approx(1, abs=1e-4)
    bent[knob - 1] = 1.0
    assert cost(bent) / cost(np.zeros(2)) == pytest.approx(1, abs=0.25)


def test_no_profile_is_empty_or_beyond_the_widest() -> None:
    family = picasso()
    profiles = np.random.default_rng(0).choice([-1.0, 1.0], (200, 3))
    sizes = family.sizes(profiles)
    assert sizes.min() >= 1
    assert (sizes <= np.array(list(family.widest().values()))).all()
    assert (sizes.max(axis=0) == np.array(list(family.widest().values()))).any()


def test_line_and_grid() -> None:
    family = picasso()
    assert family.line(3).tolist() == [[-1, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert family.line(1).tolist() == [[0, 0, 0]]
    grid = family.grid(scales=5, steps=3)
    assert grid.shape == (5 * 3 * 3, 3)
    assert len(np.unique(grid, axis=0)) == 45
