"""A contact sheet: what the boxes, crops and augmentation of a data set look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groupnas.landmarks.augment import Augmentation, default_augmentation
from groupnas.landmarks.boxes import face_box
from groupnas.landmarks.crops import (
    FACE_CROPS,
    PART_CROPS,
    extents,
    stack_patches,
)
from groupnas.landmarks.data.face import Face, FaceSet
from groupnas.landmarks.demands import check_demands
from groupnas.landmarks.frames import around
from groupnas.landmarks.load import cut_face, load_faces
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.recipe import load_recipe
from groupnas.landmarks.roles import PART_LOOK, Gaze
from groupnas.landmarks.task import LandmarkTarget, LandmarkTask
from groupnas.palette import look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FACES = 6
# A light rim, so that dark points are seen on dark hair
_RIMMED: dict[str, Any] = {"markersize": 4, "markeredgecolor": "white", "markeredgewidth": 0.4}


@dataclass(frozen=True)
class CropView:
    """What a network is shown of a face.

    Attributes:
        look: Where regions lie, and how they are cut.
        augmentation: Random changes of that.
        stage: Whose view it is, which names the whole face.
    """

    look: Gaze = PART_LOOK
    augmentation: Augmentation = Augmentation()
    stage: str = "face"


def preview(
    faces: FaceSet, root: Path | None, allow_partial: bool, recipe: str | None = None
) -> Figure:
    """The contact sheet of faces spread over the first split, as a recipe's networks see them.

    Raises as ``load_landmarks``, ``load_recipe`` and ``check_demands``.
    """
    if recipe is None:
        views = [CropView(augmentation=default_augmentation(faces.markup))]
    else:
        check_demands(load_recipe(recipe), faces.markup)
        views = recipe_views(recipe)
    split = next(iter(faces.subsets))
    chosen = load_faces(faces, root, split, allow_partial=allow_partial, limit=FACES)
    return contact_sheet(chosen, faces, views=views)


def recipe_views(recipe: str) -> list[CropView]:
    """What the networks of a recipe are shown, by its name; raises as ``load_recipe``."""
    loaded = load_recipe(recipe)
    return [
        CropView(stage.look, loaded.final_step(name).augmentation, name)
        for name, stage in loaded.stages.items()
        if isinstance(stage.look, Gaze)  # others see features, which are no pictures
    ]


def contact_sheet(
    faces: Sequence[Face], of: FaceSet, seed: int = 0, views: Sequence[CropView] = (CropView(),)
) -> Figure:
    """Each face with its boxes, and below it every region's crop as it is and augmented.

    A face is a column, a region of a view a row; ``seed`` is the augmentation's.
    """
    from groupnas.matplotlib_tools import style

    with style({}):
        return _sheet(faces, of, seed, views)


def _sheet(faces: Sequence[Face], of: FaceSet, seed: int, views: Sequence[CropView]) -> Figure:
    from matplotlib.figure import Figure

    images = [of.read(face) for face in faces]
    rows = [len(view.look.regions(of.markup).parts) for view in views]
    figure = Figure(figsize=(2.2 * len(faces), 2.5 + 1.15 * sum(rows)), layout="constrained")
    grid = figure.add_gridspec(1 + sum(rows), 2 * len(faces), height_ratios=[2, *[1] * sum(rows)])
    batches = [_batches(faces, images, of, view, seed) for view in views]
    for column, (face, image) in enumerate(zip(faces, images, strict=True)):
        axes = figure.add_subplot(grid[0, 2 * column : 2 * column + 2])
        _draw_face(axes, image, face.points, face_box(face, of), of.markup)
        axes.set_title(face.name[-32:], fontsize=7, parse_math=False)
        for number, (view, pair) in enumerate(zip(views, batches, strict=True)):
            markup, first = view.look.regions(of.markup), 1 + sum(rows[:number])
            for which, (crops, target) in enumerate(pair):
                marks = target.points[column].unflatten(0, (-1, 2)).numpy()
                regions = crops[column].unflatten(0, (len(markup.parts), -1)).numpy()
                for part, name in enumerate(markup.parts):
                    axes = figure.add_subplot(grid[first + part, 2 * column + which])
                    mine = [place for place, owner in enumerate(markup.owners) if owner == part]
                    _draw_crop(axes, regions[part], marks[mine], look(part).colour)
                    if first + part == 1:
                        axes.set_title(("as it is", "augmented")[which], fontsize=7)
                    if column == which == 0:
                        shown = view.stage if view.look.whole else name
                        axes.set_ylabel(shown.replace("_", " "), fontsize=7)
    return figure


def _batches(
    faces: Sequence[Face],
    images: Sequence[NDArray[np.uint8]],
    of: FaceSet,
    view: CropView,
    seed: int,
) -> list[tuple[Tensor, LandmarkTarget]]:
    """All faces as they are, and augmented."""
    markup = view.look.regions(of.markup)
    cut = [cut_face(image, face, of, view.look) for image, face in zip(images, faces, strict=True)]
    names = [face.name for face in faces]
    patches = stack_patches(cut, np.ones(len(faces)), names, markup, view.look.crops)
    task = LandmarkTask("preview", patches, view.augmentation)
    everyone = torch.arange(len(faces))
    return [
        task.batch(everyone, generator) for generator in (None, torch.Generator().manual_seed(seed))
    ]


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
    for number, (indices, square) in enumerate(zip(markup.parts.values(), squares, strict=True)):
        colour = look(number).colour
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
    """Draw a crop ``(D, C, C)`` of mean 0 and standard deviation 1, and points in box units."""
    _show(axes, (crop.transpose(1, 2, 0) / 5 + 0.5).clip(0, 1), cmap="gray", vmin=0, vmax=1)
    size = crop.shape[-1]
    pixels = (points + 1) * size / 2 - 0.5  # box units to pixel centres
    axes.plot(*pixels.T, ".", color=colour, **_RIMMED)
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(size - 0.5, -0.5)


def _show(axes: Axes, image: NDArray[Any], **shades: Any) -> None:
    axes.imshow(image, interpolation="nearest", **shades)
    axes.set_facecolor("#808080")
    axes.set_xticks([])
    axes.set_yticks([])
