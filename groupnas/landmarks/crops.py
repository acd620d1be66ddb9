"""Cut regions out of a face: their boxes, and the patches that crops are resampled from.

A markup's parts are its regions: four facial parts, or the whole face as one
(:func:`whole_face`).

Coordinates. *Pixel-centre* coordinates have (0, 0) at the centre of an image's top left pixel.
*Box units* are a region's own: (-1, -1) and (1, 1) are the outer corners of its box, whose centre
is (0, 0); a crop of the box spans it edge to edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from groupnas.errors import InputError
from groupnas.landmarks.frames import Frame, around
from groupnas.landmarks.markup import Markup


@dataclass(frozen=True, kw_only=True)
class CropSettings:
    """The settings of what a network sees of a region.

    Attributes:
        margin: Side of a region's box over the longer side of what it encloses.
        size: Side of a crop in pixels: what the network takes.
        colour: RGB, else grey.
        cover: Side of a patch over the side of its box: how much around it augmentation can reach
            before the patch's edge is repeated.
    """

    # Ranges are checked where settings are read from a file.
    margin: Annotated[float, Field(gt=0, le=10, strict=True)]
    size: Annotated[int, Field(ge=1, le=4096, strict=True)]
    colour: bool
    cover: Annotated[float, Field(ge=1, le=10, strict=True)] = 1.4

    @property
    def pixels(self) -> int:
        """Side of a patch: a quarter finer than the crops that are resampled from it."""
        return round(1.25 * self.size * self.cover)

    @property
    def channels(self) -> int:
        """The channels of a crop: 3 in colour, else 1."""
        return 3 if self.colour else 1


# Paper 000, section III-A: the global network sees 96 x 96 colour, the local one four grey 64 x 64.
# A corner of a part's extent, turned by 6 degrees, moved by 3 of 64 pixels and grown by 1.05, stays
# inside the crop for margin >= 1.05 (cos 6 + sin 6) / (1 - 3 / 32) = 1.27.
FACE_CROPS = CropSettings(margin=1.15, size=96, colour=True, cover=1.5)
PART_CROPS = CropSettings(margin=1.3, size=64, colour=False)


@dataclass(frozen=True)
class Patches:
    """The regions of N faces, P regions and K points each, larger and finer than a crop.

    Attributes:
        pixels: ``(N, P, C, S, S)`` uint8, C = 1 (grey) or 3 (RGB); each box enlarged by
            ``settings.cover``.
        points: ``(N, K, 2)`` float32 in box units of the point's own region, in the order of
            ``markup.part_points``.
        box_size: ``(N, P)`` float32, side of each region's box in image pixels.
        normaliser: ``(N,)`` float32, the distance in image pixels that errors are divided by.
        sources: The photo of every face.
        markup: Which points these are; its parts are the regions.
        settings: How they were cut.
    """

    pixels: NDArray[np.uint8]
    points: NDArray[np.float32]
    box_size: NDArray[np.float32]
    normaliser: NDArray[np.float32]
    sources: tuple[str, ...]
    markup: Markup
    settings: CropSettings

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True)
class FacePatches:
    """One row of :class:`Patches`: the regions of one face."""

    pixels: NDArray[np.uint8]
    points: NDArray[np.float32]
    box_size: NDArray[np.float32]


def whole_face(markup: Markup) -> Markup:
    """The markup with all its points in one part, called as its ``whole``."""
    return replace(markup, parts={markup.whole: tuple(range(markup.points))}, contour=())


def all_parts(markup: Markup) -> Markup:
    """The markup with any contour as one more part, so that every point is of a part."""
    return replace(markup, parts=markup.scored, contour=())


def along_contour(markup: Markup, count: int) -> Markup:
    """The markup with its contour as so many more parts, each a run of the contour's points.

    Runs on both sides of the middle are as long as each other, so that mirroring swaps them.

    Raises:
        InputError: the contour has too few points, or runs would not be swapped.
    """
    if not count:
        return markup
    points = len(markup.contour)
    if not points:
        raise InputError(f"contour: {markup.name} has none; set it to 0")
    if points < 2 * count or (points % 2 and not count % 2):
        raise InputError(
            f"contour: the {points} points of {markup.name}'s make no {count} runs, alike on both "
            "sides of the face; expected an odd number, of two points or more each"
        )
    cuts = [round(number * points / count) for number in range((count + 1) // 2)]
    cuts += [points // 2] * (count % 2 == 0) + [points - cut for cut in cuts[::-1]]
    names = ["contour"] if count == 1 else [f"contour{number + 1}" for number in range(count)]
    runs = [markup.contour[start:end] for start, end in zip(cuts, cuts[1:], strict=False)]
    parts = {**markup.parts, **dict(zip(names, runs, strict=True))}
    return replace(markup, parts=parts, contour=())


def extents(points: NDArray[np.float64], markup: Markup) -> NDArray[np.float64]:
    """The boxes ``(..., P, 4)`` that just hold each part's points, from points ``(..., K, 2)``."""
    members = [points[..., list(indices), :] for indices in markup.parts.values()]
    corners = [[part.min(axis=-2), part.max(axis=-2)] for part in members]
    return np.stack([np.concatenate(corner, axis=-1) for corner in corners], axis=-2)


def regions(
    points: NDArray[np.float64],
    size: tuple[int, int],
    markup: Markup,
    settings: CropSettings,
    *,
    box: NDArray[np.float64] | None = None,
    name: str = "face",
) -> Frame[NDArray[np.float64]]:
    """The frames of one face's P regions: upright squares.

    Args:
        points: ``(markup.points, 2)`` in pixel-centre coordinates.
        size: Width and height of the image.
        markup: Which points make a region.
        settings: How they are cut.
        box: ``(4,)`` to be used for every region instead of the extent of its points.
        name: Names the face in an error.

    Raises:
        InputError: the landmarks do not fit the image: no numbers, far outside it, or a region of
            no extent.
    """
    for number in np.flatnonzero(~np.isfinite(points).all(axis=1)).tolist():
        where = points[number].tolist()
        raise InputError(f"{name}: landmark {markup.told(number)} is {where}, not a point")
    reach = np.array(size)
    if (points < -reach).any() or (points > 2 * reach).any():
        raise InputError(
            f"{name}: landmarks lie far outside the image of {size[0]} x {size[1]} pixels"
        )
    boxes = extents(points, markup)
    if box is not None:
        boxes = np.broadcast_to(box, boxes.shape)
    frame = around(boxes, settings.margin)
    if frame.side.min() < 1:
        part = list(markup.parts)[int(frame.side.argmin())]
        raise InputError(f"{name}: the points of {part} lie within one pixel; check its landmarks")
    return frame


def cut_patches(
    image: NDArray[np.uint8],
    points: NDArray[np.float64],
    markup: Markup,
    settings: CropSettings,
    *,
    box: NDArray[np.float64] | None = None,
    frame: Frame[NDArray[np.float64]] | None = None,
    turned: bool = False,
    name: str = "face",
) -> FacePatches:
    """Cut the regions of one face.

    ``image`` is ``(H, W, 3)`` uint8 RGB, or ``(H, W)`` grey where ``settings`` ask for no colour;
    ``frame`` ``(P,)`` says where regions lie, instead of the points; ``turned``, whether they may
    be other than upright squares. The other arguments, and what is raised, are those of
    :func:`regions`.
    """
    size = image.shape[1], image.shape[0]
    own = regions(points, size, markup, settings, box=box, name=name)
    frame, cut = own if frame is None else frame, cut_turned if turned else cut_frames
    pixels = cut(image, frame.grown(settings.cover), settings.pixels, settings.colour)
    in_box = frame.of(markup.owners).into(points[list(markup.part_points)])
    return FacePatches(pixels, in_box.astype(np.float32), frame.side.astype(np.float32))


def cut_frames(
    image: NDArray[np.uint8], frame: Frame[NDArray[np.float64]], pixels: int, colour: bool = False
) -> NDArray[np.uint8]:
    """The upright squares of a frame of P regions, ``(P, C, pixels, pixels)`` uint8.

    ``image``, ``pixels`` and ``colour`` are as of :func:`cut_square`.
    """
    squares = zip(frame.origin, frame.side, strict=True)
    return np.stack([cut_square(image, *square, pixels, colour) for square in squares])


def cut_turned(
    image: NDArray[np.uint8], frame: Frame[NDArray[np.float64]], pixels: int, colour: bool = False
) -> NDArray[np.uint8]:
    """The regions of a frame of P regions, turned or sheared, ``(P, C, pixels, pixels)`` uint8.

    The upright square around each is cut as :func:`cut_square` does, a little finer than the
    result, which is read off there, bilinear. Arguments are as of :func:`cut_frames`.
    """
    fine = fine_pixels(pixels)
    cuts = []
    for linear, centre in zip(frame.linear, frame.origin, strict=True):
        half = float(np.abs(linear).sum(axis=1).max()) * fine / (fine - 2)  # a rim of a pixel
        square = cut_square(image, centre, 2 * half, fine, colour)
        # From outer edges of the result's pixels to those of the square's, as Pillow has it
        maps = linear * (fine / half / pixels)
        start = fine / 2 - maps.sum(axis=1) * pixels / 2
        places = (*maps[0], start[0], *maps[1], start[1])
        planes = [
            Image.fromarray(plane.astype(np.float32)).transform(
                (pixels, pixels), Image.Transform.AFFINE, places, Image.Resampling.BILINEAR
            )
            for plane in square
        ]
        cuts.append(np.rint(np.stack([np.asarray(plane) for plane in planes])).astype(np.uint8))
    return np.stack(cuts)


def fine_pixels(pixels: int) -> int:
    """Side of the upright square that a turned region is read off, whose side has ``pixels``.

    A quarter finer than the region where that is a square turned by 45 degrees, and a rim.
    """
    return math.ceil(1.25 * math.sqrt(2) * pixels) + 2


def cut_square(
    image: NDArray[np.uint8],
    centre: NDArray[np.float64],
    side: float,
    pixels: int,
    colour: bool = False,
) -> NDArray[np.uint8]:
    """A square of an image, resampled with antialiasing to ``(C, pixels, pixels)`` uint8.

    Where the square leaves the image, the image's edge pixels are repeated.

    Args:
        image: ``(H, W, 3)`` uint8 RGB or ``(H, W)`` grey.
        centre: x and y in pixel-centre coordinates.
        side: Side of the square in image pixels.
        pixels: Side of the result.
        colour: C = 3, RGB; else C = 1, grey by ITU-R 601 (Pillow's mode L).
    """
    # Pillow's boxes count from the outer edge of the first pixel, half a pixel further out.
    left, top = centre + 0.5 - side / 2
    reach = 2 * max(side / pixels, 1.0) + 1  # the bicubic filter reads this far beyond the box
    columns = _pixels_between(left - reach, left + side + reach, image.shape[1])
    rows = _pixels_between(top - reach, top + side + reach, image.shape[0])
    x, y = left - math.floor(left - reach), top - math.floor(top - reach)
    region = Image.fromarray(image[rows[:, None], columns]).convert("RGB" if colour else "L")
    patch = region.resize(
        (pixels, pixels), Image.Resampling.BICUBIC, box=(x, y, x + side, y + side)
    )
    cut = np.asarray(patch)
    return cut.transpose(2, 0, 1) if colour else cut[None]


def stack_patches(
    faces: Sequence[FacePatches],
    normaliser: NDArray[np.float64],
    sources: Sequence[str],
    markup: Markup,
    settings: CropSettings,
) -> Patches:
    """:class:`Patches` of faces that were cut one by one; ``normaliser`` is ``(N,)``."""
    return Patches(
        np.stack([face.pixels for face in faces]),
        np.stack([face.points for face in faces]),
        np.stack([face.box_size for face in faces]),
        normaliser.astype(np.float32),
        tuple(sources),
        markup,
        settings,
    )


def _pixels_between(first: float, last: float, size: int) -> NDArray[np.intp]:
    """Indices of the pixels that an interval touches, held inside ``0..size-1``."""
    return np.arange(math.floor(first), math.ceil(last)).clip(0, size - 1)
