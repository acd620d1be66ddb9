"""Frames that five points turn and stretch, and the pixels that are read off there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from groupnas.landmarks.crops import cut_frames, cut_turned
from groupnas.landmarks.data.synthetic import draw_face
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.frames import Frame
from groupnas.landmarks.load import load_faces
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.roles import Gaze

MARKUP = MARKUPS[68]
TURNED = Gaze(frame="five_points", margin=1.3, size=24, colour=True)


def faces_of(count: int) -> tuple[np.ndarray, np.ndarray]:
    chosen = load_faces(face_set("synthetic"), None, limit=count)
    points = np.stack([face.points for face in chosen])
    return points, np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


def five(points: np.ndarray) -> np.ndarray:
    """By hand, of 68 points."""
    eyes = [(points[36] + points[39]) / 2, (points[42] + points[45]) / 2]
    return np.stack([*eyes, points[30], points[48], points[54]])


REFERENCE = np.array([[-0.45, -0.64], [0.45, -0.64], [0, -0.15], [-0.4, 0.31], [0.4, 0.31]])


def test_frames_are_least_squares_fits() -> None:
    points, boxes = faces_of(6)
    affine = TURNED.frames(boxes, points, MARKUP)
    similar = replace(TURNED, fit="similarity").frames(boxes, points, MARKUP)
    design = np.c_[REFERENCE / 1.3, np.ones(5)]
    for number, face in enumerate(points):
        expected = np.linalg.lstsq(design, five(face), rcond=None)[0]
        np.testing.assert_allclose(affine.linear[number, 0], expected[:2].T, atol=1e-9)
        np.testing.assert_allclose(affine.origin[number, 0], expected[2], atol=1e-9)
        a, b = similar.linear[number, 0]
        assert a[0] == pytest.approx(b[1]) and a[1] == pytest.approx(-b[0])

        def missed(scale: float, angle: float, face: np.ndarray = face) -> float:
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            laid = scale * design[:, :2] @ turn.T
            return float(np.square(laid - laid.mean(0) - five(face) + five(face).mean(0)).sum())

        scale, angle = np.hypot(a[0], b[0]), np.arctan2(b[0], a[0])
        least = missed(scale, angle)
        for more, turned in ((1.01, 0), (0.99, 0), (1, 0.01), (1, -0.01)):
            assert missed(scale * more, angle + turned) > least


def test_a_moved_face_moves_its_frame() -> None:
    points, boxes = faces_of(3)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]]) * 1.5
    moved = points @ turn.T + [200, -30]
    for fit in ("affine", "similarity"):
        look = replace(TURNED, fit=fit)
        frame = look.frames(boxes, points, MARKUP)
        after = look.frames(np.tile([150.0, 0, 300, 150], (3, 1)), moved, MARKUP)
        np.testing.assert_allclose(after.linear, turn @ frame.linear, atol=1e-9)
        np.testing.assert_allclose(after.origin, frame.origin @ turn.T + [200, -30], atol=1e-9)


@pytest.mark.parametrize(
    ("fit", "what"),
    [  # shift, scale and rotation can be laid on a line
        ("affine", "mirrored"),
        ("affine", "line"),
        ("affine", "point"),
        ("similarity", "mirrored"),
        ("similarity", "point"),
    ],
)
def test_where_no_frame_fits_it_is_that_of_the_box(fit: Any, what: str) -> None:
    points, boxes = faces_of(2)
    plain = Gaze(frame="box", margin=1.3, size=24, colour=True).frames(boxes, None, MARKUP)
    wrong = points.copy()
    if what == "mirrored":
        wrong[..., 0] = boxes[:, :1] + boxes[:, 2:3] - wrong[..., 0]
    elif what == "point":
        wrong[:] = 40
    else:
        wrong[..., 1] = 2 * wrong[..., 0]
    found = replace(TURNED, fit=fit).frames(boxes, wrong, MARKUP)
    assert (found.linear == plain.linear).all() and (found.origin == plain.origin).all()


def test_turned_regions_are_read_off_where_they_lie() -> None:
    """Brightness is a plane: what is cut at a unit is the plane's height at its pixel."""
    rows, columns = np.mgrid[:120, :140]
    image = np.rint(20 + rows + 0.6 * columns).astype(np.uint8)
    linear = np.array([[[20.0, -14], [9, 25]], [[-15, -20], [22, -13]]])
    frame = Frame(linear, np.array([[60.3, 55.8], [72, 51.5]]))
    cut = cut_turned(image, frame, 16)
    assert cut.shape == (2, 1, 16, 16) and cut.dtype == np.uint8
    units = (2 * np.arange(16) + 1) / 16 - 1
    grid = np.stack(np.meshgrid(units, units), axis=-1)
    for number in range(2):
        pixel = grid @ linear[number].T + frame.origin[number]
        np.testing.assert_allclose(cut[number, 0], 20 + pixel @ [0.6, 1], atol=1.1)
    # an upright one is what it would be without all this
    image, _ = draw_face(0)
    square = Frame(np.eye(2)[None] * 40, np.array([[80.0, 78]]))
    plain, same = cut_frames(image, square, 32), cut_turned(image, square, 32)
    assert np.abs(plain.astype(int) - same).mean() < 2
    colours = cut_turned(np.stack([image, image // 2, 255 - image], axis=-1), square, 32, True)
    assert np.abs(colours[:, 0].astype(int) - same[:, 0]).max() <= 1
    assert np.abs(255 - colours[:, 2].astype(int) - same[:, 0]).max() <= 1
