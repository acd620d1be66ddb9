"""Intervals of a difference: a paired bootstrap over sources and seeds, on plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np
from scipy.special import nctdtrinc, stdtr, stdtrit

from groupnas.arrays import Floats
from groupnas.engine.missing import known_means

Interval = tuple[float, float] | tuple[None, None]
LEVEL = 0.95
POWER = 0.8  # of a design to show a difference; see Difference.detectable
DRAWS = 10_000
LEAST_SOURCES = 10  # for an interval; see paired_differences
_NONE: Interval = (None, None)
_BLOCK = 500  # draws at a time: weights of so many draws times all sources are in memory


@dataclass(frozen=True)
class Difference:
    """A mean of paired differences, negative where the first has the lesser error.

    Attributes:
        mean: Over all seeds, and the samples for which the quantity is known.
        low: Lower end of the bootstrap interval over sources and seeds. This and all other ends are
            ``None`` where there are fewer than 10 sources.
        high: Upper end.
        sources_low: Lower end of the bootstrap interval over sources alone: what other sources
            would have changed for these very networks.
        sources_high: Upper end.
        seeds_low: Lower end of Student's interval over seeds alone: what other seeds would have
            changed on these very sources. ``None`` where there is one seed.
        seeds_high: Upper end.
        samples: Those for which the quantity is known.
        sources: That these samples are from: they are independent, and intervals rest on them.
        seeds: The other ones. Seeds whose errors are all the same to the last digit count once:
            nothing was random there.
        better: Share of the draws over sources and seeds in which the first has the lesser error;
            a draw without a difference counts half. ``None`` where there is no interval.
        detectable: The smallest true difference that so many seeds would have shown with a
            probability of 80 %, by a paired t test of level 5 % and the seeds' deviation. ``None``
            where there is one seed, or no interval.
        p: The greater of two probabilities of a difference as large where there is none: by the
            draws over sources and seeds, and by Student's t over seeds. ``None`` likewise.
        corrected: ``p`` for the number of strategies that were compared; see :func:`holm`.
            ``None`` where it was not.
    """

    mean: float
    low: float | None
    high: float | None
    sources_low: float | None
    sources_high: float | None
    seeds_low: float | None
    seeds_high: float | None
    samples: int
    sources: int
    seeds: int
    better: float | None = None
    detectable: float | None = None
    p: float | None = None
    corrected: float | None = None

    @property
    def significant(self) -> bool:
        """True where the intervals over sources and seeds, and over seeds, leave out 0.

        Where it was corrected for the number of strategies, that must hold as well.

        Never where one of the three is missing. The first alone is not enough: if seeds matter
        more than sources, it leaves out 0 as soon as 3 seeds agree in sign, which 3 seeds of two
        equal strategies do every fourth time.
        """
        if None in (self.sources_low, self.sources_high):
            return False
        if self.low is None or self.high is None or self.seeds_low is None:
            return False
        assert self.seeds_high is not None
        if self.corrected is not None and self.corrected >= 1 - LEVEL:
            return False
        return min(self.low, self.seeds_low) > 0 or max(self.high, self.seeds_high) < 0

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON holds them."""
        return {**asdict(self), "significant": self.significant}


def paired_differences(
    mine: Floats | Sequence[Floats],
    other: Floats | Sequence[Floats],
    sources: Sequence[str] | Sequence[Sequence[str]],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
    least_sources: int = LEAST_SOURCES,
) -> list[Difference | None]:
    """Return mean differences ``mine - other`` of several quantities, with their intervals.

    Both were measured with the same seeds, on the same samples of each, and what they share (a
    hard image, a lucky order of the data) leaves with the difference. Each draw takes as many
    sources as there are, with replacement and with all of a source's samples together, and as many
    seeds; the interval is that between the percentiles of the draws' means (Efron and Tibshirani
    1993, chapter 13; of two levels: Davison and Hinkley 1997, section 3.8). A mean is the sum over
    the drawn samples by their number. Where samples lack a quantity, each has a number of its own,
    and draws without any such sample are left out. Seeds may have samples of their own, where the
    split varies with them: a source that is drawn then counts in all seeds that have it.

    With few sources the interval is too short: the variance over P sources comes out short by
    (P - 1) / P, and the percentiles are a normal's, not Student's. Of 20,000 intervals of level
    95 % of P normal (log-normal) differences, these many held the mean: 50 % (43 %) for P = 2, 75 %
    (64 %) for 3, 84 % (72 %) for 5, 88 % (78 %) for 8, 90 % (80 %) for 10, 92 % (84 %) for 15, 93 %
    (86 %) for 20, 94 % (90 %) for 50; of one source none has any width. Below 10 sources more than
    one in ten misses even where all is normal: no interval is given there, of seeds neither, since
    on so few sources it would be taken for more than it says.

    With few seeds that level is coarse: 3 seeds have 10 distinct draws, and the variance over S
    seeds comes out short by (S - 1) / S. Student's interval of the seeds' means stands beside it,
    which is right for any number of seeds, 2 and more, if their differences are about normal.
    Seeds that are copies of each other, in both errors to the last digit, count as one.
    Intervals of several strategies are not corrected for their number; :func:`holm` is for that.

    Args:
        mine: ``(S, N, K)`` errors of S seeds, N samples, K quantities, or a list of S tables
            ``(N, K)``. NaN where a sample lacks a quantity: the same ones in ``other``.
        other: The same of what it is compared with.
        sources: What every sample is from, e.g. its image; of each seed, where those differ.
        draws: How many draws.
        seed: Of the draws.
        level: Of the intervals, in (0, 1).
        least_sources: For an interval.

    Returns:
        One for each of the K quantities; ``None`` for one that no sample of a seed has.

    Raises:
        ValueError: the shapes do not belong together, an error is infinite, or not the same ones
            are missing everywhere.
    """
    owners = sources_by_seed(sources, len(mine))
    for one, another, names in zip(mine, other, owners, strict=True):
        _check(one, another, names)
    if not len(mine):
        raise ValueError("expected finite errors of at least one seed and sample")
    alike = [one.tobytes() + another.tobytes() for one, another in zip(mine, other, strict=True)]
    apart = distinct(alike)
    difference = [np.asarray(mine[s] - other[s], dtype=np.float64) for s in apart]
    sums, counts = by_source(difference, [owners[s] for s in apart])
    drawn = bootstrap(sums, counts, draws, seed)
    of_seeds = np.stack([known_means(table) for table in difference])
    samples = counts.sum(axis=1).min(axis=0)
    independent = (counts > 0).any(axis=0).sum(axis=0)
    found: list[Difference | None] = []
    for k in range(len(samples)):
        if not samples[k]:
            found.append(None)
            continue
        over_both, over_sources, over_seeds = _NONE, _NONE, _NONE
        better = detected = p = None
        if independent[k] >= least_sources:
            over_sources, over_both = (_ends(draws[:, k], level) for draws in drawn)
            over_seeds = _student(of_seeds[:, k], level)
            better = _share_below(drawn[1, :, k])
            if len(of_seeds) > 1:
                detected = detectable(of_seeds[:, k], level)
                p = max(2 * min(better, 1 - better), _student_p(of_seeds[:, k]))
        found.append(
            Difference(
                mean=float(of_seeds[:, k].mean()),
                low=over_both[0],
                high=over_both[1],
                sources_low=over_sources[0],
                sources_high=over_sources[1],
                seeds_low=over_seeds[0],
                seeds_high=over_seeds[1],
                samples=int(samples[k]),
                sources=int(independent[k]),
                seeds=len(difference),
                better=better,
                detectable=detected,
                p=p,
            )
        )
    return found


def _ends(draws: Floats, level: float) -> Interval:
    """Return the percentiles that a share of the draws lies between; NaN are no draws."""
    tail = 50 * (1 - level)
    low, high = np.percentile(draws[~np.isnan(draws)], [tail, 100 - tail])
    return float(low), float(high)


def _student(of_seeds: Floats, level: float) -> Interval:
    """Return Student's interval of the mean of ``(S,)`` numbers; of one, none."""
    count = len(of_seeds)
    if count < 2:
        return _NONE
    quantile = float(stdtrit(count - 1, (1 + level) / 2))
    mean, half = of_seeds.mean(), quantile * of_seeds.std(ddof=1) / np.sqrt(count)
    return float(mean - half), float(mean + half)


def _student_p(of_seeds: Floats) -> float:
    """Return the two-sided p of Student's t of ``(S,)`` numbers, two and more."""
    mean, error = of_seeds.mean(), of_seeds.std(ddof=1) / np.sqrt(len(of_seeds))
    if not error:
        return float(mean == 0)
    return float(2 * stdtr(len(of_seeds) - 1, -abs(mean) / error))


def _share_below(draws: Floats) -> float:
    """Return the share of draws below 0, those at 0 counting half; NaN are no draws."""
    known = draws[~np.isnan(draws)]
    return float((np.mean(known < 0) + np.mean(known <= 0)) / 2)


def detectable(of_seeds: Floats, level: float = LEVEL, power: float = POWER) -> float:
    """Return the smallest true mean of paired differences that a t test would have shown.

    The noncentral t distribution says for which true mean, in units of the standard error, a test
    of the level finds a difference with the probability ``power``. The deviation is that of the
    seeds at hand: with 3 of them it is a rough figure itself.

    Args:
        of_seeds: ``(S,)`` mean differences of two and more seeds.
        level: Of the test's interval.
        power: In (0, 1).
    """
    count = len(of_seeds)
    critical = stdtrit(count - 1, (1 + level) / 2)
    away = float(nctdtrinc(count - 1, 1 - power, critical))
    return away * float(of_seeds.std(ddof=1)) / float(np.sqrt(count))


def holm(differences: Mapping[str, Difference]) -> dict[str, Difference]:
    """Return differences of several strategies, each ``p`` corrected for their number.

    The chance that any of them is taken for significant where none differs stays below the level:
    the k-th least of m is multiplied by m - k + 1, and is no less than those before it (Holm 1979).
    Those without a ``p`` stay as they are and do not count.
    """
    tested = {name: of.p for name, of in differences.items() if of.p is not None}
    found, least = dict(differences), 0.0
    for place, name in enumerate(sorted(tested, key=lambda name: tested[name])):
        least = max(least, min(1.0, (len(tested) - place) * tested[name]))
        found[name] = replace(found[name], corrected=least)
    return found


def sources_by_seed(
    sources: Sequence[str] | Sequence[Sequence[str]], seeds: int
) -> list[Sequence[str]]:
    """Return every seed's sources, from those or from the ones that all have."""
    if not len(sources) or isinstance(sources[0], str):
        return [cast(Sequence[str], sources)] * seeds
    return list(sources)


def _check(one: Floats, another: Floats, sources: Sequence[str]) -> None:
    """Raise :class:`ValueError` unless both are errors of the same samples."""
    if one.shape != another.shape or one.ndim != 2 or len(one) != len(sources):
        raise ValueError(
            f"expected twice (S, {len(sources)}, K), got seeds of {one.shape} and {another.shape}"
        )
    if not one.size or np.isinf(one).any() or np.isinf(another).any():
        raise ValueError("expected finite errors of at least one seed and sample")
    if (np.isnan(one) != np.isnan(another)).any():
        raise ValueError("expected finite errors but where the sample lacks a quantity, in both")


def distinct(seeds: Sequence[bytes]) -> list[int]:
    """Return the places of seeds that are no copies of an earlier one."""
    return [seeds.index(told) for told in dict.fromkeys(seeds)]


def by_source(tables: Sequence[Floats], sources: Sequence[Sequence[str]]) -> tuple[Floats, Floats]:
    """Return sums over each source's samples and their numbers, ``(S, P, K)`` both.

    Args:
        tables: ``(N, K)`` of each seed; NaN counts for nothing.
        sources: Of each seed's samples. P are those of all seeds; one that a seed does not have
            has no samples there.
    """
    every = sorted({name for names in sources for name in names}, key=str)
    places = {name: place for place, name in enumerate(every)}
    sums, counts = np.zeros((2, len(tables), len(every), tables[0].shape[1]))
    for seed, (table, names) in enumerate(zip(tables, sources, strict=True)):
        owner = np.array([places[name] for name in names])  # numpy's texts lose zeros at their end
        order = np.argsort(owner, kind="stable")
        starts = np.flatnonzero(np.diff(owner[order], prepend=-1))
        there, rows = owner[order][starts], table[order]
        known = ~np.isnan(rows)
        sums[seed, there] = np.add.reduceat(np.where(known, rows, 0.0), starts)
        counts[seed, there] = np.add.reduceat(known.astype(np.float64), starts)
    return sums, counts


def bootstrap(sums: Floats, counts: Floats, draws: int, seed: int = 0) -> Floats:
    """Return the draws' means ``(2, draws, K)``: over sources, and over sources and seeds.

    Each takes as many sources as there are, and as many seeds, with replacement; a mean is that of
    the seeds' means. NaN where a seed of the draw has no sample with a quantity.

    Args:
        sums: As :func:`by_source` gives them.
        counts: Likewise.
        draws: How many.
        seed: Of the draws.
    """
    rng, (seeds, sources, quantities) = np.random.default_rng(seed), sums.shape
    if (counts == counts[:1]).all():
        counts = counts[:1]  # every seed has the same samples
    flat, numbers = (each.transpose(1, 0, 2).reshape(sources, -1) for each in (sums, counts))
    blocks = []
    for start in range(0, draws, _BLOCK):
        size = min(_BLOCK, draws - start)
        chosen = rng.integers(sources, size=(size, sources)) + sources * np.arange(size)[:, None]
        counted = np.bincount(chosen.ravel(), minlength=size * sources)
        weights = counted.reshape(size, sources).astype(np.float64)
        samples = (weights @ numbers).reshape(size, -1, quantities)
        samples[samples == 0] = np.nan
        means = (weights @ flat).reshape(size, seeds, quantities) / samples
        picked = rng.integers(seeds, size=(size, seeds))
        both = np.take_along_axis(means, picked[:, :, None], axis=1)
        blocks.append(np.stack([means.mean(axis=1), both.mean(axis=1)]))
    return np.concatenate(blocks, axis=1)


def spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean, and the standard deviation (n - 1) of at least two finite values."""
    mean = float(np.mean(values))
    known = len(values) > 1 and np.isfinite(mean)
    return mean, float(np.std(values, ddof=1)) if known else None
