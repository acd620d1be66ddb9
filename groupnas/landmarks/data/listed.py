"""Data sets whose faces stand in a list of their own: which of them have their image."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.landmarks.data.checks import damage
from groupnas.landmarks.data.face import Face, FaceSet
from groupnas.tasks import DataReport, SubsetReport


@dataclass(frozen=True)
class Listed:
    """What a copy of a data set holds of one split.

    Attributes:
        title: What the data set calls itself.
        split: The split's name.
        folder: Where the data set lies.
        obtained: Where it comes from.
        expected: The official number of faces.
        faces: Every face that the list names.
        missing: Images that are not there, each once.
    """

    title: str
    split: str
    folder: Path
    obtained: str
    expected: int
    faces: tuple[Face, ...]
    missing: frozenset[Path]

    @property
    def found(self) -> list[Face]:
        """The listed faces that have their image."""
        return [face for face in self.faces if face.path not in self.missing]

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each kind of thing that is missing."""
        lines = []
        if len(self.faces) < self.expected:
            lines.append(f"{len(self.faces):,} listed")
        if self.missing:
            first = min(self.missing).relative_to(self.folder).as_posix()
            noun, more = ("images", ", ...") if len(self.missing) > 1 else ("image", "")
            lines.append(f"{len(self.missing):,} {noun} missing: {first}{more}")
        return tuple(lines)

    @property
    def lacking(self) -> str | None:
        """One line that says what is missing; ``None`` if nothing is."""
        if not self.problems:
            return None
        return (
            f"{self.title} ({self.split}) is incomplete: {len(self.found):,} of "
            f"{self.expected:,} faces ({'; '.join(self.problems)})"
        )

    def require(self, allow_partial: bool) -> list[Face]:
        """The faces that are there; :class:`InputError` if none is, or too few for what is asked.

        Args:
            allow_partial: Whether fewer than the official number will do.
        """
        if self.lacking and not self.found:
            raise InputError(f"{self.folder}: {self.lacking}; obtain it from {self.obtained}")
        if self.lacking and not allow_partial:
            raise InputError(
                f"{self.folder}: {self.lacking}; --allow-partial goes on with what is there"
            )
        return self.found


def absent(paths: Iterable[Path]) -> frozenset[Path]:
    """Those of the paths that are no files; a name that no file can have is one of them."""
    return frozenset(path for path in set(paths) if not os.path.isfile(path))


def require_folder(folder: Path, holds: str, obtained: str) -> None:
    """Raise :class:`InputError` if a data set's folder is not there; says what it must hold."""
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; the data root must hold {folder.name}/ with {holds}, "
            f"from {obtained}"
        )


def require_file(file: Path, what: str, obtained: str) -> None:
    """Raise :class:`InputError` if a file is not there; says what it is and where to get it."""
    if not file.is_file():
        raise InputError(f"{file}: no such file: {what}; obtain it from {obtained}")


def require_split(title: str, split: str, splits: Iterable[str]) -> None:
    """Raise :class:`InputError` if there is no such split; suggests the nearest."""
    if split not in splits:
        raise InputError(f"{title} has no split {split!r}; {nearest(split, splits)}")


def report(
    of: FaceSet,
    folder: Path,
    files: Mapping[str, tuple[Path, int]],
    read: Callable[[str], Listed],
) -> DataReport:
    """Account for the lists, the faces and the images of every split.

    Args:
        of: The data set.
        folder: Where the data set lies.
        files: The list and the official number of faces of every split, ``"train"`` the first.
        read: Reads the list of a split.
    """
    subsets, damaged = [], []
    found: dict[str, Sequence[Face]] = {}
    incomplete = None
    for split, (file, expected) in files.items():
        name = file.name
        try:
            listed = read(split)
        except InputError as error:
            problem = str(error).removeprefix(f"{file}: ")
            if file.is_file():
                damaged.append(str(error))
                problem = "damaged"
            subsets.append(SubsetReport(name, split, expected, 0, (problem,)))
            lacking: str | None = f"{name}: {problem}"
        else:
            count = len(listed.found)
            subsets.append(SubsetReport(name, split, expected, count, listed.problems))
            found[split] = listed.found
            lacking = listed.lacking
        if split == "train":
            incomplete = lacking
    return DataReport(
        folder, tuple(subsets), (*dict.fromkeys(damaged), *damage(of, found)), incomplete
    )
