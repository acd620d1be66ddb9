"""How sure a difference is: a paired bootstrap over photos and seeds, on plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Array = NDArray[np.float64]
LEVEL = 0.95
DRAWS = 10_000
_BLOCK = 500  # draws at a time: weights of so many draws times all photos are in memory


@dataclass(frozen=True)
class Difference:
    """A mean of paired differences, negative where the first has the lesser error.

    Attributes:
        mean: Over all seeds and samples.
        low: Lower end of the bootstrap interval over photos and seeds.
        high: Upper end.
        photos_low: Lower end of the bootstrap interval over photos alone: what other photos would
            have changed for these very networks.
        photos_high: Upper end.
        seeds_low: Lower end of Student's interval over seeds alone: what other seeds would have
            changed on these very photos. ``None`` where there is one seed.
        seeds_high: Upper end.
    """

    mean: float
    low: float
    high: float
    photos_low: float
    photos_high: float
    seeds_low: float | None
    seeds_high: float | None

    @property
    def significant(self) -> bool:
        """Whether the intervals over photos and seeds, and over seeds, leave out 0.

        The first alone is not enough: if seeds matter more than photos, it leaves out 0 as soon
        as 3 seeds agree in sign, which 3 seeds of two equal strategies do every fourth time.
        """
        if self.seeds_low is None or self.seeds_high is None:
            return False
        lows, highs = (self.low, self.seeds_low), (self.high, self.seeds_high)
        return min(lows) > 0 or max(highs) < 0

    def to_dict(self) -> dict[str, Any]:
        """The numbers as JSON holds them."""
        return {**asdict(self), "significant": self.significant}


def paired_differences(
    mine: Array,
    other: Array,
    sources: Sequence[str],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> list[Difference]:
    """Mean differences ``mine - other`` of several quantities, with bootstrap intervals.

    Both were measured on the same samples with the same seeds, and what they share (a hard photo,
    a lucky order of the data) leaves with the difference. Each draw takes as many photos as there
    are, with replacement and with all of a photo's samples together, and as many seeds; the
    interval is that between the percentiles of the draws' means (Efron and Tibshirani 1993,
    chapter 13; of two levels: Davison and Hinkley 1997, section 3.8).

    With few seeds that level is coarse: 3 seeds have 10 distinct draws, and the variance over S
    seeds comes out short by (S - 1) / S. Student's interval of the seeds' means stands beside it,
    which is right for any number of seeds, 2 and more, if their differences are about normal.
    Intervals of several strategies are not corrected for their number.

    Args:
        mine: ``(S, N, K)`` errors of S seeds, N samples, K quantities.
        other: The same of what it is compared with.
        sources: The photo of every sample.
        draws: How many draws.
        seed: Of the draws.
        level: Of the intervals, in (0, 1).

    Returns:
        One for each of the K quantities.

    Raises:
        ValueError: the shapes do not belong together, or a number is not finite.
    """
    if mine.shape != other.shape or mine.ndim != 3 or mine.shape[1] != len(sources):
        raise ValueError(
            f"expected twice (S, {len(sources)}, K), got {mine.shape} and {other.shape}"
        )
    difference = np.asarray(mine - other, dtype=np.float64)
    if not difference.size or not np.isfinite(difference).all():
        raise ValueError("expected finite errors of at least one seed and sample")
    sums, counts = _by_photo(difference, sources)
    drawn = np.concatenate(list(_draws(sums, counts, draws, np.random.default_rng(seed))), axis=1)
    tail = 50 * (1 - level)
    ends = np.percentile(drawn, [tail, 100 - tail], axis=1)  # (2, photos or both, K)
    means = difference.mean(axis=(0, 1))
    half = _half_width(difference.mean(axis=1), level)
    return [
        Difference(
            mean=float(mean),
            low=float(ends[0, 1, k]),
            high=float(ends[1, 1, k]),
            photos_low=float(ends[0, 0, k]),
            photos_high=float(ends[1, 0, k]),
            seeds_low=None if half is None else float(mean - half[k]),
            seeds_high=None if half is None else float(mean + half[k]),
        )
        for k, mean in enumerate(means)
    ]


def _half_width(of_seeds: Array, level: float) -> Array | None:
    """Half of Student's interval of each column's mean ``(K,)``, of ``(S, K)``; of one, none."""
    count = len(of_seeds)
    if count < 2:
        return None
    quantile = float(stdtrit(count - 1, (1 + level) / 2))
    return np.asarray(quantile * of_seeds.std(axis=0, ddof=1) / np.sqrt(count))


def _by_photo(difference: Array, sources: Sequence[str]) -> tuple[Array, Array]:
    """Sums ``(S, P, K)`` over the samples of each photo, and how many samples ``(P,)`` it has."""
    _, photo = np.unique(np.asarray(sources), return_inverse=True)
    counts = np.bincount(photo).astype(np.float64)
    order = np.argsort(photo, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.intp)
    return np.add.reduceat(difference[:, order], starts, axis=1), counts


def _draws(
    sums: Array, counts: Array, draws: int, rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Means of the draws, in blocks ``(2, draws, K)``: over photos alone, over photos and seeds."""
    seeds, photos, quantities = sums.shape
    flat = sums.transpose(1, 0, 2).reshape(photos, seeds * quantities)
    blocks = []
    for start in range(0, draws, _BLOCK):
        size = min(_BLOCK, draws - start)
        chosen = rng.integers(photos, size=(size, photos)) + photos * np.arange(size)[:, None]
        counted = np.bincount(chosen.ravel(), minlength=size * photos)
        weights = counted.reshape(size, photos).astype(np.float64)
        samples = weights @ counts
        means = (weights @ flat).reshape(size, seeds, quantities) / samples[:, None, None]
        picked = rng.integers(seeds, size=(size, seeds))
        both = np.take_along_axis(means, picked[:, :, None], axis=1)
        blocks.append(np.stack([means.mean(axis=1), both.mean(axis=1)]))
    return blocks


def spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean of at least one value, and standard deviation (n - 1) of at least two."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return float(np.mean(values)), deviation
