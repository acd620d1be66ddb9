"""Cut the facial parts out of a face: part boxes, and the patches that crops are resampled from.

Coordinates. *Pixel-centre* coordinates have (0, 0) at the centre of an image's top left pixel.
*Box units* are a part's own: (-1, -1) and (1, 1) are the outer corners of its box, whose centre
is (0, 0); a 64 x 64 crop of the box spans it edge to edge.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groupnas.errors import InputError
from groupnas.tasks.landmarks.markup import Markup


@dataclass(frozen=True, kw_only=True)
class CropSettings:
    """How part boxes are laid and how finely they are kept.

    Attributes:
        margin: Side of a part's box over the longer side of its points' extent. A corner of that
            extent, turned by 6 degrees, moved by 3 of 64 pixels, stays inside for
            ``margin >= (cos 6 + sin 6) / (1 - 3 / 32) = 1.213``: with 1.25 the paper's local
            augmentation never moves a point out of its crop.
        cover: Side of a patch over the side of its box. The same augmentation, at scale 0.9,
            reads up to 1.33 from the centre, so 1.4 holds every pixel that a crop can need.
        pixels: Side of a patch in pixels; 112 / 1.4 = 80 for a box that a crop shows in 64.
    """

    margin: float = 1.25
    cover: float = 1.4
    pixels: int = 112


@dataclass(frozen=True)
class Patches:
    """The parts of N faces, P parts and K part points each, larger and finer than a crop.

    Attributes:
        pixels: ``(N, P, S, S)`` uint8, grey; each part's box enlarged by ``settings.cover``.
        points: ``(N, K, 2)`` float32 in box units of the point's own part, in the order of
            ``markup.part_points``.
        box_size: ``(N, P)`` float32, side of each part's box in image pixels.
        interocular: ``(N,)`` float32, distance of the outer eye corners in image pixels.
        sources: The photo of every face.
        markup: Which points these are.
        settings: How the boxes were laid.
    """

    pixels: NDArray[np.uint8]
    points: NDArray[np.float32]
    box_size: NDArray[np.float32]
    interocular: NDArray[np.float32]
    sources: tuple[str, ...]
    markup: Markup
    settings: CropSettings

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True)
class FaceParts:
    """One row of :class:`Patches`: the parts of one face."""

    pixels: NDArray[np.uint8]
    points: NDArray[np.float32]
    box_size: NDArray[np.float32]
    interocular: float


def read_grey(path: Path) -> NDArray[np.uint8]:
    """An image as ``(H, W)`` uint8, grey by ITU-R 601 (Pillow's mode L).

    Raises:
        InputError: the image cannot be read or is damaged.
    """
    with _opened(path) as image:
        return np.asarray(image.convert("L"))


def check_image(path: Path) -> tuple[int, int]:
    """Width and height, from the header alone; raises as :func:`read_grey`."""
    with _opened(path) as image:
        return image.size


def part_boxes(
    points: NDArray[np.float64], markup: Markup, margin: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre ``(P, 2)`` and side ``(P,)`` of the square around each part's points.

    Args:
        points: ``(markup.points, 2)`` in pixel-centre coordinates, which the result is in too.
        markup: Which points make a part.
        margin: :attr:`CropSettings.margin`.
    """
    extents = [points[list(indices)] for indices in markup.parts.values()]
    low = np.array([part.min(axis=0) for part in extents])
    high = np.array([part.max(axis=0) for part in extents])
    return (low + high) / 2, (high - low).max(axis=1) * margin


def cut_parts(
    grey: NDArray[np.uint8],
    points: NDArray[np.float64],
    markup: Markup,
    settings: CropSettings,
    name: str = "face",
) -> FaceParts:
    """Cut the parts of one face.

    Args:
        grey: ``(H, W)`` uint8.
        points: ``(markup.points, 2)`` in pixel-centre coordinates.
        markup: Which points make a part.
        settings: How boxes are laid.
        name: Names the face in an error.

    Raises:
        InputError: the landmarks do not fit the image: far outside it, or a part of no extent.
    """
    height, width = grey.shape
    size = np.array([width, height])
    if (points < -size).any() or (points > 2 * size).any():
        raise InputError(
            f"{name}: landmarks lie far outside the image of {width} x {height} pixels"
        )
    centres, sides = part_boxes(points, markup, settings.margin)
    if sides.min() < 1:
        part = list(markup.parts)[int(sides.argmin())]
        raise InputError(f"{name}: the points of {part} lie within one pixel; check its landmarks")
    patches = [
        cut_square(grey, centre, side * settings.cover, settings.pixels)
        for centre, side in zip(centres, sides, strict=True)
    ]
    owners = list(markup.owners)
    in_box = (points[list(markup.part_points)] - centres[owners]) / (sides[owners, None] / 2)
    return FaceParts(
        np.stack(patches),
        in_box.astype(np.float32),
        sides.astype(np.float32),
        interocular_distance(points, markup),
    )


def cut_square(
    grey: NDArray[np.uint8], centre: NDArray[np.float64], side: float, pixels: int
) -> NDArray[np.uint8]:
    """A square of an image, resampled with antialiasing to ``(pixels, pixels)`` uint8.

    Where the square leaves the image, the image's edge pixels are repeated.

    Args:
        grey: ``(H, W)`` uint8.
        centre: x and y in pixel-centre coordinates.
        side: Side of the square in image pixels.
        pixels: Side of the result.
    """
    # Pillow's boxes count from the outer edge of the first pixel, half a pixel further out.
    left, top = centre + 0.5 - side / 2
    reach = 2 * max(side / pixels, 1.0) + 1  # the bicubic filter reads this far beyond the box
    columns = _pixels_between(left - reach, left + side + reach, grey.shape[1])
    rows = _pixels_between(top - reach, top + side + reach, grey.shape[0])
    x, y = left - math.floor(left - reach), top - math.floor(top - reach)
    region = Image.fromarray(grey[rows[:, None], columns])
    patch = region.resize(
        (pixels, pixels), Image.Resampling.BICUBIC, box=(x, y, x + side, y + side)
    )
    return np.asarray(patch)


def interocular_distance(points: NDArray[np.float64], markup: Markup) -> float:
    """Distance of the outer eye corners; a markup without them has none (NaN)."""
    if markup.interocular is None:
        return math.nan
    left, right = markup.interocular
    return float(np.linalg.norm(points[left] - points[right]))


def stack_parts(
    faces: Sequence[FaceParts], sources: Sequence[str], markup: Markup, settings: CropSettings
) -> Patches:
    """:class:`Patches` of faces that were cut one by one."""
    return Patches(
        np.stack([face.pixels for face in faces]),
        np.stack([face.points for face in faces]),
        np.stack([face.box_size for face in faces]),
        np.array([face.interocular for face in faces], dtype=np.float32),
        tuple(sources),
        markup,
        settings,
    )


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    # Pillow's decoders report damage as any of these, depending on the format
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).replace(str(path), "").split())
        raise InputError(f"{path}: damaged or not an image: {reason}") from error


def _pixels_between(first: float, last: float, size: int) -> NDArray[np.intp]:
    """Indices of the pixels that an interval touches, held inside ``0..size-1``."""
    return np.arange(math.floor(first), math.ceil(last)).clip(0, size - 1)
