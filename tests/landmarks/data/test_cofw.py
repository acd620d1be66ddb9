"""COFW, with 29 and with 68 points: what lies in its files, and every defect named."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groupnas.errors import InputError
from groupnas.landmarks.data import cofw68
from groupnas.landmarks.data.cofw import FACES

h5py = pytest.importorskip("h5py", reason="COFW's files need h5py")
Points = Callable[[int, int], np.ndarray]


def test_faces_count_from_zero(cofw_root: Path, some_points: Points) -> None:
    faces = FACES.faces(cofw_root, "train", False)
    assert [face.name for face in faces] == ["train/0001", "train/0002", "train/0003"]
    assert len({face.source for face in faces}) == 3
    for index, face in enumerate(faces):
        np.testing.assert_array_equal(face.points, some_points(29, index))
        assert face.box is not None and face.box.tolist() == [5, 7, 25 + index, 32]
        assert face.visible is not None and np.flatnonzero(~face.visible).tolist() == [index]
        assert face.index == index
    assert FACES.files(cofw_root, "train", False) == [faces[0].path]


def test_pictures(cofw_root: Path) -> None:
    first, grey, last = (FACES.read(face) for face in FACES.faces(cofw_root, "train", False))
    expected = np.random.default_rng(0).integers(0, 255, (130, 140, 3), dtype=np.uint8)
    np.testing.assert_array_equal(first, expected)
    expected = np.random.default_rng(1).integers(0, 255, (130, 141), dtype=np.uint8)
    np.testing.assert_array_equal(grey, np.stack([expected] * 3, axis=2))
    assert last.shape == (130, 142, 3) and last.flags.c_contiguous


def replace(file: Any, name: str, value: Any) -> None:
    without(file, name)
    file[name] = value


def replace_image(file: Any, image: np.ndarray) -> None:
    """Another second image."""
    replace(file, "#refs#/1", image)
    file["IsTr"][0, 1] = file["#refs#/1"].ref


def without(file: Any, name: str) -> None:
    del file[name]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda file: without(file, "IsTr"), "variable 'IsTr' is missing"),
        (lambda file: without(file, "phisTr"), "variable 'phisTr' is missing"),
        (lambda file: replace(file, "IsTr", np.ones((1, 3))), "IsTr must hold references"),
        (lambda file: replace(file, "phisTr", np.ones((58, 3))), "phisTr must be 87 x 3, got 58"),
        (lambda file: replace(file, "bboxesTr", np.ones((4, 2))), "bboxesTr must be 4 x 3"),
        (lambda file: replace(file, "bboxesTr", np.zeros((4, 3))), "bboxesTr row 1: expected x, y"),
        (lambda file: replace(file, "phisTr", np.full((87, 3), np.inf)), "phisTr row 1: expected"),
        (lambda file: replace(file, "phisTr", b"text"), "phisTr must be 87 x 3, got one value"),
        (lambda file: replace_image(file, np.ones((3, 4, 5))), "image 2: expected bytes of 3 x"),
        (lambda file: replace_image(file, np.ones((4, 4, 5), "u1")), "image 2: expected bytes of"),
        (lambda file: replace_image(file, np.ones((3, 0, 5), "u1")), "image 2: damaged: of 3 x 0"),
    ],
)
def test_every_defect_is_named(cofw_root: Path, change: Callable[[Any], None], reason: str) -> None:
    path = cofw_root / "cofw/COFW_train_color.mat"
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(InputError) as raised:
        FACES.faces(cofw_root, "train", False)
    assert str(raised.value).startswith(f"{path}: {reason}")


def test_a_lost_image_is_named(cofw_root: Path) -> None:
    path = cofw_root / "cofw/COFW_train_color.mat"
    face = FACES.faces(cofw_root, "train", False)[2]
    with h5py.File(path, "r+") as file:
        file["IsTr"][0, 2] = h5py.Reference()
    with pytest.raises(InputError, match="color.mat: image 3: is missing"):
        FACES.read(face)


def test_incomplete_and_missing_files(cofw_root: Path) -> None:
    from groupnas.landmarks.data import cofw

    cofw.SPLITS["train"] = 4
    with pytest.raises(InputError, match=r"3 of 4 faces \(3 listed\); --allow-partial goes on"):
        FACES.faces(cofw_root, "train", False)
    assert len(FACES.faces(cofw_root, "train", True)) == 3
    (cofw_root / "cofw/COFW_train_color.mat").unlink()
    with pytest.raises(InputError, match="no such file: COFW's train images and .* from https://"):
        FACES.faces(cofw_root, "train", True)


def test_without_h5py(cofw_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def importing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "h5py":
            raise ImportError(name)
        return genuine(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(InputError, match=r"needs h5py: .*'groupnas\[cofw\]'"):
        FACES.faces(cofw_root, "train", False)


def test_check(cofw_root: Path) -> None:
    report = FACES.check(cofw_root)
    assert [(one.split, one.found) for one in report.subsets] == [("train", 3), ("test", 2)]
    assert report.damaged == () and report.incomplete is None
    (cofw_root / "cofw/COFW_test_color.mat").unlink()
    path = cofw_root / "cofw/COFW_train_color.mat"
    path.write_bytes(path.read_bytes()[:3000])
    report = FACES.check(cofw_root)
    assert len(report.damaged) == 1 and report.incomplete == "COFW_train_color.mat: damaged"
    assert report.damaged[0].startswith(f"{path}: damaged or not a Matlab file: ")
    assert "no such file" in report.subsets[1].problems[0]


def test_the_68_points(cofw_root: Path, some_points: Points) -> None:
    faces = cofw68.FACES.faces(cofw_root, "test", False)
    assert [face.name for face in faces] == ["test/0001", "test/0002"]
    for number, face in enumerate(faces, 1):
        np.testing.assert_allclose(face.points, some_points(68, number))
        assert face.visible is not None and (~face.visible).sum() == number
        np.testing.assert_array_equal(
            cofw68.FACES.read(face), FACES.read(FACES.faces(cofw_root, "test", False)[number - 1])
        )
    assert faces[1].box is not None and faces[1].box.tolist() == [6, 7, 27, 38]
    assert len(cofw68.FACES.files(cofw_root, "test", False)) == 3


def test_check_of_the_68_points(cofw_root: Path) -> None:
    report = cofw68.check(cofw_root)
    assert report.damaged == () and report.incomplete is None
    assert (report.subsets[0].found, report.subsets[0].expected) == (2, 2)
    own = cofw_root / "cofw/cofw68"
    (own / "test_annotations/1_points.mat").write_bytes(b"no Matlab")
    (own / "test_annotations/2_points.mat").unlink()
    (own / "cofw68_test_bboxes.mat").unlink()
    report = cofw68.check(cofw_root)
    assert [line.removeprefix(f"{own}/").split(": ")[:2] for line in report.damaged] == [
        ["cofw68_test_bboxes.mat", "no such file"],
        ["test_annotations/1_points.mat", "damaged or not a Matlab file"],
    ]
    assert report.incomplete == "COFW68 (test) is incomplete: 1 of 2 faces (1 listed)"
    (cofw_root / "cofw/COFW_test_color.mat").unlink()
    with pytest.raises(InputError, match="no such file: COFW68's face boxes"):
        cofw68.FACES.faces(cofw_root, "test", False)
