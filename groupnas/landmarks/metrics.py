"""Errors of predicted landmarks: the field's scores, on plain arrays.

Coordinates are in pixels. A face's errors are divided by its own normaliser, a distance in the
same pixels, and are fractions of it here; :class:`Scores` tells them in per cent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from groupnas.arrays import Floats
from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.landmarks.markup import Markup

# What errors are divided by, in words; the first three are of the landmarks, the others of the box.
NORMALISERS: Mapping[str, str] = MappingProxyType(
    {
        "interocular": "distance of the outer eye corners",
        "interpupil": "distance of the pupils, or of the eyes' mean points",
        "distance": "distance of two points that the data set names",
        "box": "square root of the face box's width times height",
        "box_longest": "longest side of the face box",
        "box_width": "width of the face box",
    }
)
THRESHOLD = 0.1  # a larger error is a failure
_STEPS = 1001  # of the error distribution; a coarser one has changed published numbers
_SHORTEST = 1e-3  # pixels between a point's neighbours; nearer ones give no direction
_BIN, _LAST_BIN = 10, 90  # degrees, Table XII


@dataclass(frozen=True)
class Scores:
    """The scores of a set of faces.

    Attributes:
        faces: How many.
        nme: Mean over the faces of the mean error over their points, in %.
        failure_rate: Share of faces whose error exceeds the threshold, in %.
        auc: Area under the cumulative error distribution up to the threshold, 0 to 1.
        threshold: What counts as failure, as a fraction of the normaliser.
        parts: The same as ``nme`` of each part's points, and of any contour's, in %.
        tangential: Mean error along the boundaries, in %, of the points that lie on one
            (Table XI); ``None`` where no face has any.
        normal: The same across the boundaries.
    """

    faces: int
    nme: float
    failure_rate: float
    auc: float
    threshold: float
    parts: Mapping[str, float]
    tangential: float | None
    normal: float | None


@dataclass(frozen=True)
class PoseBin:
    """The faces whose pose lies in ``low <= angle < high`` degrees, and their NME in %.

    The last bin is open: its ``high`` is ``None``.
    """

    low: int
    high: int | None
    faces: int
    nme: float | None


@dataclass(frozen=True)
class Errors:
    """The errors of every face, as fractions of its normaliser.

    Attributes:
        nme: ``(N,)``, the mean over all points.
        parts: ``(N,)`` each, the mean over a part's points; a contour is the last.
        tangential: ``(N,)``, the mean part of the error along the boundary, over the points that
            lie on one; NaN for a face without any.
        normal: The same across the boundary.
    """

    nme: Floats
    parts: Mapping[str, Floats]
    tangential: Floats
    normal: Floats

    def scores(
        self, chosen: NDArray[np.bool_] | None = None, threshold: float = THRESHOLD
    ) -> Scores:
        """The scores of all faces, or of those that ``chosen`` ``(N,)`` marks.

        Raises:
            ValueError: there is no face to score.
        """
        rows = np.ones(len(self.nme), bool) if chosen is None else chosen
        nme = self.nme[rows]
        _, shares = cumulative(nme, threshold)
        return Scores(
            faces=len(nme),
            nme=100 * float(nme.mean()),
            failure_rate=100 * float(1 - shares[-1]),
            auc=area(nme, threshold),
            threshold=threshold,
            parts={part: 100 * float(values[rows].mean()) for part, values in self.parts.items()},
            tangential=_mean_percent(self.tangential[rows]),
            normal=_mean_percent(self.normal[rows]),
        )

    def by_pose(self, angles: Floats) -> list[PoseBin]:
        """NME by head pose in bins of 10 degrees, the last one open (Table XII).

        Args:
            angles: ``(N,)``, degrees from frontal. The paper adds pitch and yaw; of angles as
                :func:`groupnas.landmarks.pose.pose_angles` gives them, add the sizes.
        """
        bins = np.minimum(np.abs(angles) // _BIN, _LAST_BIN // _BIN)
        found = []
        for number in range(_LAST_BIN // _BIN + 1):
            rows = bins == number
            high = None if number * _BIN == _LAST_BIN else (number + 1) * _BIN
            found.append(
                PoseBin(number * _BIN, high, int(rows.sum()), _mean_percent(self.nme[rows]))
            )
        return found


def measure(predicted: Floats, truth: Floats, normaliser: Floats, markup: Markup) -> Errors:
    """The errors of every face.

    Args:
        predicted: ``(N, K, 2)``.
        truth: ``(N, K, 2)``.
        normaliser: ``(N,)``, as :func:`normaliser` gives it.
        markup: Of the points.

    Raises:
        ValueError: the shapes do not belong together, or a number is not finite.
    """
    if predicted.shape != truth.shape or truth.shape[1:] != (markup.points, 2):
        raise ValueError(
            f"expected twice (N, {markup.points}, 2), got {predicted.shape} and {truth.shape}"
        )
    for what, array in (("predicted", predicted), ("true", truth), ("normaliser", normaliser)):
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            raise ValueError(f"face {bad[0][0]}: a {what} value is {array[tuple(bad[0])]}")
    if normaliser.shape != truth.shape[:1] or not (normaliser > 0).all():
        raise ValueError(f"expected a normaliser above 0 for each of {len(truth)} faces")
    error = (predicted - truth) / normaliser[:, None, None]
    distance = np.linalg.norm(error, axis=-1)
    tangent = tangents(truth, markup)
    along = np.abs((error * tangent).sum(axis=-1))
    across = np.abs(error[..., 1] * tangent[..., 0] - error[..., 0] * tangent[..., 1])
    known = np.asarray(tangent.any(axis=-1))
    return Errors(
        nme=distance.mean(axis=1),
        parts={
            part: distance[:, list(points)].mean(axis=1) for part, points in markup.scored.items()
        },
        tangential=_mean_where(along, known),
        normal=_mean_where(across, known),
    )


def normaliser(
    points: Floats,
    markup: Markup,
    kind: str,
    boxes: Floats | None = None,
    *,
    names: Sequence[str] | None = None,
) -> Floats:
    """The distance that each face's errors are divided by.

    Args:
        points: ``(N, K, 2)``, the true landmarks in pixels.
        markup: Of the points.
        kind: One of :data:`NORMALISERS`.
        boxes: ``(N, 4)``, x0, y0, x1, y1 in pixels; only the kinds of the box need them.
        names: What a message calls each face; left out, its number from 0.

    Returns:
        ``(N,)`` in pixels.

    Raises:
        InputError: an unknown kind, one that the markup does not have, or a face whose distance
            is not above 0.
    """
    check_normaliser(kind, markup)
    if kind.startswith("box"):
        if boxes is None:
            raise ValueError(f"the normaliser {kind} needs boxes")
        sides = boxes[:, 2:] - boxes[:, :2]
        distance = {
            "box": np.sqrt(np.prod(np.maximum(sides, 0), axis=1)),
            "box_longest": sides.max(axis=1),
            "box_width": sides[:, 0],
        }[kind]
    else:
        ends = [points[:, place].mean(axis=1) for place in _ends(kind, markup)]
        distance = np.linalg.norm(ends[1] - ends[0], axis=1)
    bad = np.flatnonzero(~(distance > 0) | ~np.isfinite(distance))
    if len(bad):
        raise InputError(
            f"{f'face {bad[0]}' if names is None else names[bad[0]]}: the "
            f"{in_words(kind, markup)} is {distance[bad[0]]:g} pixels; its errors cannot be "
            "divided by that"
        )
    return np.asarray(distance, dtype=np.float64)


def check_normaliser(kind: str, markup: Markup) -> None:
    """Raise :class:`InputError` unless there is such a normaliser and the markup has it."""
    if kind not in NORMALISERS:
        raise InputError(f"normaliser {kind!r}: no such thing; {nearest(kind, NORMALISERS)}")
    if not kind.startswith("box") and not _ends(kind, markup):
        lacking = {"interocular": "marks no outer eye corners", "interpupil": "marks no eyes"}
        told = lacking.get(kind, "names no two points to measure by")
        raise InputError(f"normaliser {kind!r}: {markup.name} {told}; use 'box'")


def in_words(kind: str, markup: Markup) -> str:
    """What a normaliser is, in words."""
    if kind == "distance" and markup.distance is not None:
        one, other = map(markup.told, markup.distance)
        return f"distance of {one} and {other}"
    return NORMALISERS[kind]


def _ends(kind: str, markup: Markup) -> Sequence[list[int]]:
    """The points whose means are the ends of a distance; nothing where the markup has none."""
    if kind == "interpupil":
        return [list(eye) for eye in markup.interpupil or ()]
    pair = markup.interocular if kind == "interocular" else markup.distance
    return [[point] for point in pair or ()]


def tangents(truth: Floats, markup: Markup) -> Floats:
    """Unit vectors ``(N, K, 2)`` from each point's previous to its next neighbour.

    ``(0, 0)`` for points of no boundary and where the neighbours coincide. Source: PicassoNet,
    Section III-D.
    """
    previous, following = np.array(markup.neighbours).T
    ray = truth[:, following] - truth[:, previous]
    length = np.linalg.norm(ray, axis=-1, keepdims=True)
    return np.where(length > _SHORTEST, ray / np.maximum(length, _SHORTEST), 0.0)


def cumulative(nme: Floats, threshold: float = THRESHOLD) -> tuple[Floats, Floats]:
    """The cumulative error distribution (CED).

    Args:
        nme: ``(N,)``, an error per face.
        threshold: The largest error looked at, in the same unit.

    Returns:
        Errors ``(1001,)`` from 0 to the threshold, and the share of faces ``(1001,)`` with at most
        that error.

    Raises:
        ValueError: no face, an error that is not a number, or a threshold not above 0.
    """
    if not len(nme) or not np.isfinite(nme).all():
        raise ValueError(f"expected finite errors of at least one face, got {len(nme)} faces")
    if not threshold > 0:
        raise ValueError(f"threshold: expected a fraction above 0, got {threshold}")
    steps = np.linspace(0, threshold, _STEPS)
    return steps, np.searchsorted(np.sort(nme), steps, side="right") / len(nme)


def area(nme: Floats, threshold: float = THRESHOLD) -> float:
    """Area under the CED up to the threshold, divided by the threshold: 0 to 1.

    By Simpson's rule over 1,001 points, as the field's code has it; arguments and exceptions as
    :func:`cumulative`.
    """
    from scipy.integrate import simpson  # here, since it takes long to import

    steps, shares = cumulative(nme, threshold)
    return float(simpson(shares, x=steps)) / threshold


def _mean_where(values: Floats, known: NDArray[np.bool_]) -> Floats:
    """Mean of each row over its known columns; NaN for a row without any."""
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _mean_percent(values: Sequence[float] | Floats) -> float | None:
    """Mean of what is a number, in %; ``None`` if nothing is."""
    numbers = np.asarray(values)
    numbers = numbers[~np.isnan(numbers)]
    return 100 * float(numbers.mean()) if len(numbers) else None
