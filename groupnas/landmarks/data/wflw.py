"""WFLW: 98 landmarks, a listed rectangle and six attributes for each of 10,000 faces.

``<root>/wflw`` holds ``WFLW_images`` and ``WFLW_annotations`` as they are unpacked. A line of the
lists has 207 fields: x and y of 98 points; the rectangle's left, top, right and bottom; pose,
expression, illumination, make-up, occlusion and blur, 1 where the face belongs to that subset;
the image's name. Coordinates are taken as written, counted from 0. A face is called by its
photo and its number among that photo's faces in the list, from 0.

Source: Wu et al., Look at Boundary, CVPR 2018.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from groupnas.errors import InputError
from groupnas.files import read_text
from groupnas.landmarks.data.face import Face
from groupnas.landmarks.data.images import read_picture
from groupnas.landmarks.data.listed import Lists, require_file
from groupnas.landmarks.dataset import FaceDataSet
from groupnas.landmarks.markup import MARKUPS
from groupnas.tasks import DataReport

FOLDER = "wflw"
OBTAINED = "https://wywu.github.io/projects/LAB/WFLW.html (research use)"
SPLITS = {"train": 7500, "test": 2500}  # official number of faces
# In the order of the attributes, with the names of the test set's own lists.
SUBSETS = {
    "pose": "largepose",
    "expression": "expression",
    "illumination": "illumination",
    "makeup": "makeup",
    "occlusion": "occlusion",
    "blur": "blur",
}
_POINTS = 98
_FIELDS = 2 * _POINTS + 4 + len(SUBSETS) + 1
_FILES = {
    split: f"WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{split}.txt"
    for split in SPLITS
}
_SUBSET_LISTS = Path("WFLW_annotations/list_98pt_test")
_IMAGES = Path("WFLW_images")

Key = tuple[Path, bytes]  # tells faces apart: image and landmarks


def check(root: Path) -> DataReport:
    """Account for both lists, their images, and the test set's six lists where they are."""
    report = LISTS.report(root, FACES)
    return replace(report, damaged=(*report.damaged, *_disagreements(root)))


def read_list(file: Path, images: Path) -> list[Face]:
    """The faces of one list, called by their image's name; does not look at the images.

    Raises:
        InputError: the list cannot be read or is damaged; one line ``file:line: why``.
    """
    require_file(file, "a list of faces, from WFLW_annotations.tar.gz", OBTAINED)
    lines = enumerate(read_text(file).split("\n"), 1)
    found = [_face(file, number, line, images) for number, line in lines if line.strip()]
    if not found:
        raise InputError(f"{file}:1: empty; expected lines of {_FIELDS} fields")
    return found


def _face(file: Path, number: int, line: str, images: Path) -> Face:
    """One line of a list."""
    place, fields = f"{file}:{number}", line.split()
    if len(fields) != _FIELDS:
        raise InputError(f"{place}: expected {_FIELDS} fields, got {len(fields)}")
    numbers = _numbers(place, fields[: 2 * _POINTS + 4])
    box = numbers[2 * _POINTS :]
    if not (box[0] < box[2] and box[1] < box[3]):
        raise InputError(f"{place}: expected a rectangle left, top, right, bottom, got {box}")
    attributes = fields[2 * _POINTS + 4 : -1]
    if not set(attributes) <= {"0", "1"}:
        raise InputError(f"{place}: expected attributes 0 or 1, got {' '.join(attributes)[:40]!r}")
    name = _image_name(place, fields[-1])
    marked = zip(SUBSETS, attributes, strict=True)
    return Face(
        name=name,
        source=name,
        path=images / name,
        points=np.array(numbers[: 2 * _POINTS]).reshape(_POINTS, 2),
        box=np.array(box),
        subsets=frozenset(subset for subset, mark in marked if mark == "1"),
    )


def _numbers(place: str, fields: Sequence[str]) -> list[float]:
    values = []
    for field in fields:
        try:
            values.append(float(field))
        except ValueError:
            raise InputError(f"{place}: expected a number, got {field[:40]!r}") from None
        if not math.isfinite(values[-1]):
            raise InputError(f"{place}: expected a finite number, got {field[:40]!r}")
    return values


def _image_name(place: str, field: str) -> str:
    path = PurePosixPath(field)
    if path.is_absolute() or ".." in path.parts or not field.isprintable():
        raise InputError(f"{place}: expected the name of an image, got {field[:40]!r}")
    return field


def _read(folder: Path, split: str) -> list[Face]:
    """Names that tell the faces of a photo apart; subsets are a matter of the test only."""
    seen: Counter[str] = Counter()
    found = []
    for face in read_list(folder / _FILES[split], folder / _IMAGES):
        name = f"{split}/{PurePosixPath(face.source).with_suffix('')}_{seen[face.source]}"
        seen[face.source] += 1
        subsets = face.subsets if split == "test" else frozenset[str]()
        found.append(replace(face, name=name, subsets=subsets))
    return found


def _disagreements(root: Path) -> list[str]:
    """One line for each of the test set's lists that is damaged or denies the attributes."""
    folder, test = LISTS.folder(root), LISTS.file(root, "test")
    lists = {
        name: folder / _SUBSET_LISTS / f"list_98pt_test_{SUBSETS[name]}.txt" for name in SUBSETS
    }
    there = {name: file for name, file in lists.items() if file.is_file()}
    try:
        everyone = read_list(test, folder / _IMAGES) if there else []
    except InputError:
        return []  # the report says so already
    found = []
    for name, file in there.items():
        marked = {_key(face.path, face.points) for face in everyone if name in face.subsets}
        try:
            own = read_subset_list(file, folder / _IMAGES)
        except InputError as error:
            found.append(str(error))
            continue
        if marked != set(own):
            found.append(
                f"{file}: names {len(own):,} faces, of which {len(marked & set(own)):,} are among "
                f"the {len(marked):,} that {test.name} marks as {name}"
            )
    return found


def read_subset_list(file: Path, images: Path) -> list[Key]:
    """The faces that one of the test set's own six lists names; raises as :func:`read_list`."""
    found = []
    for number, line in enumerate(read_text(file).split("\n"), 1):
        place, fields = f"{file}:{number}", line.split()
        if not fields:
            continue
        if len(fields) != 2 * _POINTS + 1:
            raise InputError(f"{place}: expected {2 * _POINTS + 1} fields, got {len(fields)}")
        points = np.array(_numbers(place, fields[:-1]))
        found.append(_key(images / _image_name(place, fields[-1]), points))
    return found


def _key(path: Path, points: np.ndarray) -> Key:
    return path, points.tobytes()


LISTS = Lists(
    title="WFLW",
    name=FOLDER,
    holds="WFLW_images and WFLW_annotations",
    obtained=OBTAINED,
    files=_FILES,
    sizes=SPLITS,
    read=_read,
)
FACES = FaceDataSet(
    name="wflw",
    summary="7,500 training faces in the wild, 98 landmarks each",
    obtained=OBTAINED,
    folder=FOLDER,
    markup=MARKUPS[98],
    box="listed",
    normaliser="interocular",
    subsets={"train": (), "test": tuple(SUBSETS)},
    faces=LISTS.faces,
    files=LISTS.lists,
    read=read_picture,
    check=check,
)
