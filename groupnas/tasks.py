"""Data sets by name or from files, and the tasks made of them.

A data set is a :class:`DataSet` that is registered as an entry point of the group
``groupnas.tasks`` under its name. A data file is a YAML file; what reads those of a ``kind`` is an
entry point of the group ``groupnas.data_files`` under the kind's name.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groupnas.errors import InputError, shown
from groupnas.registry import Registry
from groupnas.task import Task
from groupnas.values import path as path_of
from groupnas.values import text, whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DATA_VARIABLE = "GROUPNAS_DATA"


@dataclass(frozen=True)
class SubsetReport:
    """One folder of a data set.

    Attributes:
        name: The folder.
        split: The split that it belongs to, ``"train"`` or a test's name.
        expected: The official number of samples.
        found: How many of them are there, whole.
        problems: One line for everything that is half there.
    """

    name: str
    split: str
    expected: int
    found: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class DataReport:
    """The state of a data set's files.

    Attributes:
        folder: Where it was looked for.
        subsets: One entry for each folder.
        damaged: One line for each damaged file.
        incomplete: Why training on it is refused unless an incomplete copy is allowed, else
            ``None``.
    """

    folder: Path
    subsets: tuple[SubsetReport, ...]
    damaged: tuple[str, ...]
    incomplete: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {**asdict(self), "folder": str(self.folder)}


@dataclass(frozen=True, kw_only=True)
class DataSet(ABC):
    """A data set that a task can be made of.

    Inherit from it to add one: write :meth:`load`, and register an instance as an entry point of
    the group ``groupnas.tasks`` under its name. Lists load its module: let that be a module without
    torch, which :meth:`load` imports.

    Attributes:
        name: What ``--data`` calls it; the entry point's name.
        summary: One line on what is in it.
        obtained: Where it comes from.
        folder: Its folder under the data root; ``None`` if it needs no files.
        check: Accounts for the files under the data root; ``None`` where there is nothing to
            account for.
    """

    name: str
    summary: str
    obtained: str = ""
    folder: str | None = None
    check: Callable[[Path], DataReport] | None = None

    @abstractmethod
    def load(
        self,
        *,
        root: Path | None,
        allow_partial: bool = False,
        limit: int | None = None,
        cache: bool = True,
    ) -> Task:
        """Return the training samples; test samples are not reachable from here.

        Args:
            root: The data root; ``None`` where :attr:`folder` is.
            allow_partial: Go on with an incomplete copy.
            limit: Take this many samples only, evenly spread.
            cache: Whether prepared samples may be kept on disk.

        Raises:
            InputError: missing or damaged files.
        """

    def variant(self, choice: str) -> DataSet:
        """Return the data set that ``NAME:CHOICE`` means.

        Raises:
            InputError: there is none of that name; by default there are none at all.
        """
        raise InputError(f"{self.name}:{choice}: this data set has no variants; take {self.name}")

    def preview(
        self, *, root: Path | None, allow_partial: bool = False, recipe: str | None = None
    ) -> Figure:
        """Draw some samples; arguments as of :meth:`load`.

        Args:
            root: The folder that holds the data set's folder.
            allow_partial: Draw what is there.
            recipe: The training recipe whose networks' inputs are drawn.

        Raises:
            InputError: the data set has no preview; missing or damaged files.
        """
        raise InputError(f"{self.name}: this data set has no preview")


def _is_data_set(found: object) -> bool:
    return isinstance(found, DataSet)


DATASETS: Registry[DataSet] = Registry("groupnas.tasks", "data set", _is_data_set, "DataSet")
# Each takes the path of a data file and what it holds, and returns the data set.
DATA_FILES: Registry[Callable[[Path, Any], DataSet]] = Registry(
    "groupnas.data_files", "kind of data file", callable, "function"
)
_DATA_KIND = "keypoints"  # where a file names none
_DATA_SUFFIXES = (".yaml", ".yml")


def load_task(
    data: str,
    *,
    data_root: str | os.PathLike[str] | None = None,
    allow_partial: bool = False,
    limit: int | None = None,
    cache: bool = True,
    **settings: Any,
) -> Task:
    """Return the training samples of a data set; test samples are not reachable from here.

    Args:
        data: As of :func:`find_dataset`.
        data_root: The folder that holds the data sets' folders; else ``GROUPNAS_DATA``.
        allow_partial: Go on with an incomplete copy.
        limit: Take this many samples only, evenly spread.
        cache: Whether prepared samples may be kept on disk.
        settings: Passed to the :meth:`DataSet.load` of this data set.

    Raises:
        InputError: an unknown name, no data root, missing or damaged files, or a limit below 1.
    """
    limit = None if limit is None else whole("limit", limit, 1)
    entry = find_dataset(data)
    root = require_root(entry, data_root)
    return entry.load(root=root, allow_partial=allow_partial, limit=limit, cache=cache, **settings)


def find_dataset(name: str) -> DataSet:
    """Return the data set that a name of :data:`DATASETS` or the path of a data file means.

    Either may be followed by a variant: ``NAME:VARIANT``, ``bees.yaml:VARIANT``.

    Raises:
        InputError: an unknown name (suggests the nearest), or one whose package is broken; a data
            file that is missing or wrong; an unknown variant.
    """
    name, separator, choice = text("data", name).partition(":")
    if name.endswith(_DATA_SUFFIXES):
        found = _read_data_file(Path(name))
    else:
        found = DATASETS.find(name)
        if found.name != name:
            raise InputError(f"data set {name!r} cannot be loaded: it calls itself {found.name!r}")
    return found.variant(choice) if separator else found


def _read_data_file(path: Path) -> DataSet:
    from groupnas.schema import read_yaml  # here, so that lists are instant

    data = read_yaml(path)
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected a mapping of settings, got {shown(data)}")
    kind = text(f"{path}: kind", data.get("kind", _DATA_KIND))
    return DATA_FILES.find(kind, str(path))(path, data)


def find_data_root(data_root: str | os.PathLike[str] | None = None) -> Path | None:
    """Return ``data_root`` if given, else ``GROUPNAS_DATA``, else ``None``."""
    root = data_root or os.environ.get(DATA_VARIABLE)
    return Path(path_of("data_root", root)) if root else None


def require_root(entry: DataSet, data_root: str | os.PathLike[str] | None = None) -> Path | None:
    """Return the data root of a data set that needs one, else ``None``.

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
