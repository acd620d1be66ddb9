"""Draw faces onto their picture: box, boundaries, and points coloured by facial part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from groupnas.landmarks.markup import Markup
from groupnas.landmarks.predict.follow import FoundFace
from groupnas.palette import PAPER, look

_BOX = "#ffffff"
_RIM = "#000000"  # keeps light colours visible on light skin
_FINER = 4  # drawn pixels per image pixel and axis: Pillow's lines are not smoothed


def draw_faces(
    image: NDArray[np.uint8], faces: Sequence[FoundFace], markup: Markup
) -> NDArray[np.uint8]:
    """A copy of the image ``(H, W, 3)`` uint8 RGB with the faces drawn on it.

    Sizes of points and lines follow the size of the face, so that small faces stay visible.
    """
    picture = Image.fromarray(image)
    for face in faces:
        _draw_face(picture, face, markup)
    return np.asarray(picture)


def _draw_face(picture: Image.Image, face: FoundFace, markup: Markup) -> None:
    corners = face.box.reshape(2, 2)
    size = float(np.ptp(corners, axis=0).max())
    radius = max(0.9, size * 0.008)
    reach = 2 * radius + 2
    everything = np.concatenate([face.points, corners])
    limits = np.array(picture.size)
    low = np.clip(np.floor(everything.min(axis=0) - reach), 0, limits).astype(int)
    high = np.clip(np.ceil(everything.max(axis=0) + reach), 0, limits).astype(int)
    if (high <= low).any():
        return
    # Only the face's own region is drawn finer; a face larger than a screen needs no finer paint.
    finer = max(1, min(_FINER, round(2400 / float((high - low).max()))))
    pen = _Pen((high - low), low, finer)
    pen.rectangle(corners, max(0.5, radius * 0.4))
    colours = _colours(markup)
    for boundary in markup.boundaries:
        line = [*boundary.points, *boundary.points[: int(boundary.closed)]]
        colour = colours[boundary.points[1]]  # a corner may be another part's
        pen.line(face.points[line], max(0.5, radius * 0.5), colour)
    for index, point in enumerate(face.points):
        pen.dot(point, radius, colours[index])
    region = picture.crop((*low, *high)).convert("RGBA")
    painted = Image.alpha_composite(region, pen.developed())
    picture.paste(painted.convert("RGB"), (int(low[0]), int(low[1])))


def _colours(markup: Markup) -> list[str]:
    """A colour for each point: its part's in all plots of groupnas, white for the contour."""
    colours = [PAPER] * markup.points
    for number, indices in enumerate(markup.parts.values()):
        for index in indices:
            colours[index] = look(number).colour
    return colours


class _Pen:
    """Draws in pixel-centre coordinates on a transparent, finer sheet over a region."""

    def __init__(self, size: NDArray[np.int_], low: NDArray[np.int_], finer: int) -> None:
        self._low, self._finer, self._size = low, finer, (int(size[0]), int(size[1]))
        self._sheet = Image.new("RGBA", (self._size[0] * finer, self._size[1] * finer))
        self._draw = ImageDraw.Draw(self._sheet)

    def line(self, points: NDArray[np.float64], width: float, colour: str) -> None:
        fine = [tuple(point) for point in self._fine(points)]
        self._draw.line(fine, fill=colour, width=self._length(width), joint="curve")

    def rectangle(self, corners: NDArray[np.float64], width: float) -> None:
        (x0, y0), (x1, y1) = self._fine(corners)
        self._draw.rectangle((x0, y0, x1, y1), outline=_BOX, width=self._length(width))

    def dot(self, point: NDArray[np.float64], radius: float, colour: str) -> None:
        x, y = self._fine(point)
        for reach, fill in ((radius * 1.3, _RIM), (radius, colour)):
            r = reach * self._finer
            self._draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)

    def developed(self) -> Image.Image:
        return self._sheet.resize(self._size, Image.Resampling.BOX)

    def _fine(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        fine: NDArray[np.float64] = (points + 0.5 - self._low) * self._finer - 0.5
        return fine

    def _length(self, pixels: float) -> int:
        return max(1, round(pixels * self._finer))
