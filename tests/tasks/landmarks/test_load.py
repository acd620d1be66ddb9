"""300W as a task, from files to batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from groupnas.errors import InputError
from groupnas.tasks import load_task
from groupnas.tasks.landmarks.load import load_300w

Copy = Callable[[], Path]


def test_training_faces_only(copy_300w: Copy) -> None:
    task = load_task("300w", data_root=copy_300w())
    assert task.name == "300w"
    assert len(task.sources) == 7
    assert not any("testset" in source or "ibug" in source for source in task.sources)


@pytest.mark.parametrize(("split", "faces"), [("common", 2), ("challenging", 1), ("test", 3)])
def test_test_faces_for_benchmarks(copy_300w: Copy, split: str, faces: int) -> None:
    task = load_300w(copy_300w(), split=split)
    assert task.name == f"300w/{split}"
    assert len(task.sources) == faces
    assert all("testset" in source or "ibug" in source for source in task.sources)


def test_cached_and_fresh_are_the_same(copy_300w: Copy) -> None:
    root = copy_300w()
    first, second = load_300w(root), load_300w(root)
    fresh = load_300w(root, cache=False)
    assert first.fingerprint() == second.fingerprint() == fresh.fingerprint()
    crops, _ = second.batch(torch.arange(7))
    expected, _ = fresh.batch(torch.arange(7))
    assert torch.equal(crops, expected)


def test_partial_copies_must_be_allowed(copy_300w: Copy) -> None:
    root = copy_300w()
    (root / "300w/afw/11_1.pts").unlink()
    with pytest.raises(InputError, match="--allow-partial"):
        load_300w(root)
    assert len(load_300w(root, allow_partial=True).sources) == 6


def test_a_damaged_file_stops_with_its_name(copy_300w: Copy) -> None:
    root = copy_300w()
    (root / "300w/afw/11_2.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match="11_2.jpg: damaged or not an image"):
        load_300w(root)


def test_limit_is_spread_over_the_folders(copy_300w: Copy) -> None:
    # every 7/4th of seven faces: numbers 0, 1, 3, 5
    assert load_300w(copy_300w(), limit=4).sources == (
        "afw/11",
        "afw/11",
        "helen/trainset/21",
        "lfpw/trainset/image_0001",
    )
