"""Maps that lay a few points of a face onto reference points, by least squares; no torch.

A map is ``linear @ point + origin``. Shapes: N faces, K points of each; five are usual: both eyes,
the tip of the nose, both corners of the mouth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from groupnas.arrays import Floats
from groupnas.errors import InputError

_FLAT = 1e-6  # the least ratio of the points' widths across and along, below which they are a line

LinearMaps = tuple[Floats, Floats]  # linear (N, 2, 2), origin (N, 2)


def fit_similarity(points: Floats, reference: Floats) -> LinearMaps:
    """Return the shifts, scales and rotations that lay points nearest to the reference.

    A mirrored face has none that is right, and is refused rather than shrunk to fit.

    Args:
        points: ``(N, K, 2)``, x and y, in any unit; at least 2 that differ.
        reference: ``(K, 2)``, likewise, in the unit that the maps lead to.

    Returns:
        linear ``(N, 2, 2)`` and origin ``(N, 2)``, float64.

    Raises:
        InputError: what :func:`faults` finds of a face, or of the reference.
    """
    centred, towards, middles = _centred(points, reference, "similarity")
    ours, theirs = (np.ascontiguousarray(each).view(complex)[..., 0] for each in (centred, towards))
    # As complex numbers: a turn and a scale are one factor, so no map can mirror.
    factor = (ours.conj() * theirs).sum(axis=-1) / (np.abs(ours) ** 2).sum(axis=-1)
    rows = [[factor.real, -factor.imag], [factor.imag, factor.real]]
    return _with_origin(np.moveaxis(np.array(rows), -1, 0), *middles)


def fit_affine(points: Floats, reference: Floats) -> LinearMaps:
    """Return the affine maps that lay points nearest to the reference.

    Source: Earp et al., "Sub-pixel face landmarks using heatmaps and a bag of tricks", section 3.1.

    Args:
        points: ``(N, K, 2)``, x and y, in any unit; at least 3 that are not on one line.
        reference: ``(K, 2)``, likewise, in the unit that the maps lead to.

    Returns:
        linear ``(N, 2, 2)`` and origin ``(N, 2)``, float64.

    Raises:
        InputError: what :func:`faults` finds of a face, or of the reference.
    """
    centred, towards, middles = _centred(points, reference, "affine")
    transposed = np.swapaxes(centred, -1, -2)
    linear = np.linalg.solve(transposed @ centred, transposed @ towards)
    return _with_origin(np.asarray(np.swapaxes(linear, -1, -2), dtype=np.float64), *middles)


# Name to fit: what a recipe may ask for.
FITS: Mapping[str, Callable[[Floats, Floats], LinearMaps]] = MappingProxyType(
    {"similarity": fit_similarity, "affine": fit_affine}
)


def faults(points: Floats, reference: Floats, fit: str = "affine") -> list[str]:
    """Return what is wrong with each face's points, ``""`` where they can be fitted.

    For who would rather do without a few faces than with none.

    Args:
        points: ``(N, K, 2)``.
        reference: ``(K, 2)``.
        fit: ``similarity`` or ``affine``.
    """
    finite = np.asarray(np.isfinite(points).all(axis=(1, 2)))
    known = np.where(finite[:, None, None], points, 0.0)
    centred = _off_middle(known)
    wide = np.linalg.svd(centred, compute_uv=False)  # (N, 2), the longer first
    # Where the middle is far away, what is left of the points may be rounding noise.
    single = wide[:, 0] <= 1e-9 * np.abs(known).max(axis=(1, 2))
    line = wide[:, 1] <= _FLAT * wide[:, 0]
    cross = np.linalg.det(np.swapaxes(centred, -1, -2) @ _off_middle(reference))
    checks: list[tuple[NDArray[np.bool_], str]] = [
        (~finite, "a point is no number"),
        (single, "all points are one"),
        (line if fit == "affine" else np.zeros_like(line), "all points lie on one line"),
        ((cross < 0) & ~line, "the points are mirrored: left and right may be swapped"),
    ]
    return [next((said for found, said in checks if found[n]), "") for n in range(len(points))]


def frame_weights(reference: Floats, fit: str = "affine") -> Floats:
    """Return how frames follow from points: weights ``(6, 2 K)`` of ``x0 y0 x1 y1 ...``.

    Their products with a face's points are a, b, c, d, e, f of the map ``x' = a x + b y + e``,
    ``y' = c x + d y + f`` that lays the reference nearest to the points. It goes the other way than
    :func:`fit_affine` does, whose inverse it is where points fit exactly; what is least is the
    distance in the photo. So it is linear in the points, and no points make it grow without bounds.

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


def _centred(
    points: Floats, reference: Floats, fit: str
) -> tuple[Floats, Floats, tuple[Floats, Floats]]:
    """Return points and reference without their middles, and these; raise as the fits do."""
    points, reference = (np.asarray(each, dtype=np.float64) for each in (points, reference))
    expected = (len(reference), 2)
    if reference.shape != expected or points.ndim != 3 or points.shape[1:] != expected:
        raise InputError(
            f"points to align: expected (N, K, 2) and a reference (K, 2), got shapes "
            f"{points.shape} and {reference.shape}"
        )
    least = 2 if fit == "similarity" else 3
    if len(reference) < least:
        raise InputError(f"points to align: {fit} takes at least {least}, got {len(reference)}")
    if fault := faults(reference[None], reference, fit)[0]:
        raise InputError(f"reference points: {fault}; choose others")
    for number, fault in enumerate(faults(points, reference, fit)):
        if fault:
            raise InputError(f"face {number}: cannot be aligned: {fault}; leave it out")
    middles = points.mean(axis=1), reference.mean(axis=0)
    return _off_middle(points), _off_middle(reference), middles


def _off_middle(points: Floats) -> Floats:
    return np.asarray(points - points.mean(axis=-2, keepdims=True))


def _with_origin(linear: Floats, middle: Floats, towards: Floats) -> LinearMaps:
    return linear, towards - (linear @ middle[..., None])[..., 0]
