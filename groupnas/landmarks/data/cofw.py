"""COFW: 29 landmarks, whether each is occluded, and a face box, of 1,345 + 507 faces.

``<root>/cofw`` holds ``COFW_train_color.mat`` and ``COFW_test_color.mat``, with the images inside.
They are Matlab files of version 7.3, that is HDF5, in which every array lies transposed. Of the
training set, whose variables end in ``Tr``: ``IsTr``, a reference to each image, ``(3, W, H)`` or
grey ``(W, H)``; ``phisTr``, 29 x, then 29 y, then 29 flags, 1 where the point is occluded;
``bboxesTr``, left, top, width and height. The first 845 training faces are LFPW's, which nothing
occludes. Matlab counts pixels from 1, so 1 is subtracted. A face is called by
its number in the file, from 1, as is its photo: each has one face.

Source: Burgos-Artizzu et al., Robust Face Landmark Estimation under Occlusion, ICCV 2013.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from groupnas.errors import InputError
from groupnas.landmarks.data.face import Face
from groupnas.landmarks.data.hdf5 import opened_hdf5
from groupnas.landmarks.data.listed import Lists, require_file
from groupnas.landmarks.data.matlab import as_numbers, check_shape
from groupnas.landmarks.dataset import FaceDataSet
from groupnas.landmarks.markup import MARKUPS
from groupnas.tasks import DataReport

if TYPE_CHECKING:
    import h5py

FOLDER = "cofw"
OBTAINED = "https://data.caltech.edu/records/20099, COFW_color.zip"
SPLITS = {"train": 1345, "test": 507}  # official number of faces
TEST_FILE = "COFW_test_color.mat"
_FILES = {"train": "COFW_train_color.mat", "test": TEST_FILE}
_SUFFIXES = {"COFW_train_color.mat": "Tr", TEST_FILE: "T"}  # of the variables' names
_POINTS = 29
_MOST_PIXELS = 10_000  # of an image's side; a damaged size makes no huge array


def check(root: Path) -> DataReport:
    """Account for both files: their variables and all images are read."""
    return LISTS.report(root, FACES)


def _read(folder: Path, split: str) -> list[Face]:
    return read_file(folder / _FILES[split])


def read_file(path: Path) -> list[Face]:
    """The faces of ``COFW_train_color.mat`` or ``COFW_test_color.mat``, images not yet read.

    Raises:
        InputError: the file is missing or damaged, or h5py is not installed; names variable and
            row, or image.
    """
    split = next(split for split, name in _FILES.items() if name == path.name)
    require_file(path, f"COFW's {split} images and landmarks", OBTAINED)
    suffix = _SUFFIXES[path.name]
    with opened_hdf5(path) as file:
        references = _references(path, file)
        count = len(references)
        rows = _rows(path, file, f"phis{suffix}", (3 * _POINTS, count))
        boxes = _rows(path, file, f"bboxes{suffix}", (4, count))
        for index in range(count):
            _image(path, index, file, references)
    if (boxes[:, 2:] <= 0).any():
        row = int(np.flatnonzero((boxes[:, 2:] <= 0).any(axis=1))[0]) + 1
        raise InputError(f"{path}: bboxes{suffix} row {row}: expected x, y, width and height")
    corners = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]) - 1
    points = rows[:, : 2 * _POINTS].reshape(count, 2, _POINTS).transpose(0, 2, 1) - 1
    return [
        Face(
            name=f"{split}/{index + 1:04}",
            source=f"{split}/{index + 1:04}",
            path=path,
            points=points[index],
            box=corners[index],
            visible=rows[index, 2 * _POINTS :] == 0,
            index=index,
        )
        for index in range(count)
    ]


def read_image(face: Face) -> NDArray[np.uint8]:
    """A face's image as ``(H, W, 3)`` uint8 RGB, from inside its file.

    Raises:
        InputError: the file or the image is damaged; names the image's number, from 1.
    """
    if face.index is None:
        raise ValueError(f"{face.name} does not say which image of {face.path} it is")
    with opened_hdf5(face.path, f"image {face.index + 1}: ") as file:
        references = _references(face.path, file)
        if face.index >= len(references):
            raise InputError(f"{face.path}: holds {len(references):,} images; no {face.index + 1}")
        pixels = np.asarray(_image(face.path, face.index, file, references))
    turned = pixels.T
    return np.ascontiguousarray(turned if turned.ndim == 3 else np.stack([turned] * 3, axis=2))


def _references(path: Path, file: h5py.File) -> NDArray[Any]:
    """The references to all images of a file."""
    import h5py

    name = f"Is{_SUFFIXES[path.name]}"
    stored = _variable(path, file, name)
    check_shape(path, name, stored.shape, (1, None))
    if h5py.check_ref_dtype(stored.dtype) is not h5py.Reference:
        raise InputError(f"{path}: {name} must hold references to images, got {stored.dtype}")
    if not 0 < stored.shape[1] <= sum(SPLITS.values()):
        raise InputError(f"{path}: {name} must hold the images, got {stored.shape[1]:,}")
    references: NDArray[Any] = stored[0]
    return references


def _rows(path: Path, file: h5py.File, name: str, shape: tuple[int, int]) -> NDArray[np.float64]:
    """A variable, a row for each face."""
    stored = _variable(path, file, name)
    check_shape(path, name, stored.shape, shape)
    return as_numbers(path, name, np.asarray(stored).T)


def _image(path: Path, index: int, file: h5py.File, references: NDArray[Any]) -> h5py.Dataset:
    """One image, not read yet."""
    import h5py

    place = f"{path}: image {index + 1}"
    stored = file[references[index]] if references[index] else None
    if not isinstance(stored, h5py.Dataset):
        raise InputError(f"{place}: is missing")
    coloured = len(stored.shape) == 3 and stored.shape[0] == 3
    if not (coloured or len(stored.shape) == 2) or stored.dtype != np.uint8:
        raise InputError(
            f"{place}: expected bytes of 3 x width x height or width x height, got {stored.dtype} "
            f"of {' x '.join(map(str, stored.shape))}"
        )
    if not all(0 < size <= _MOST_PIXELS for size in stored.shape):
        raise InputError(f"{place}: damaged: of {' x '.join(map(str, stored.shape))}")
    return stored


def _variable(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    import h5py

    stored = file.get(name)
    if not isinstance(stored, h5py.Dataset):
        raise InputError(f"{path}: variable {name!r} is missing")
    return stored


LISTS = Lists(
    title="COFW",
    name=FOLDER,
    holds=" and ".join(_FILES.values()),
    obtained=OBTAINED,
    files=_FILES,
    sizes=SPLITS,
    read=_read,
)
FACES = FaceDataSet(
    name="cofw",
    summary="1,345 faces to train on, many occluded, 29 landmarks",
    obtained=OBTAINED,
    folder=FOLDER,
    markup=MARKUPS[29],
    box="listed",
    normaliser="interocular",
    subsets={"train": (), "test": ()},
    faces=LISTS.faces,
    files=LISTS.lists,
    read=read_image,
    check=check,
)
