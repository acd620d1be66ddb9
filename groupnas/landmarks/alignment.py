"""Frames that lie as a few points of a face do, such as both eyes, nose and mouth; no torch."""

from __future__ import annotations

import numpy as np

from groupnas.arrays import Floats


def frame_weights(reference: Floats, fit: str = "affine") -> Floats:
    """Return how frames follow from points: weights ``(6, 2 K)`` of ``x0 y0 x1 y1 ...``.

    Their products with a face's points are a, b, c, d, e, f of the map ``x' = a x + b y + e``,
    ``y' = c x + d y + f`` that lays the reference nearest to the points, by least squares. The
    paper lays points onto the reference (section 3.1); this is the inverse of that where points
    fit exactly. So it is linear in the points, and no points make it grow without bounds.

    Source: Earp et al., "Sub-pixel face landmarks using heatmaps and a bag of tricks", 2021.

    Args:
        reference: ``(K, 2)``, in the frame's units.
        fit: ``affine``, or ``similarity``, in which ``a = d`` and ``b = -c``.
    """
    x, y = reference.T
    zero, one = np.zeros_like(x), np.ones_like(x)
    rows = np.stack([[x, y, zero, zero, one, zero], [zero, zero, x, y, zero, one]])  # (2, 6, K)
    design = rows.transpose(2, 0, 1).reshape(-1, 6)
    free = np.eye(6)
    if fit == "similarity":
        free = np.stack([free[0] + free[3], free[2] - free[1], free[4], free[5]], axis=1)
    return np.asarray(free @ np.linalg.pinv(design @ free))
