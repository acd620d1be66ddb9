"""The cost at equal error, against power laws whose ratio is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import isotonic_regression

from groupnas.comparison.fronts import CostRatio, cost_ratio, falling

COSTS = np.array([1.0, 2.0, 4.0])
NAMES = [str(index) for index in range(60)]


def law(costs: np.ndarray, exponent: float = 0.1) -> np.ndarray:
    return 3 * costs**-exponent


def tables(errors: np.ndarray, seeds: int = 2) -> list[np.ndarray]:
    """Samples that differ by a factor, the same with each seed but for rounding."""
    hard = np.linspace(0.5, 1.5, len(NAMES))[:, None]
    return [hard * errors * (1 + 1e-12 * seed) for seed in range(seeds)]


def ratio(mine: np.ndarray, other: np.ndarray, costs: np.ndarray = COSTS) -> CostRatio:
    return cost_ratio(tables(mine), tables(other), costs, COSTS, NAMES, draws=50)


@pytest.mark.parametrize("exponent", [0.05, 0.5])
@pytest.mark.parametrize("factor", [0.6, 1.0, 1.5])
def test_power_laws(factor: float, exponent: float) -> None:
    found = ratio(law(COSTS / factor, exponent), law(COSTS, exponent))
    assert found.ratio == pytest.approx(factor)
    assert (found.low, found.high) == pytest.approx((factor, factor))  # nothing is random
    assert found.better == (0.5 if factor == 1 else factor < 1)
    cheaper = min(factor, 1)  # both reach what the cheaper end of one and the dearer of other have
    shared = law(np.array([4 / max(factor, 1), 1 / cheaper]), exponent)
    assert (found.least, found.most) == pytest.approx(tuple(shared))
    assert (found.sources, found.seeds, found.overlap) == (60, 2, 1.0)


def test_the_ratio_by_hand() -> None:
    """Errors 8, 2 at 1, 4 and 8, 4, 2 at 1, 2, 16: lines in logarithms of base 2.

    At an error 2**e the first costs 2**(3 - e), the second 2**(3 - e) down to e = 2, then
    2**(1 + 3 * (2 - e)): the mean of the difference of exponents over e in 1 .. 3 is half of that
    over 1 .. 2, 3 - e - 7 + 3 e = 2 e - 4, which is -1: -0.5.
    """
    found = cost_ratio(
        tables(np.array([8.0, 2.0])),
        tables(np.array([8.0, 4.0, 2.0])),
        np.array([1.0, 4.0]),
        np.array([1.0, 2.0, 16.0]),
        NAMES,
        draws=10,
    )
    assert found.ratio == pytest.approx(2**-0.5)
    turned = cost_ratio(  # the order of budgets is nobody's
        tables(np.array([2.0, 8.0])),
        tables(np.array([4.0, 2.0, 8.0])),
        np.array([4.0, 1.0]),
        np.array([2.0, 16.0, 1.0]),
        NAMES,
        draws=10,
    )
    assert turned.ratio == pytest.approx(2**-0.5)


def test_fronts_that_do_not_meet() -> None:
    found = ratio(np.array([2.0, 1.9, 1.8]), np.array([3.0, 2.9, 2.8]))
    assert (found.ratio, found.low, found.better, found.overlap) == (None, None, None, 0.0)


def test_falling_agrees_with_scipy() -> None:
    values = np.random.default_rng(0).normal(size=(50, 5))
    expected = [isotonic_regression(row, increasing=False).x for row in values]
    np.testing.assert_allclose(falling(values), expected)


def test_what_has_no_interval() -> None:
    errors = law(COSTS)
    single = cost_ratio(tables(errors, 1), tables(errors, 1), COSTS, COSTS, NAMES, draws=50)
    assert single.ratio == 1 and single.low is None and single.better is None
    copies = tables(errors, 1) * 2  # of one seed, as differences count them
    twice = cost_ratio(copies, copies, COSTS, COSTS, NAMES, draws=50)
    assert twice.seeds == 1 and twice.low is None
    known = tables(errors)
    for table in known:
        table[8:] = np.nan  # 8 sources say something
    lacking = cost_ratio(known, known, COSTS, COSTS, NAMES, draws=50)
    assert lacking.sources == 8 and lacking.low is None
    few = ["a", "b"] * 30
    assert cost_ratio(tables(errors), tables(errors), COSTS, COSTS, few, draws=50).low is None
    with pytest.raises(ValueError, match="two costs"):
        cost_ratio(tables(errors[:1]), tables(errors), COSTS[:1], COSTS, NAMES)
    with pytest.raises(ValueError, match="errors above 0"):
        cost_ratio(tables(0 * errors), tables(errors), COSTS, COSTS, NAMES)


def drawn(
    rng: np.random.Generator, seeds: int, of_seeds: float, of_samples: float, factor: float = 0.75
) -> CostRatio:
    """Two strategies whose true ratio is ``factor``, at an exponent of 0.1.

    A network's error has a factor of its own (``of_seeds``); a sample's advantage of one strategy
    over the other is the same at all budgets and seeds (``of_samples``).
    """
    hard = rng.lognormal(0, 0.5, (len(NAMES), 1))
    liked = np.exp(rng.normal(-(of_samples**2) / 2, of_samples, (len(NAMES), 1)))  # of mean 1
    found = []
    for costs in (COSTS / factor, COSTS):
        errors = law(costs) * rng.lognormal(0, of_seeds, (seeds, 1, len(COSTS)))
        found.append(list(hard * errors * (liked if costs is COSTS else 1)))
    return cost_ratio(found[0], found[1], COSTS, COSTS, NAMES, draws=200)


@pytest.mark.parametrize(
    ("seeds", "of_seeds", "of_samples"),
    [(3, 0.01, 0.0), (3, 0.01, 0.1), (5, 0.02, 0.0), (3, 1e-9, 0.1)],
)
def test_coverage(seeds: int, of_seeds: float, of_samples: float) -> None:
    """Of 150 intervals of level 95 %, about that many hold the true ratio."""
    rng = np.random.default_rng(1)
    found = [drawn(rng, seeds, of_seeds, of_samples) for _ in range(150)]
    held = [one.low <= 0.75 <= one.high for one in found if one.low and one.high]
    assert len(held) >= 147
    # 142 or 143 are expected; 3 deviations of such a count are 8
    assert np.mean(held) >= 134 / 150
    middle = np.median([one.ratio for one in found])
    assert middle == pytest.approx(0.75, rel=0.05)
