"""Intervals of paired differences, against known answers and scipy's bootstrap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from groupnas.comparison.statistics import (
    LEAST_SOURCES,
    Difference,
    detectable,
    holm,
    paired_differences,
    spread,
)


def one(difference: np.ndarray, sources: list[str] | None = None, **options: int) -> Difference:
    """The result for differences ``(S, N)`` of a single quantity."""
    names = sources or [str(index) for index in range(difference.shape[1])]
    zero = 0 * difference  # NaN is missing from both
    (found,) = paired_differences(difference[..., None], zero[..., None], names, **options)
    assert found is not None
    return found


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
    assert (found.low, found.high) == (found.sources_low, found.sources_high)


def test_widths_of_normal_differences() -> None:
    """Seed effects of deviation 0.5 and source effects of 1: what the normal theory says."""
    rng = np.random.default_rng(1)
    seeds, sources = 60, 400
    effect = stats.zscore(rng.normal(size=seeds)) * 0.5
    noise = stats.zscore(rng.normal(size=sources))
    found = one(effect[:, None] + noise[None, :] + 0.1)
    over_sources = 2 * 1.96 * np.sqrt(1 / sources)
    over_both = 2 * 1.96 * np.sqrt(1 / sources + 0.25 / seeds)
    assert found.sources_high - found.sources_low == pytest.approx(over_sources, rel=0.05)
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
    found = one(values, least_sources=1)
    assert (found.low, found.high) == (-1.0, 1.0)  # a draw of one seed alone is likelier than 2.5 %
    assert (found.sources_low, found.sources_high) == (0.0, 0.0)


def test_samples_of_a_source_stay_together() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(2, 25))
    names = [f"source {index:02d}" for index in range(25)]
    plain = one(values, names)
    # each sample four times, in any order: no more sources than before
    order = rng.permutation(100)
    repeated = np.repeat(values, 4, axis=1)[:, order]
    clustered = one(repeated, list(np.repeat(names, 4)[order]))
    for key in ("mean", "low", "high", "sources_low", "sources_high"):
        assert getattr(clustered, key) == pytest.approx(getattr(plain, key), abs=1e-12)
    alone = one(repeated)
    assert alone.sources_high - alone.sources_low < 0.7 * (plain.sources_high - plain.sources_low)


def test_sources_of_different_sizes() -> None:
    """A draw's mean is over its samples; two sources of 1 and 3 samples have three such means."""
    found = one(np.array([[4.0, 0.0, 0.0, 0.0]]), ["a", "b", "b", "b"], least_sources=1)
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
    better = one(np.array([[-0.5], [-0.4], [-0.6]]) + np.zeros((3, 10)))
    assert better.significant and better.to_dict()["sources_high"] == pytest.approx(-0.5)
    # three seeds that agree in sign, and hardly differ from source to source, but much among them
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
        paired_differences(np.full((1, 1, 1), np.nan), np.zeros((1, 1, 1)), ["a"])


def test_spread() -> None:
    assert spread([1.0, np.inf]) == (np.inf, None)
    assert spread([2.0]) == (2.0, None)
    assert spread([1.0, 2.0, 6.0]) == pytest.approx((3.0, np.sqrt((4 + 1 + 9) / 2)))


def ends(of: Difference) -> list[float | None]:
    return [of.low, of.high, of.sources_low, of.sources_high, of.seeds_low, of.seeds_high]


@pytest.mark.parametrize("sources", [1, 2, 9])
def test_few_sources_have_no_interval_and_no_star(sources: int) -> None:
    """However many samples are cut from them, and however large the difference is."""
    rng = np.random.default_rng(7)
    values = 5 + rng.normal(size=(3, 40))
    names = [f"source {index % sources}" for index in range(40)]
    found = one(values, names)
    assert ends(found) == [None] * 6 and not found.significant
    assert (found.mean, found.samples, found.sources, found.seeds) == (
        values.mean(),
        40,
        sources,
        3,
    )
    assert found.to_dict()["sources_low"] is None
    enough = one(values, [f"source {index % LEAST_SOURCES}" for index in range(40)])
    assert None not in ends(enough) and enough.significant


def test_coverage_of_few_sources() -> None:
    """The docstring's shares of percentile intervals that hold the mean of P normal numbers."""
    rng = np.random.default_rng(12)
    for sources, share in ((2, 0.50), (5, 0.84), (10, 0.90), (20, 0.93)):
        values = rng.normal(size=(1500, sources))
        names = [str(index) for index in range(sources)]
        table = values.T[None]  # 1,500 quantities at once: they share the draws
        found = paired_differences(table, np.zeros_like(table), names, draws=400, least_sources=1)
        held = np.mean([d is not None and d.sources_low <= 0 <= d.sources_high for d in found])  # type: ignore[operator]
        assert held == pytest.approx(share, abs=0.04)


def test_missing_samples_against_scipy_and_a_naive_loop() -> None:
    """A ratio of sums, over what a draw has: of 20 sources with 3 samples each, some without."""
    rng = np.random.default_rng(9)
    difference = rng.normal(0.3, 1, (20, 3))
    difference[rng.random((20, 3)) < 0.4] = np.nan
    difference[4] = np.nan  # a source that does not show it at all
    names = list(np.repeat([f"source {index:02d}" for index in range(20)], 3))
    found = one(difference.reshape(1, 60), names, draws=20_000)
    known = difference[~np.isnan(difference)]
    assert found.mean == pytest.approx(known.mean())
    assert (found.samples, found.sources) == (len(known), int((~np.isnan(difference)).any(1).sum()))

    sums, counts = np.nansum(difference, axis=1), (~np.isnan(difference)).sum(axis=1)
    expected = stats.bootstrap(
        (sums, counts),
        lambda s, n, axis: s.sum(axis=axis) / n.sum(axis=axis),
        paired=True,
        n_resamples=20_000,
        method="percentile",
        rng=rng,
    ).confidence_interval
    tolerance = 0.03 * (expected.high - expected.low)
    assert found.sources_low == pytest.approx(expected.low, abs=tolerance)
    assert found.sources_high == pytest.approx(expected.high, abs=tolerance)


def test_draws_without_the_quantity_are_left_out() -> None:
    """Of 12 sources 1 shows it: every third draw has none of it, the others its one value."""
    difference = np.full((2, 12), np.nan)
    difference[:, 0] = 1.5, 2.5
    found = one(difference, least_sources=1)
    assert (found.sources_low, found.sources_high) == (2.0, 2.0)
    assert (found.low, found.high) == (1.5, 2.5) and found.sources == 1


def test_a_quantity_that_lacks_samples_changes_no_other() -> None:
    rng = np.random.default_rng(10)
    mine, other = rng.normal(size=(2, 30, 3)), rng.normal(size=(2, 30, 3))
    names = [str(index % 15) for index in range(30)]
    whole = paired_differences(mine, other, names)
    mine[:, 3:20, 1] = other[:, 3:20, 1] = np.nan
    less = paired_differences(mine, other, names)
    assert less[0] == whole[0] and less[2] == whole[2] and less[1] != whole[1]
    mine[..., 1] = other[..., 1] = np.nan
    assert [found is None for found in paired_differences(mine, other, names)] == [
        False,
        True,
        False,
    ]


def test_what_is_missing_must_be_missing_everywhere() -> None:
    whole = np.ones((2, 12, 1))
    names = [str(index) for index in range(12)]
    for seed in (0, 1):
        less = whole.copy()
        less[seed, 3] = np.nan
        for pair in ((less, whole), (whole, less)):
            with pytest.raises(ValueError, match="finite errors but where the sample lacks"):
                paired_differences(*pair, names)
    less[0, 3] = np.inf
    with pytest.raises(ValueError, match="finite errors of at least"):
        paired_differences(less, whole, names)


def test_seeds_that_are_copies_count_once() -> None:
    values = np.random.default_rng(11).normal(1, 0.1, (1, 20))
    copies = one(np.repeat(values, 5, axis=0))
    assert copies.seeds == 1 and copies.seeds_low is None and not copies.significant
    assert copies.sources_low == one(values).sources_low


def test_sources_that_numpy_would_take_for_the_same() -> None:
    names = ["", "\0", "a", "a\0", *(f"p{i}" for i in range(8))]
    errors = np.arange(12.0)[None, :, None]
    (found,) = paired_differences(errors, errors - 1, names, draws=10)
    assert found is not None and found.sources == 12


# -- many strategies, and what a design could show ------------------------------------------------


def test_holm_by_hand() -> None:
    """Of p = 0.01, 0.04, 0.03: times 3, 2 and 1, and never less than the one before."""
    of = one(np.random.default_rng(0).normal(size=(2, 12)))
    given = {
        name: replace(of, p=p) for name, p in {"a": 0.01, "b": 0.04, "c": 0.03, "d": None}.items()
    }
    found = holm(given)
    assert {name: of.corrected for name, of in found.items()} == {
        "a": 0.03,
        "b": 0.06,
        "c": 0.06,
        "d": None,
    }
    assert list(found) == list(given)
    assert holm({"a": replace(of, p=0.7), "b": replace(of, p=0.8)})["a"].corrected == 1.0


def test_a_star_must_survive_the_correction() -> None:
    better = one(np.array([[-0.5], [-0.4], [-0.62]]) + np.zeros((3, 10)))
    assert better.significant and better.p is not None and 0.01 < better.p < 0.05
    alone = holm({"a": better})["a"]
    assert alone.corrected == better.p and alone.significant
    among = holm({"a": better, **{str(n): replace(better, p=0.5) for n in range(9)}})["a"]
    assert among.corrected == pytest.approx(10 * better.p) and not among.significant


def test_probabilities_against_scipy() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0.1, 0.3, (6, 1)) + rng.normal(0, 0.1, (1, 40))
    found = one(values)
    assert found.better is not None and found.p is not None
    # the draws: about normal, with the variance of six seeds short by a sixth
    deviation = np.sqrt(values.mean(axis=1).var() / 6 + values.mean(axis=0).var() / 40)
    share = stats.norm.cdf(0, values.mean(), deviation)
    assert found.better == pytest.approx(share, abs=0.02)
    student = stats.ttest_1samp(values.mean(axis=1), 0).pvalue
    assert found.p == pytest.approx(max(student, 2 * min(found.better, 1 - found.better)))
    same = one(np.zeros((3, 10)))
    assert (same.better, same.p, same.detectable) == (0.5, None, None)  # copies are one seed
    single = one(values[:1])
    assert single.better is not None and (single.p, single.detectable) == (None, None)


@pytest.mark.parametrize("seeds", [3, 10])
def test_the_detectable_difference_is_shown_four_times_of_five(seeds: int) -> None:
    """A t test at a true difference of that size, by simulation."""
    rng = np.random.default_rng(4)
    deviations = np.array([-1.0, 1.0, *np.zeros(seeds - 2)])
    unit = detectable(deviations) / deviations.std(ddof=1)
    found = stats.ttest_1samp(rng.normal(unit, 1, (20_000, seeds)), 0, axis=1).pvalue < 0.05
    assert np.mean(found) == pytest.approx(0.8, abs=0.01)


# -- splits that vary with the seed ---------------------------------------------------------------


def test_lists_of_tables_are_what_an_array_is() -> None:
    rng = np.random.default_rng(5)
    mine, other = rng.normal(size=(2, 3, 20, 2))
    names = [f"{index:02d}" for index in range(20)]
    found = paired_differences(mine, other, names, draws=100)
    assert paired_differences(list(mine), list(other), [names] * 3, draws=100) == found


def test_seeds_of_other_samples_by_hand() -> None:
    """Seed 0 has a, a, b and seed 1 has b, c: a draw has both where it has b, or a and c."""
    tables = [np.array([[1.0], [2.0], [6.0]]), np.array([[4.0], [8.0]])]
    zeros = [0 * table for table in tables]
    (found,) = paired_differences(
        tables, zeros, [["a", "a", "b"], ["b", "c"]], draws=2000, least_sources=1
    )
    assert found is not None and (found.mean, found.sources, found.seeds) == (4.5, 3, 2)
    assert found.samples == 2  # the least that a seed has
    # over sources: b alone gives the mean of 6 and 4; a and c alone that of 1.5 and 8
    assert found.sources_low >= (1.5 + 4) / 2 and found.sources_high <= (6 + 8) / 2
    expected = stats.ttest_1samp([3.0, 6.0], 0).confidence_interval()
    assert (found.seeds_low, found.seeds_high) == pytest.approx((expected.low, expected.high))


def test_coverage_of_splits_that_vary() -> None:
    """Each of 6 seeds holds out 20 of 60 sources; the mean over all of both is 0."""
    rng, held = np.random.default_rng(6), 0
    for _ in range(200):
        effect, seeds = rng.normal(0, 1, 60), rng.normal(0, 0.2, 6)
        chosen = [rng.choice(60, 20, replace=False) for _ in range(6)]
        tables = [
            (effect[side] + seed + rng.normal(0, 0.3, 20))[:, None]
            for side, seed in zip(chosen, seeds, strict=True)
        ]
        names = [[str(index) for index in side] for side in chosen]
        (found,) = paired_differences(tables, [0 * t for t in tables], names, draws=200)
        assert found is not None and found.low is not None and found.high is not None
        held += found.low <= 0 <= found.high
    assert 0.88 <= held / 200 <= 0.99
