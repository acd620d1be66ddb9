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
    parts: tuple[tuple[int, ...], ...],
    contour: tuple[int, ...],
    pairs: Mapping[int, int],
    interocular: tuple[int, int] | None,
    interpupil: tuple[tuple[int, ...], tuple[int, ...]],
    boundaries: tuple[Boundary, ...],
) -> Markup:
    """A :class:`Markup` from one half of its flip table; points without a pair stay."""
    both = {**pairs, **{right: left for left, right in pairs.items()}}
    return Markup(
        name,
        points,
        dict(zip(PARTS, parts, strict=True)),
        contour,
        tuple(both.get(index, index) for index in range(points)),
        interocular,
        interpupil,
        boundaries,
    )


def _span(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1))


def _mirror(first: int, last: int, image: int) -> dict[int, int]:
    """Pairs of the run ``first..last`` with the run that ends, backwards, at ``image``."""
    return {index: image - (index - first) for index in _span(first, last)}


def _curve(first: int, last: int) -> Boundary:
    return Boundary(_span(first, last), closed=False)


def _ring(first: int, last: int) -> Boundary:
    return Boundary(_span(first, last), closed=True)


# In order: contour, brows, bridge of the nose, its lower edge, eyes, outer and inner lip.
MARKUPS: Mapping[int, Markup] = MappingProxyType(
    {
        68: _markup(
            "300W",
            68,
            (
                _span(17, 21) + _span(36, 41),
                _span(22, 26) + _span(42, 47),
                _span(27, 35),
                _span(48, 67),
            ),
            _span(0, 16),
            {
                **_mirror(0, 7, 16),
                **_mirror(17, 21, 26),
                **{31: 35, 32: 34},
                **_mirror(36, 39, 45),
                **{40: 47, 41: 46},
                **_mirror(48, 50, 54),
                **{55: 59, 56: 58, 60: 64, 61: 63, 65: 67},
            },
            (36, 45),
            (_span(36, 41), _span(42, 47)),
            (
                _curve(0, 16),
                _curve(17, 21),
                _curve(22, 26),
                _curve(27, 30),
                _curve(31, 35),
                _ring(36, 41),
                _ring(42, 47),
                _ring(48, 59),
                _ring(60, 67),
            ),
        ),
        98: _markup(
            "WFLW",
            98,
            (
                (*_span(33, 41), *_span(60, 67), 96),
                (*_span(42, 50), *_span(68, 75), 97),
                _span(51, 59),
                _span(76, 95),
            ),
            _span(0, 32),
            {
                **_mirror(0, 15, 32),
                **_mirror(33, 37, 46),
                **_mirror(38, 41, 50),
                **{55: 59, 56: 58},
                **_mirror(60, 64, 72),
                **_mirror(65, 67, 75),
                **_mirror(76, 78, 82),
                **{83: 87, 84: 86, 88: 92, 89: 91, 93: 95, 96: 97},
            },
            (60, 72),
            ((96,), (97,)),
            (
                _curve(0, 32),
                _ring(33, 41),
                _ring(42, 50),
                _curve(51, 54),
                _curve(55, 59),
                _ring(60, 67),
                _ring(68, 75),
                _ring(76, 87),
                _ring(88, 95),
            ),
        ),
        # LaPa's order of 106 points (JD's too), not insightface's.
        106: _markup(
            "LaPa",
            106,
            (
                (*_span(33, 41), *_span(66, 74), 104),
                (*_span(42, 50), *_span(75, 83), 105),
                _span(51, 65),
                _span(84, 103),
            ),
            _span(0, 32),
            {
                **_mirror(0, 15, 32),
                **_mirror(33, 37, 46),
                **_mirror(38, 41, 50),
                **_mirror(55, 59, 65),
                **_mirror(66, 70, 79),
                **_mirror(71, 73, 82),
                **_mirror(84, 86, 90),
                **{74: 83, 91: 95, 92: 94, 96: 100, 97: 99, 101: 103, 104: 105},
            },
            (66, 79),
            ((104,), (105,)),
            (
                _curve(0, 32),
                _ring(33, 41),
                _ring(42, 50),
                _curve(51, 54),
                _curve(55, 65),
                _ring(66, 73),
                _ring(75, 82),
                _ring(84, 95),
                _ring(96, 103),
            ),
        ),
        29: _markup(
            "COFW",
            29,
            (
                (0, 2, 4, 5, 8, 10, 12, 13, 16),
                (1, 3, 6, 7, 9, 11, 14, 15, 17),
                _span(18, 21),
                _span(22, 27),
            ),
            (28,),
            {
                **{0: 1, 2: 3, 4: 6, 5: 7, 8: 9, 10: 11, 12: 14, 13: 15, 16: 17},
                **{18: 19, 22: 23},
            },
            (8, 9),
            ((16,), (17,)),
            # The tip of the nose and the chin stand alone; both lips meet in the mouth's corners.
            (
                Boundary((0, 4, 2, 5), closed=True),
                Boundary((1, 6, 3, 7), closed=True),
                Boundary((18, 21, 19), closed=False),
                Boundary((8, 12, 10, 13), closed=True),
                Boundary((9, 14, 11, 15), closed=True),
                Boundary((22, 24, 23, 27), closed=True),
                Boundary((22, 25, 23, 26), closed=True),
            ),
        ),
        19: _markup(
            "AFLW",
            19,
            (
                _span(0, 2) + _span(6, 8),
                _span(3, 5) + _span(9, 11),
                _span(12, 14),
                _span(15, 17),
            ),
            (18,),
            {0: 5, 1: 4, 2: 3, 6: 11, 7: 10, 8: 9, 12: 14, 15: 17},
            None,
            ((7,), (10,)),
            # Only brows and the line between the lips have points enough to be curves.
            (_curve(0, 2), _curve(3, 5), _curve(15, 17)),
        ),
    }
)
