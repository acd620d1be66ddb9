"""Drawings of faces."""

from __future__ import annotations

import numpy as np
import pytest

from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.predict.follow import FoundFace
from groupnas.landmarks.predict.overlay import draw_faces
from groupnas.palette import COLOURS

GREY = np.full((120, 160, 3), 128, np.uint8)


def near(pixel: np.ndarray, colour: str) -> bool:
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool(np.abs(pixel.astype(int) - wanted).max() < 12)


def face_at(markup_points: int, low: float, high: float) -> FoundFace:
    """Points on a grid inside a square, far enough apart to be told from each other."""
    side = int(np.ceil(np.sqrt(markup_points)))
    ticks = np.round(np.linspace(low, high, side))
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)[:markup_points]
    return FoundFace(np.array([low, low, high, high]), grid)


@pytest.mark.parametrize("points", MARKUPS)
def test_every_point_in_the_colour_of_its_part(points: int) -> None:
    markup = MARKUPS[points]
    image = np.full((700, 700, 3), 128, np.uint8)
    face = face_at(points, 30, 670)
    drawn = draw_faces(image, [face], markup)
    owners = dict.fromkeys(markup.contour, "#ffffff")
    for colour, indices in zip(COLOURS, markup.parts.values(), strict=False):
        owners |= dict.fromkeys(indices, colour)
    for index, (x, y) in enumerate(face.points.astype(int)):
        assert near(drawn[y, x], owners[index]), index


def test_the_picture_itself_stays() -> None:
    before = GREY.copy()
    face = face_at(68, 30, 80)
    drawn = draw_faces(GREY, [face], MARKUPS[68])
    assert (before == GREY).all() and drawn.shape == GREY.shape and drawn.dtype == np.uint8
    changed = np.argwhere((drawn != GREY).any(axis=2))
    assert changed.min() >= 26 and changed.max() <= 84
    assert (draw_faces(GREY, [], MARKUPS[68]) == GREY).all()


@pytest.mark.parametrize("span", [(-400.0, 900.0), (-500.0, -300.0), (110.0, 300.0), (20.0, 22.0)])
def test_faces_beyond_the_picture(span: tuple[float, float]) -> None:
    drawn = draw_faces(GREY, [face_at(68, *span)], MARKUPS[68])
    assert (drawn != GREY).any() == (span[1] > 0)
