"""Points and sizes: zero is even, no redundancy, never above the budget."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groupnas.budget import Budget
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.spaces.allocation import Allocation
from groupnas.strategies.trials.encoding import Encoding, _contrasts, scaled, usage

Make = Callable[..., Encoding]


def test_contrasts_are_orthonormal_and_sum_to_zero() -> None:
    assert _contrasts(3) == pytest.approx(
        np.array(
            [
                [-1 / math.sqrt(2), -1 / math.sqrt(6)],
                [1 / math.sqrt(2), -1 / math.sqrt(6)],
                [0, 2 / math.sqrt(6)],
            ]
        )
    )
    assert _contrasts(1).shape == (1, 0)


@pytest.mark.parametrize(
    ("resolution", "names"),
    [
        ("part", ["split.1", "split.2"]),
        ("depth", ["split.1", "split.2", "tilt.disc", "tilt.square", "tilt.ring"]),
    ],
)
def test_coordinates(encoding: Make, resolution: str, names: list[str]) -> None:
    assert list(encoding(resolution=resolution).bounds) == names


@pytest.mark.parametrize("resolution", ["part", "depth", "unit"])
def test_every_coordinate_says_something_else(encoding: Make, resolution: str) -> None:
    """The logarithms of the sizes have as many dimensions as there are coordinates, and a common
    factor is not among them."""
    points = encoding(resolution=resolution)
    rows = []
    for name in points.bounds:
        sizes = points.sizes({**points.even, name: 1.0})
        even = points.sizes(points.even)
        rows.append(
            [math.log(sizes[u][g] / even[u][g]) for u in sizes for g in points.space.groups]
        )
    assert np.linalg.matrix_rank(np.array(rows)) == len(rows)
    assert np.linalg.matrix_rank(np.array([*rows, [1.0] * len(rows[0])])) == len(rows) + 1
    if resolution == "unit":
        assert len(rows) == len(rows[0]) - 1  # everything but the factor


def test_sizes_by_hand(encoding: Make) -> None:
    points = encoding()
    units = list(points.space.free_units)
    even = Grouping.even(points.space).counts()
    sizes = points.sizes({**points.even, "split.2": math.log(2), "tilt.disc": math.log(3)})
    share = math.log(2) / math.sqrt(6)
    # disc: -1/sqrt(6) of the split, and the slope from 1/3 to 3; ring: 2/sqrt(6), no slope.
    assert sizes[units[0]]["disc"] == pytest.approx(even[units[0]]["disc"] * math.exp(-share) / 3)
    assert sizes[units[-1]]["disc"] == pytest.approx(even[units[-1]]["disc"] * math.exp(-share) * 3)
    assert sizes[units[0]]["ring"] == pytest.approx(even[units[0]]["ring"] * math.exp(2 * share))
    assert sizes[units[0]]["square"] == pytest.approx(even[units[0]]["square"] * math.exp(-share))


@pytest.mark.parametrize("resolution", ["part", "depth", "unit"])
def test_zero_is_even(encoding: Make, resolution: str) -> None:
    points = encoding(resolution=resolution)
    assert points.decode(points.even) == Allocation.even(points.space)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), resolution=st.sampled_from(["part", "depth", "unit"]))
def test_no_point_costs_more_than_the_budget(encoding: Make, seed: int, resolution: str) -> None:
    points = encoding(resolution=resolution)
    point = points.draw(random.Random(seed))
    assert all(low <= point[name] <= high for name, (low, high) in points.bounds.items())
    found = points.decode(point)
    even = sum(Allocation.even(points.space).costs().values())
    assert 0.98 * even < sum(found.costs().values()) <= even


def test_a_group_with_its_own_budget_is_in_no_split(encoding: Make) -> None:
    points = encoding(Budget(groups={"ring": 1.5}), resolution="part")
    assert list(points.bounds) == ["split.1"]
    even = Allocation.even(points.space).costs()
    costs = points.decode({"split.1": 0.5}).costs()
    assert costs["ring"] == pytest.approx(1.5 * even["ring"], rel=0.05)
    assert costs["disc"] < even["disc"]  # has the smaller share of a smaller rest
    assert sum(costs.values()) <= sum(even.values())


def test_the_cost_is_a_coordinate_where_it_is_free(encoding: Make) -> None:
    points = encoding(costs=(0.5, 1.5))
    assert points.bounds["cost"] == (0.5, 1.5)
    assert points.even["cost"] == 1.0
    assert encoding(costs=(0.3, 0.8)).even["cost"] == 0.8
    half = points.decode({**points.even, "cost": 0.5})
    assert usage(points.space, half, Budget()) == pytest.approx(0.5, abs=0.03)
    assert usage(points.space, half, scaled(Budget(), 0.5)) <= 1


def test_clipped(encoding: Make) -> None:
    points = encoding(resolution="part")
    assert points.clipped({"split.1": 9.0, "split.2": -0.1}) == {"split.1": 0.7, "split.2": -0.1}


def test_a_budget_below_one_channel_each(encoding: Make) -> None:
    points = encoding(Budget(total=0.001))
    with pytest.raises(InputError, match="budget"):
        points.decode(points.even)


def test_a_space_of_one_unit_has_no_shapes(shapes_space: Any) -> None:
    unit = next(iter(shapes_space.free_units))
    points = Encoding(space=shapes_space, budget=Budget(), resolution="unit", spread=1.0)
    assert (
        len([n for n in points.bounds if n.startswith("ring")]) == len(shapes_space.free_units) - 1
    )
    assert unit in points.sizes(points.even)
