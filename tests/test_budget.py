"""Budgets: met within their tolerance whatever the proportions, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import groupnas as gn
from groupnas.budget import Budget, fit
from groupnas.costs import grouping_costs, measure
from groupnas.errors import InputError
from groupnas.schema import validate

SPACE = gn.load_space("picasso_local")
EVEN = grouping_costs(SPACE, gn.Grouping.even(SPACE))
TOTAL = sum(EVEN.values())


@given(
    seed=st.integers(0, 10_000),
    total=st.floats(0.2, 4.0),
    name=st.sampled_from(["mac", "params"]),
)
def test_any_sizes_meet_any_total(seed: int, total: float, name: str) -> None:
    budget = Budget(total=total, measure=name)
    found = fit(SPACE, gn.Grouping.random_sizes(SPACE, seed).counts(), budget)
    even = sum(grouping_costs(SPACE, gn.Grouping.even(SPACE), measure(name)).values())
    cost = sum(grouping_costs(SPACE, found, measure(name)).values())
    assert cost == pytest.approx(total * even, rel=0.01)
    assert cost <= total * even
    assert gn.flops(SPACE.fitted(found), found).total == sum(grouping_costs(SPACE, found).values())


def test_even_groups_are_their_own_budget() -> None:
    even = gn.Grouping.even(SPACE)
    assert fit(SPACE, even.counts(), Budget()) == even


@given(scale=st.floats(0.01, 100))
def test_only_proportions_matter(scale: float) -> None:
    counts = gn.Grouping.random_sizes(SPACE, 3).counts()
    scaled = {unit: {g: scale * n for g, n in row.items()} for unit, row in counts.items()}
    assert fit(SPACE, scaled, Budget()) == fit(SPACE, counts, Budget())


def test_parts_have_their_own_and_the_others_share_the_rest() -> None:
    budget = Budget(total=1.1, parts={"nose": 0.8, "mouth": 1.3})
    sizes = gn.Grouping.random(SPACE, 0).counts()
    costs = grouping_costs(SPACE, fit(SPACE, sizes, budget))
    assert costs["nose"] == pytest.approx(0.8 * EVEN["nose"], rel=0.01)
    assert costs["mouth"] == pytest.approx(1.3 * EVEN["mouth"], rel=0.01)
    rest = 1.1 * TOTAL - 0.8 * EVEN["nose"] - 1.3 * EVEN["mouth"]
    assert costs["left_eye"] + costs["right_eye"] == pytest.approx(rest, rel=0.01)


def test_parts_without_a_total_leave_the_others_as_they_are() -> None:
    even = gn.Grouping.even(SPACE)
    found = fit(SPACE, even.counts(), Budget(total=None, parts={"nose": 0.5}))
    counts, before = found.counts(), even.counts()
    for unit in SPACE.free_units:
        assert counts[unit]["mouth"] == before[unit]["mouth"]
    assert grouping_costs(SPACE, found)["nose"] == pytest.approx(0.5 * EVEN["nose"], rel=0.01)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget(total=1e-4), "less than one channel a unit costs"),
        (Budget(total=0.031, tolerance=1e-6), "miss it by -.*allow a larger tolerance"),
        (Budget(parts={"noes": 1.0}), r"budget.parts: 'noes': did you mean 'nose'\?"),
        (Budget(total=0.5, parts={"nose": 3.0}), "parts take all of the total 0.5"),
    ],
)
def test_what_cannot_be_met_is_refused(budget: Budget, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit(SPACE, gn.Grouping.even(SPACE).counts(), budget)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"total": None}, "total: missing; give it, or parts"),
        ({"total": 0}, "total: input should be greater than 0, got 0"),
        ({"parts": {"nose": -1}}, "parts.nose: input should be greater than 0"),
        ({"tolerance": 1}, "tolerance: input should be less than 1"),
    ],
)
def test_a_wrong_budget_names_its_key(data: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        validate(Budget, data, "budget")
