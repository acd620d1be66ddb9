"""Data sets of faces as landmark tasks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.landmarks.augment import Augmentation
from groupnas.landmarks.boxes import face_box, normalisers
from groupnas.landmarks.cache import cached_patches
from groupnas.landmarks.crops import (
    FacePatches,
    Patches,
    cut_patches,
    stack_patches,
)
from groupnas.landmarks.data.face import Face, FaceSet
from groupnas.landmarks.frames import Frame
from groupnas.landmarks.losses import PointLoss
from groupnas.landmarks.parallel import ItemT, in_threads
from groupnas.landmarks.roles import PART_LOOK, Gaze
from groupnas.landmarks.task import LandmarkTask


def load_landmarks(
    faces: FaceSet,
    root: str | os.PathLike[str] | None,
    look: Gaze = PART_LOOK,
    *,
    split: str = "train",
    augmentation: Augmentation | None = None,
    loss: PointLoss | None = None,
    allow_partial: bool = False,
    limit: int | None = None,
    cache: bool = True,
) -> LandmarkTask:
    """The faces of one split of a data set, cut into the regions of a look, by default the parts.

    Only benchmarks ask for another split than ``"train"``: :func:`groupnas.tasks.load_task` trains
    and searches on it and reaches nothing else.

    Args:
        faces: The data set.
        root: The folder that holds the data set's folder; ``None`` where it needs no files.
        look: Where regions lie, and how they are cut. A face's box is as the data set's policy has
            it, all else as its true points say.
        split: A split of the data set.
        augmentation: Of the task.
        loss: Of the task.
        allow_partial: Go on with the faces that are there, if not all are.
        limit: Take this many faces only, evenly spread over the split.
        cache: Whether patches may come from the disk and be kept there.

    Raises:
        InputError: faces are missing (and that is not allowed), or a file is damaged.
    """
    patches = load_patches(
        faces,
        root,
        look,
        split=split,
        allow_partial=allow_partial,
        limit=limit,
        cache=cache,
    )
    return LandmarkTask(task_name(faces, split), patches, augmentation, loss)


def load_patches(
    faces: FaceSet,
    root: str | os.PathLike[str] | None,
    look: Gaze,
    *,
    split: str = "train",
    allow_partial: bool = False,
    limit: int | None = None,
    cache: bool = True,
    frames: Frame[NDArray[np.float64]] | None = None,
) -> Patches:
    """The regions of the faces of one split; arguments and errors as of :func:`load_landmarks`.

    ``frames`` ``(N, P)`` say where they lie, instead of each face's own points; nothing is cached.
    """
    chosen = load_faces(faces, root, split, allow_partial=allow_partial, limit=limit)
    markup = look.regions(faces.markup)
    distances = normalisers(chosen, faces)  # an instant: before images are read

    def cut(place: int) -> FacePatches:
        face = chosen[place]
        own = None if frames is None else Frame(frames.linear[place], frames.origin[place])
        return cut_face(faces.read(face), face, faces, look, own)

    def build() -> Patches:
        cuts = in_threads(cut, range(len(chosen)), f"Cutting {faces.name} ({split})")
        sources = [face.source for face in chosen]
        return stack_patches(cuts, distances, sources, markup, look.crops)

    name = task_name(faces, split)
    if cache and frames is None:
        files = [*faces.files(_folder(root), split, allow_partial), *(face.path for face in chosen)]
        label = f"{name}/{len(chosen)}"
        return cached_patches(label, list(dict.fromkeys(files)), markup, look.crops, build)
    return build()


def cut_face(
    image: NDArray[np.uint8],
    face: Face,
    of: FaceSet,
    look: Gaze,
    frame: Frame[NDArray[np.float64]] | None = None,
) -> FacePatches:
    """The regions of one face, where its own points say, or a frame ``(P,)``."""
    box = face_box(face, of) if look.whole else None
    if box is not None and look.turned and frame is None:
        own = look.frames(box[None], face.points[None], of.markup)
        frame = Frame(own.linear[0], own.origin[0])
    return cut_patches(
        image,
        face.points,
        look.regions(of.markup),
        look.crops,
        box=box,
        frame=frame,
        turned=look.turned,
        name=face.place,
    )


def task_name(faces: FaceSet, split: str) -> str:
    """What the run folder calls the task of a split."""
    return faces.name if split == "train" else f"{faces.name}/{split}"


def load_faces(
    faces: FaceSet,
    root: str | os.PathLike[str] | None,
    split: str = "train",
    *,
    allow_partial: bool = False,
    limit: int | None = None,
) -> list[Face]:
    """The annotated faces of one split; arguments and errors as of :func:`load_landmarks`."""
    if split not in faces.subsets:
        raise InputError(f"{faces.name} has no split {split!r}; {nearest(split, faces.subsets)}")
    return check_marked(spread(faces.faces(_folder(root), split, allow_partial), limit))


def check_marked(faces: Sequence[Face]) -> list[Face]:
    """The faces; an :class:`InputError` names one that lacks a point.

    A region is cut by its points, so that a face without one of them cannot be shown.
    """
    for face in faces:
        lacking = np.flatnonzero(~np.isfinite(face.points).all(axis=1))
        if len(lacking):
            raise InputError(
                f"{face.place}: point {lacking[0] + 1} of {len(face.points)} is not marked "
                f"({len(lacking)} in all); a face must have all of its points, or be left out"
            )
    return list(faces)


def _folder(root: str | os.PathLike[str] | None) -> Path:
    return Path() if root is None else Path(root)  # drawn faces need none


def spread(items: Sequence[ItemT], limit: int | None) -> list[ItemT]:
    """At most ``limit`` items, evenly spread, so that every folder has its share."""
    if limit is None or check_limit(limit) >= len(items):
        return list(items)
    return [items[number * len(items) // limit] for number in range(limit)]


def check_limit(limit: int) -> int:
    """``limit`` itself, or an :class:`InputError` if there cannot be that many faces."""
    if limit < 1:
        raise InputError(f"limit must be at least 1, got {limit}")
    return limit
