"""Means of errors where samples lack groups; no torch.

NaN means that a sample does not show a group, and nothing else: a network that is no longer finite
has infinite errors (:func:`groupnas.engine.shown.group_errors`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groupnas.arrays import Floats


def with_mean(errors: Floats, weights: Floats) -> Floats:
    """Return the errors of every group, then each sample's mean over the groups that it shows.

    Args:
        errors: ``(N, G)``, NaN where a sample does not show a group.
        weights: ``(G,)`` > 0, of the groups in that mean: how many outputs each has.

    Returns:
        ``(N, G + 1)``; the mean of a sample that shows no group is NaN.
    """
    known = ~np.isnan(errors)
    total = np.where(known, errors, 0.0) @ weights
    mean = _divided(total, known.astype(np.float64) @ weights)
    return np.concatenate([errors, mean[:, None]], axis=1)


def known_means(table: Floats) -> Floats:
    """Return the mean of each column ``(K,)`` over the rows that are not NaN; NaN if all are."""
    known = ~np.isnan(table)
    return _divided(np.where(known, table, 0.0).sum(axis=0), known.sum(axis=0))


def known_counts(table: Floats) -> NDArray[np.int64]:
    """Return how many rows of each column ``(K,)`` are not NaN."""
    return np.asarray((~np.isnan(table)).sum(axis=0), dtype=np.int64)


def _divided(total: Floats, count: NDArray[np.float64] | NDArray[np.int64]) -> Floats:
    """Divide; NaN, without a warning, where there is nothing to divide by."""
    return np.where(count > 0, total / np.where(count > 0, count, 1), np.nan)
