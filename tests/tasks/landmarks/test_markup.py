"""Index tables: complete, symmetric, and right where checked by hand."""

from __future__ import annotations

import pytest

from groupnas.tasks.landmarks.markup import MARKUPS, PARTS, Markup
from groupnas.tasks.landmarks.synthetic import draw_face

EVERY = pytest.mark.parametrize("markup", MARKUPS.values(), ids=lambda markup: markup.name)


@EVERY
def test_parts_and_contour_hold_every_point_once(markup: Markup) -> None:
    assert tuple(markup.parts) == PARTS
    assert sorted([*markup.part_points, *markup.contour]) == list(range(markup.points))


@EVERY
def test_flipping_twice_changes_nothing(markup: Markup) -> None:
    assert [markup.flip[i] for i in markup.flip] == list(range(markup.points))
    assert [markup.part_flip[i] for i in markup.part_flip] == list(range(len(markup.part_flip)))


@EVERY
def test_flip_swaps_the_eyes_and_keeps_the_rest(markup: Markup) -> None:
    def flipped(indices: tuple[int, ...]) -> set[int]:
        return {markup.flip[index] for index in indices}

    assert flipped(markup.parts["left_eye"]) == set(markup.parts["right_eye"])
    assert flipped(markup.parts["nose"]) == set(markup.parts["nose"])
    assert flipped(markup.parts["mouth"]) == set(markup.parts["mouth"])
    assert flipped(markup.contour) == set(markup.contour)
    assert markup.flipped_parts == (1, 0, 2, 3)


def test_68_points_by_hand() -> None:
    flip = MARKUPS[68].flip
    assert [flip[i] for i in (0, 8, 17, 21, 27, 31, 36, 39, 40, 41, 48, 55, 60, 67)] == [
        16, 8, 26, 22, 27, 35, 45, 42, 47, 46, 54, 59, 64, 65,
    ]  # fmt: skip
    assert [len(part) for part in MARKUPS[68].parts.values()] == [11, 11, 9, 20]


def test_98_and_19_points_by_hand() -> None:
    flip = MARKUPS[98].flip
    assert [flip[i] for i in (0, 33, 38, 60, 65, 76, 83, 96, 16, 51)] == [
        32, 46, 50, 72, 75, 82, 87, 97, 16, 51,
    ]  # fmt: skip
    assert MARKUPS[19].flip == (5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 14, 13, 12, 17, 16, 15, 18)


def test_left_is_left_in_the_image() -> None:
    markup = MARKUPS[68]
    _, points = draw_face(0)
    left, right = (points[list(markup.parts[eye]), 0].mean() for eye in ("left_eye", "right_eye"))
    assert left < right
    assert markup.interocular is not None
    outer_left, outer_right = markup.interocular
    assert points[outer_left, 0] == points[list(range(36, 48)), 0].min()
    assert points[outer_right, 0] == points[list(range(36, 48)), 0].max()
