"""Data sets of faces as tasks, from files to batches."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from groupnas.errors import InputError
from groupnas.landmarks.boxes import face_box, normalisers
from groupnas.landmarks.cache import cache_folder
from groupnas.landmarks.crops import PART_CROPS
from groupnas.landmarks.data.pts import read_pts
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.load import load_faces, load_landmarks
from groupnas.landmarks.roles import FACE_LOOK, Gaze
from groupnas.tasks import load_task

Copy = Callable[[], Path]
W300 = face_set("300w")


def test_training_faces_only(copy_300w: Copy) -> None:
    task = load_task("300w", data_root=copy_300w())
    assert task.name == "300w"
    assert len(task.sources) == 7
    assert not any("testset" in source or "ibug" in source for source in task.sources)


@pytest.mark.parametrize(("split", "faces"), [("common", 2), ("challenging", 1), ("test", 3)])
def test_test_faces_for_benchmarks(copy_300w: Copy, split: str, faces: int) -> None:
    task = load_landmarks(W300, copy_300w(), split=split)
    assert task.name == f"300w/{split}"
    assert len(task.sources) == faces
    assert all("testset" in source or "ibug" in source for source in task.sources)


def test_cached_and_fresh_are_the_same(copy_300w: Copy) -> None:
    root = copy_300w()
    first, second = load_landmarks(W300, root), load_landmarks(W300, root)
    fresh = load_landmarks(W300, root, cache=False)
    assert first.fingerprint() == second.fingerprint() == fresh.fingerprint()
    crops, _ = second.batch(torch.arange(7))
    expected, _ = fresh.batch(torch.arange(7))
    assert torch.equal(crops, expected)


def test_partial_copies_must_be_allowed(copy_300w: Copy) -> None:
    root = copy_300w()
    (root / "300w/afw/11_1.pts").unlink()
    with pytest.raises(InputError, match="--allow-partial"):
        load_landmarks(W300, root)
    assert len(load_landmarks(W300, root, allow_partial=True).sources) == 6


def test_a_damaged_file_stops_with_its_name(copy_300w: Copy) -> None:
    root = copy_300w()
    (root / "300w/afw/11_2.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match="11_2.jpg: damaged or not an image"):
        load_landmarks(W300, root)


def test_a_face_without_a_unit_stops_with_its_file(copy_300w: Copy) -> None:
    path = copy_300w() / "300w/afw/11_2.pts"
    points = read_pts(path)
    points[45] = points[36]
    path.write_text("\n".join(f"{x} {y}" for x, y in points))
    with pytest.raises(InputError, match=r"afw/11_2.jpg \(afw/11_2\): the distance of the outer"):
        load_landmarks(W300, path.parents[2])


def test_limit_is_spread_over_the_folders(copy_300w: Copy) -> None:
    # every 7/4th of seven faces: numbers 0, 1, 3, 5
    assert load_landmarks(W300, copy_300w(), limit=4).sources == (
        "afw/11",
        "afw/11",
        "helen/trainset/21",
        "lfpw/trainset/image_0001",
    )


def test_an_unknown_split_is_named(copy_300w: Copy) -> None:
    with pytest.raises(InputError, match="300w has no split 'tests'; did you mean 'test'"):
        load_landmarks(W300, copy_300w(), split="tests")


def test_what_has_nothing_to_train_on_says_so(cofw_root: Path) -> None:
    with pytest.raises(InputError, match="cofw68 has no split 'train'; choose from: test$"):
        load_task("cofw68", data_root=cofw_root)


def test_whole_faces_and_parts_are_cached_apart(copy_300w: Copy) -> None:
    root = copy_300w()
    parts = load_landmarks(W300, root)
    # the same settings, so that the regions alone tell the two apart
    whole = load_landmarks(W300, root, Gaze.at("box", PART_CROPS))
    assert len(list(cache_folder().iterdir())) == 2
    assert parts.patches.pixels.shape[1] == 4 and whole.patches.pixels.shape[1] == 1
    again = load_landmarks(W300, root, Gaze.at("box", PART_CROPS))
    assert again.fingerprint() == whole.fingerprint() != parts.fingerprint()
    colour = load_landmarks(W300, root, FACE_LOOK)
    assert dict(colour.inputs) == {"face": 3} and dict(colour.outputs) == {"face": 136}


def test_a_cache_is_stale_when_points_change(copy_300w: Copy) -> None:
    root = copy_300w()
    before = load_landmarks(W300, root)
    file = root / "300w/afw/11_1.pts"
    status = file.stat()
    lines = file.read_text().splitlines()
    lines[3 + 30] = "80.125000 " + lines[3 + 30].split()[1]
    file.write_text("\n".join(lines) + "\n")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    after = load_landmarks(W300, root)
    assert not np.array_equal(before.patches.points[0], after.patches.points[0])
    np.testing.assert_array_equal(before.patches.points[1:], after.patches.points[1:])


def test_the_box_follows_the_policy_of_the_set(wflw_root: Path, copy_300w: Copy) -> None:
    wflw = face_set("wflw")
    (face, *_) = load_faces(wflw, wflw_root)
    assert face.box is not None
    assert face_box(face, wflw) is face.box
    with pytest.raises(InputError, match="wflw lists no box for this face"):
        face_box(replace(face, box=None), wflw)
    drawn = load_faces(W300, copy_300w())[0]
    low, high = drawn.points.min(axis=0), drawn.points.max(axis=0)
    np.testing.assert_array_equal(face_box(drawn, W300), [*low, *high])
    # the outer corners of the eyes
    np.testing.assert_allclose(
        normalisers([drawn], W300), [np.linalg.norm(drawn.points[36] - drawn.points[45])]
    )
