"""Markups: which landmark belongs to which facial part, and where mirroring sends it.

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
    """

    name: str
    points: int
    parts: Mapping[str, tuple[int, ...]]
    contour: tuple[int, ...]
    flip: tuple[int, ...]
    interocular: tuple[int, int] | None

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


def _markup(
    name: str,
    points: int,
    parts: tuple[tuple[int, ...], ...],
    contour: tuple[int, ...],
    pairs: Mapping[int, int],
    interocular: tuple[int, int] | None,
) -> Markup:
    """A :class:`Markup` from one half of its flip table; points without a pair stay."""
    both = {**pairs, **{right: left for left, right in pairs.items()}}
    return Markup(
        name,
        points,
        MappingProxyType(dict(zip(PARTS, parts, strict=True))),
        contour,
        tuple(both.get(index, index) for index in range(points)),
        interocular,
    )


def _span(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1))


def _mirror(first: int, last: int, image: int) -> dict[int, int]:
    """Pairs of the run ``first..last`` with the run that ends, backwards, at ``image``."""
    return {index: image - (index - first) for index in _span(first, last)}


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
        ),
    }
)
