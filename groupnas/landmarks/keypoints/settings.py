"""The data file: where images and annotations lie, and what the points of an object are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from groupnas.errors import shown
from groupnas.files import nearest
from groupnas.landmarks.markup import Markup
from groupnas.schema import EITHER, One, Settings, Several
from groupnas.spaces.rows import Name

WHOLE = "object"  # the region of all points
# Names that mean something else beside those of parts
TAKEN = (WHOLE, "contour", "each", "mean", "nme", "shared")
_MOST = 2000  # points

Layout = Literal["csv", "coco", "pts"]


def _as_text(value: Any) -> Any:
    """A number as the name that it is, ``0``."""
    return str(value) if type(value) is int else value


def _as_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        place = "" if error.pos is None else f" at character {error.pos + 1}"
        raise PydanticCustomError(
            "pattern", "is no regular expression: {why}", {"why": f"{error.msg}{place}"}
        ) from error
    return text


def _with_a_group(text: str) -> str:
    if re.compile(text).groups != 1:
        raise PydanticCustomError(
            "groups", "expected one group, the part in parentheses that names the source"
        )
    return text


Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Point = Annotated[Text, BeforeValidator(_as_text)]
Pattern = Annotated[Text, AfterValidator(_as_pattern)]
Points = Annotated[
    One[Annotated[int, Field(ge=2, le=_MOST)]]
    | Several[Annotated[list[Point], Field(min_length=2, max_length=_MOST)]],
    EITHER,
]


class SourceOf(Settings):
    """What is independent: one of both keys.

    Attributes:
        column: A column of a CSV file; of COCO a key of the image or of the annotation.
        image: A regular expression that is found in the image's path; its one group is the source.
    """

    column: Text | None = None
    image: Annotated[Pattern, AfterValidator(_with_a_group)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.column is None) == (self.image is None):
            raise ValueError("column: expected either column or image")
        return self


class HeldOut(Settings):
    """Which objects are held out as the test split: a column and its value, or a pattern.

    Attributes:
        column: As of :class:`SourceOf`.
        value: What it holds for test objects.
        source: A regular expression that is found in the sources of test objects.
    """

    column: Text | None = None
    value: Point | None = None
    source: Pattern | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.column is None) == (self.source is None) or (
            (self.column is None) != (self.value is None)
        ):
            raise ValueError("column: expected either column and value, or source")
        return self


class Columns(Settings):
    """The columns of a CSV file with one header row.

    Attributes:
        image: The image's path, from the folder of images.
        x: Of a point's x; ``{point}`` stands for its name.
        y: Of its y.
        box: Left, top, right and bottom of the object's box.
    """

    image: Text = "image"
    x: Annotated[Text, Field(pattern=r"\{point\}")] = "{point}_x"
    y: Annotated[Text, Field(pattern=r"\{point\}")] = "{point}_y"
    box: tuple[Text, Text, Text, Text] | None = None


class KeypointFile(Settings):
    """A file that ``--data`` takes: keypoints of objects in images.

    Paths are relative to the file's own folder. Coordinates are in pixels, x to the right, y down.

    Attributes:
        format: 1.
        kind: ``keypoints``.
        title: One line on what is in it.
        images: The folder of the images; left out, the file's own, of ``.pts`` files theirs.
        annotations: A CSV file with a row for each object, as a table or as DeepLabCut writes it;
            a COCO keypoints file (``.json``); or a pattern of ``.pts`` files, ``labels/**/*.pts``.
        points: Their names in order, others in the annotations are left out; or how many, whose
            names are their numbers from 0, as those of ``.pts`` files.
        parts: The points of each part, at least two. Those of none are the contour.
        mirror: Pairs of points that mirroring an image swaps; those in none stay what they are.
            Left out, images are never mirrored.
        normaliser: What errors are divided by: the distance of two points, or ``box``,
            ``box_longest`` or ``box_width``.
        box: An object's box: the extent of its ``points``, or as the annotations have it
            (``listed``).
        source: What is independent, such as an animal or a video; by default each image. A source
            is never on two sides of a split, and statistics count sources.
        test: The objects of the test split; left out, there is none.
        columns: Of a CSV file.
        category: Of a COCO file; by default its only one with keypoints.
        first_pixel: The coordinate of the first pixel's centre: 0, or 1 as in 300W's ``.pts`` files
            and in Matlab.
    """

    format: Literal[1]
    kind: Literal["keypoints"] = "keypoints"
    title: Text
    images: Text | None = None
    annotations: Text
    points: Points
    parts: Annotated[dict[Name, list[Point]], Field(min_length=1)]
    mirror: list[tuple[Point, Point]] | None = None
    normaliser: Annotated[
        One[Literal["box", "box_longest", "box_width"]] | Several[tuple[Point, Point]], EITHER
    ] = "box"
    box: Literal["points", "listed"] = "points"
    source: SourceOf | None = None
    test: HeldOut | None = None
    columns: Columns | None = None
    category: Text | None = None
    first_pixel: Literal[0, 1] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the points, in order."""
        if isinstance(self.points, int):
            return tuple(map(str, range(self.points)))
        return tuple(self.points)

    @property
    def layout(self) -> Layout:
        """How the annotations are written, as their suffix says."""
        for suffix, layout in _LAYOUTS.items():
            if self.annotations.lower().endswith(suffix):
                return layout
        raise ValueError(
            "annotations: expected a .csv file, a .json file as COCO has it, or a pattern of "
            f".pts files, got {shown(self.annotations)}"
        )

    @property
    def origin(self) -> int:
        """The coordinate of the first pixel's centre."""
        default = 1 if self.layout == "pts" else 0
        return default if self.first_pixel is None else self.first_pixel

    def markup(self, name: str) -> Markup:
        """The points as a markup of a name."""
        place = {point: number for number, point in enumerate(self.names)}
        parts = {part: tuple(place[one] for one in points) for part, points in self.parts.items()}
        held = {point for part in parts.values() for point in part}
        pair = self.normaliser if isinstance(self.normaliser, tuple) else None
        return Markup(
            name,
            len(place),
            parts,
            contour=tuple(point for point in range(len(place)) if point not in held),
            flip=None if self.mirror is None else tuple(map(place.__getitem__, self._mirrored())),
            interocular=None,
            interpupil=None,
            boundaries=(),
            distance=None if pair is None else (place[pair[0]], place[pair[1]]),
            names=self.names,
            whole=WHOLE,
        )

    def _mirrored(self) -> list[str]:
        """What each point becomes in a mirrored image."""
        pairs = dict(self.mirror or ())
        pairs |= {other: one for one, other in pairs.items()}
        return [pairs.get(point, point) for point in self.names]

    @model_validator(mode="after")
    def _fit(self) -> Self:
        for point, count in Counter(self.names).items():
            if count > 1:
                raise ValueError(f"points: {point} stands twice")
        self._check_parts()
        self._check_mirror()
        if isinstance(self.normaliser, tuple):
            self._check_known("normaliser", self.normaliser)
            if len({*self.normaliser}) < 2:
                raise ValueError("normaliser: expected two points, got the same twice")
        self._check_layout()
        return self

    def _check_known(self, key: str, points: list[str] | tuple[str, ...]) -> None:
        for point in points:
            if point not in self.names:
                raise ValueError(f"{key}: no point {point!r}; {nearest(point, self.names)}")

    def _check_parts(self) -> None:
        owner: dict[str, str] = {}
        for part, points in self.parts.items():
            key = f"parts.{part}"
            if re.fullmatch(rf"{'|'.join(TAKEN)}|contour\d+", part):
                raise ValueError(f"{key}: means something else; give the part another name")
            self._check_known(key, points)
            if len(points) < 2:
                raise ValueError(
                    f"{key}: expected two points at least, since its crop is as large as they lie "
                    "apart; join it with another part, or leave it to the contour"
                )
            for point in points:
                if point in owner:
                    raise ValueError(f"{key}: {point} stands in {owner[point]} already")
                owner[point] = part

    def _check_mirror(self) -> None:
        if self.mirror is None:
            return
        seen: set[str] = set()
        for pair in self.mirror:
            self._check_known("mirror", pair)
            for point in pair:
                if point in seen:
                    raise ValueError(
                        f"mirror: {point} stands twice; a point is of one pair at most"
                    )
                seen.add(point)
        owner = {point: part for part, points in self.parts.items() for point in points}
        becomes = dict(zip(self.names, self._mirrored(), strict=True))
        for part, points in self.parts.items():
            others = Counter(owner.get(becomes[point], "contour") for point in points)
            other, count = others.most_common(1)[0]
            if len(others) > 1 or count != len(self.parts.get(other, ())):
                raise ValueError(
                    f"mirror: the points of {part} become those of {' and '.join(sorted(others))}; "
                    "expected all points of one part"
                )

    def _check_layout(self) -> None:
        layout = self.layout
        for key, value, home in (
            ("columns", self.columns, "csv"),
            ("category", self.category, "coco"),
        ):
            if value is not None and layout != home:
                raise ValueError(f"{key}: is of {_WRITTEN[home]}; leave it out")
        for key, one in (("source", self.source), ("test", self.test)):
            if one is not None and one.column is not None and layout == "pts":
                raise ValueError(f"{key}.column: .pts files have no columns; give a pattern")
        lists = layout == "coco" or (self.columns is not None and self.columns.box is not None)
        if self.box == "listed" and not lists:
            raise ValueError(
                "box: listed: the annotations list no boxes; name their four columns in "
                "columns.box, or set it to points"
            )
        if layout == "pts" and not re.search(r"[*?[]", self.annotations):
            raise ValueError("annotations: expected a pattern of .pts files, such as labels/*.pts")


_LAYOUTS: Mapping[str, Layout] = {".csv": "csv", ".json": "coco", ".pts": "pts"}
_WRITTEN = {"csv": "CSV files", "coco": "COCO files"}
