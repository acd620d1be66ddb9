"""The questions that a cascade answers, whatever runs it, and its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from groupnas.errors import InputError
from groupnas.landmarks.markup import Markup

Image = NDArray[np.uint8]
Points = NDArray[np.float64]
FacePair = tuple[Image, Points]  # an image and the box of a face in it

ASTRAY = (
    "the model's landmarks are no numbers; its weights are damaged, or its training went astray"
)


@dataclass(frozen=True)
class Located:
    """Landmarks of F faces, in pixel-centre coordinates of their images.

    Attributes:
        stages: ``(F, K, 2)`` after each stage, by its name.
    """

    stages: Mapping[str, Points]

    @property
    def points(self) -> Points:
        """``(F, K, 2)``, the cascade's: those of its last stage."""
        return [*self.stages.values()][-1]

    @property
    def initial(self) -> Points:
        """``(F, K, 2)``, of the first stage alone."""
        return next(iter(self.stages.values()))


class Locator(Protocol):
    """Finds landmarks: a :class:`~groupnas.landmarks.cascade.Cascade`, with torch or without."""

    @property
    def markup(self) -> Markup:
        """The landmarks."""

    def locate(self, image: Image, boxes: Points) -> Located:
        """The landmarks of the faces in the boxes ``(F, 4)``."""


def far_outside(boxes: Points, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """``(F,)``: which boxes reach beyond an ``(H, W)`` image by more than its longer side."""
    longer = max(shape[:2])
    return np.any((boxes < -longer) | (boxes > 2 * longer), axis=1)


def check_faces(image: Image, boxes: Points) -> None:
    """Check that boxes can be faces of an image.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        boxes: ``(F, 4)``: x0, y0, x1, y1 of each face in pixel-centre coordinates.

    Raises:
        InputError: shapes, dtype or values that no face can have; boxes reach no further than the
            longer side of the image beyond it.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InputError(f"image: expected (H, W, 3) uint8, got {image.shape} {image.dtype.name}")
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise InputError(f"boxes: expected finite (F, 4), got shape {boxes.shape}")
    if (boxes[:, 2:] <= boxes[:, :2]).any():
        raise InputError("boxes: expected x0 < x1 and y0 < y1 in each")
    height, width = image.shape[:2]
    if far_outside(boxes, (height, width)).any():
        raise InputError(f"boxes: one lies far outside the image of {width} x {height} pixels")
