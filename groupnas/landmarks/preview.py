"""A contact sheet: what the boxes, crops and augmentation of a data set look like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from groupnas.landmarks.boxes import face_box
from groupnas.landmarks.crops import (
    FACE_CROPS,
    PART_CROPS,
    cut_patches,
    extents,
    stack_patches,
)
from groupnas.landmarks.data.face import Face, FaceSet
from groupnas.landmarks.frames import around
from groupnas.landmarks.load import load_faces
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.task import LandmarkTask
from groupnas.palette import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FACES = 6
# A light rim, so that dark points are seen on dark hair
_RIMMED: dict[str, Any] = {"markersize": 4, "markeredgecolor": "white", "markeredgewidth": 0.4}


def preview(faces: FaceSet, root: Path | None, allow_partial: bool) -> Figure:
    """The contact sheet of faces spread over the first split; raises as ``load_landmarks``."""
    split = next(iter(faces.subsets))
    chosen = load_faces(faces, root, split, allow_partial=allow_partial, limit=FACES)
    return contact_sheet(chosen, faces)


def contact_sheet(faces: Sequence[Face], of: FaceSet, seed: int = 0) -> Figure:
    """Each face with its boxes, and below it every part's crop as it is and augmented.

    A face is a column; ``seed`` is the augmentation's.
    """
    from groupnas.matplotlib_tools import style

    with style({}):
        return _sheet(faces, of, seed)


def _sheet(faces: Sequence[Face], of: FaceSet, seed: int) -> Figure:
    from matplotlib.figure import Figure

    markup = of.markup
    images = [of.read(face) for face in faces]
    cut = [
        cut_patches(image, face.points, markup, PART_CROPS, name=face.place)
        for image, face in zip(images, faces, strict=True)
    ]
    names = [face.name for face in faces]
    patches = stack_patches(cut, np.ones(len(faces)), names, markup, PART_CROPS)
    task = LandmarkTask("preview", patches)
    everyone = torch.arange(len(faces))
    batches = [
        task.batch(everyone, generator) for generator in (None, torch.Generator().manual_seed(seed))
    ]
    columns, parts = len(faces), len(markup.parts)
    figure = Figure(figsize=(2.2 * columns, 2.5 + 1.15 * parts), layout="constrained")
    grid = figure.add_gridspec(1 + parts, 2 * columns, height_ratios=[2, *[1] * parts])
    for column, (face, image) in enumerate(zip(faces, images, strict=True)):
        axes = figure.add_subplot(grid[0, 2 * column : 2 * column + 2])
        _draw_face(axes, image, face.points, face_box(face, of), markup)
        axes.set_title(face.name[-32:], fontsize=7, parse_math=False)
        for which, (crops, target) in enumerate(batches):
            marks = target.points[column].unflatten(0, (-1, 2)).numpy()
            for part in range(parts):
                axes = figure.add_subplot(grid[1 + part, 2 * column + which])
                mine = [place for place, owner in enumerate(markup.owners) if owner == part]
                _draw_crop(axes, crops[column, part].numpy(), marks[mine], COLOURS[part])
                if part == 0:
                    axes.set_title(("as it is", "augmented")[which], fontsize=7)
                if column == which == 0:
                    axes.set_ylabel(list(markup.parts)[part].replace("_", " "), fontsize=7)
    return figure


def _draw_face(
    axes: Axes,
    image: NDArray[np.uint8],
    points: NDArray[np.float64],
    box: NDArray[np.float64],
    markup: Markup,
) -> None:
    _show(axes, image)
    whole = around(box[None], FACE_CROPS.margin)
    parts = around(extents(points, markup), PART_CROPS.margin)
    squares = zip(parts.origin, parts.side, strict=True)
    axes.plot(*points[list(markup.contour)].T, ".", color="white", markersize=1.5)
    for indices, square, colour in zip(markup.parts.values(), squares, COLOURS, strict=False):
        axes.plot(*points[list(indices)].T, ".", color=colour, **_RIMMED)
        _draw_square(axes, *square, colour)
    middle, side = whole.origin[0], whole.side[0]
    _draw_square(axes, middle, side, "white")
    # The whole face and a little around it, whatever the image's size.
    reach = side * 0.6
    axes.set_xlim(middle[0] - reach, middle[0] + reach)
    axes.set_ylim(middle[1] + reach, middle[1] - reach)


def _draw_square(axes: Axes, centre: NDArray[np.float64], side: float, colour: str) -> None:
    from matplotlib.patches import Rectangle

    corner = tuple(centre - side / 2)
    axes.add_patch(Rectangle(corner, side, side, fill=False, color=colour, linewidth=0.8))


def _draw_crop(
    axes: Axes, crop: NDArray[np.float32], points: NDArray[np.float32], colour: str
) -> None:
    _show(axes, crop, cmap="gray", vmin=-2.5, vmax=2.5)
    size = PART_CROPS.size
    pixels = (points + 1) * size / 2 - 0.5  # box units to pixel centres
    axes.plot(*pixels.T, ".", color=colour, **_RIMMED)
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(size - 0.5, -0.5)


def _show(axes: Axes, image: NDArray[Any], **shades: Any) -> None:
    axes.imshow(image, interpolation="nearest", **shades)
    axes.set_facecolor("#808080")
    axes.set_xticks([])
    axes.set_yticks([])
