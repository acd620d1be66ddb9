"""Cost at equal error: two strategies' errors over their costs, and an interval of the ratio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from groupnas.arrays import Floats
from groupnas.comparison.statistics import (
    DRAWS,
    LEAST_SOURCES,
    LEVEL,
    bootstrap,
    by_source,
    distinct,
    sources_by_seed,
)
from groupnas.engine.missing import known_means

_LEVELS = 64  # errors at which costs are compared
_LEAST_OVERLAP = 0.9  # of the draws, whose fronts share errors, for an interval


@dataclass(frozen=True)
class CostRatio:
    """How much one strategy costs relative to another where both have the same error.

    Attributes:
        ratio: Below 1 where the first is the cheaper; ``None`` where the fronts share no error.
        low: Lower end of the interval over sources and seeds; ``None`` where there is none.
        high: Upper end.
        better: Share of the draws in which the first is the cheaper, of those whose fronts share
            errors; ``None`` where there is no interval.
        below: Where the fronts share no error, whether the first is the one with less; else
            ``None``.
        least: The least error that both fronts reach, in units of the errors.
        most: The greatest; not above ``least`` where they share none.
        overlap: Share of the draws in which the fronts share errors.
        sources: Independent sources.
        seeds: That both strategies have at all of their budgets; copies of one count once.
    """

    ratio: float | None
    low: float | None
    high: float | None
    better: float | None
    below: bool | None
    least: float
    most: float
    overlap: float
    sources: int
    seeds: int


def cost_ratio(
    mine: Sequence[Floats],
    other: Sequence[Floats],
    costs: Floats,
    other_costs: Floats,
    sources: Sequence[str] | Sequence[Sequence[str]],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
    least_sources: int = LEAST_SOURCES,
) -> CostRatio:
    """Return what one strategy costs, relative to another, at equal error.

    A *front* is the mean error over samples and seeds against cost: in the logarithms of both,
    lines from budget to budget, which never rise (isotonic regression: where a dearer network has
    the greater error, both count with their mean). The ratio is the exponential of the mean, over
    the errors that both fronts reach, of the difference of the logarithms of their costs. Nothing
    is extrapolated.

    Sources and seeds are drawn as in :func:`.paired_differences`, the same for all networks, and
    fronts and ratio are calculated anew for each draw. The variance over draws of seeds comes out
    short by (S - 1) / S: what seeds add to that of sources alone is made longer by as much, and
    the interval has Student's quantile, with Satterthwaite's degrees of freedom of both together.
    With one seed there is none; nor where fewer than 90 % of the draws' fronts share any error.

    Args:
        mine: ``(N, B)`` of each seed: errors of N samples at B costs. NaN where a sample has none.
        other: ``(N, C)`` of each seed, on the same samples: those of the other strategy.
        costs: ``(B,)``, each once, all greater than 0.
        other_costs: ``(C,)``, likewise.
        sources: What every sample is from; of each seed, where those differ.
        draws: How many draws.
        seed: Of the draws.
        level: Of the interval.
        least_sources: For an interval.

    Raises:
        ValueError: fewer than two costs of one, or an error that is not above 0.
    """
    if min(len(costs), len(other_costs)) < 2:
        raise ValueError("expected two costs of each, and more")
    order, other_order = np.argsort(costs), np.argsort(other_costs)
    logs = np.log(costs[order]), np.log(other_costs[other_order])
    both = [
        np.concatenate([one[:, order], another[:, other_order]], axis=1)
        for one, another in zip(mine, other, strict=True)
    ]
    owners = sources_by_seed(sources, len(both))
    apart = distinct([table.tobytes() for table in both])
    both, owners = [both[s] for s in apart], [owners[s] for s in apart]
    sums, counts = by_source(both, owners)
    means = np.mean([known_means(table) for table in both], axis=0)
    if not (means > 0).all():
        raise ValueError("expected errors above 0")
    ratio, least, most = _ratios(means[None], *logs)
    drawn = [_ratios(each, *logs)[0] for each in bootstrap(sums, counts, draws, seed)]
    known = drawn[1][~np.isnan(drawn[1])]
    told = None if np.isnan(ratio[0]) else float(np.exp(ratio[0]))
    ends: tuple[float, float] | tuple[None, None] = (None, None)
    overlap, independent = len(known) / draws, int((counts > 0).any(axis=(0, 2)).sum())
    sure = overlap >= _LEAST_OVERLAP and independent >= least_sources and len(both) > 1
    if told is not None and sure:
        of_sources = float(np.nanvar(drawn[0]))
        half = _half(of_sources, float(np.var(known)), independent, len(both), level)
        ends = (float(told * np.exp(-half)), float(told * np.exp(half)))
    return CostRatio(
        ratio=told,
        low=ends[0],
        high=ends[1],
        better=float(np.mean(known < 0) + np.mean(known == 0) / 2) if ends[0] else None,
        below=bool(means[0] < means[len(costs)]) if told is None else None,
        least=float(np.exp(least[0])),
        most=float(np.exp(most[0])),
        overlap=overlap,
        sources=independent,
        seeds=len(both),
    )


def _half(of_sources: float, of_both: float, sources: int, seeds: int, level: float) -> float:
    """Return half of an interval's width, from the variances of draws."""
    of_seeds = max(0.0, of_both - of_sources) * seeds / (seeds - 1)
    of_sources *= sources / (sources - 1)
    total = of_sources + of_seeds
    if not total:
        return 0.0
    freedom = total**2 / (of_sources**2 / (sources - 1) + of_seeds**2 / (seeds - 1))
    return float(stdtrit(freedom, (1 + level) / 2) * np.sqrt(total))


def _ratios(errors: Floats, mine: Floats, other: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the mean log ratio of costs, and the range of log errors that it is of.

    Args:
        errors: ``(D, B + C)``, in the order of the costs.
        mine: ``(B,)`` log costs, rising.
        other: ``(C,)``.

    Returns:
        ``(D,)`` each; the ratio is NaN where no error is shared.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(errors)
    fronts = falling(logs[:, : len(mine)]), falling(logs[:, len(mine) :])
    least = np.maximum(fronts[0][:, -1], fronts[1][:, -1])
    most = np.minimum(fronts[0][:, 0], fronts[1][:, 0])
    ratios = np.full(len(errors), np.nan)
    steps = (np.arange(_LEVELS) + 0.5) / _LEVELS  # not at the ends, where a front may be level
    for draw in np.flatnonzero(most > least):
        levels = least[draw] + steps * (most[draw] - least[draw])
        one, another = (
            np.interp(levels, front[draw, ::-1], costs[::-1])
            for front, costs in zip(fronts, (mine, other), strict=True)
        )
        ratios[draw] = np.round(np.mean(one - another), 9)  # equal is equal
    return ratios, least, most


def falling(values: Floats) -> Floats:
    """Return the closest rows ``(D, B)`` that never rise: isotonic regression, by max and min."""
    count = values.shape[1]
    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    found = np.empty_like(values)
    for place in range(count):
        means = [
            [(sums[:, end + 1] - sums[:, start]) / (end + 1 - start) for end in range(place, count)]
            for start in range(place + 1)
        ]
        found[:, place] = np.min(np.max(means, axis=1), axis=0)
    return found
