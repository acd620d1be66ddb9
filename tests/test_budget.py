"""Budgets: met within their tolerance whatever the proportions, or refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import groupnas as gn
from groupnas.budget import Budget, fit
from groupnas.errors import InputError
from groupnas.schema import validate

SPACE = gn.load_space("picasso_local")
POINTS = {"left_eye": 11, "right_eye": 11, "nose": 9, "mouth": 20}
STAGES = (("stage1", 1, 1), ("stage2", 5, 2), ("stage3", 5, 5), ("stage4", 5, 6))


def by_table(grouping: gn.Grouping, measure: str = "mac") -> dict[str, int]:
    """What each part costs by Table II of the paper, row by row: a count of this file's own."""
    counts = grouping.counts()
    return {
        part: sum(
            weights * positions if measure == "mac" else weights + norm
            for weights, positions, norm in rows(
                {unit: row[part] for unit, row in counts.items()}, 2 * points
            )
        )
        for part, points in POINTS.items()
    }


def rows(n: Mapping[str, int], outputs: int) -> Iterator[tuple[int, int, int]]:
    """Weights, output positions, and BatchNorm's or biases' numbers of every layer."""
    side, before = 64, n["stem"]
    yield 9 * n["stem"], side**2, 2 * n["stem"]
    for stage, expansion, repeats in STAGES:
        after = n[f"{stage}.trunk"]
        for number in range(1, repeats + 1):
            hidden = before
            if expansion > 1:
                hidden = n[f"{stage}.block{number}.hidden"]
                yield before * hidden, side**2, 2 * hidden
            side //= 2 if number == 1 else 1
            yield 9 * hidden, side**2, 2 * hidden
            yield hidden * after, side**2, 2 * after
            before = after
    yield before * n["head"], 16, 2 * n["head"]
    yield 16 * n["head"] * outputs, 1, outputs  # every position of 4 x 4 to every coordinate


EVEN = by_table(gn.Grouping.even(SPACE))
TOTAL = sum(EVEN.values())


@given(
    seed=st.integers(0, 10_000),
    total=st.floats(0.2, 4.0),
    name=st.sampled_from(["mac", "params"]),
)
def test_any_sizes_meet_any_total(seed: int, total: float, name: str) -> None:
    budget = Budget(total=total, measure=name)
    found = fit(SPACE, gn.Grouping.random_sizes(SPACE, seed).counts(), budget)
    even = sum(by_table(gn.Grouping.even(SPACE), name).values())
    assert 0.99 * total * even <= sum(by_table(found.grouping, name).values()) <= total * even


def test_even_groups_cost_what_the_page_says() -> None:
    assert [round(cost / 1e6, 2) for cost in EVEN.values()] == [2.31, 2.31, 2.31, 2.33]


def test_even_groups_are_their_own_budget() -> None:
    even = gn.Grouping.even(SPACE)
    assert fit(SPACE, even.counts(), Budget()) == gn.Allocation(SPACE, even)


@settings(max_examples=15)
@given(scale=st.floats(0.01, 100))
def test_only_proportions_matter(scale: float) -> None:
    counts = gn.Grouping.random_sizes(SPACE, 3).counts()
    scaled = {unit: {g: scale * n for g, n in row.items()} for unit, row in counts.items()}
    assert fit(SPACE, scaled, Budget()) == fit(SPACE, counts, Budget())


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    total=st.floats(0.5, 2.0),
    divisor=st.sampled_from([1, 2, 4, 8, 16]),
)
def test_a_divisor_divides_sizes_at_the_same_cost(seed: int, total: float, divisor: int) -> None:
    budget = Budget(total=total, divisor=divisor, tolerance=0.02)
    found = fit(SPACE, gn.Grouping.random(SPACE, seed).counts(), budget)
    assert sum(by_table(found.grouping).values()) == pytest.approx(total * TOTAL, rel=0.02)
    for unit, row in found.grouping.counts().items():
        step = budget.step(SPACE.free_units[unit] / 4)
        assert all(channels % step == 0 for channels in row.values()), unit


@pytest.mark.parametrize(
    ("divisor", "channels", "step"),
    [(1, 6, 1), (4, 6, 4), (8, 6, 8), (16, 6, 8), (16, 10, 8), (16, 14, 16), (64, 130, 64)],
)
def test_narrow_units_take_smaller_steps(divisor: int, channels: float, step: int) -> None:
    assert validate(Budget, {"divisor": divisor}, "budget").step(channels) == step


def test_parts_have_their_own_and_the_others_share_the_rest() -> None:
    budget = Budget(total=1.1, groups={"nose": 0.8, "mouth": 1.3})
    sizes = gn.Grouping.random(SPACE, 0).counts()
    costs = by_table(fit(SPACE, sizes, budget).grouping)
    assert costs["nose"] == pytest.approx(0.8 * EVEN["nose"], rel=0.01)
    assert costs["mouth"] == pytest.approx(1.3 * EVEN["mouth"], rel=0.01)
    rest = 1.1 * TOTAL - 0.8 * EVEN["nose"] - 1.3 * EVEN["mouth"]
    assert costs["left_eye"] + costs["right_eye"] == pytest.approx(rest, rel=0.01)


def test_parts_without_a_total_leave_the_others_as_they_are() -> None:
    even = gn.Grouping.even(SPACE)
    found = fit(SPACE, even.counts(), Budget(total=None, groups={"nose": 0.5}))
    counts, before = found.grouping.counts(), even.counts()
    for unit in SPACE.free_units:
        assert counts[unit]["mouth"] == before[unit]["mouth"]
    assert by_table(found.grouping)["nose"] == pytest.approx(0.5 * EVEN["nose"], rel=0.01)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget(total=1e-4), "less than the fewest channels cost"),
        (Budget(total=0.031, tolerance=1e-6), "miss it by -.*allow a larger tolerance"),
        (Budget(groups={"noes": 1.0}), r"budget.groups: 'noes': did you mean 'nose'\?"),
        (Budget(total=0.5, groups={"nose": 3.0}), "groups take all of the total 0.5"),
    ],
)
def test_what_cannot_be_met_is_refused(budget: Budget, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit(SPACE, gn.Grouping.even(SPACE).counts(), budget)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"total": None}, "total: missing; give it, or groups"),
        ({"total": 1e300}, "total: input should be less than or equal to 10000, got 1e\\+300"),
        ({"total": 0}, "total: input should be greater than 0, got 0"),
        ({"groups": {"nose": -1}}, "groups.nose: input should be greater than 0"),
        ({"tolerance": 1}, "tolerance: input should be less than 1"),
        ({"divisor": 12}, "divisor: input should be 1, 2, 4, 8, 16, 32 or 64, got 12"),
    ],
)
def test_a_wrong_budget_names_its_key(data: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        validate(Budget, data, "budget")


# -- older names of keys ------------------------------------------------------------------------


def test_files_written_before_say_multiple_and_parts() -> None:
    old = validate(Budget, {"multiple": 8, "parts": {"nose": 0.5}}, "budget")
    assert old == Budget(divisor=8, groups={"nose": 0.5})
    assert not {"multiple", "parts"} & old.model_dump().keys()
    for twice in ({"multiple": 8, "divisor": 8}, {"parts": {"nose": 1}, "groups": {"nose": 1}}):
        with pytest.raises(InputError, match=f"budget: {next(iter(twice))}: unknown key"):
            validate(Budget, twice, "budget")


def test_runs_started_before_go_on(tmp_path: Path, shapes_space: Any, shapes: Any) -> None:
    budget = Budget(divisor=2, groups={"ring": 1.0}, tolerance=0.2)
    strategy = gn.load_strategy("random").with_budget(budget)
    run = gn.search(shapes_space, shapes, strategy, tmp_path / "run", quiet=True)
    config = tmp_path / "run/config.yaml"
    text = config.read_text().replace("divisor: 2", "multiple: 2")
    config.write_text(text.replace("    groups:\n      ring:", "    parts:\n      ring:"))
    assert "parts:" in config.read_text()
    again = gn.search(shapes_space, shapes, None, tmp_path / "run", resume=True, quiet=True)
    assert again.allocation == run.allocation
    other = strategy.with_budget(budget.model_copy(update={"divisor": 4}))
    with pytest.raises(InputError, match="strategy.budget.divisor = 2, not 4"):
        gn.search(shapes_space, shapes, other, tmp_path / "run", resume=True, quiet=True)
