"""What is told of measurements whose truth is known, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import ROOT, load_script

import groupnas
from groupnas.ceilings import Ceiling, Estimate, Lever, Measurements
from groupnas.ceilings.curves import fit_curves
from groupnas.errors import InputError

SCRIPT = load_script(ROOT / "benchmarks/ceiling.py")
SIZES = np.exp(np.linspace(np.log(0.2), np.log(2.2), 8))
TWO: dict[str, Any] = {"even": {"a": 10.0, "b": 30.0}, "weights": {"a": 1, "b": 3}}


def two(exponents: tuple[float, float], noise: float = 0.003, seed: int = 0) -> Measurements:
    """Eight trainings of two groups; errors are 2 and 4 at even cost."""
    rng = np.random.default_rng(seed)
    sizes = np.stack([rng.permutation(SIZES), rng.permutation(SIZES)], axis=1)
    errors = np.array([2.0, 4.0]) * sizes ** -np.array(exponents)
    return Measurements(
        group=["a", "b"] * 8,
        cost=(sizes * [10.0, 30.0]).ravel().tolist(),
        error=(errors * np.exp(noise * rng.normal(size=errors.shape))).ravel().tolist(),
        training=np.repeat(range(8), 2).tolist(),
        **TWO,
    )


def test_little_noise_leaves_little_open() -> None:
    found = groupnas.ceiling(two((0.05, 0.2)), seed=1)
    for group, exponent in {"a": 0.05, "b": 0.2}.items():
        told = found.exponents[group]
        assert told.low < exponent < told.high and told.high - told.low < 0.05
    # w E b over the cost's share: what a little cost is worth at even groups
    slopes = {"a": 0.25 * 2 * 0.05 / 0.25, "b": 0.75 * 4 * 0.2 / 0.75}
    cost = {g: found.costs[g].value for g in slopes}
    prices = [slopes["a"] * cost["a"] ** -1.05, slopes["b"] * cost["b"] ** -1.2]
    assert 0.25 * cost["a"] + 0.75 * cost["b"] == pytest.approx(1, abs=0.01)
    assert prices[0] == pytest.approx(prices[1], rel=0.4) and cost["a"] < 0.3
    assert found.deviation is not None and 0.003 < found.deviation < 0.015
    assert set(found.levers) == {"split"} and found.levers["split"].seeds in range(2, 8)


def test_groups_learn_from_each_other_as_far_as_they_are_alike() -> None:
    alike = two((0.1, 0.1), noise=0.02, seed=3)
    apart = {
        pooling: np.std(np.log(fit_curves(alike, pooling=pooling).exponent), axis=1).mean()
        for pooling in ("full", "partial", "none")
    }
    assert apart["full"] == 0 < apart["partial"] < 0.85 * apart["none"]


def test_the_same_seed_tells_the_same() -> None:
    measured = two((0.1, 0.1), 0.02)
    assert (
        groupnas.ceiling(measured, seed=4).to_dict() == groupnas.ceiling(measured, seed=4).to_dict()
    )


def test_a_gain_that_was_drawn_is_covered() -> None:
    """A small benchmarks/ceiling.py: 3 drawn sets of parts, 3 levers each, 90 % intervals."""
    pairs = list(SCRIPT.drawn(range(3), 8))
    covered = [
        told.levers[lever].error.low - 2e-4 <= truth[lever] <= told.levers[lever].error.high + 2e-4
        for told, truth in pairs
        for lever in SCRIPT.LEVERS
    ]
    assert len(covered) == 9 and sum(covered) >= 7
    # which an interval of everything would be, too
    widths = [t.levers["both"].error.high - t.levers["both"].error.low for t, _ in pairs]
    assert np.median(widths) < 0.06


def test_the_benchmarks_own_truth_is_the_closed_form() -> None:
    parts = SCRIPT.Parts(
        level=np.array([1.0, 2.0, 4.0]),
        floor=np.zeros(3),
        power=np.full(3, 0.2),
        best=np.full(3, 0.5),
        bend=np.array([0.0, 0.04, 0.04]),
        noise=(0.0, 0.0),
    )
    truth = parts.truth()
    for lever, level in {
        "split": np.array([1.0, 2.0, 4.0]),
        "both": np.array([1.0, 2.0, 4.0]) * np.exp([0, -0.01, -0.01]),
    }.items():
        ratios = 3 * level ** (1 / 1.2) / (level ** (1 / 1.2)).sum()
        assert 1 - truth[lever] == pytest.approx((level * ratios**-0.2).sum() / 7, abs=1e-5)
    assert truth["depth"] == pytest.approx((1 - np.exp(-0.01)) * 6 / 7, abs=1e-6)


@pytest.mark.parametrize(
    ("error", "cost", "said"),
    [
        ((0.001, 0.004), (0.0, 0.02), "within 0.4 % of the best split: there is little to search."),
        ((0.001, 0.006), (0.1, 0.2), "equal error (10 to 20 % fewer MACs), not for less error."),
        ((0.04, 0.09), (0.3, 0.5), "A search can gain 4.0 to 9.0 % of the error; it is worth it."),
        ((0.002, 0.09), (0.1, 0.5), "0.2 to 9.0 % of the error: too wide to tell"),
    ],
)
def test_advice(error: tuple[float, float], cost: tuple[float, float], said: str) -> None:
    lever = Lever(Estimate(error[0], *error), Estimate(cost[0], *cost), None)
    found = Ceiling(
        budget=1.0,
        unit="MACs",
        measurements=9,
        trainings=3,
        exponents={},
        costs={},
        levers={"split": lever},
        deviation=None,
        cautions=(),
    )
    assert said in found.advice == str(found)


def test_seeds_follow_from_the_deviation_that_is_given() -> None:
    measured = two((0.1, 0.1), 0.01)
    few, many = (
        groupnas.ceiling(measured, deviation=d).levers["split"].seeds for d in (0.01, 0.05)
    )
    assert few and many and many > 15 * few
    one = replace(measured, training=[0] * 16)
    assert groupnas.ceiling(one).levers["split"].seeds is None


def test_what_lies_outside_of_the_measurements_is_told() -> None:
    assert "outside of what was measured" in groupnas.ceiling(two((0.1, 0.1)), 5.0).cautions[0]
    flat = groupnas.ceiling(two((0.005, 0.005)))
    assert any(caution.startswith("Errors hardly depend on cost") for caution in flat.cautions)


GIVEN: dict[str, Any] = {
    "group": ["a"] * 4 + ["b"] * 4,
    "cost": [5, 10, 15, 20] * 2,
    "error": [4, 3, 2.5, 2.2] * 2,
    "training": list(range(4)) * 2,
    **TWO,
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"group": ["a"] * 4 + ["c"] * 4}, "group: 'c': choose from: a, b"),
        ({"cost": [5, 10, 15, 20]}, "cost: expected 8 entries, as group has; got 4"),
        ({"cost": [5, 10, 15, 0] * 2}, "cost: expected a number above 0, got 0"),
        ({"error": [4, 3, float("nan"), 2] * 2}, "error: expected a number above 0, got nan"),
        ({"group": ["a"] * 5 + ["b"] * 3}, "b: 3 measurements; a ceiling needs 4"),
        ({"cost": [10.0, 10.5, 11, 11.5] * 2}, "a: its measurements cost nearly the same"),
        ({"weights": {"a": 1}}, "weights.b: expected a number above 0, got None"),
        ({"even": {"a": 0, "b": 1}}, "even.a: expected a number above 0"),
        ({"shapes": {"tilt": [0.1]}}, "tilt: expected 8 entries"),
        ({"shapes": [0.1]}, "shapes: expected a Mapping, got a list"),
    ],
)
def test_measurements_that_are_none(changes: dict[str, Any], said: str) -> None:
    assert len(Measurements(**GIVEN)) == 8
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        Measurements(**{**GIVEN, **changes})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"budget": 0}, "budget: expected a number above 0"),
        ({"deviation": -1}, "deviation: expected a number above 0"),
        ({"seed": 1.5}, "seed: expected a whole number"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        groupnas.ceiling(Measurements(**GIVEN), **options)
