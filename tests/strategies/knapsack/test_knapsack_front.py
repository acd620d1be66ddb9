"""The knapsack against trying everything."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupnas.errors import InputError
from groupnas.strategies.knapsack.allocation import Front, GroupChoices, front, pareto

numbers = st.integers(0, 30).map(float)
choices = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6).map(
    lambda rows: GroupChoices(*np.array(rows).T)
)


def all_of(parts: dict[str, GroupChoices], weights: dict[str, float]) -> list[tuple[float, float]]:
    """Cost and error of every combination."""
    ranges = [range(len(part.costs)) for part in parts.values()]
    return [
        (
            sum(part.costs[pick] for part, pick in zip(parts.values(), picks, strict=True)),
            sum(
                weights[name] * part.errors[pick]
                for (name, part), pick in zip(parts.items(), picks, strict=True)
            ),
        )
        for picks in product(*ranges)
    ]


@given(st.lists(choices, min_size=1, max_size=4), st.integers(0, 130))
def test_the_best_of_all_combinations(lists: list[GroupChoices], budget: int) -> None:
    parts = {f"p{i}": part for i, part in enumerate(lists)}
    weights = {name: 1.0 + i for i, name in enumerate(parts)}
    whole = front(parts, weights)
    possible = [error for cost, error in all_of(parts, weights) if cost <= budget]
    taken = whole.within(budget)
    cost = sum(parts[name].costs[pick] for name, pick in taken.items())
    error = sum(weights[name] * parts[name].errors[pick] for name, pick in taken.items())
    if possible:
        assert cost <= budget
        assert error == min(possible)
    else:
        assert cost == min(cost for cost, _ in all_of(parts, weights))


@given(st.lists(choices, min_size=1, max_size=4))
def test_the_front_has_no_point_too_many_or_too_few(lists: list[GroupChoices]) -> None:
    parts = {f"p{i}": part for i, part in enumerate(lists)}
    weights = dict.fromkeys(parts, 1.0)
    points = set(all_of(parts, weights))
    undominated = {
        (c, e)
        for c, e in points
        if not any(a <= c and b <= e and (a, b) != (c, e) for a, b in points)
    }
    whole = front(parts, weights)
    assert list(zip(whole.costs, whole.errors, strict=True)) == sorted(undominated)


def test_by_hand() -> None:
    parts = {
        "eye": GroupChoices(np.array([1.0, 2.0, 4.0]), np.array([5.0, 3.0, 2.0])),
        "mouth": GroupChoices(np.array([1.0, 3.0]), np.array([9.0, 4.0])),
    }
    whole = front(parts, {"eye": 1.0, "mouth": 2.0})
    assert whole.costs.tolist() == [2, 3, 4, 5, 7]
    assert whole.errors.tolist() == [23, 21, 13, 11, 10]
    assert whole.within(4.9) == {"eye": 0, "mouth": 1}
    assert whole.within(6) == {"eye": 1, "mouth": 1}
    assert whole.within(100) == {"eye": 2, "mouth": 1}
    assert whole.within(0.5) == {"eye": 0, "mouth": 0}


def test_a_thinned_front_is_nearly_the_exact_one() -> None:
    draw = np.random.default_rng(0)
    parts = {}
    for name in "abcd":
        costs = np.sort(draw.uniform(1, 10, 60))
        parts[name] = GroupChoices(costs, 1 / costs + draw.uniform(0, 0.01, 60))
    weights = dict.fromkeys(parts, 1.0)
    exact, thin = front(parts, weights, states=10**9), front(parts, weights, states=1000)
    assert len(thin.costs) <= 1001 < len(exact.costs)
    step = (exact.costs[-1] - exact.costs[0]) / 999
    for budget in np.linspace(5, 40, 50):
        assert error_at(thin, budget) <= error_at(exact, budget - 4 * step) + 1e-12
        assert error_at(thin, budget) >= error_at(exact, budget) - 1e-12


def error_at(whole: Front, budget: float) -> float:
    return float(whole.errors[np.searchsorted(whole.costs, budget, side="right") - 1])


def test_of_equals_one_is_kept() -> None:
    kept = pareto(np.array([2.0, 1.0, 1.0, 3.0]), np.array([5.0, 6.0, 6.0, 5.0]))
    assert kept.tolist() == [1, 0]


@pytest.mark.parametrize("parts", [{}, {"eye": GroupChoices(np.zeros(0), np.zeros(0))}])
def test_nothing_to_choose_from(parts: dict[str, GroupChoices]) -> None:
    with pytest.raises(InputError, match="at least one choice"):
        front(parts, {"eye": 1.0})
