"""What a data set offers besides its samples: an account of its files, and a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groupnas.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    """What is there of a data set.

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
        """The report as a JSON object."""
        return {**asdict(self), "folder": str(self.folder)}


@dataclass(frozen=True)
class DataSet:
    """A data set that a task can be made of.

    Attributes:
        name: What ``--data`` calls it.
        summary: One line on what is in it.
        obtained: Where it comes from.
        folder: Its folder under the data root; ``None`` if it needs no files.
        load: Makes the training task; called with ``root``, ``allow_partial``, ``limit`` and
            ``cache`` by name. ``root`` is ``None`` where ``folder`` is, here and below.
        preview: Draws a contact sheet; called with ``root`` and ``allow_partial``.
        check: Accounts for the files under ``root``; ``None`` where there are none.
    """

    name: str
    summary: str
    obtained: str
    folder: str | None
    load: Callable[..., Task]
    preview: Callable[..., Figure]
    check: Callable[[Path], DataReport] | None
