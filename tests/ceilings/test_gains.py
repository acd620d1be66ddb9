"""The best split of known curves: against the closed form, and by trying."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupnas.ceilings.curves import ErrorCurves
from groupnas.ceilings.gains import CostSplit, shaped

PICASSO = np.array([22, 22, 18, 40]) / 102  # the groups' outputs


def power_laws(
    level: list[float], power: list[float], floor: float = 0.0, lag: float = 0.0
) -> ErrorCurves:
    rows = np.array([level]), np.array([power])
    ones = np.ones_like(rows[0])
    return ErrorCurves(rows[0], floor * ones, rows[1], lag * ones, ones, ones, np.ones(1))


@pytest.mark.parametrize("power", [0.05, 0.1, 0.2])
def test_alike_exponents_have_a_closed_form(power: float) -> None:
    level = np.array([4.0, 4.1, 3.2, 4.9])
    curves = power_laws(level.tolist(), [power] * 4)
    wanted = (PICASSO * level) ** (1 / (1 + power))
    found = CostSplit(np.full(4, 0.25), PICASSO).best(curves, 0.5)
    assert found[0] == pytest.approx(0.5 * 4 * wanted / wanted.sum())


@pytest.mark.parametrize(
    ("level", "gains"),
    [
        ([4.2, 4.2, 4.2, 4.2], [0.24, 0.45, 0.83]),
        ([4.24, 4.22, 3.62, 5.18], [0.49, 0.93, 1.69]),  # after 6 epochs, docs/curves.png
    ],
)
def test_what_a_split_of_picasso_local_gains(level: list[float], gains: list[float]) -> None:
    """For exponents of 0.05, 0.1 and 0.2."""
    split = CostSplit(np.full(4, 0.25), PICASSO)
    for power, gain in zip((0.05, 0.1, 0.2), gains, strict=True):
        curves = power_laws(level, [power] * 4)
        even = split.even(curves, 1.0)
        values = PICASSO * level
        least = (values ** (1 / (1 + power))).sum() ** (1 + power) / 4**power
        assert split.least_error(curves, 1.0)[0] == pytest.approx(least)
        assert 100 * (1 - least / even[0]) == pytest.approx(gain, abs=0.02)


def test_the_saving_is_the_cost_at_which_the_best_split_is_as_good() -> None:
    curves, split = (
        power_laws([1.0, 2.0, 5.0], [0.05, 0.1, 0.3], 0.2),
        CostSplit(np.array([0.2, 0.5, 0.3]), np.full(3, 1 / 3)),
    )
    even = split.even(curves, 0.8)
    saved = split.saved(curves, even, 0.8)
    assert 0.01 < saved[0] < 0.9
    assert split.least_error(curves, 0.8 * (1 - saved)) == pytest.approx(even, rel=1e-6)


def test_limits_hold_and_what_they_leave_is_spent() -> None:
    curves = power_laws([1.0, 1.0, 100.0], [0.1] * 3)
    split = CostSplit(np.full(3, 1 / 3), np.full(3, 1 / 3), least=0.5, most=2.0)
    assert split.best(curves, 1.0)[0] == pytest.approx([0.5, 0.5, 2.0])


def test_each_group_has_limits_of_its_own() -> None:
    curves = power_laws([1.0, 1.0, 100.0], [0.1] * 3)
    least, most = np.array([0.1, 0.6, 0.5]), np.array([2.0, 2.0, 1.5])
    split = CostSplit(np.full(3, 1 / 3), np.full(3, 1 / 3), least=least, most=most)
    assert split.best(curves, 1.0)[0] == pytest.approx([0.75, 0.75, 1.5])
    assert split.best(curves, 0.4)[0] == pytest.approx([0.1, 0.4, 0.7])


def test_a_better_shape_is_a_lower_curve() -> None:
    curves = ErrorCurves(
        level=np.array([[2.0]]),
        floor=np.array([[0.5]]),
        power=np.array([[0.1]]),
        lag=np.array([[0.3]]),
        shape=np.array([[0.9]]),
        noise=np.ones((1, 1)),
        shared=np.ones(1),
    )
    assert shaped(curves).errors(np.ones((1, 1)))[0, 0] == pytest.approx(1.8)


@settings(max_examples=40, deadline=None)
@given(
    level=st.lists(st.floats(0.1, 10), min_size=3, max_size=3),
    power=st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
    floor=st.floats(0, 0.9),
    lag=st.floats(0, 3),
    budget=st.floats(0.1, 3),
    moved=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
)
def test_no_other_split_is_better(
    level: list[float],
    power: list[float],
    floor: float,
    lag: float,
    budget: float,
    moved: tuple[float, float],
) -> None:
    shares, weights = np.array([0.5, 0.2, 0.3]), np.array([0.1, 0.6, 0.3])
    curves, split = power_laws(level, power, floor, lag), CostSplit(shares, weights)
    best = split.best(curves, budget)
    assert best @ shares == pytest.approx(budget)
    # A share of one group's cost to another, twice
    other = best * shares
    for giver, share in enumerate(moved):
        given_away = share * other[:, giver if share > 0 else giver + 1]
        other[:, giver] -= given_away
        other[:, giver + 1] += given_away
    assert (other >= 0).all() and other.sum() == pytest.approx(budget)
    worse = curves.errors(other / shares) @ weights
    assert worse >= split.least_error(curves, budget) * (1 - 1e-9)
