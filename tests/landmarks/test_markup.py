"""Index tables: complete, symmetric, and right where checked by hand."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from groupnas.landmarks.data.synthetic import draw_face
from groupnas.landmarks.markup import MARKUPS, PARTS, Boundary, Markup

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


def test_106_and_29_points_by_hand() -> None:
    flip = MARKUPS[106].flip
    assert [flip[i] for i in (0, 33, 41, 55, 60, 66, 71, 74, 84, 91, 96, 104, 53)] == [
        32, 46, 47, 65, 60, 79, 82, 83, 90, 95, 100, 105, 53,
    ]  # fmt: skip
    assert [len(part) for part in MARKUPS[106].parts.values()] == [19, 19, 15, 20]
    assert MARKUPS[29].flip[:10] == (1, 0, 3, 2, 6, 7, 4, 5, 9, 8)
    assert MARKUPS[29].flip[18:] == (19, 18, 20, 21, 23, 22, 24, 25, 26, 27, 28)


@EVERY
def test_flip_maps_boundaries_onto_boundaries(markup: Markup) -> None:
    # Mirrored, a curve runs the other way: the same steps between the same points.
    def steps(boundaries: Iterable[Boundary]) -> set[frozenset[frozenset[int]]]:
        return {
            frozenset(
                frozenset(pair)
                for pair in zip(
                    b.points, (*b.points[1:], *b.points[: 1 if b.closed else 0]), strict=False
                )
            )
            for b in boundaries
        }

    def mirrored(boundary: Boundary) -> Boundary:
        return Boundary(tuple(markup.flip[point] for point in boundary.points), boundary.closed)

    assert steps(map(mirrored, markup.boundaries)) == steps(markup.boundaries)


@EVERY
def test_flip_maps_neighbours_onto_neighbours(markup: Markup) -> None:
    for point, (previous, following) in enumerate(markup.neighbours):
        if (previous, following) == (point, point):
            continue
        image = markup.flip[point]
        ends = {markup.flip[previous], markup.flip[following]}
        assert ends == set(markup.neighbours[image])


@EVERY
def test_flip_swaps_pupils_and_boundaries_stay_within_a_part(markup: Markup) -> None:
    left, right = markup.interpupil
    assert {markup.flip[i] for i in left} == set(right)
    assert set(left) <= set(markup.parts["left_eye"])
    regions = [*map(set, markup.parts.values()), set(markup.contour)]
    for boundary in markup.boundaries:
        assert len(set(boundary.points)) == len(boundary.points) > 2
        assert any(set(boundary.points) <= region for region in regions)


def test_neighbours_by_hand() -> None:
    of = MARKUPS[68].neighbours
    assert [of[i] for i in (0, 8, 16, 17, 27, 30)] == [
        (0, 1), (7, 9), (15, 16), (17, 18), (27, 28), (29, 30),
    ]  # fmt: skip
    assert [of[i] for i in (36, 41, 48, 59, 60, 67)] == [
        (41, 37), (40, 36), (59, 49), (58, 48), (67, 61), (66, 60),
    ]  # fmt: skip
    assert MARKUPS[98].neighbours[96] == (96, 96)  # a pupil
    assert MARKUPS[98].neighbours[33] == (41, 34)  # brows are outlines
    assert MARKUPS[106].neighbours[74] == (74, 74)
    # The corner of the mouth is on both lips: the outer one counts.
    assert MARKUPS[29].neighbours[22] == (27, 24) and MARKUPS[29].neighbours[25] == (22, 23)
    assert [i for i, pair in enumerate(MARKUPS[19].neighbours) if pair == (i, i)] == [
        6, 7, 8, 9, 10, 11, 12, 13, 14, 18,
    ]  # fmt: skip


def test_every_point_of_68_is_on_one_boundary() -> None:
    points = [point for boundary in MARKUPS[68].boundaries for point in boundary.points]
    assert sorted(points) == list(range(68))


def test_left_is_left_in_the_image() -> None:
    markup = MARKUPS[68]
    _, points = draw_face(0)
    left, right = (points[list(markup.parts[eye]), 0].mean() for eye in ("left_eye", "right_eye"))
    assert left < right
    assert markup.interocular is not None
    outer_left, outer_right = markup.interocular
    assert points[outer_left, 0] == points[list(range(36, 48)), 0].min()
    assert points[outer_right, 0] == points[list(range(36, 48)), 0].max()
