"""A data file as a data set that every command takes."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from groupnas.errors import InputError, naming, shown
from groupnas.files import nearest
from groupnas.landmarks.data.checks import damage
from groupnas.landmarks.data.face import Face
from groupnas.landmarks.data.images import read_picture
from groupnas.landmarks.dataset import FaceDataSet
from groupnas.landmarks.keypoints.coco import read_coco
from groupnas.landmarks.keypoints.entry import Entry
from groupnas.landmarks.keypoints.pts_files import pts_files, pts_folder, read_pts_files
from groupnas.landmarks.keypoints.settings import KeypointFile
from groupnas.landmarks.keypoints.table import read_table
from groupnas.schema import validate
from groupnas.tasks import DataReport, SubsetReport

_log = logging.getLogger(__name__)


def read_keypoints(path: Path, data: Any) -> FaceDataSet:
    """The data set of a data file; its annotations are read when they are asked for.

    Args:
        path: Of the file.
        data: What it holds, as YAML has it.

    Raises:
        InputError: it is not as :class:`KeypointFile` says; names the keys at fault.
    """
    return Keypoints(path, validate(KeypointFile, data, str(path))).data_set()


@dataclass(frozen=True)
class Objects:
    """The objects of a split.

    Attributes:
        faces: Those that have all of their points, in the order of the annotations.
        lacking: How many others there are.
    """

    faces: tuple[Face, ...]
    lacking: int

    @property
    def missing(self) -> list[Path]:
        """The images that are not there, each once."""
        return sorted({face.path for face in self.faces if not os.path.isfile(face.path)})


@dataclass(frozen=True)
class Keypoints:
    """The objects that a data file is about.

    Attributes:
        path: Of the data file.
        settings: What it says.
    """

    path: Path
    settings: KeypointFile

    def data_set(self) -> FaceDataSet:
        """What commands take."""
        name = self.path.stem
        tests = {"test": ()} if self.settings.test is not None else {}
        divided = self.settings.normaliser
        return FaceDataSet(
            name=name,
            summary=self.settings.title,
            obtained=str(self.path),
            markup=self.settings.markup(name),
            box="listed" if self.settings.box == "listed" else "landmarks",
            normaliser="distance" if isinstance(divided, tuple) else divided,
            subsets={"train": (), **tests},
            faces=self.faces,
            files=self.files,
            read=read_picture,
            check=self.check,
        )

    @property
    def base(self) -> Path:
        """The folder that paths in the file are relative to."""
        return self.path.parent

    @property
    def images(self) -> Path:
        """The folder of the images."""
        if self.settings.images is not None:
            return self.base / self.settings.images
        if self.settings.layout == "pts":
            return pts_folder(self.base, self.settings.annotations)
        return self.base

    def faces(self, root: Path, split: str, allow_partial: bool) -> list[Face]:
        """The objects of a split that can be used; see :attr:`FaceSet.faces`.

        How many lack a point, and are left out, is told once.

        Raises:
            InputError: the annotations are missing or damaged; images are missing, and that is not
                allowed; there is no object left.
        """
        chosen = self.splits[split]
        if chosen.lacking:
            every = len(chosen.faces) + chosen.lacking
            _tell_once(f"{self.path} ({split}): {_lacking(chosen.lacking)}, of {every:,}")
        missing = {*chosen.missing}
        found = [face for face in chosen.faces if face.path not in missing]
        if missing and (not allow_partial or not found):
            remedy = "; --allow-partial goes on with what is there" if found else ""
            raise InputError(f"{self.path} ({split}): {_told(missing)}{remedy}")
        return found

    def files(self, root: Path, split: str, allow_partial: bool) -> list[Path]:
        """The data file and the annotations; see :attr:`FaceSet.files`."""
        if self.settings.layout == "pts":
            return [self.path, *pts_files(self.base, self.settings.annotations)]
        return [self.path, self.base / self.settings.annotations]

    def check(self, root: Path) -> DataReport:
        """Account for the annotations and the images; see :attr:`DataSet.check`."""
        subsets, incomplete = [], None
        for split, chosen in self.splits.items():
            missing = {*chosen.missing}
            found = [face for face in chosen.faces if face.path not in missing]
            problems = [_told(missing)] if missing else []
            problems += [_lacking(chosen.lacking)] if chosen.lacking else []
            name, count = Path(self.settings.annotations).name, len(chosen.faces)
            subsets.append(SubsetReport(name, split, count, len(found), tuple(problems)))
            if split == "train" and missing:
                incomplete = f"{self.path.name} ({split}): {_told(missing)}"
        there = {
            split: [face for face in chosen.faces if os.path.isfile(face.path)]
            for split, chosen in self.splits.items()
        }
        lines = tuple(damage(self.data_set(), there))
        return DataReport(self.images, tuple(subsets), lines, incomplete)

    @cached_property
    def splits(self) -> Mapping[str, Objects]:
        """The objects of each split.

        Raises:
            InputError: the annotations are missing or damaged, or do not fit the data file; a
                source is in both splits, or a split is empty.
        """
        entries = self._entries()
        sources = [self._source(entry) for entry in entries]
        tests = self._tests(entries, sources)
        if both := sorted({*_where(sources, tests)} & {*_where(sources, [not t for t in tests])}):
            raise InputError(
                f"{self.path}: test: {shown(both[0])} is a source of the training and of the test "
                f"split ({len(both)} in all); objects of one source must be on one side"
            )
        splits = {"train": _split(self._faces(entries, sources), [not test for test in tests])}
        if self.settings.test is not None:
            splits["test"] = _split(self._faces(entries, sources), tests)
        for split, chosen in splits.items():
            if not chosen.faces:
                told = f"; {_lacking(chosen.lacking)}" if chosen.lacking else ""
                raise InputError(f"{self.path}: the split {split!r} has no objects{told}")
        return splits

    def _entries(self) -> list[Entry]:
        if self.settings.layout == "pts":
            return read_pts_files(self.base, self.images, self.settings)
        read = {"csv": read_table, "coco": read_coco}[self.settings.layout]
        return read(self.base / self.settings.annotations, self.settings)

    def _source(self, entry: Entry) -> str:
        """What is independent of others; by default the image."""
        told = self.settings.source
        if told is None:
            return entry.image
        if told.column is not None:
            with naming(f"{self.path}: source.column"):
                found = _field(entry, told.column)
        else:
            match = re.search(str(told.image), entry.image)
            found = (match[1] or "") if match else ""
            if match is None:
                raise InputError(
                    f"{self.path}: source.image: is not found in {shown(entry.image)} "
                    f"({entry.place})"
                )
        if not found:
            raise InputError(f"{entry.place}: the source is empty; expected what is independent")
        return found

    def _tests(self, entries: Sequence[Entry], sources: Sequence[str]) -> list[bool]:
        told = self.settings.test
        if told is None:
            return [False] * len(entries)
        if told.source is not None:
            pattern = re.compile(told.source)
            return [pattern.search(source) is not None for source in sources]
        with naming(f"{self.path}: test.column"):
            return [_field(entry, str(told.column)) == told.value for entry in entries]

    def _faces(self, entries: Sequence[Entry], sources: Sequence[str]) -> list[Face]:
        """Every object, in pixel-centre coordinates, under a name of its own."""
        seen: Counter[str] = Counter()
        faces = []
        for entry, source in zip(entries, sources, strict=True):
            seen[entry.image] += 1
            several = f"#{seen[entry.image]}" if seen[entry.image] > 1 else ""
            faces.append(
                Face(
                    name=f"{entry.image}{several}",
                    source=source,
                    path=self.images / entry.image,
                    points=entry.points - self.settings.origin,
                    box=None if entry.box is None else entry.box - self.settings.origin,
                )
            )
        return faces


def _field(entry: Entry, column: str) -> str:
    if column not in entry.fields:
        choices = nearest(column, entry.fields) if entry.fields else "it has none; give a pattern"
        raise InputError(f"{entry.place}: no column {column!r}; {choices}")
    return entry.fields[column]


def _where(sources: Sequence[str], chosen: Sequence[bool]) -> list[str]:
    return [source for source, take in zip(sources, chosen, strict=True) if take]


def _split(faces: Sequence[Face], chosen: Sequence[bool]) -> Objects:
    own = [face for face, take in zip(faces, chosen, strict=True) if take]
    whole = tuple(face for face in own if np.isfinite(face.points).all())
    return Objects(whole, len(own) - len(whole))


def _lacking(count: int) -> str:
    return f"{count:,} {'object lacks' if count == 1 else 'objects lack'} a point: left out"


def _told(missing: set[Path]) -> str:
    noun, more = ("images", ", ...") if len(missing) > 1 else ("image", "")
    return f"{len(missing):,} {noun} missing: {min(missing)}{more}"


@cache
def _tell_once(told: str) -> None:
    _log.warning("%s", told)
