"""300W's layout: what is found, what is missing, and whose photo a face is from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from groupnas.errors import InputError
from groupnas.landmarks.data import w300
from groupnas.landmarks.data.images import read_rgb
from groupnas.landmarks.data.synthetic import draw_face
from groupnas.landmarks.data.w300 import FACES, check, inventory, read_face

Copy = Callable[[], Path]


def test_official_counts() -> None:
    assert sum(w300.SPLITS["train"].values()) == 3148
    assert sum(w300.SPLITS["common"].values()) == 554
    assert sum(w300.SPLITS["test"].values()) == 689
    assert sum(w300.SPLITS["w600"].values()) == 600
    assert set(w300.SPLITS) == set(FACES.subsets)


def test_a_complete_copy(copy_300w: Copy) -> None:
    found = inventory(copy_300w())
    assert found.lacking is None
    assert (found.found, found.expected) == (7, 7)
    found.require(allow_partial=False)


def test_faces_of_one_photo_share_their_source(copy_300w: Copy) -> None:
    sources = {face.name: face.source for face in FACES.faces(copy_300w(), "train", False)}
    assert sources == {
        "afw/11_1": "afw/11",
        "afw/11_2": "afw/11",
        "afw/12_1": "afw/12",
        "helen/trainset/21_1": "helen/trainset/21",
        "helen/trainset/22_1": "helen/trainset/22",
        "lfpw/trainset/image_0001": "lfpw/trainset/image_0001",
        "lfpw/trainset/image_0002": "lfpw/trainset/image_0002",
    }


def test_points_count_from_zero(copy_300w: Copy) -> None:
    first = FACES.faces(copy_300w(), "train", False)[0]
    np.testing.assert_allclose(first.points, draw_face(0)[1], atol=1e-6)


def test_subsets_of_the_test_splits(copy_300w: Copy) -> None:
    root = copy_300w()
    found = {
        split: [(face.name, *face.subsets) for face in FACES.faces(root, split, False)]
        for split in ("common", "challenging", "test", "w600")
    }
    assert found["common"] == [
        ("helen/testset/31_1", "common"),
        ("lfpw/testset/image_0001", "common"),
    ]
    assert found["challenging"] == [("ibug/image_003_1", "challenging")]
    assert found["test"] == found["common"] + found["challenging"]
    assert found["w600"] == [
        ("01_Indoor/indoor_001", "indoor"),
        ("02_Outdoor/outdoor_001", "outdoor"),
    ]
    assert not any(face.subsets for face in FACES.faces(root, "train", False))


def test_files_and_pictures_of_a_split(copy_300w: Copy) -> None:
    root = copy_300w()
    faces = FACES.faces(root, "train", False)
    assert FACES.files(root, "train", False) == [face.path.with_suffix(".pts") for face in faces]
    assert FACES.read(faces[0]).shape == (160, 160, 3)
    with pytest.raises(InputError, match="no split 'tset'; did you mean 'test'"):
        FACES.faces(root, "tset", False)


def test_mirrored_files_and_duplicates_do_not_count(copy_300w: Copy) -> None:
    root = copy_300w()
    folder = root / "300w/afw"
    for name in ("11_1_mirror.jpg", "11_1_mirror.pts", ".hidden.pts", "Thumbs.db"):
        (folder / name).write_bytes(b"")
    (folder / "11_1.png").write_bytes((folder / "11_1.jpg").read_bytes())
    afw = inventory(root).subsets[0]
    assert [image.name for image in afw.images] == ["11_1.png", "11_2.jpg", "12_1.JPG"]
    assert afw.complete


def test_what_is_missing_is_named(copy_300w: Copy) -> None:
    root = copy_300w()
    (root / "300w/afw/11_1.jpg").unlink()
    (root / "300w/helen/trainset/21_1.pts").unlink()
    for file in (root / "300w/lfpw/trainset").iterdir():
        file.unlink()
    (root / "300w/lfpw/trainset").rmdir()
    found = inventory(root)
    with pytest.raises(InputError) as raised:
        found.require(allow_partial=False)
    assert str(raised.value) == (
        f"{root}/300w: 300W (train) is incomplete: afw 2 of 3 (1 with no image: 11_1.pts), "
        "helen/trainset 1 of 2 (1 with no .pts: 21_1.jpeg), "
        "lfpw/trainset no such folder (0 of 2); "
        "--allow-partial goes on with the 3 of 7 faces that are there"
    )
    found.require(allow_partial=True)


def test_nothing_at_all_is_refused_even_if_partial_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder; the data root must hold 300w/"):
        inventory(tmp_path)
    (tmp_path / "300w").mkdir()
    with pytest.raises(InputError, match="obtain it from https://"):
        inventory(tmp_path).require(allow_partial=True)


def test_check_finds_every_damaged_file(copy_300w: Copy) -> None:
    root = copy_300w()
    assert check(root).damaged == ()
    assert check(root).incomplete is None
    (root / "300w/afw/11_1.jpg").write_bytes(b"not an image")
    (root / "300w/ibug/image_003_1.pts").write_text("1 2\n")
    (root / "300w/afw/99_1.pts").write_text("")
    report = check(root)
    assert len(report.damaged) == 3
    assert any("11_1.jpg: damaged or not an image" in line for line in report.damaged)
    assert any("image_003_1.pts:1: expected 68 rows" in line for line in report.damaged)
    assert any("99_1.pts:1: empty" in line for line in report.damaged)
    assert report.incomplete is not None and "99_1.pts" in report.incomplete
    assert [subset.split for subset in report.subsets] == [
        *["train"] * 3,
        *["common"] * 2,
        "challenging",
        *["w600"] * 2,
    ]


def test_a_damaged_image_is_named(copy_300w: Copy) -> None:
    image = copy_300w() / "300w/afw/11_1.jpg"
    image.write_bytes(image.read_bytes()[:2000])
    with pytest.raises(InputError, match="11_1.jpg: damaged or not an image"):
        read_rgb(image)


def test_real_copy() -> None:
    root = os.environ.get("GROUPNAS_DATA")
    if not root or not (Path(root) / "300w").is_dir():
        pytest.skip("GROUPNAS_DATA does not name a folder with 300w")
    found = inventory(root)
    afw = [read_face(found.root, image) for image in found.subsets[0].images]
    assert found.subsets[0].found <= 337
    assert len({face.source for face in afw}) < len(afw)
    for one in afw[:20]:
        height, width = read_rgb(one.path).shape[:2]
        assert (one.points > -width).all() and (one.points < 2 * max(width, height)).all()


def test_names_that_are_no_text(copy_300w: Callable[[], Path]) -> None:
    """A face's name can be written anywhere; its path is the file's."""
    folder = copy_300w() / "300w/afw"
    for suffix, own in ((".jpg", "11_1.jpg"), (".pts", "11_1.pts")):
        (folder / own).rename(folder / (os.fsdecode(b"caf\xe9\n_1") + suffix))
    face = next(
        face for face in FACES.faces(folder.parents[1], "train", False) if "caf" in face.name
    )
    assert face.name == face.source == "afw/caf\\xe9\\n_1"
    assert os.fsencode(face.path.name) == b"caf\xe9\n_1.jpg"
    assert FACES.read(face).shape == (160, 160, 3)
    assert FACES.check(folder.parents[1]).damaged == ()
