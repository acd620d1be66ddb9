"""COFW's test faces with the 68 landmarks of 300W, for networks that were trained on 300W.

``<root>/cofw/cofw68`` holds ``cofw68_test_bboxes.mat`` and ``test_annotations/N_points.mat`` for
each of the 507 faces, N from 1: ``Points``, x and y of 68 points, and ``Occ``, 1 where a point is
occluded. The images are those of ``<root>/cofw/COFW_test_color.mat``. Matlab counts pixels from 1,
so 1 is subtracted. The boxes are left, top, width and height.

Source: Ghiasi and Fowlkes, Occlusion Coherence, 2015 (arXiv:1506.08347).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groupnas.errors import InputError
from groupnas.landmarks.data import cofw
from groupnas.landmarks.data.checks import damage
from groupnas.landmarks.data.face import Face
from groupnas.landmarks.data.listed import Lists, require_file
from groupnas.landmarks.data.matlab import as_numbers, read_mat
from groupnas.landmarks.dataset import FaceDataSet
from groupnas.landmarks.markup import MARKUPS
from groupnas.tasks import DataReport, SubsetReport

FOLDER = cofw.FOLDER
OBTAINED = (
    "annotations https://github.com/golnazghiasi/cofw68-benchmark, images COFW_test_color.mat of "
    "https://data.caltech.edu/records/20099"
)
_BOXES = "cofw68_test_bboxes.mat"
_POINTS = 68
SPLITS = {"test": 507}  # official number of faces


def files(root: Path, split: str, allow_partial: bool) -> list[Path]:
    """The boxes, and the landmarks of every face; see :attr:`FaceSet.files`."""
    boxes, folder = LISTS.file(root, split), LISTS.folder(root)
    return [boxes, *(_points_of(folder, number) for number in _there(folder))]


def read_boxes(file: Path) -> NDArray[np.float64]:
    """Left, top, right and bottom of every face ``(507, 4)``, counted from 0.

    Raises:
        InputError: the file is missing or damaged; names variable and row.
    """
    require_file(file, "COFW68's face boxes", OBTAINED)
    found = read_mat(file, {"bboxes": (SPLITS["test"], 4)})
    boxes = as_numbers(file, "bboxes", found["bboxes"])
    for row in np.flatnonzero((boxes[:, 2:] <= 0).any(axis=1)):
        raise InputError(f"{file}: bboxes row {row + 1}: expected x, y, width and height")
    return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]) - 1


def read_points(file: Path) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """One face's landmarks ``(68, 2)``, counted from 0, and which of them are seen ``(68,)``.

    Raises:
        InputError: the file cannot be read or is damaged; names variable and row.
    """
    found = read_mat(file, {"Points": (_POINTS, 2), "Occ": (1, _POINTS)})
    points = as_numbers(file, "Points", found["Points"]) - 1
    return points, as_numbers(file, "Occ", found["Occ"])[0] == 0


def check(root: Path) -> DataReport:
    """Account for the boxes, every face's landmarks, and the images; see :attr:`FaceSet.check`."""
    folder = LISTS.folder(root)
    numbers, damaged, faces = _there(folder), [], []
    boxes = np.zeros((SPLITS["test"], 4))
    try:
        boxes = read_boxes(folder / _BOXES)
    except InputError as error:
        damaged.append(str(error))
    for number in numbers:
        try:
            faces.append(_face(folder, number, boxes))
        except InputError as error:
            damaged.append(str(error))
    if _images(folder).is_file():
        try:
            cofw.LISTS.listed(root, "test")
        except InputError as error:
            damaged.append(str(error))
        else:
            damaged += damage(FACES, {"test": faces})
    account = LISTS.account(folder, "test", [_blank(folder, number) for number in numbers])
    subset = SubsetReport("cofw68", "test", SPLITS["test"], len(account.found), account.problems)
    return DataReport(folder, (subset,), tuple(damaged), account.lacking)


def _images(folder: Path) -> Path:
    return folder.parent / cofw.TEST_FILE


def _points_of(folder: Path, number: int) -> Path:
    return folder / "test_annotations" / f"{number}_points.mat"


def _there(folder: Path) -> list[int]:
    """The faces that have landmarks, by number."""
    numbers = range(1, SPLITS["test"] + 1)
    return [number for number in numbers if _points_of(folder, number).is_file()]


def _read(folder: Path, split: str) -> list[Face]:
    boxes = read_boxes(folder / _BOXES)
    return [_face(folder, number, boxes) for number in _there(folder)]


def _face(folder: Path, number: int, boxes: NDArray[np.float64]) -> Face:
    points, visible = read_points(_points_of(folder, number))
    blank = _blank(folder, number)
    return replace(blank, points=points, box=boxes[number - 1], visible=visible)


def _blank(folder: Path, number: int) -> Face:
    """A face whose landmarks are not read yet."""
    name = f"test/{number:04}"
    return Face(name, name, _images(folder), np.empty((0, 2)), index=number - 1)


LISTS = Lists(
    title="COFW68",
    name=f"{cofw.FOLDER}/cofw68",
    holds=f"{_BOXES} and test_annotations",
    obtained=OBTAINED,
    files={"test": _BOXES},
    sizes=SPLITS,
    read=_read,
)
# A network that was trained on 300W has learnt the boxes of its landmarks, so these too.
FACES = FaceDataSet(
    name="cofw68",
    summary="507 test faces of COFW, 68 landmarks each; nothing to train on",
    obtained=OBTAINED,
    folder=FOLDER,
    markup=MARKUPS[68],
    box="landmarks",
    normaliser="interocular",
    subsets={"test": ()},
    faces=LISTS.faces,
    files=files,
    read=cofw.read_image,
    check=check,
)
