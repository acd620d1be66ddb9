"""Head pose from landmarks alone: angles for tables, coefficients to balance by, five points."""

from __future__ import annotations

import numpy as np

from groupnas.arrays import Floats
from groupnas.errors import InputError
from groupnas.landmarks.markup import RIGID, Markup

_FITS = 200  # steps of the fit; twenty do for most faces, not for those turned far


def pose_angles(points: Floats, markup: Markup) -> Floats:
    """Rough head pose: how a generic 3-D face must be turned for its points to fall on a face's.

    A weak-perspective fit (rotation, scale, shift) of about a dozen rigid points to one average
    face. Good to bin faces by pose; no measurement: nobody has the average's proportions, so
    pitch especially is off by several degrees, and beyond 60 degrees of yaw, where annotators
    place points that they do not see, all angles are too small.

    Args:
        points: ``(N, K, 2)`` in pixels.
        markup: Of the points.

    Returns:
        ``(N, 3)`` degrees: pitch, positive where the face looks up; yaw, positive where it looks
        to the right in the image; roll, positive where it is turned clockwise in the image. Roll
        is applied last, pitch first.

    Raises:
        InputError: a markup of no faces.
    """
    if not markup.is_face:
        raise InputError(f"head pose: {markup.name} marks no eyes, nose and mouth to tell it by")
    known = {markup.rigid[name]: xyz for name, xyz in RIGID.items() if name in markup.rigid}
    face = np.array(list(known.values()))
    turned = _rotations(points[:, list(known)], face - face.mean(axis=0))
    pitch = np.arctan2(turned[:, 2, 1], turned[:, 2, 2])
    yaw = np.arcsin(np.clip(-turned[:, 2, 0], -1, 1))
    roll = np.arctan2(turned[:, 1, 0], turned[:, 0, 0])
    return np.degrees(np.stack([pitch, yaw, roll], axis=1))


def five_points(points: Floats, markup: Markup) -> Floats:
    """Return the points that detectors give and faces are aligned by, ``(N, 5, 2)``.

    The middles between the corners of the left and the right eye, the tip of the nose, the left and
    the right corner of the mouth; left is left in the image.

    Args:
        points: ``(N, K, 2)`` in any unit.
        markup: Of the points.

    Raises:
        InputError: a markup of no faces.
    """
    if not markup.is_face:
        raise InputError(f"five points: {markup.name} marks no eyes, nose and mouth")

    def middle(*names: str) -> Floats:
        places = np.array([markup.rigid[name] for name in names], dtype=np.intp)
        return np.asarray(points[:, places].mean(axis=1))

    left, right = (middle(f"{side}_eye_outer", f"{side}_eye_inner") for side in ("left", "right"))
    others = (middle(name) for name in ("nose_tip", "mouth_left", "mouth_right"))
    return np.stack([left, right, *others], axis=1)


def _rotations(points: Floats, face: Floats) -> Floats:
    """The rotations ``(N, 3, 3)`` under which the face ``(M, 3)`` fits points ``(N, M, 2)`` best.

    Least squares, alternating: the depth of the points is what the turned face says, then the
    face is turned to fit the points in all three dimensions (Kabsch).
    """
    centred = points - points.mean(axis=1, keepdims=True)
    # First guess: the affine map that fits best, and a third row at right angles to its two.
    affine = np.linalg.lstsq(face, centred.transpose(1, 0, 2).reshape(len(face), -1), rcond=None)[0]
    rows = affine.T.reshape(-1, 2, 3)
    third = np.cross(rows[:, 0], rows[:, 1])
    size = np.sqrt(np.linalg.norm(third, axis=1))[:, None] + 1e-12
    turned = _nearest_rotation(np.concatenate([rows, (third / size)[:, None]], axis=1))
    flat = face @ turned[:, :2].transpose(0, 2, 1)
    scale = np.sqrt((centred**2).sum(axis=(1, 2)) / (flat**2).sum(axis=(1, 2)))
    for _ in range(_FITS):
        depth = scale[:, None, None] * (face @ turned[:, 2:].transpose(0, 2, 1))
        spatial = np.concatenate([centred, depth], axis=2)
        product = spatial.transpose(0, 2, 1) @ face
        turned = _nearest_rotation(product)
        scale = (product * turned).sum(axis=(1, 2)) / (face**2).sum()
    return turned


def _nearest_rotation(matrices: Floats) -> Floats:
    """The rotation nearest to each of ``(N, 3, 3)``, up to its scale."""
    left, _, right = np.linalg.svd(matrices)
    left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]  # no reflection
    return np.asarray(left @ right)


def pose_coefficients(points: Floats) -> Floats:
    """Return how far each face is turned compared with the others, for :func:`balanced_weights`.

    The shapes are aligned to their mean by shift, scale and rotation (Procrustes); what then
    differs most, the first principal component, is the yaw in sets of photos. Source: Feng et al.,
    "Wing Loss for Robust Facial Landmark Localisation with Convolutional Neural Networks",
    CVPR 2018, Section 5 (pose-based data balancing).

    Args:
        points: ``(N, K, 2)`` in pixels, the training faces.

    Returns:
        ``(N,)``, without unit: projections of shapes of size 1. The sign means nothing.
    """
    shapes = points[..., 0] + 1j * points[..., 1]  # turning is multiplying
    shapes = shapes - shapes.mean(axis=1, keepdims=True)
    shapes = shapes / np.linalg.norm(shapes, axis=1, keepdims=True)
    mean = shapes[0]
    for _ in range(10):  # it settles in three or four
        turn = shapes @ mean.conj()
        shapes = shapes * (turn.conj() / np.maximum(np.abs(turn), 1e-12))[:, None]
        mean = shapes.mean(axis=0)
        mean = mean / np.linalg.norm(mean)
    flat = np.concatenate([shapes.real, shapes.imag], axis=1)
    flat = flat - flat.mean(axis=0)
    component = np.linalg.svd(flat, full_matrices=False)[2][0]
    # The sign of a component is arbitrary; its largest entry decides it, on every machine alike.
    return np.asarray(flat @ component * np.sign(component[np.abs(component).argmax()]))


def pose_weights(points: Floats) -> Floats:
    """Return :func:`balanced_weights` of faces by their points ``(N, K, 2)`` (PDB)."""
    return balanced_weights(pose_coefficients(points))


def balanced_weights(coefficients: Floats, bins: int = 9, cap: float = 10.0) -> Floats:
    """Return weights by which turned faces are drawn as often as frontal ones.

    The coefficients' range is cut into bins of one width, and every bin that holds a face is drawn
    equally often, its faces alike. A bin of so few faces that each would be drawn more than
    ``cap`` times as often as without balancing is drawn as often as the cap allows, and the others
    share the rest equally.

    Args:
        coefficients: ``(N,)``, as :func:`pose_coefficients` gives them.
        bins: How many bins.
        cap: At least 1, which means no balancing.

    Returns:
        ``(N,)`` probabilities: their sum is 1, none exceeds ``cap / N``.

    Raises:
        InputError: no bin, or a cap below 1.
    """
    if bins < 1:
        raise InputError(f"bins: expected at least 1, got {bins}")
    if not cap >= 1:
        raise InputError(f"cap: expected at least 1, got {cap}")
    low, high = float(coefficients.min()), float(coefficients.max())
    width = (high - low) / bins or 1.0
    places = np.minimum((coefficients - low) // width, bins - 1).astype(int)
    counts = np.bincount(places, minlength=bins)
    most = cap * counts / len(coefficients)  # what the faces of each bin may be drawn in all
    shares = np.zeros(bins)
    left, open_bins = 1.0, int((counts > 0).sum())
    for place in np.argsort(counts, kind="stable"):  # the smallest bins meet the cap first
        if counts[place]:
            shares[place] = min(most[place], left / open_bins)
            left, open_bins = left - shares[place], open_bins - 1
    return np.asarray((shares / np.maximum(counts, 1))[places])
