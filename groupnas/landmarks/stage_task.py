"""Faces as the task of a stage: where it looks, what it answers, for the groups of its space."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from groupnas.errors import InputError
from groupnas.landmarks.answers import HeatmapsAnswer
from groupnas.landmarks.augment import Augmentation
from groupnas.landmarks.data.face import FaceSet
from groupnas.landmarks.demands import check_demands
from groupnas.landmarks.heatmap_task import HeatmapTask
from groupnas.landmarks.load import load_patches, task_name
from groupnas.landmarks.losses import PointLoss
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.model import check_stages, markup_space
from groupnas.landmarks.recipe import Recipe
from groupnas.landmarks.roles import Cells, Gaze, Role
from groupnas.landmarks.task import LandmarkTask
from groupnas.spaces.space import SearchSpace


def load_stage(
    faces: FaceSet,
    root: str | os.PathLike[str] | None,
    role: Role,
    space: SearchSpace,
    *,
    augmentation: Augmentation | None = None,
    loss: Callable[[Markup], PointLoss] | None = None,
    **options: Any,
) -> LandmarkTask:
    """The faces as a stage's networks of a space are shown them, and asked for them.

    Args:
        faces: The data set.
        root: As of :func:`load_landmarks`, and so is ``augmentation``.
        role: The stage's, which looks at photos.
        space: Of its networks: its groups are the task's.
        augmentation: Of the task.
        loss: Of the points of a markup's parts; heatmaps have their own.
        options: ``split``, ``allow_partial``, ``limit`` and ``cache`` of :func:`load_landmarks`;
            ``frames`` of :func:`load_patches`.

    Raises:
        InputError: as :func:`load_landmarks`.
    """
    look = role.look
    assert isinstance(look, Gaze)
    groups, regions = look.groups(faces.markup, space.groups), look.regions(faces.markup)
    name = task_name(faces, options.get("split", "train"))
    patches = load_patches(faces, root, look, **options)
    shared = None if groups == regions else groups
    if isinstance(role.answer, HeatmapsAnswer):
        height, width = space.output_size
        return HeatmapTask(name, patches, role.answer, (height, width), augmentation, shared)
    points = None if loss is None else loss(groups)
    return LandmarkTask(name, patches, augmentation, points, shared)


def load_last(
    recipe: Recipe,
    faces: FaceSet,
    root: str | os.PathLike[str] | None,
    space: SearchSpace,
    **options: Any,
) -> LandmarkTask:
    """The faces as the task of a recipe's last stage, and of the last step that trains it.

    ``space`` is as of :func:`last_space`; all else, and what is raised, as of :func:`load_stage`.
    """
    step = recipe.final_step(recipe.last)
    return load_stage(
        faces,
        root,
        recipe.stages[recipe.last],
        space,
        augmentation=step.augmentation,
        loss=step.loss.of,
        **options,
    )


def last_space(recipe: Recipe, markup: Markup, name: str | None = None) -> SearchSpace:
    """The space of a recipe's last stage, or of a name instead; the markup picks the variant.

    Raises:
        InputError: no such space, or not one of these regions and crops; a stage that looks at
            features; something that the markup lacks.
    """
    last = recipe.last
    stage = recipe.stages[last]
    if isinstance(stage.look, Cells):
        raise InputError(
            f"stages.{last}.look: networks are searched for and compared on photos, not on "
            "features of other networks; take a recipe whose last stage looks at photos"
        )
    check_demands(recipe, markup)
    space = markup_space(name or stage.space, stage.look.regions(markup))
    check_stages({last: space}, {last: stage}, markup)
    return space
