"""Tasks: what a search is given to learn from, by the name of a data set."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.task import Task

__all__ = ["DATASETS", "DataSet", "find_data_root", "load_task"]

DATA_VARIABLE = "GROUPNAS_DATA"


@dataclass(frozen=True)
class DataSet:
    """A data set that a task can be made of.

    Attributes:
        name: What ``--data`` calls it.
        summary: One line on what is in it.
        obtained: Where it comes from.
        folder: Its folder under the data root; ``None`` if it needs no files.
        loader: Makes the task; called with ``root`` (``None`` only where ``folder`` is),
            ``allow_partial``, ``limit`` and ``cache`` by name.
    """

    name: str
    summary: str
    obtained: str
    folder: str | None
    loader: Callable[..., Task]

    def root(self, data_root: str | os.PathLike[str] | None) -> Path | None:
        """The folder that holds :attr:`folder`; raises :class:`InputError` if none was given."""
        if self.folder is None:
            return None
        root = find_data_root(data_root)
        if root is None:
            raise InputError(
                f"{self.name}: no data root; set --data-root or {DATA_VARIABLE} to the folder that "
                f"holds {self.folder}/"
            )
        return root


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
            :mod:`groupnas.tasks.landmarks.cache`).

    Raises:
        InputError: an unknown name, no data root, missing or damaged files.
    """
    entry = find_dataset(data)
    return entry.loader(
        root=entry.root(data_root), allow_partial=allow_partial, limit=limit, cache=cache
    )


def find_dataset(name: str) -> DataSet:
    """The entry of :data:`DATASETS`; an :class:`InputError` suggests the nearest name."""
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}; {nearest(name, DATASETS)}")
    return DATASETS[name]


def find_data_root(data_root: str | os.PathLike[str] | None = None) -> Path | None:
    """``data_root`` if given, else ``GROUPNAS_DATA``, else ``None``."""
    root = data_root or os.environ.get(DATA_VARIABLE)
    return Path(root) if root else None


def _load_300w(*, root: Path, allow_partial: bool, limit: int | None, cache: bool) -> Task:
    from groupnas.tasks.landmarks.load import load_300w

    return load_300w(root, allow_partial=allow_partial, limit=limit, cache=cache)


def _load_synthetic(*, root: None, allow_partial: bool, limit: int | None, cache: bool) -> Task:
    from groupnas.tasks.landmarks.load import load_synthetic

    return load_synthetic(limit)


DATASETS: Mapping[str, DataSet] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            DataSet(
                "300w",
                "3,148 training faces in the wild, 68 landmarks each",
                "https://ibug.doc.ic.ac.uk/resources/facial-point-annotations/ (research use)",
                "300w",
                _load_300w,
            ),
            DataSet(
                "synthetic",
                "1,000 drawn faces with exact landmarks, 68 each",
                "drawn on the spot, needs nothing",
                None,
                _load_synthetic,
            ),
        )
    }
)
