"""WFLW: its lists, their subsets, and every defect named by file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from groupnas.errors import InputError
from groupnas.landmarks.data.wflw import FACES

LISTS = "wflw/WFLW_annotations/list_98pt_rect_attr_train_test"
SUBSETS = "wflw/WFLW_annotations/list_98pt_test"


def test_faces_as_listed(wflw_root: Path, some_points: Callable[[int, int], np.ndarray]) -> None:
    faces = FACES.faces(wflw_root, "train", False)
    assert [face.name for face in faces] == [
        "train/0--Parade/a_0",
        "train/0--Parade/b_0",
        "train/0--Parade/a_1",
    ]
    assert [face.source for face in faces] == [f"0--Parade/{x}.jpg" for x in "aba"]
    for index, face in enumerate(faces):
        np.testing.assert_array_equal(face.points, some_points(98, index))
        assert face.box is not None and face.box.tolist() == [10, 20, 30 + index, 50]
        assert not face.subsets and face.visible is None and face.index is None
    assert FACES.read(faces[1]).shape == (130, 140, 3)
    assert abs(int(FACES.read(faces[1])[0, 0, 0]) - ord("b")) <= 1


def test_subsets_of_the_test_faces(wflw_root: Path) -> None:
    faces = FACES.faces(wflw_root, "test", False)
    assert [sorted(face.subsets) for face in faces] == [
        ["blur", "pose"],
        [],
        ["expression", "illumination", "makeup", "occlusion"],
        ["pose"],
    ]


def test_missing_images(wflw_root: Path) -> None:
    (wflw_root / "wflw/WFLW_images/0--Parade/a.jpg").unlink()
    with pytest.raises(InputError) as raised:
        FACES.faces(wflw_root, "train", False)
    assert str(raised.value) == (
        f"{wflw_root}/wflw: WFLW (train) is incomplete: 1 of 3 faces (1 image missing: "
        "WFLW_images/0--Parade/a.jpg); --allow-partial goes on with what is there"
    )
    assert [face.name for face in FACES.faces(wflw_root, "train", True)] == ["train/0--Parade/b_0"]
    (wflw_root / "wflw/WFLW_images/0--Parade/b.jpg").unlink()
    with pytest.raises(InputError, match="2 images missing: .*; obtain it from https://"):
        FACES.faces(wflw_root, "train", True)


def test_missing_list_and_folder(wflw_root: Path, tmp_path: Path) -> None:
    (file,) = FACES.files(wflw_root, "train", False)
    file.unlink()
    with pytest.raises(InputError, match="no such file: a list of faces, .* from https://"):
        FACES.faces(wflw_root, "train", True)
    with pytest.raises(InputError, match="data root must hold wflw/ with WFLW_images"):
        FACES.faces(tmp_path / "nowhere", "train", True)
    with pytest.raises(InputError, match="no split 'tets'; did you mean 'test'"):
        FACES.faces(wflw_root, "tets", True)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        (5, "", "expected 207 fields, got 206"),
        (5, "1 2", "expected 207 fields, got 208"),
        (5, "1.0.0", "expected a number, got '1.0.0'"),
        (195, "nan", "expected a finite number, got 'nan'"),
        (198, "10", "expected a rectangle left, top, right, bottom"),
        (201, "2", "expected attributes 0 or 1, got '0 2 0 0 0 0'"),
        (206, "../../up.jpg", "expected the name of an image"),
        (206, "/etc/passwd", "expected the name of an image"),
    ],
)
def test_every_defect_is_named(wflw_root: Path, field: int, value: str, reason: str) -> None:
    file = wflw_root / LISTS / "list_98pt_rect_attr_train.txt"
    lines = file.read_text().splitlines()
    fields = lines[1].split()
    fields[field] = value
    lines[1] = " ".join(fields)
    file.write_text("\n".join(lines))
    with pytest.raises(InputError) as raised:
        FACES.faces(wflw_root, "train", False)
    assert str(raised.value).startswith(f"{file}:2: {reason}")
    assert len(str(raised.value).splitlines()) == 1


def test_check_of_a_whole_copy(wflw_root: Path) -> None:
    report = FACES.check(wflw_root)
    assert [(one.split, one.found, one.expected) for one in report.subsets] == [
        ("train", 3, 3),
        ("test", 4, 4),
    ]
    assert report.damaged == () and report.incomplete is None


def test_check_names_all_that_is_wrong(wflw_root: Path) -> None:
    (wflw_root / LISTS / "list_98pt_rect_attr_train.txt").write_text("1 2 3\n")
    own = wflw_root / SUBSETS
    pose = own / "list_98pt_test_largepose.txt"
    pose.write_text(pose.read_text().splitlines()[0])
    (own / "list_98pt_test_makeup.txt").write_text("1 2 3")
    report = FACES.check(wflw_root)
    lines = [line.removeprefix(f"{wflw_root}/") for line in report.damaged]
    assert lines == [
        f"{LISTS}/list_98pt_rect_attr_train.txt:1: expected 207 fields, got 3",
        f"{SUBSETS}/list_98pt_test_largepose.txt: names 1 faces, of which 1 are among the 2 that "
        "list_98pt_rect_attr_test.txt marks as pose",
        f"{SUBSETS}/list_98pt_test_makeup.txt:1: expected 197 fields, got 3",
    ]
    assert report.incomplete == "list_98pt_rect_attr_train.txt: damaged"
    assert report.subsets[0].found == 0
    assert report.subsets[1].problems == ()


def test_check_looks_at_images(wflw_root: Path) -> None:
    (wflw_root / "wflw/WFLW_images/0--Parade/a.jpg").write_bytes(b"")
    (line,) = FACES.check(wflw_root).damaged  # once, though two faces are on it
    assert "a.jpg: damaged or not an image" in line
