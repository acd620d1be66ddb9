"""AFLW: the order of its rows, what is frontal, and every defect named by variable and row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groupnas.errors import InputError
from groupnas.landmarks.data.aflw import FACES

INFO = "aflw/AFLWinfo_release.mat"


def change(root: Path, **variables: Any) -> None:
    """Write the file again with other variables; ``None`` leaves one out."""
    from scipy.io import loadmat, savemat

    content = {name: value for name, value in loadmat(root / INFO).items() if name[0] != "_"}
    content.update(variables)
    savemat(root / INFO, {name: value for name, value in content.items() if value is not None})


def test_faces_in_the_files_order(
    aflw_root: Path, some_points: Callable[[int, int], np.ndarray]
) -> None:
    faces = FACES.faces(aflw_root, "train", False)
    assert [face.name for face in faces] == ["0/a_00005", "0/b_00002", "0/a_00001"]
    assert [face.source for face in faces] == ["0/a.jpg", "0/b.jpg", "0/a.jpg"]
    for face, row in zip(faces, (4, 1, 0), strict=True):
        np.testing.assert_array_equal(face.points, some_points(19, row))
        assert face.box is not None and face.box.tolist() == [
            10 + row,
            20,
            60 + row,
            70 + row,
        ]
        assert face.visible is not None and face.visible.all() and not face.subsets
    assert FACES.read(faces[0]).shape == (130, 140, 3)


def test_frontal_test_faces(aflw_root: Path) -> None:
    faces = FACES.faces(aflw_root, "test", False)
    assert [(face.name, *face.subsets) for face in faces] == [
        ("2/c_00004",),
        ("2/c_00003", "frontal"),
    ]
    assert faces[0].visible is not None and np.flatnonzero(~faces[0].visible).tolist() == [4]


@pytest.mark.parametrize("place", ["flickr", "."])
def test_other_places_of_the_images(aflw_root: Path, place: str) -> None:
    folder = aflw_root / "aflw"
    for photos in (folder / "data/flickr").iterdir():
        (folder / place).mkdir(exist_ok=True)
        photos.rename(folder / place / photos.name)
    (folder / "data/flickr").rmdir()
    assert len(FACES.faces(aflw_root, "train", False)) == 3


def test_order_may_be_a_column(aflw_root: Path) -> None:
    change(aflw_root, ra=np.array([[1], [2], [3], [4], [5]]))
    assert FACES.faces(aflw_root, "train", False)[0].name == "0/a_00001"


def cells(*values: Any) -> np.ndarray:
    found = np.empty((5, 1), object)
    found[:, 0] = values
    return found


NUMBERS = np.arange(5 * 38, dtype=float).reshape(5, 38)


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"bbox": None}, "variable 'bbox' is missing; expected one of 5 x 4"),
        ({"bbox": np.ones((4, 4))}, "bbox must be 5 x 4, got 4 x 4"),
        ({"bbox": np.tile([1.0, 9, 9, 1], (5, 1))}, "bbox row 1: expected left, right, top and"),
        ({"data": np.where(NUMBERS == 80, np.nan, NUMBERS)}, "data row 3: expected finite numbers"),
        ({"data": NUMBERS.astype(object)}, "data must hold numbers, got object"),
        ({"mask_new": np.ones((5, 38))}, "mask_new must be 5 x 19, got 5 x 38"),
        ({"nameList": cells("a", "b", "", "d", "e")}, "nameList row 3: expected the name of an"),
        ({"nameList": cells("a", "../b", "c", "d", "e")}, "nameList row 2: expected the name"),
        ({"nameList": cells("a", "b", "c", 5.0, "e")}, "nameList row 4: expected the name"),
        ({"ra": np.array([[1, 2, 3, 4, 4]])}, "ra must hold every row's number, 1 to 5, once"),
    ],
)
def test_every_defect_is_named(aflw_root: Path, variables: dict[str, Any], reason: str) -> None:
    change(aflw_root, **variables)
    with pytest.raises(InputError) as raised:
        FACES.faces(aflw_root, "test", False)
    assert str(raised.value).startswith(f"{aflw_root / INFO}: {reason}")


def test_not_a_matlab_file(aflw_root: Path) -> None:
    (aflw_root / INFO).write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(300))
    with pytest.raises(InputError, match="release.mat: damaged or not a Matlab file: "):
        FACES.faces(aflw_root, "train", False)


def test_check(aflw_root: Path) -> None:
    report = FACES.check(aflw_root)
    assert [(one.split, one.found) for one in report.subsets] == [("train", 3), ("test", 2)]
    assert report.damaged == () and report.incomplete is None
    (aflw_root / "aflw/data/flickr/0/a.jpg").unlink()
    (aflw_root / "aflw/data/flickr/2/c.jpg").write_bytes(b"GIF89a")
    report = FACES.check(aflw_root)
    assert report.incomplete == (
        "AFLW (train) is incomplete: 1 of 3 faces (1 image missing: data/flickr/0/a.jpg)"
    )
    assert len(report.damaged) == 1 and "c.jpg: damaged" in report.damaged[0]
    (aflw_root / INFO).unlink()
    report = FACES.check(aflw_root)
    assert all("no such file: AFLW's 19" in one.problems[0] for one in report.subsets)
    with pytest.raises(InputError, match="must hold aflw/ with AFLWinfo_release.mat"):
        FACES.check(aflw_root / "nowhere")
