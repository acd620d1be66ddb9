"""Markups: each landmark's facial part, the boundary it lies on, and where mirroring sends it.

"Left" is left in the image, indices count from 0, and the parts together with the contour hold
every point exactly once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

PARTS = ("left_eye", "right_eye", "nose", "mouth")


@dataclass(frozen=True)
class Boundary:
    """A curve of the face that landmarks are strung along, such as a lid or a lip.

    Attributes:
        points: Landmark indices, in order along the curve.
        closed: Whether the last point is followed by the first.
    """

    points: tuple[int, ...]
    closed: bool


@dataclass(frozen=True)
class Markup:
    """One scheme of facial landmarks.

    Attributes:
        name: The data set that made the scheme known.
        points: Number of landmarks.
        parts: Landmark indices of each part, in the order of :data:`PARTS`; an eye includes its
            brow.
        contour: Indices that belong to no part: the face's outline.
        flip: ``flip[i]`` is the landmark that point ``i`` becomes in the mirrored image.
        interocular: The outer corners of the eyes, whose distance normalises errors; ``None``
            where the field divides by the face box instead (19 points).
        interpupil: The points whose means are the left and the right pupil: the pupil itself,
            or the eye's outline where pupils are not marked (68 points).
        boundaries: The curves that the points lie on. A corner where two meet is a point of both,
            and its direction is that of the first. A point of none, such as a pupil, has none.
    """

    name: str
    points: int
    parts: Mapping[str, tuple[int, ...]]
    contour: tuple[int, ...]
    flip: tuple[int, ...]
    interocular: tuple[int, int] | None
    interpupil: tuple[tuple[int, ...], tuple[int, ...]]
    boundaries: tuple[Boundary, ...]

    @cached_property
    def part_points(self) -> tuple[int, ...]:
        """Landmark indices of all parts in turn: the order of a network's outputs."""
        return tuple(index for part in self.parts.values() for index in part)

    @cached_property
    def part_flip(self) -> tuple[int, ...]:
        """:attr:`flip` for positions in :attr:`part_points` instead of landmark indices."""
        position = {index: place for place, index in enumerate(self.part_points)}
        return tuple(position[self.flip[index]] for index in self.part_points)

    @cached_property
    def flipped_parts(self) -> tuple[int, ...]:
        """For each part, the number of the part that it becomes in the mirrored image."""
        owner = {i: number for number, part in enumerate(self.parts.values()) for i in part}
        return tuple(owner[self.flip[part[0]]] for part in self.parts.values())

    @cached_property
    def owners(self) -> tuple[int, ...]:
        """Part number of each position in :attr:`part_points`."""
        return tuple(n for n, part in enumerate(self.parts.values()) for _ in part)

    @cached_property
    def neighbours(self) -> tuple[tuple[int, int], ...]:
        """For each point, the previous and the next point of its boundary: its tangent's ends.

        The end of an open curve stands in for the neighbour that it lacks; a point of no boundary
        has itself on both sides, and so no tangent. Source: PicassoNet, Section III-D.
        """
        found: dict[int, tuple[int, int]] = {}
        for boundary in self.boundaries:
            points = boundary.points
            first, last = (points[-1], points[0]) if boundary.closed else (points[0], points[-1])
            before, after = (first, *points[:-1]), (*points[1:], last)
            for point, previous, following in zip(points, before, after, strict=True):
                found.setdefault(point, (previous, following))
        return tuple(found.get(point, (point, point)) for point in range(self.points))


def _markup(
    name: str,
    points: int,
    *,
    parts: tuple[str, str, str, str],
    contour: str,
    pairs: str,
    interocular: tuple[int, int] | None,
    interpupil: tuple[str, str],
    boundaries: str,
) -> Markup:
    """A :class:`Markup` in short: runs of points are ``first-last``; see the functions below."""
    halves = _pairs(pairs)
    both = {**halves, **{right: left for left, right in halves.items()}}
    return Markup(
        name,
        points,
        dict(zip(PARTS, map(_points, parts), strict=True)),
        _points(contour),
        tuple(both.get(index, index) for index in range(points)),
        interocular,
        (_points(interpupil[0]), _points(interpupil[1])),
        tuple(map(_boundary, boundaries.split(", "))),
    )


def _points(text: str) -> tuple[int, ...]:
    """``"3-5 9"``: points 3, 4, 5 and 9."""
    runs = (run.partition("-") for run in text.split())
    return tuple(i for first, _, last in runs for i in range(int(first), int(last or first) + 1))


def _pairs(text: str) -> dict[int, int]:
    """``"3-5>12 9>8"``: the mirror image of 3 is 12, of 4 is 11, of 5 is 10, and of 9 is 8."""
    runs = (run.split(">") for run in text.split())
    return {i: int(end) - place for run, end in runs for place, i in enumerate(_points(run))}


def _boundary(text: str) -> Boundary:
    """``"3-5"``: a curve through points 3, 4 and 5; ``"(3-5)"``: one that goes on to 3."""
    return Boundary(_points(text.strip("()")), closed=text.startswith("("))


# Boundaries in order: contour, brows, bridge and lower edge of the nose, eyes, outer and inner lip.
_ALL = (
    _markup(
        "300W",
        68,
        parts=("17-21 36-41", "22-26 42-47", "27-35", "48-67"),
        contour="0-16",
        pairs="0-7>16 17-21>26 31-32>35 36-39>45 40-41>47 48-50>54 55-56>59 60-61>64 65>67",
        interocular=(36, 45),
        interpupil=("36-41", "42-47"),
        boundaries="0-16, 17-21, 22-26, 27-30, 31-35, (36-41), (42-47), (48-59), (60-67)",
    ),
    _markup(
        "WFLW",
        98,
        parts=("33-41 60-67 96", "42-50 68-75 97", "51-59", "76-95"),
        contour="0-32",
        pairs="0-15>32 33-37>46 38-41>50 55-56>59 60-64>72 65-67>75 76-78>82 83-84>87 88-89>92 "
        "93>95 96>97",
        interocular=(60, 72),
        interpupil=("96", "97"),
        boundaries="0-32, (33-41), (42-50), 51-54, 55-59, (60-67), (68-75), (76-87), (88-95)",
    ),
    # LaPa's order of 106 points (JD's too), not insightface's.
    _markup(
        "LaPa",
        106,
        parts=("33-41 66-74 104", "42-50 75-83 105", "51-65", "84-103"),
        contour="0-32",
        pairs="0-15>32 33-37>46 38-41>50 55-59>65 66-70>79 71-73>82 74>83 84-86>90 91-92>95 "
        "96-97>100 101>103 104>105",
        interocular=(66, 79),
        interpupil=("104", "105"),
        boundaries="0-32, (33-41), (42-50), 51-54, 55-65, (66-73), (75-82), (84-95), (96-103)",
    ),
    # The tip of the nose and the chin stand alone; both lips meet in the mouth's corners.
    _markup(
        "COFW",
        29,
        parts=("0 2 4-5 8 10 12-13 16", "1 3 6-7 9 11 14-15 17", "18-21", "22-27"),
        contour="28",
        pairs="0>1 2>3 4>6 5>7 8>9 10>11 12>14 13>15 16>17 18>19 22>23",
        interocular=(8, 9),
        interpupil=("16", "17"),
        boundaries="(0 4 2 5), (1 6 3 7), 18 21 19, (8 12 10 13), (9 14 11 15), (22 24 23 27), "
        "(22 25 23 26)",
    ),
    # Only brows and the line between the lips have points enough to be curves.
    _markup(
        "AFLW",
        19,
        parts=("0-2 6-8", "3-5 9-11", "12-14", "15-17"),
        contour="18",
        pairs="0-2>5 6-8>11 12>14 15>17",
        interocular=None,
        interpupil=("7", "10"),
        boundaries="0-2, 3-5, 15-17",
    ),
)
MARKUPS: Mapping[int, Markup] = MappingProxyType({markup.points: markup for markup in _ALL})
