"""Means of errors where samples lack parts; no torch.

NaN means that a sample does not show a part, and nothing else: a network that is no longer finite
has infinite errors (:func:`groupnas.engine.parts.part_errors`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groupnas.arrays import Floats


def with_mean(errors: Floats, weights: Floats) -> Floats:
    """Errors of every part, then each sample's mean over the parts that it shows.

    Args:
        errors: ``(N, G)``, NaN where a sample does not show a part.
        weights: ``(G,)`` > 0, of the parts in that mean: how many outputs each has.

    Returns:
        ``(N, G + 1)``; the mean of a sample that shows no part is NaN.
    """
    known = ~np.isnan(errors)
    total = np.where(known, errors, 0.0) @ weights
    mean = _divided(total, known.astype(np.float64) @ weights)
    return np.concatenate([errors, mean[:, None]], axis=1)


def known_means(table: Floats) -> Floats:
    """Mean of each column ``(K,)`` over the rows that are not NaN; NaN of a column without any."""
    known = ~np.isnan(table)
    return _divided(np.where(known, table, 0.0).sum(axis=0), known.sum(axis=0))


def known_counts(table: Floats) -> NDArray[np.int64]:
    """How many rows of each column ``(K,)`` are not NaN."""
    return np.asarray((~np.isnan(table)).sum(axis=0), dtype=np.int64)


def _divided(total: Floats, count: NDArray[np.float64] | NDArray[np.int64]) -> Floats:
    """NaN, without a warning, where there is nothing to divide by."""
    return np.where(count > 0, total / np.where(count > 0, count, 1), np.nan)
