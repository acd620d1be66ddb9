"""How sure a difference is: a paired bootstrap over photos and seeds, on plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEVEL = 0.95
DRAWS = 10_000
_BLOCK = 500  # draws at a time: weights of so many draws times all photos are in memory


@dataclass(frozen=True)
class Difference:
    """A mean of paired differences, negative where the first has the lesser error.

    Attributes:
        mean: Over all seeds and samples.
        low: Lower end of the interval over photos and seeds.
        high: Upper end.
        photos_low: Lower end of the interval over photos alone: what other photos would have
            changed for these very networks.
        photos_high: Upper end.
    """

    mean: float
    low: float
    high: float
    photos_low: float
    photos_high: float

    @property
    def significant(self) -> bool:
        """Whether the interval over photos and seeds leaves 0 out."""
        return self.low > 0 or self.high < 0

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

    With S seeds the seed level is coarse: 3 seeds have 10 distinct draws, and their variance
    comes out short by (S - 1) / S. Take an interval that just leaves out 0 with 3 seeds for a hint
    to run more. With 1 seed it says nothing about other seeds. Intervals of several strategies
    are not corrected for their number.

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
    return [
        Difference(
            mean=float(mean),
            low=float(ends[0, 1, k]),
            high=float(ends[1, 1, k]),
            photos_low=float(ends[0, 0, k]),
            photos_high=float(ends[1, 0, k]),
        )
        for k, mean in enumerate(means)
    ]


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
