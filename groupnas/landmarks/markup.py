"""Markups: each landmark's facial part, the boundary it lies on, and where mirroring sends it.

"Left" is left in the image, indices count from 0, and the parts together with the contour hold
every point exactly once. What only faces have (eyes to divide errors by, points that tell a pose)
is a choice of the markup, and so is what mirroring does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from groupnas.errors import InputError

PARTS = ("left_eye", "right_eye", "nose", "mouth")
# A generic adult face in millimetres: x to the right in the image, y down, z towards the viewer;
# the origin lies between the inner corners of the eyes. Points that speech and mimics move little.
RIGID: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "left_eye_outer": (-44.0, 0.0, -9.0),
        "left_eye_inner": (-17.0, 1.0, 0.0),
        "right_eye_inner": (17.0, 1.0, 0.0),
        "right_eye_outer": (44.0, 0.0, -9.0),
        "nose_root": (0.0, -3.0, 11.0),
        "nose_tip": (0.0, 36.0, 33.0),
        "left_nostril": (-16.0, 42.0, 14.0),
        "nose_base": (0.0, 47.0, 19.0),
        "right_nostril": (16.0, 42.0, 14.0),
        "mouth_left": (-26.0, 69.0, 9.0),
        "mouth_right": (26.0, 69.0, 9.0),
        "chin": (0.0, 112.0, 4.0),
    }
)
_LEAST = {*RIGID} - {"nose_root", "nose_base"}  # which not every scheme of faces marks


@dataclass(frozen=True)
class Boundary:
    """A curve that landmarks are strung along, such as a lid or a lip.

    Attributes:
        points: Landmark indices, in order along the curve.
        closed: Whether the last point is followed by the first.
    """

    points: tuple[int, ...]
    closed: bool


@dataclass(frozen=True)
class Markup:
    """One scheme of landmarks, of faces or of other objects.

    Attributes:
        name: The data set that made the scheme known.
        points: Number of landmarks.
        parts: Landmark indices of each part; of faces in the order of :data:`PARTS`, where an eye
            includes its brow.
        contour: Indices that belong to no part: a face's outline. It may be empty.
        flip: ``flip[i]`` is the landmark that point ``i`` becomes in the mirrored image; ``None``
            where nothing says so, and images must not be mirrored.
        interocular: The outer corners of the eyes, whose distance normalises errors; ``None``
            where there are none, or the field divides by the face box instead (19 points).
        interpupil: The points whose means are the left and the right pupil: the pupil itself,
            or the eye's outline where pupils are not marked (68 points); ``None`` without eyes.
        boundaries: The curves that the points lie on. A corner where two meet is a point of both,
            and its direction is that of the first. A point of none, such as a pupil, has none.
        distance: Two points whose distance normalises errors, of what has no eyes.
        names: Of the points, where they have any.
        rigid: The points that a head's pose is told by, under their names in :data:`RIGID`; empty
            where it is no head. Pose, five points and face detectors go with them.
        whole: What the region of all points is called, as a group of a space.

    Raises:
        ValueError: a point that there is not, or parts, contour and ``flip`` that are not of every
            point once.
    """

    name: str
    points: int
    parts: Mapping[str, tuple[int, ...]]
    contour: tuple[int, ...]
    flip: tuple[int, ...] | None
    interocular: tuple[int, int] | None
    interpupil: tuple[tuple[int, ...], tuple[int, ...]] | None
    boundaries: tuple[Boundary, ...]
    distance: tuple[int, int] | None = None
    names: tuple[str, ...] = ()
    rigid: Mapping[str, int] = field(default_factory=dict)
    whole: str = "face"

    def __post_init__(self) -> None:
        held = sorted([*self.part_points, *self.contour])
        every = list(range(len(held)))  # a damaged number of points may be any
        if held != every or len(held) != self.points or not all(self.parts.values()):
            raise ValueError(f"parts: with the contour, expected each of {self.points} points once")
        flip = every if self.flip is None else self.flip
        if sorted(flip) != every or [flip[point] for point in flip] != every:
            raise ValueError("flip: expected every point once, and twice mirrored as it was")
        if self.names and len({*self.names}) != self.points:
            raise ValueError(f"names: expected {self.points}, each once")
        if self.rigid and not _LEAST <= {*self.rigid} <= {*RIGID}:
            raise ValueError(f"rigid: expected all or none of {', '.join(RIGID)}")
        named: Mapping[str, Collection[int]] = {
            "interocular": self.interocular or (),
            "interpupil": [point for eye in self.interpupil or () for point in eye],
            "distance": self.distance or (),
            "boundaries": [point for curve in self.boundaries for point in curve.points],
            "rigid": self.rigid.values(),
        }
        for key, points in named.items():
            if not {*points} <= {*every}:
                raise ValueError(f"{key}: expected points below {self.points}")

    @property
    def is_face(self) -> bool:
        """Whether it marks the eyes, the nose and the mouth of a head, so that it has a pose."""
        return bool(self.rigid)

    @cached_property
    def scored(self) -> Mapping[str, tuple[int, ...]]:
        """Landmark indices of all that has an error of its own: the parts, and any contour."""
        return {**self.parts, **({"contour": self.contour} if self.contour else {})}

    def told(self, point: int) -> str:
        """What messages call a point: its name, or its number from 0."""
        return self.names[point] if self.names else str(point)

    @cached_property
    def part_points(self) -> tuple[int, ...]:
        """Landmark indices of all parts in turn: the order of a network's outputs."""
        return tuple(index for part in self.parts.values() for index in part)

    @cached_property
    def part_flip(self) -> tuple[int, ...]:
        """:attr:`flip` for positions in :attr:`part_points` instead of landmark indices.

        Without a :attr:`flip`, positions stay what they are; so do :attr:`flipped_parts`.
        """
        flip = self.flip or range(self.points)
        position = {index: place for place, index in enumerate(self.part_points)}
        return tuple(position[flip[index]] for index in self.part_points)

    @cached_property
    def flipped_parts(self) -> tuple[int, ...]:
        """For each part, the number of the part that it becomes in the mirrored image."""
        flip = self.flip or range(self.points)
        owner = {i: number for number, part in enumerate(self.parts.values()) for i in part}
        return tuple(owner[flip[part[0]]] for part in self.parts.values())

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
    rigid: str,
) -> Markup:
    """A :class:`Markup` in short: runs of points are ``first-last``; see the functions below."""
    halves = _pairs(pairs)
    places = zip(RIGID, rigid.split(), strict=True)
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
        rigid={name: int(place) for name, place in places if place != "-"},
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
        rigid="36 39 42 45 27 30 31 33 35 48 54 8",
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
        rigid="60 64 68 72 51 54 55 57 59 76 82 16",
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
        rigid="66 70 75 79 51 54 58 60 62 84 90 16",
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
        rigid="8 10 11 9 - 20 18 21 19 22 23 28",
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
        rigid="6 8 9 11 - 13 12 - 14 15 17 18",
    ),
)
MARKUPS: Mapping[int, Markup] = MappingProxyType({markup.points: markup for markup in _ALL})


def check_same_points(data: str, markup: Markup, found: Markup) -> None:
    """Raise :class:`InputError` unless data and what a model finds are the same points, in order.

    Args:
        data: The name of the data.
        markup: Of the data.
        found: Of the model.
    """
    if markup.points != found.points:
        raise InputError(
            f"{data} has {markup.points} landmarks, the model finds {found.points}; take data of "
            "its own markup"
        )
    for number in range(markup.points):
        if markup.names[number : number + 1] != found.names[number : number + 1]:
            raise InputError(
                f"{data} has other landmarks than the model, or another order of them: number "
                f"{number} is {markup.told(number)}, of the model {found.told(number)}; take data "
                "of its own markup"
            )


def shipped_markup(points: int) -> Markup:
    """The one of :data:`MARKUPS` with so many points; a :class:`ValueError` if there is none."""
    if points not in MARKUPS:
        known = ", ".join(map(str, sorted(MARKUPS)))
        raise ValueError(f"points: no markup has {points} points; expected one of {known}")
    return MARKUPS[points]


def is_shipped(markup: Markup) -> bool:
    """Whether it is one of :data:`MARKUPS`, so that its number of points tells it."""
    return MARKUPS.get(markup.points) == markup
