"""The canvas of drawn faces: a picture finer than the image, and layers of soft shading."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

_FINER = 3  # the paint's pixels per image pixel and axis: Pillow's corners are whole pixels
_NEUTRAL = 128  # of a shading layer: leaves the brightness as it is


class Canvas:
    """The picture being made: paint, and two layers of light and shade softened at the end.

    Points ``(n, 2)`` are fractions of the image's side, widths are face units (``unit`` times the
    side), greys go from 0 to 255 and are clipped, shades are factors of the brightness around 1.
    """

    def __init__(self, size: int, unit: float) -> None:
        self.size, self.unit = size, unit
        self._paint = _Layer(size * _FINER, 0)
        self._fine = _Layer(size, _NEUTRAL)
        self._coarse = _Layer(size // 4, _NEUTRAL)

    def fill(self, points: np.ndarray, grey: float) -> None:
        """Paint an outline."""
        self._paint.polygon(points, grey)

    def stroke(self, points: np.ndarray, width: float | np.ndarray, grey: float) -> None:
        """Paint a line of one width, or of one width per point."""
        self._paint.polygon(self._ribbon(points, width), grey)

    def shade(self, points: np.ndarray, factor: float, width: float = 0, fine: bool = True) -> None:
        """Darken or lighten an outline, or a line where a width is given, with a soft edge."""
        layer = self._fine if fine else self._coarse
        layer.polygon(self._ribbon(points, width) if width else points, _NEUTRAL * factor)

    def cover(self, points: np.ndarray, grey: float) -> None:
        """Paint an outline that hides the shading below it too."""
        self._paint.polygon(points, grey)
        self._fine.polygon(points, _NEUTRAL)
        self._coarse.polygon(points, _NEUTRAL)

    def fill_within(
        self, window: np.ndarray, grey: float, shapes: list[tuple[np.ndarray, float]]
    ) -> None:
        """Paint an outline and, clipped to it, shapes with their greys."""
        side = self._paint.image.width
        low = np.floor(window.min(axis=0) * side).astype(int) - 2
        width, height = np.ceil(window.max(axis=0) * side).astype(int) + 3 - low
        patch, mask = _Layer((int(width), int(height)), grey), _Layer((int(width), int(height)), 0)
        for points, shape_grey in shapes:
            patch.polygon(points, shape_grey, side, low)
        mask.polygon(window, 255, side, low)
        self._paint.image.paste(patch.image, (int(low[0]), int(low[1])), mask.image)

    def develop(self) -> np.ndarray:
        """Paint times softened shading: ``(size, size)`` float32."""
        picture = np.asarray(self._paint.image.reduce(_FINER), dtype=np.float32)
        fine = self._fine.image.filter(ImageFilter.GaussianBlur(self.size * 0.007))
        coarse = self._coarse.image.filter(ImageFilter.GaussianBlur(self.size * 0.009))
        return picture * (np.asarray(fine) / _NEUTRAL) * (resized(coarse, self.size) / _NEUTRAL)

    def _ribbon(self, points: np.ndarray, width: float | np.ndarray) -> np.ndarray:
        along = np.empty_like(points)
        along[1:-1] = points[2:] - points[:-2]
        along[0], along[-1] = points[1] - points[0], points[-1] - points[-2]
        half = along[:, ::-1] * (-1, 1)
        # Points that fall together have no direction; the small number avoids dividing by zero.
        half *= (width * self.unit / 2 / (np.hypot(along[:, 0], along[:, 1]) + 1e-9))[:, None]
        return np.concatenate([points + half, (points - half)[::-1]])


class _Layer:
    """A grey image and its pen."""

    def __init__(self, size: int | tuple[int, int], grey: float) -> None:
        shape = (size, size) if isinstance(size, int) else size
        self.image = Image.new("L", shape, int(min(max(grey, 0), 255)))
        self._pen = ImageDraw.Draw(self.image)

    def polygon(
        self,
        points: np.ndarray,
        grey: float,
        side: int | None = None,
        low: np.ndarray | float = 0,
    ) -> None:
        """Fill an outline; of a patch, ``side`` is the whole picture's and ``low`` its corner."""
        corners = np.rint(points * (side or self.image.width) - 0.5 - low)
        self._pen.polygon(corners.ravel().tolist(), fill=int(min(max(grey, 0), 255)))


def resized(image: Image.Image, size: int) -> np.ndarray:
    """The image enlarged to a square of ``size``, smoothly."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


def softened(picture: np.ndarray, radius: float) -> np.ndarray:
    """The picture rounded to greys and blurred: ``(size, size)`` float32."""
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32)


def smooth(points: np.ndarray, between: int = 5) -> np.ndarray:
    """A Catmull-Rom curve through the points, ``between`` steps from each to the next."""
    return _spline(len(points), between) @ points


@lru_cache(maxsize=64)
def _spline(count: int, between: int) -> np.ndarray:
    """The matrix of :func:`smooth`."""
    t = np.linspace(0, 1, between, endpoint=False)
    weights = (
        (-t + 2 * t**2 - t**3) / 2,
        (2 - 5 * t**2 + 3 * t**3) / 2,
        (t + 4 * t**2 - 3 * t**3) / 2,
        (t**3 - t**2) / 2,
    )
    # A column more at both ends, for neighbours that the end points lack.
    padded = np.zeros(((count - 1) * between + 1, count + 2))
    for start in range(count - 1):
        for offset, weight in enumerate(weights):
            padded[start * between : (start + 1) * between, start + offset] = weight
    padded[-1, -2] = 1
    matrix = padded[:, 1:-1].copy()
    # A missing neighbour is the next point's mirror image beyond the end.
    matrix[:, 0] += 2 * padded[:, 0]
    matrix[:, 1] -= padded[:, 0]
    matrix[:, -1] += 2 * padded[:, -1]
    matrix[:, -2] -= padded[:, -1]
    return matrix


_ANGLES = np.linspace(0, 2 * np.pi, 25)[:-1]
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def oval(centre: np.ndarray, radii: tuple[float, float], axes: np.ndarray) -> np.ndarray:
    """An ellipse ``(24, 2)`` with its radii along the rows of ``axes`` ``(2, 2)``."""
    return centre + _CIRCLE * radii @ axes
