"""300W as its authors lay it out: which faces there should be, and which are there.

``<root>/300w`` holds ``afw``, ``helen/{trainset,testset}``, ``lfpw/{trainset,testset}`` and
``ibug``, and for the test set of the 300-W challenge ``01_Indoor`` and ``02_Outdoor``; each face
is a ``.pts`` file beside an image of the same name.

The ``.pts`` files count pixels from 1 (they come from Matlab), so 1 is subtracted; a shift of one
pixel moves the NME by about 0.1.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from groupnas.errors import InputError, printable, reading
from groupnas.files import nearest
from groupnas.landmarks.data.checks import damage
from groupnas.landmarks.data.face import Face
from groupnas.landmarks.data.images import read_picture
from groupnas.landmarks.data.pts import read_pts
from groupnas.landmarks.dataset import FaceDataSet
from groupnas.landmarks.markup import MARKUPS
from groupnas.tasks import DataReport, SubsetReport

FOLDER = "300w"
OBTAINED = "https://ibug.doc.ic.ac.uk/resources/facial-point-annotations/ (research use)"
_COMMON = {"helen/testset": 330, "lfpw/testset": 224}
_CHALLENGING = {"ibug": 135}
# Official number of faces in every folder of every split.
SPLITS = {
    "train": {"afw": 337, "helen/trainset": 2000, "lfpw/trainset": 811},
    "common": _COMMON,
    "challenging": _CHALLENGING,
    "test": {**_COMMON, **_CHALLENGING},
    "w600": {"01_Indoor": 300, "02_Outdoor": 300},
}
# What the faces of a folder are scored as.
_SUBSETS = {
    **dict.fromkeys(_COMMON, "common"),
    **dict.fromkeys(_CHALLENGING, "challenging"),
    "01_Indoor": "indoor",
    "02_Outdoor": "outdoor",
}
_IMAGES = (".png", ".jpg", ".jpeg")  # where a face has several, the first: png has lost nothing
_FACE_OF_PHOTO = re.compile(r"(\d+)_\d+")


@dataclass(frozen=True)
class SubsetInventory:
    """The contents of one folder of the data set.

    Attributes:
        name: The folder, e.g. ``"helen/trainset"``.
        expected: The official number of faces.
        images: The image of every complete face, sorted by name.
        without_image: ``.pts`` files that have no image.
        without_points: Images that have no ``.pts`` file.
        folder_exists: Whether there is such a folder.
    """

    name: str
    expected: int
    images: tuple[Path, ...]
    without_image: tuple[Path, ...]
    without_points: tuple[Path, ...]
    folder_exists: bool

    @property
    def found(self) -> int:
        """Number of complete faces."""
        return len(self.images)

    @property
    def complete(self) -> bool:
        """True where every official face is there, and no half of one."""
        return self.found >= self.expected and not self.without_image and not self.without_points

    def __str__(self) -> str:
        if not self.folder_exists:
            return f"{self.name} no such folder (0 of {self.expected:,})"
        problems = f" ({'; '.join(self.problems)})" if self.problems else ""
        return f"{self.name} {self.found:,} of {self.expected:,}{problems}"

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each kind of half a face."""
        kinds = {"no image": self.without_image, "no .pts": self.without_points}
        return tuple(
            f"{len(files)} with {what}: {files[0].name}{', ...' if files[1:] else ''}"
            for what, files in kinds.items()
            if files
        )


@dataclass(frozen=True)
class Inventory:
    """The contents of one split in a copy of 300W, subset by subset."""

    root: Path
    split: str
    subsets: tuple[SubsetInventory, ...]

    @property
    def found(self) -> int:
        """Number of complete faces."""
        return sum(subset.found for subset in self.subsets)

    @property
    def expected(self) -> int:
        """The official number of faces."""
        return sum(subset.expected for subset in self.subsets)

    @property
    def lacking(self) -> str | None:
        """One line that says what is missing; ``None`` if nothing is."""
        lines = [str(subset) for subset in self.subsets if not subset.complete]
        return f"300W ({self.split}) is incomplete: {', '.join(lines)}" if lines else None

    def require(self, allow_partial: bool) -> None:
        """Raise :class:`InputError` if nothing is there, or too little and that is not allowed."""
        if self.lacking is None:
            return
        if not self.found:
            raise InputError(f"{self.root}: {self.lacking}; obtain it from {OBTAINED}")
        if not allow_partial:
            raise InputError(
                f"{self.root}: {self.lacking}; --allow-partial goes on with the {self.found:,} of "
                f"{self.expected:,} faces that are there"
            )


def faces(root: Path, split: str, allow_partial: bool) -> list[Face]:
    """The faces of a split, folder by folder, by name; see :attr:`FaceSet.faces`.

    Raises:
        InputError: faces are missing (and that is not allowed), or a ``.pts`` file is damaged.
    """
    return [read_face(root / FOLDER, image) for image in _images_of(root, split, allow_partial)]


def files(root: Path, split: str, allow_partial: bool) -> list[Path]:
    """The ``.pts`` files of a split; see :attr:`FaceSet.files`."""
    return [points_file(image) for image in _images_of(root, split, allow_partial)]


def inventory(root: str | os.PathLike[str], split: str = "train") -> Inventory:
    """Look which faces of a split are under ``<root>/300w``; reads folders, not files.

    ``_mirror`` files, which some copies contain, do not count.

    Raises:
        InputError: there is no such split, ``root`` has no folder ``300w``, or a folder cannot be
            read.
    """
    if split not in SPLITS:
        raise InputError(f"300W has no split {split!r}; {nearest(split, SPLITS)}")
    folder = Path(root) / FOLDER
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; the data root must hold {FOLDER}/ with afw, helen, lfpw "
            f"and ibug, from {OBTAINED}"
        )
    subsets = tuple(_subset(folder, name, count) for name, count in SPLITS[split].items())
    return Inventory(folder, split, subsets)


def read_face(root: Path, image: Path) -> Face:
    """The face of one image, from the ``.pts`` file beside it.

    AFW and Helen number the faces of a photo (``1130084326_1``, ``1130084326_2``), which share
    their :attr:`Face.source`; elsewhere a photo has one face.

    Raises:
        InputError: the ``.pts`` file is damaged; the message names file and line.
    """
    return replace(_blank(root, image), points=read_pts(points_file(image)) - 1.0)


def _blank(root: Path, image: Path) -> Face:
    """A face whose landmarks are not read yet."""
    subset, stem = image.parent.relative_to(root).as_posix(), printable(image.stem)
    numbered = _FACE_OF_PHOTO.fullmatch(stem)
    return Face(
        name=f"{subset}/{stem}",
        source=f"{subset}/{numbered[1] if numbered else stem}",
        path=image,
        points=np.empty((0, 2)),
        subsets=frozenset({_SUBSETS[subset]} if subset in _SUBSETS else ()),
    )


def points_file(image: Path) -> Path:
    """The ``.pts`` file beside an image; its suffix may be in capitals."""
    capitals = image.with_suffix(".PTS")
    return capitals if capitals.is_file() else image.with_suffix(".pts")


def check(root: str | os.PathLike[str]) -> DataReport:
    """Account for every file of every split: each ``.pts`` is parsed, each image decoded.

    Raises:
        InputError: ``root`` has no folder ``300w``, or a folder cannot be read.
    """
    splits = [inventory(root, split) for split in SPLITS if split != "test"]  # two others in one
    subsets = [(found.split, subset) for found in splits for subset in found.subsets]
    faces: dict[str, list[Face]] = {found.split: [] for found in splits}
    lines: list[str] = []
    for split, subset in subsets:
        for image in subset.images:
            try:
                faces[split].append(read_face(splits[0].root, image))
            except InputError as error:
                lines.append(str(error))
                faces[split].append(_blank(splits[0].root, image))
        for image in subset.without_points:
            faces[split].append(_blank(splits[0].root, image))
        lines += filter(None, map(_damage, subset.without_image))
    lines += damage(FACES, faces)
    return DataReport(
        folder=splits[0].root,
        subsets=tuple(
            SubsetReport(subset.name, split, subset.expected, subset.found, subset.problems)
            for split, subset in subsets
        ),
        damaged=tuple(lines),
        incomplete=splits[0].lacking,
    )


def _images_of(root: Path, split: str, allow_partial: bool) -> list[Path]:
    found = inventory(root, split)
    found.require(allow_partial)
    return [image for subset in found.subsets for image in subset.images]


def _damage(points: Path) -> str | None:
    try:
        read_pts(points)
    except InputError as error:
        return str(error)
    return None


def _subset(root: Path, name: str, expected: int) -> SubsetInventory:
    folder = root / name
    if not folder.is_dir():
        return SubsetInventory(name, expected, (), (), (), False)
    with reading(folder):
        files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    files = [file for file in files if not file.stem.endswith("_mirror")]
    points = {file.stem: file for file in files if file.suffix.lower() == ".pts"}
    images: dict[str, Path] = {}
    for suffix in reversed(_IMAGES):
        images.update({file.stem: file for file in files if file.suffix.lower() == suffix})
    return SubsetInventory(
        name,
        expected,
        tuple(images[stem] for stem in sorted(points.keys() & images.keys())),
        tuple(points[stem] for stem in sorted(points.keys() - images.keys())),
        tuple(images[stem] for stem in sorted(images.keys() - points.keys())),
        True,
    )


FACES = FaceDataSet(
    name="300w",
    summary="3,148 training faces in the wild, 68 landmarks each",
    obtained=OBTAINED,
    folder=FOLDER,
    markup=MARKUPS[68],
    box="landmarks",
    normaliser="interocular",
    subsets={
        "train": (),
        "common": (),
        "challenging": (),
        "test": ("common", "challenging"),
        "w600": ("indoor", "outdoor"),
    },
    faces=faces,
    files=files,
    read=read_picture,
    check=check,
)
