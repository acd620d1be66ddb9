"""From boxes to faces: in a photo, and from frame to frame of a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from groupnas.errors import InputError
from groupnas.landmarks.located import ASTRAY, Locator, Points, far_outside
from groupnas.landmarks.predict.detect import Boxes, Detector, Photo, distinct
from groupnas.landmarks.predict.smooth import OneEuroFilter

SAME = 0.3  # intersection over union of a followed face and a detection that are one face
GROWTH, STEP = 1.5, 0.6  # from frame to frame: size's factor, and path in face sizes; else lost
UNSEEN = 2


@dataclass(frozen=True)
class FoundFace:
    """One face in one picture.

    Attributes:
        box: ``(4,)``, x0, y0, x1, y1: where the cascade looked.
        points: ``(K, 2)``; both in pixel-centre coordinates.
        number: The same in all frames for a face that is followed; ``None`` in a photo.
    """

    box: NDArray[np.float64]
    points: Points
    number: int | None = None


def locate_faces(cascade: Locator, image: Photo, boxes: Boxes, passes: int) -> list[FoundFace]:
    """The landmarks in some boxes.

    Args:
        cascade: Locates.
        image: ``(H, W, 3)`` uint8 RGB.
        boxes: ``(F, 4)``, as the cascade needs them.
        passes: How often to look; each pass but the first takes as boxes the extent of what the
            last one found, which is a better box than a detector's. Where that is no box of a
            face, as of a network that has hardly learned, it looks at the same one again.
    """
    if not len(boxes):
        return []
    points = _points(cascade, image, boxes)
    for _ in range(passes - 1):
        boxes = _extents(points, boxes, image.shape)
        points = _points(cascade, image, boxes)
    return [FoundFace(box, face) for box, face in zip(boxes, points, strict=True)]


@dataclass
class Follower:
    """Follows the faces of one video: a face's box is the extent of its last landmarks.

    The detector looks at every ``every``-th frame and after a face was lost or not seen. A face
    is lost whose landmarks jump as no face does, or that two detections in a row have not seen.

    Attributes:
        cascade: Locates.
        detector: Finds faces; ``None`` where the user gave their boxes.
        every: Frames from one detection to the next.
        passes: As in :func:`locate_faces`, for boxes that are new.
        smooth: Whether to filter jitter away.
        start: Boxes ``(F, 4)`` in the first frame, instead of a detection.
    """

    cascade: Locator
    detector: Detector | None
    every: int
    passes: int
    smooth: bool = False
    start: Boxes = field(default_factory=lambda: np.zeros((0, 4)))
    _tracks: list[_Track] = field(default_factory=list, init=False)
    _count: int = field(default=0, init=False)
    _look: bool = field(default=False, init=False)

    def __call__(self, image: Photo, number: int, time: float) -> list[FoundFace]:
        """The faces of the next frame, the first ``number`` being 0, at ``time`` in seconds."""
        if self.detector is None:
            new = self.start if number == 0 else self.start[:0]
        elif self._look or number % self.every == 0:
            new = self._confirm(self.detector(image), image.shape)
        else:
            new = np.zeros((0, 4))
        fresh = locate_faces(self.cascade, image, new, self.passes)
        followed = self._follow(image)
        doubtful = any(track.unseen for track in followed)
        self._look = doubtful or len(followed) < len(self._tracks)
        self._tracks = followed
        for face in fresh:
            self._tracks.append(_Track(self._count, face.box, face.points))
            self._count += 1
        return [track.face(time if self.smooth else None) for track in self._tracks]

    def _confirm(self, boxes: Boxes, shape: tuple[int, ...]) -> Boxes:
        """Drop the tracks that no detection confirms; returns the detections of new faces."""
        same = _overlaps(self._boxes(shape), boxes) >= SAME
        for track, row in zip(self._tracks, same, strict=True):
            track.unseen = 0 if row.any() else track.unseen + 1
        self._tracks = [track for track in self._tracks if track.unseen < UNSEEN]
        return boxes[~same.any(axis=0)]

    def _follow(self, image: Photo) -> list[_Track]:
        """The tracks that go on in this frame."""
        if not self._tracks:
            return []
        before = self._boxes(image.shape)
        points = _points(self.cascade, image, before)
        after = _extents(points, before, image.shape)
        # Two tracks that have run into each other are one face, the older one's.
        separate = distinct(after, np.arange(len(after), 0, -1, dtype=np.float64))
        going = _plausible(before, after, image.shape[:2])
        for track, box, face in zip(self._tracks, before, points, strict=True):
            track.box, track.points = box, face
        return [self._tracks[place] for place in sorted(separate) if going[place]]

    def _boxes(self, shape: tuple[int, ...]) -> Boxes:
        boxes = [_extents(track.points[None], track.box[None], shape)[0] for track in self._tracks]
        return np.array(boxes, dtype=np.float64).reshape(-1, 4)


@dataclass
class _Track:
    number: int
    box: NDArray[np.float64]
    points: Points  # as located: the filter's lag must not move the next frame's box
    unseen: int = 0  # detections in a row that it was not among
    filter: OneEuroFilter = field(default_factory=OneEuroFilter)

    def face(self, time: float | None) -> FoundFace:
        points = self.points if time is None else self.filter(self.points, time)
        return FoundFace(self.box, points, self.number)


def _points(cascade: Locator, image: Photo, boxes: Boxes) -> Points:
    points = cascade.locate(image, boxes).points
    if not np.isfinite(points).all():
        raise InputError(ASTRAY)
    return points


def _extents(points: Points, otherwise: Boxes, shape: tuple[int, ...]) -> Boxes:
    """Boxes around the landmarks; the box that they were found in where they fall together, or lie
    where nobody may look in an image of that shape.
    """
    boxes = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
    flat = (boxes[:, 2:] - boxes[:, :2] < 1).any(axis=1)
    return np.where((flat | far_outside(boxes, shape))[:, None], otherwise, boxes)


def _overlaps(one: Boxes, other: Boxes) -> NDArray[np.float64]:
    """Intersection over union of each pair: ``(len(one), len(other))``."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, other)]
    overlap: NDArray[np.float64] = shared / (areas[0][:, None] + areas[1][None] - shared)
    return overlap


def _plausible(before: Boxes, after: Boxes, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Return True where a face can have changed so between frames, and is still in the image."""
    centres = [(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (before, after)]
    sizes = [(boxes[:, 2:] - boxes[:, :2]).max(axis=1) for boxes in (before, after)]
    growth = sizes[1] / sizes[0]
    step = np.linalg.norm(centres[1] - centres[0], axis=1) / sizes[0]
    inside = ((centres[1] >= 0) & (centres[1] < (shape[1], shape[0]))).all(axis=1)
    good: NDArray[np.bool_] = (growth < GROWTH) & (growth > 1 / GROWTH) & (step < STEP) & inside
    return good
