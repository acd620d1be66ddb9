"""Data sets whose faces stand in a list of their own: which of them have their image."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.landmarks.data.checks import damage
from groupnas.landmarks.data.face import Face, FaceSet
from groupnas.tasks import DataReport, SubsetReport


@dataclass(frozen=True)
class Listed:
    """The faces of one split that a copy of a data set holds, and what is wrong with it.

    Attributes:
        of: The data set.
        split: The split's name.
        folder: Where the data set lies.
        faces: Every face that the list names.
        missing: Images that are not there, each once.
    """

    of: Lists
    split: str
    folder: Path
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
        if len(self.faces) < self.of.sizes[self.split]:
            lines.append(f"{len(self.faces):,} listed")
        if self.missing:
            first = os.path.relpath(min(self.missing), self.folder)
            noun, more = ("images", ", ...") if len(self.missing) > 1 else ("image", "")
            lines.append(f"{len(self.missing):,} {noun} missing: {first}{more}")
        return tuple(lines)

    @property
    def lacking(self) -> str | None:
        """One line that says what is missing; ``None`` if nothing is."""
        if not self.problems:
            return None
        return (
            f"{self.of.title} ({self.split}) is incomplete: {len(self.found):,} of "
            f"{self.of.sizes[self.split]:,} faces ({'; '.join(self.problems)})"
        )

    def require(self, allow_partial: bool) -> list[Face]:
        """The faces that are there; :class:`InputError` if none is, or too few for what is asked.

        Args:
            allow_partial: Whether fewer than the official number will do.
        """
        if self.lacking and not self.found:
            raise InputError(f"{self.folder}: {self.lacking}; obtain it from {self.of.obtained}")
        if self.lacking and not allow_partial:
            raise InputError(
                f"{self.folder}: {self.lacking}; --allow-partial goes on with what is there"
            )
        return self.found


def require_file(file: Path, what: str, obtained: str) -> None:
    """Raise :class:`InputError` if a file is not there; says what it is and where to get it."""
    if not file.is_file():
        raise InputError(f"{file}: no such file: {what}; obtain it from {obtained}")


@dataclass(frozen=True, kw_only=True)
class Lists:
    """A data set with a file for each split that lists the split's faces.

    Attributes:
        title: What the data set calls itself.
        name: Its folder's, under the data root.
        holds: What must be in the folder.
        obtained: Where it comes from.
        files: The list of each split, in the folder.
        sizes: The official number of faces of each split, ``"train"`` the first.
        read: All faces of a split, called with folder and split; it need not look at the images.
    """

    title: str
    name: str
    holds: str
    obtained: str
    files: Mapping[str, str]
    sizes: Mapping[str, int]
    read: Callable[[Path, str], Sequence[Face]]

    def folder(self, root: Path) -> Path:
        """The folder; :class:`InputError` if it is not there."""
        folder = root / self.name
        if not folder.is_dir():
            raise InputError(
                f"{folder}: no such folder; the data root must hold {folder.name}/ with "
                f"{self.holds}, from {self.obtained}"
            )
        return folder

    def file(self, root: Path, split: str) -> Path:
        """The list of a split; :class:`InputError` suggests the nearest if there is none."""
        if split not in self.sizes:
            raise InputError(f"{self.title} has no split {split!r}; {nearest(split, self.sizes)}")
        return root / self.name / self.files[split]

    def listed(self, root: Path, split: str) -> Listed:
        """The faces of a split, and which images are there.

        Raises:
            InputError: there is no such split or folder, or the list is missing or damaged.
        """
        self.file(root, split)
        folder = self.folder(root)
        return self.account(folder, split, self.read(folder, split))

    def faces(self, root: Path, split: str, allow_partial: bool) -> list[Face]:
        """The faces of a split in the list's order; see :attr:`FaceSet.faces`."""
        return self.listed(root, split).require(allow_partial)

    def lists(self, root: Path, split: str, allow_partial: bool) -> list[Path]:
        """The list of a split; see :attr:`FaceSet.files`."""
        return [self.file(root, split)]

    def account(self, folder: Path, split: str, faces: Sequence[Face]) -> Listed:
        """Which of the images of a split's faces are there."""
        missing = frozenset(face.path for face in faces if not os.path.isfile(face.path))
        return Listed(self, split, folder, tuple(faces), missing)

    def report(self, root: Path, of: FaceSet) -> DataReport:
        """Account for the lists, the faces and the images of every split.

        Raises:
            InputError: ``root`` has no such folder.
        """
        folder = self.folder(root)
        subsets, damaged = [], []
        found: dict[str, Sequence[Face]] = {}
        incomplete = None
        for split, expected in self.sizes.items():
            file = self.file(root, split)
            try:
                listed = self.listed(root, split)
            except InputError as error:
                problem = str(error).removeprefix(f"{file}: ")
                if file.is_file():
                    damaged.append(str(error))
                    problem = "damaged"
                subsets.append(SubsetReport(file.name, split, expected, 0, (problem,)))
                lacking: str | None = f"{file.name}: {problem}"
            else:
                found[split], lacking = listed.found, listed.lacking
                count = len(listed.found)
                subsets.append(SubsetReport(file.name, split, expected, count, listed.problems))
            if split == "train":
                incomplete = lacking
        lines = (*dict.fromkeys(damaged), *damage(of, found))
        return DataReport(folder, tuple(subsets), lines, incomplete)
