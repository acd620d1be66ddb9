"""A contact sheet: what the boxes, crops and augmentation of a data set look like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from groupnas.palette import COLOURS
from groupnas.tasks.landmarks.crops import (
    CropSettings,
    cut_parts,
    part_boxes,
    read_grey,
    stack_parts,
)
from groupnas.tasks.landmarks.load import spread
from groupnas.tasks.landmarks.markup import MARKUPS, Markup
from groupnas.tasks.landmarks.task import CROP, FacialPartTask
from groupnas.tasks.landmarks.w300 import inventory, read_face

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FACES = 6
# A light rim, so that dark points are seen on dark hair
_RIMMED: dict[str, Any] = {"markersize": 4, "markeredgecolor": "white", "markeredgewidth": 0.4}

Sample = tuple[NDArray[np.uint8], NDArray[np.float64]]  # grey image, landmarks


def preview_300w(root: Path, allow_partial: bool) -> Figure:
    """The contact sheet of faces spread over the training split; raises as ``load_300w``."""
    found = inventory(root)
    found.require(allow_partial)
    images = spread([image for subset in found.subsets for image in subset.images], FACES)
    faces = [read_face(found.root, image) for image in images]
    return contact_sheet([(read_grey(f.path), f.points) for f in faces], [f.name for f in faces])


def preview_synthetic() -> Figure:
    """The contact sheet of the first drawn faces."""
    from groupnas.tasks.landmarks.synthetic import draw_face

    samples = [draw_face(index) for index in range(FACES)]
    return contact_sheet(samples, [f"synthetic {index}" for index in range(FACES)])


def contact_sheet(samples: Sequence[Sample], names: Sequence[str], seed: int = 0) -> Figure:
    """Each face with its boxes, and below it every part's crop as it is and augmented.

    Args:
        samples: Grey images ``(H, W)`` uint8 and landmarks ``(68, 2)`` in pixel centres.
        names: A title for each.
        seed: Seeds the augmentation.
    """
    from matplotlib.figure import Figure

    markup, settings = MARKUPS[68], CropSettings()
    cut = [cut_parts(grey, points, markup, settings) for grey, points in samples]
    task = FacialPartTask("preview", stack_parts(cut, names, markup, settings))
    everyone = torch.arange(len(samples))
    batches = [
        task.batch(everyone, generator) for generator in (None, torch.Generator().manual_seed(seed))
    ]
    columns, parts = len(samples), len(markup.parts)
    figure = Figure(figsize=(2.2 * columns, 2.5 + 1.15 * parts), layout="constrained")
    grid = figure.add_gridspec(1 + parts, 2 * columns, height_ratios=[2, *[1] * parts])
    for face, (grey, points) in enumerate(samples):
        axes = figure.add_subplot(grid[0, 2 * face : 2 * face + 2])
        _draw_face(axes, grey, points, markup, settings)
        axes.set_title(names[face], fontsize=7)
        for which, (crops, target) in enumerate(batches):
            marks = target.points[face].unflatten(0, (-1, 2)).numpy()
            for part in range(parts):
                axes = figure.add_subplot(grid[1 + part, 2 * face + which])
                mine = [place for place, owner in enumerate(markup.owners) if owner == part]
                _draw_crop(axes, crops[face, part].numpy(), marks[mine], COLOURS[part])
                if part == 0:
                    axes.set_title(("as it is", "augmented")[which], fontsize=7)
                if face == which == 0:
                    axes.set_ylabel(list(markup.parts)[part].replace("_", " "), fontsize=7)
    return figure


def _draw_face(
    axes: Axes, grey: NDArray[np.uint8], points: NDArray[np.float64], markup: Markup, settings: Any
) -> None:
    from matplotlib.patches import Rectangle

    _show(axes, grey, 0, 255)
    centres, sides = part_boxes(points, markup, settings.margin)
    outline = points[list(markup.contour)]
    axes.plot(*outline.T, ".", color="white", markersize=1.5)
    for indices, centre, side, colour in zip(
        markup.parts.values(), centres, sides, COLOURS, strict=False
    ):
        axes.plot(*points[list(indices)].T, ".", color=colour, **_RIMMED)
        corner = tuple(centre - side / 2)
        axes.add_patch(Rectangle(corner, side, side, fill=False, color=colour, linewidth=0.8))
    # The whole face and a little around it, whatever the image's size.
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    reach = np.ptp(points, axis=0).max() * 0.65
    axes.set_xlim(middle[0] - reach, middle[0] + reach)
    axes.set_ylim(middle[1] + reach, middle[1] - reach)


def _draw_crop(
    axes: Axes, crop: NDArray[np.float32], points: NDArray[np.float32], colour: str
) -> None:
    _show(axes, crop, -2.5, 2.5)
    pixels = (points + 1) * CROP / 2 - 0.5  # box units to pixel centres
    axes.plot(*pixels.T, ".", color=colour, **_RIMMED)
    axes.set_xlim(-0.5, CROP - 0.5)
    axes.set_ylim(CROP - 0.5, -0.5)


def _show(axes: Axes, image: NDArray[Any], low: float, high: float) -> None:
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    axes.set_facecolor("#808080")
    axes.set_xticks([])
    axes.set_yticks([])
