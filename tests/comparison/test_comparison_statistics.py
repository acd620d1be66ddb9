"""Intervals of paired differences, against known answers and scipy's bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from groupnas.comparison.statistics import Difference, paired_differences, spread


def one(difference: np.ndarray, sources: list[str] | None = None, **options: int) -> Difference:
    """The result for differences ``(S, N)`` of a single quantity."""
    names = sources or [str(index) for index in range(difference.shape[1])]
    zero = np.zeros((*difference.shape, 1))
    return paired_differences(difference[..., None], zero, names, **options)[0]


def test_one_level_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    values = rng.exponential(size=80) - 0.8
    found = one(values[None], draws=20_000)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=rng
    ).confidence_interval
    assert found.mean == pytest.approx(values.mean())
    # ends of 20,000 draws scatter by about a hundredth of the interval
    tolerance = 0.03 * (expected.high - expected.low)
    assert found.low == pytest.approx(expected.low, abs=tolerance)
    assert found.high == pytest.approx(expected.high, abs=tolerance)
    # one seed: nothing to draw from at that level
    assert (found.low, found.high) == (found.photos_low, found.photos_high)


def test_widths_of_normal_differences() -> None:
    """Seed effects of deviation 0.5 and photo effects of 1: what the normal theory says."""
    rng = np.random.default_rng(1)
    seeds, photos = 60, 400
    effect = stats.zscore(rng.normal(size=seeds)) * 0.5
    noise = stats.zscore(rng.normal(size=photos))
    found = one(effect[:, None] + noise[None, :] + 0.1)
    over_photos = 2 * 1.96 * np.sqrt(1 / photos)
    over_both = 2 * 1.96 * np.sqrt(1 / photos + 0.25 / seeds)
    assert found.photos_high - found.photos_low == pytest.approx(over_photos, rel=0.05)
    assert found.high - found.low == pytest.approx(over_both, rel=0.05)
    assert found.mean == pytest.approx(0.1)


def test_coverage() -> None:
    """Of 300 intervals of level 95 %, about that many hold the true mean."""
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(300):
        values = rng.normal(0, 0.3, (12, 1)) + rng.normal(0, 1, (1, 60))
        found = one(values, draws=400)
        held += found.low <= 0 <= found.high
    # 285 less the bootstrap's own shortage with 12 seeds; 3 deviations of such a count are 13
    assert 265 <= held <= 298


def test_three_seeds_are_coarse() -> None:
    """The docstring's claim: the variance of the seed level is short by (S - 1) / S."""
    values = np.repeat(np.array([[-1.0], [0.0], [1.0]]), 5, axis=1)
    found = one(values)
    assert (found.low, found.high) == (-1.0, 1.0)  # a draw of one seed alone is likelier than 2.5 %
    assert (found.photos_low, found.photos_high) == (0.0, 0.0)


def test_samples_of_a_photo_stay_together() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(2, 25))
    names = [f"photo {index:02d}" for index in range(25)]
    plain = one(values, names)
    # each sample four times, in any order: no more photos than before
    order = rng.permutation(100)
    repeated = np.repeat(values, 4, axis=1)[:, order]
    clustered = one(repeated, list(np.repeat(names, 4)[order]))
    for key in ("mean", "low", "high", "photos_low", "photos_high"):
        assert getattr(clustered, key) == pytest.approx(getattr(plain, key), abs=1e-12)
    alone = one(repeated)
    assert alone.photos_high - alone.photos_low < 0.7 * (plain.photos_high - plain.photos_low)


def test_photos_of_different_sizes() -> None:
    """A draw's mean is over its samples; two photos of 1 and 3 samples have three such means."""
    found = one(np.array([[4.0, 0.0, 0.0, 0.0]]), ["a", "b", "b", "b"])
    assert found.mean == 1.0 and (found.low, found.high) == (0.0, 4.0)


def test_quantities_are_drawn_together_and_seeded() -> None:
    rng = np.random.default_rng(4)
    mine, other = rng.normal(size=(3, 40, 2)), rng.normal(size=(3, 40, 2))
    names = [str(index) for index in range(40)]
    both = paired_differences(mine, other, names)
    assert both == paired_differences(mine, other, names)
    assert both != paired_differences(mine, other, names, seed=1)
    single = paired_differences(mine[..., 1:], other[..., 1:], names)[0]
    assert both[1].low == pytest.approx(single.low) and both[1].high == pytest.approx(single.high)
    flipped = paired_differences(other, mine, names)
    assert flipped[0].mean == -both[0].mean and flipped[0].low == pytest.approx(-both[0].high)


def test_seeds_alone_agree_with_scipy() -> None:
    values = np.random.default_rng(5).normal(0.4, 1, (4, 30))
    found = one(values)
    expected = stats.ttest_1samp(values.mean(axis=1), 0).confidence_interval(0.95)
    assert (found.seeds_low, found.seeds_high) == pytest.approx((expected.low, expected.high))
    assert one(values[:1]).seeds_low is None


def test_significance() -> None:
    same = one(np.zeros((3, 10)))
    assert not same.significant and (same.low, same.high) == (0.0, 0.0)
    better = one(np.full((3, 10), -0.5))
    assert better.significant and better.to_dict()["high"] == -0.5
    # three seeds that agree in sign, and hardly differ from photo to photo, but much among them
    agreeing = one(np.repeat(np.array([[0.2], [1.0], [3.0]]), 10, axis=1))
    assert agreeing.low > 0 and not agreeing.significant
    assert not one(np.full((1, 10), -0.5)).significant  # one seed is none to tell by


def test_significant_differences_of_equal_strategies_are_rare() -> None:
    rng = np.random.default_rng(6)
    wrong = sum(
        one(rng.normal(0, 1, (3, 1)) + rng.normal(0, 0.5, (1, 40)), draws=300).significant
        for _ in range(200)
    )
    assert wrong <= 16  # 5 % of 200, and two deviations of such a count


@pytest.mark.parametrize("shape", [(0, 5, 1), (2, 0, 1), (2, 4, 1)])
def test_what_cannot_be_compared(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        paired_differences(
            np.zeros(shape), np.zeros(shape), [""] * (5 if shape[1] == 4 else shape[1])
        )
    with pytest.raises(ValueError, match="finite"):
        one(np.array([[np.nan]]))


def test_spread() -> None:
    assert spread([2.0]) == (2.0, None)
    assert spread([1.0, 2.0, 6.0]) == (3.0, pytest.approx(np.sqrt((4 + 1 + 9) / 2)))
