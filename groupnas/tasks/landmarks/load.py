"""Data sets of faces as facial-part tasks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from groupnas.errors import InputError
from groupnas.tasks.landmarks.cache import cached_patches
from groupnas.tasks.landmarks.crops import (
    CropSettings,
    FaceParts,
    Patches,
    cut_parts,
    read_grey,
    stack_parts,
)
from groupnas.tasks.landmarks.markup import MARKUPS
from groupnas.tasks.landmarks.parallel import in_threads
from groupnas.tasks.landmarks.task import FacialPartTask
from groupnas.tasks.landmarks.w300 import inventory, points_file, read_face

SYNTHETIC_FACES = 1000
_MARKUP = MARKUPS[68]

Item = TypeVar("Item")


def load_300w(
    root: str | os.PathLike[str],
    *,
    split: str = "train",
    allow_partial: bool = False,
    limit: int | None = None,
    cache: bool = True,
    settings: CropSettings | None = None,
) -> FacialPartTask:
    """The faces of one split of 300W, cut into parts.

    Only benchmarks ask for ``split="test"`` (or ``"common"``, ``"challenging"``):
    :func:`groupnas.tasks.load_task` trains and searches on ``"train"`` and reaches nothing else.

    Args:
        root: The folder that holds ``300w``.
        split: ``"train"``, ``"common"``, ``"challenging"`` or ``"test"`` (the latter two in one).
        allow_partial: Go on with the faces that are there, if not all are.
        limit: Take this many faces only, evenly spread over the split.
        cache: Whether patches may come from the disk and be kept there.
        settings: How part boxes are laid.

    Raises:
        InputError: faces are missing (and that is not allowed), or a file is damaged.
    """
    settings = settings or CropSettings()
    found = inventory(root, split)
    found.require(allow_partial)
    images = spread([image for subset in found.subsets for image in subset.images], limit)

    def cut(image: Path) -> tuple[str, FaceParts]:
        face = read_face(found.root, image)
        return face.source, cut_parts(
            read_grey(image), face.points, _MARKUP, settings, name=str(image)
        )

    def build() -> Patches:
        sources, faces = zip(*in_threads(cut, images, f"Cutting 300W ({split})"), strict=True)
        return stack_parts(faces, sources, _MARKUP, settings)

    files = [*images, *map(points_file, images)]
    name = "300w" if split == "train" else f"300w/{split}"
    return FacialPartTask(
        name,
        cached_patches(name, files, found.root, _MARKUP, settings, build) if cache else build(),
    )


def load_synthetic(
    limit: int | None = None,
    *,
    seed: int = 0,
    cache: bool = True,
    settings: CropSettings | None = None,
) -> FacialPartTask:
    """Drawn faces with exact landmarks, :data:`SYNTHETIC_FACES` of them or ``limit``.

    Args:
        limit: How many faces.
        seed: Which endless set of faces they begin.
        cache: Whether patches may come from the disk and be kept there.
        settings: How part boxes are laid.

    Raises:
        InputError: a limit below 1, or a negative seed.
    """
    from groupnas.tasks.landmarks import synthetic

    settings = settings or CropSettings()
    count = SYNTHETIC_FACES if limit is None else check_limit(limit)

    def draw(index: int) -> FaceParts:
        image, points = synthetic.draw_face(index, seed)
        return cut_parts(image, points, _MARKUP, settings, name=f"synthetic face {index}")

    def build() -> Patches:
        faces = in_threads(draw, range(count), "Drawing faces")
        sources = [f"synthetic/{seed}/{index:05d}" for index in range(count)]
        return stack_parts(faces, sources, _MARKUP, settings)

    if not cache:
        return FacialPartTask("synthetic", build())
    # What the faces are made from is the code that draws them.
    folder = Path(synthetic.__file__).parent
    code = sorted(folder.glob("*synthetic*.py"))
    name = f"synthetic/{seed}/{count}"
    patches = cached_patches(name, code, folder, _MARKUP, settings, build)
    return FacialPartTask("synthetic", patches)


def spread(items: Sequence[Item], limit: int | None) -> list[Item]:
    """At most ``limit`` items, evenly spread, so that every folder has its share."""
    if limit is None or check_limit(limit) >= len(items):
        return list(items)
    return [items[number * len(items) // limit] for number in range(limit)]


def check_limit(limit: int) -> int:
    """``limit`` itself, or an :class:`InputError` if there cannot be that many faces."""
    if limit < 1:
        raise InputError(f"limit must be at least 1, got {limit}")
    return limit
