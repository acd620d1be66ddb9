"""Boxes, normalisers and fitness of annotated faces, each named by its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from groupnas.errors import InputError
from groupnas.landmarks.boxes import check_face, face_box, normalisers
from groupnas.landmarks.data.face import Face
from groupnas.landmarks.data.synthetic import FACES as DRAWN
from groupnas.landmarks.data.synthetic import draw_face

POINTS = draw_face(0)[1]
FACE = Face("afw/person_3", "person_3", Path("data/afw/person_3.jpg"), POINTS)
BOX = np.array([10.0, 20, 40, 60])
PLACE = r"^data/afw/person_3.jpg \(afw/person_3\): "
SIZE = (160, 160)


def squeezed(first: int, last: int) -> Face:
    points = POINTS.copy()
    points[first : last + 1] = points[first]
    return replace(FACE, points=points)


def test_the_box_is_that_of_the_policy() -> None:
    assert face_box(FACE, DRAWN).tolist() == [*POINTS.min(axis=0), *POINTS.max(axis=0)]
    listed = replace(DRAWN, box="listed")
    assert face_box(replace(FACE, box=BOX), listed) is BOX
    with pytest.raises(InputError, match=PLACE + "synthetic lists no box"):
        face_box(FACE, listed)


def test_normalisers_by_kind() -> None:
    corners = np.linalg.norm(POINTS[45] - POINTS[36])
    assert normalisers([FACE, FACE], DRAWN).tolist() == pytest.approx([corners] * 2)
    listed = replace(DRAWN, box="listed")
    boxed = replace(FACE, box=BOX)
    kinds = {"box_width": 30, "box_longest": 40, "box": np.sqrt(1200)}
    for kind, expected in kinds.items():
        assert normalisers([boxed], listed, kind)[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("points", "kind", "what"),
    [
        ((36, 45), None, "the distance of the outer eye corners is 0 pixels"),
        ((36, 47), "interpupil", "the distance of the pupils, .* is 0 pixels"),
        ((0, 67), "box_width", "the width of the face box is 0 pixels"),
    ],
)
def test_a_normaliser_of_0_is_named_by_its_file(
    points: tuple[int, int], kind: str | None, what: str
) -> None:
    faces = [replace(FACE, path=Path("other.jpg")), squeezed(*points)]
    with pytest.raises(InputError, match=f"{PLACE}{what}; its errors cannot be divided by that"):
        normalisers(faces, DRAWN, kind)


def test_what_a_training_needs() -> None:
    check_face(FACE, DRAWN, SIZE, trains=True)
    nose = squeezed(27, 35)
    check_face(nose, DRAWN, SIZE, trains=False)
    with pytest.raises(InputError, match=PLACE + "the points of nose lie within one pixel"):
        check_face(nose, DRAWN, SIZE, trains=True)


def test_what_an_evaluation_needs() -> None:
    unknown = POINTS.copy()
    unknown[8, 1] = np.nan
    for face, what in (
        (replace(FACE, points=unknown), r"landmark 8 is \[.*nan\], not a point"),
        (replace(FACE, points=POINTS + 400), "landmarks lie far outside the image of 160 x 160"),
        (squeezed(36, 45), "the distance of the outer eye corners is 0 pixels"),
    ):
        with pytest.raises(InputError, match=PLACE + what):
            check_face(face, DRAWN, SIZE, trains=False)
