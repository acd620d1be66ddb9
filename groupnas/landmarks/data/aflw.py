"""AFLW: 19 landmarks and a face box for each of 24,386 faces in every pose.

``<root>/aflw`` holds ``AFLWinfo_release.mat`` and the images' folders ``0``, ``2`` and ``3``,
either right there or as they are unpacked, in ``data/flickr`` or ``flickr``. The file has a row
for each face: ``nameList``, the image; ``bbox``, left, right, top and bottom; ``data``, 19 x, then
19 y; ``mask_new``, 1 where a point is seen. ``ra`` puts the rows, counted from 1, into an order:
the first 20,000 train, the others test, and those of them whose points are all seen are frontal.
Every point counts, seen or not. Coordinates are taken as written, counted from 0. A face is called
by its photo and its row in the file, from 1.

Errors are divided by the box. The field means its width (PicassoNet, Section IV-A), its longer
side, or the root of its area: all one where boxes are square, as AFLW's are.

Source: Koestinger et al., Annotated Facial Landmarks in the Wild, 2011; the 19 points and the
split: Zhu et al., Unconstrained Face Alignment via Cascaded Compositional Learning, CVPR 2016.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groupnas.errors import InputError, printable
from groupnas.landmarks.data.face import Face
from groupnas.landmarks.data.images import read_picture
from groupnas.landmarks.data.listed import Lists, require_file
from groupnas.landmarks.data.matlab import as_numbers, read_mat
from groupnas.landmarks.dataset import FaceDataSet
from groupnas.landmarks.markup import MARKUPS
from groupnas.tasks import DataReport

FOLDER = "aflw"
OBTAINED = (
    "annotations http://mmlab.ie.cuhk.edu.hk/projects/compositional.html, images "
    "https://www.tugraz.at/institute/icg/research/team-bischof/lrs/downloads/aflw (research use)"
)
SPLITS = {"train": 20_000, "test": 4_386}  # official number of faces, in the order of `ra`
_FILE = "AFLWinfo_release.mat"
_IMAGES = ("data/flickr", "flickr", ".")  # the first of them that is there
_POINTS = 19


def check(root: Path) -> DataReport:
    """Account for the file and the images that it names; see :attr:`FaceSet.check`."""
    return LISTS.report(root, FACES)


def _read(folder: Path, split: str) -> list[Face]:
    images = next(folder / place for place in _IMAGES if (folder / place).is_dir())
    everyone, first = read_info(folder / _FILE, images), SPLITS["train"]
    return everyone[:first] if split == "train" else everyone[first:]


def read_info(file: Path, images: Path) -> list[Face]:
    """All faces of ``AFLWinfo_release.mat`` in the order of ``ra``; does not look at the images.

    Raises:
        InputError: the file cannot be read or is damaged; names variable and row.
    """
    require_file(file, "AFLW's 19 landmarks", OBTAINED)
    total = sum(SPLITS.values())
    found = read_mat(
        file,
        {
            "nameList": (total, 1),
            "bbox": (total, 4),
            "data": (total, 2 * _POINTS),
            "mask_new": (total, _POINTS),
            "ra": (None, None),  # a row or a column
        },
    )
    names = _names(file, found["nameList"])
    boxes = as_numbers(file, "bbox", found["bbox"])[:, [0, 2, 1, 3]]
    for row in np.flatnonzero((boxes[:, :2] >= boxes[:, 2:]).any(axis=1)):
        raise InputError(f"{file}: bbox row {row + 1}: expected left, right, top and bottom")
    points = as_numbers(file, "data", found["data"]).reshape(total, 2, _POINTS).transpose(0, 2, 1)
    visible = as_numbers(file, "mask_new", found["mask_new"]) == 1
    order = as_numbers(file, "ra", found["ra"].reshape(-1))
    if not np.array_equal(np.sort(order), np.arange(1, total + 1)):
        raise InputError(f"{file}: ra must hold every row's number, 1 to {total:,}, once")
    test = set(order[SPLITS["train"] :])
    return [
        Face(
            name=f"{printable(str(PurePosixPath(names[row]).with_suffix('')))}_{row + 1:05}",
            source=printable(names[row]),
            path=images / names[row],
            points=points[row],
            box=boxes[row],
            subsets=frozenset({"frontal"} if visible[row].all() and row + 1 in test else ()),
            visible=visible[row],
        )
        for row in (order - 1).astype(int)
    ]


def _names(file: Path, cells: NDArray[Any]) -> list[str]:
    """The image of every row."""
    names = []
    for row, cell in enumerate(cells[:, 0], 1):
        if not isinstance(cell, str) or not _is_name(cell):
            raise InputError(f"{file}: nameList row {row}: expected the name of an image")
        names.append(cell)
    return names


def _is_name(text: str) -> bool:
    path = PurePosixPath(text)
    return bool(path.name) and not path.is_absolute() and ".." not in path.parts


LISTS = Lists(
    title="AFLW",
    name=FOLDER,
    holds=f"{_FILE} and the images",
    obtained=OBTAINED,
    files=dict.fromkeys(SPLITS, _FILE),
    sizes=SPLITS,
    read=_read,
)
FACES = FaceDataSet(
    name="aflw",
    summary="20,000 training faces in every pose, 19 landmarks each",
    obtained=OBTAINED,
    folder=FOLDER,
    markup=MARKUPS[19],
    box="listed",
    normaliser="box_width",
    subsets={"train": (), "test": ("frontal",)},
    faces=LISTS.faces,
    files=LISTS.lists,
    read=read_picture,
    check=check,
)
