"""Tasks: what a search is given to learn from, by the name of a data set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.landmarks.data.sources import (
    OBTAINED_300W,
    OBTAINED_AFLW,
    OBTAINED_COFW,
    OBTAINED_COFW68,
    OBTAINED_WFLW,
)
from groupnas.task import Task
from groupnas.tasks.dataset import DataReport, DataSet
from groupnas.values import path as path_of
from groupnas.values import text, whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DATASETS", "DataSet", "find_data_root", "find_dataset", "load_task", "require_root"]

DATA_VARIABLE = "GROUPNAS_DATA"


def load_task(
    data: str,
    *,
    data_root: str | os.PathLike[str] | None = None,
    allow_partial: bool = False,
    limit: int | None = None,
    cache: bool = True,
) -> Task:
    """The training samples of a data set as a task; test images are not reachable from here.

    Args:
        data: A name of :data:`DATASETS`.
        data_root: The folder that holds the data sets' folders; else ``GROUPNAS_DATA``.
        allow_partial: Go on with an incomplete copy.
        limit: Take this many samples only, evenly spread.
        cache: Whether prepared samples may be kept on disk (see
            :mod:`groupnas.landmarks.cache`).

    Raises:
        InputError: an unknown name, no data root, missing or damaged files, or a limit below 1.
    """
    limit = None if limit is None else whole("limit", limit, 1)
    entry = find_dataset(data)
    root = require_root(entry, data_root)
    return entry.load(root=root, allow_partial=allow_partial, limit=limit, cache=cache)


def find_dataset(name: str) -> DataSet:
    """The entry of :data:`DATASETS`; an :class:`InputError` suggests the nearest name."""
    if text("data", name) not in DATASETS:
        raise InputError(f"unknown data set {name!r}; {nearest(name, DATASETS)}")
    return DATASETS[name]


def find_data_root(data_root: str | os.PathLike[str] | None = None) -> Path | None:
    """``data_root`` if given, else ``GROUPNAS_DATA``, else ``None``."""
    root = data_root or os.environ.get(DATA_VARIABLE)
    return Path(path_of("data_root", root)) if root else None


def require_root(entry: DataSet, data_root: str | os.PathLike[str] | None = None) -> Path | None:
    """The data root of a data set that needs one, else ``None``.

    Raises:
        InputError: it needs one, and neither ``data_root`` nor ``GROUPNAS_DATA`` says where.
    """
    if entry.folder is None:
        return None
    root = find_data_root(data_root)
    if root is None:
        raise InputError(
            f"{entry.name}: no data root; set --data-root or {DATA_VARIABLE} to the folder that "
            f"holds {entry.folder}/"
        )
    return root


def _load_faces(
    name: str, *, root: Path | None, allow_partial: bool, limit: int | None, cache: bool
) -> Task:
    from groupnas.landmarks.data.face_sets import face_set
    from groupnas.landmarks.load import load_landmarks

    return load_landmarks(
        face_set(name), root, allow_partial=allow_partial, limit=limit, cache=cache
    )


def _preview_faces(name: str, *, root: Path | None, allow_partial: bool) -> Figure:
    from groupnas.landmarks.data.face_sets import face_set
    from groupnas.landmarks.preview import preview

    return preview(face_set(name), root, allow_partial)


def _check_faces(name: str, root: Path) -> DataReport:
    from groupnas.landmarks.data.face_sets import face_set

    return face_set(name).check(root)


def _face_data(name: str, folder: str | None, summary: str, obtained: str) -> DataSet:
    """A data set of faces. It is looked into late: lists must be printed without torch."""

    return DataSet(
        name=name,
        summary=summary,
        obtained=obtained,
        folder=folder,
        load=partial(_load_faces, name),
        preview=partial(_preview_faces, name),
        check=None if folder is None else partial(_check_faces, name),
    )


DATASETS: Mapping[str, DataSet] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            _face_data(
                "300w", "300w", "3,148 training faces in the wild, 68 landmarks each", OBTAINED_300W
            ),
            _face_data(
                "wflw", "wflw", "7,500 training faces in the wild, 98 landmarks each", OBTAINED_WFLW
            ),
            _face_data(
                "aflw",
                "aflw",
                "20,000 training faces in every pose, 19 landmarks each",
                OBTAINED_AFLW,
            ),
            _face_data(
                "cofw",
                "cofw",
                "1,345 faces to train on, many occluded, 29 landmarks",
                OBTAINED_COFW,
            ),
            _face_data(
                "cofw68",
                "cofw",
                "507 test faces of COFW, 68 landmarks each; nothing to train on",
                OBTAINED_COFW68,
            ),
            _face_data(
                "synthetic",
                None,
                "1,000 drawn faces with exact landmarks, 68 each",
                "drawn on the spot, needs nothing",
            ),
        )
    }
)
