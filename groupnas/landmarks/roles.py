"""A stage's role in a cascade: where it looks, what it answers, how much that counts.

Without torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AliasChoices,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    field_validator,
)

from groupnas.files import nearest
from groupnas.landmarks.alignment import frame_weights
from groupnas.landmarks.answers import Answer, HeatmapsAnswer, PointsAnswer, answer_from
from groupnas.landmarks.crops import (
    FACE_CROPS,
    PART_CROPS,
    CropSettings,
    all_parts,
    along_contour,
    extents,
    whole_face,
)
from groupnas.landmarks.frames import Frame, around, upright
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.pose import five_points
from groupnas.schema import Settings

# It was called trust once: recipes and cards that say so are read.
Blend = Annotated[float, Field(gt=0, le=1, validation_alias=AliasChoices("blend", "trust"))]
# It names folders, tensors and columns of tables.
Name = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]*$")]

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)  # as of all settings

# Where eyes, nose and mouth of an average face lie in a region that just encloses it: of 300W's
# training faces, aligned to each other by shift, scale and rotation, and made symmetric.
REFERENCE = ((-0.45, -0.64), (0.45, -0.64), (0.0, -0.15), (-0.4, 0.31), (0.4, 0.31))
LEAST_AREA = 0.05

# Names that mean something else beside stages'
TAKEN = ("box", "cascade", "image", "initial", "mean", "points", "search")


@dataclass(frozen=True, kw_only=True)
class Gaze(CropSettings):
    """Where a stage looks, and how what is there is cut.

    Attributes:
        frame: ``box``, the face's box, which is one region with all points; ``extents``, a region
            for each part of the markup, around its points as the stages before have them; or
            ``five_points``, one region with all points, turned and stretched so that eyes, nose and
            mouth, as the stages before have them, lie nearest to :data:`REFERENCE`. A margin of 1
            then just encloses an average face.
        fit: Of five points: ``affine``, by default, or ``similarity``, which keeps angles.
        contour: Of extents: so many regions along the contour beside the parts', each with a run of
            its points: ``contour``, or ``contour1`` and so on. 0 leaves it to the stages before.
        mirrored: ``averaged``: look at mirrored crops, too, and answer with the points in between,
            in twice the time; see :mod:`groupnas.landmarks.mirrored`. Networks are trained as
            without.
    """

    __pydantic_config__ = _STRICT

    frame: Literal["box", "extents", "five_points"]
    fit: Literal["affine", "similarity"] | None = None
    contour: Annotated[int, Field(ge=0, le=16, strict=True)] = 0
    mirrored: Literal["averaged"] | None = None

    def __post_init__(self) -> None:
        if self.contour and self.whole:
            raise ValueError(f"contour: is of extents, and frame is {self.frame}; leave it out")
        if self.fit is not None and not self.turned:
            raise ValueError(f"fit: is of five_points, and frame is {self.frame}; leave it out")

    @classmethod
    def at(cls, frame: Literal["box", "extents"], crops: CropSettings) -> Self:
        """Look at a frame, which is cut as other settings say."""
        return cls(frame=frame, **asdict(crops))

    @property
    def whole(self) -> bool:
        """Whether it is the whole face in one region."""
        return self.frame != "extents"

    @property
    def turned(self) -> bool:
        """Whether regions may be other than upright squares."""
        return self.frame == "five_points"

    @property
    def crops(self) -> CropSettings:
        """How regions are cut, wherever they lie; of turned ones also how they are laid."""
        if self.turned:
            return replace(self, mirrored=None)
        return CropSettings(**{one.name: getattr(self, one.name) for one in fields(CropSettings)})

    def regions(self, markup: Markup) -> Markup:
        """The markup whose parts are the P regions."""
        return whole_face(markup) if self.whole else along_contour(markup, self.contour)

    def groups(self, markup: Markup, names: Collection[str]) -> Markup:
        """The markup whose parts are the groups of a network that looks here, by their names.

        Parts and contour may share the whole face; else every region is a group.
        """
        shared = self.whole and markup.whole not in names
        return all_parts(markup) if shared else self.regions(markup)

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """``(6, 10)``: how frames follow from five points, by :func:`frame_weights`."""
        margins = np.array([self.margin] * 4 + [1, 1])[:, None]
        return margins * frame_weights(np.array(REFERENCE), self.fit or "affine")

    def frames(
        self, boxes: NDArray[np.float64], before: NDArray[np.float64] | None, markup: Markup
    ) -> Frame[NDArray[np.float64]]:
        """The frames ``(B, P)`` of B faces, upright squares of at least one pixel.

        Those of five points may be turned; but are the box's where they would have less than
        ``LEAST_AREA`` of its area, as of a mirrored face.

        Args:
            boxes: ``(B, 4)``, of the faces.
            before: ``(B, K, 2)``, their points as the stages before have them.
            markup: Of the points.
        """
        if self.whole or before is None:
            found = around(boxes[:, None], self.margin)
        else:
            found = around(extents(before, self.regions(markup)), self.margin)
        plain = upright(found.origin, np.maximum(found.side, 1.0))  # a box may have collapsed
        if not self.turned or before is None:
            return plain
        fitted = five_points(before, markup).reshape(len(before), 10) @ self.weights.T
        linear, origin = fitted[:, :4].reshape(-1, 1, 2, 2), fitted[:, None, 4:]
        fits = np.linalg.det(linear) > LEAST_AREA * plain.scale**2
        return Frame(
            np.where(fits[..., None, None], linear, plain.linear),
            np.where(fits[..., None], origin, plain.origin),
        )


FACE_LOOK, PART_LOOK = Gaze.at("box", FACE_CROPS), Gaze.at("extents", PART_CROPS)  # PicassoNet's


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The cells of a feature map around each point, as the stages before have it.

    Every point is a region, which is seen in all channels of the map. Outputs are in units of the
    region that the map is of.

    Source: Su et al., GRegNet + LRefNets (paper 001), section 3.3.

    Attributes:
        at: The map: a row of an earlier stage's network, ``STAGE.ROW``.
        frame: ``points``.
        size: Cells along each side.
    """

    __pydantic_config__ = _STRICT

    at: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\.[^.]+$")]
    frame: Literal["points"] = "points"
    size: Annotated[int, Field(ge=1, le=64, strict=True)] = 5

    @property
    def whole(self) -> bool:
        """Whether it is the whole face in one region."""
        return False

    @property
    def stage(self) -> str:
        """The stage whose map it is."""
        return self.at.split(".")[0]

    @property
    def row(self) -> str:
        """The row whose map it is."""
        return self.at.split(".")[1]

    def regions(self, markup: Markup) -> Markup:
        """The markup whose parts are the points, each by itself."""
        parts = {f"g{point}": (point,) for point in range(markup.points)}  # as spaces name them
        return replace(markup, parts=parts, contour=())

    def groups(self, markup: Markup, names: Collection[str]) -> Markup:
        """As :meth:`Gaze.groups`: the points."""
        return self.regions(markup)


class Role(Settings):
    """A stage's role in a cascade.

    Attributes:
        look: Where it looks.
        answer: What its network's outputs mean: ``points``, ``increments`` on those of the stages
            before, or ``heatmaps`` of the whole face.
        blend: Share of its answer in its points, above 0 and up to 1; the rest is that of the
            stages before. 1 is the paper's cascade.
    """

    look: Gaze | Cells
    answer: Answer = PointsAnswer()
    blend: Blend = 1.0

    @field_validator("answer", mode="before")
    @classmethod
    def _named(cls, answer: Any) -> Any:
        return answer_from(answer)

    @field_validator("look", mode="before")
    @classmethod
    def _of_its_kind(cls, look: Any) -> Any:
        """What looks at features says at which; so the faults of the other kind are not told."""
        if isinstance(look, Gaze | Cells):
            return look
        kind = Cells if isinstance(look, dict) and "at" in look else Gaze
        return TypeAdapter(kind).validate_python(look)

    @property
    def pointed(self) -> bool:
        """Whether points are not simply what the network puts out."""
        mirrored = isinstance(self.look, Gaze) and self.look.mirrored is not None
        return mirrored or isinstance(self.answer, HeatmapsAnswer)

    @property
    def looks(self) -> int:
        """How often the network computes for a face."""
        return 2 if isinstance(self.look, Gaze) and self.look.mirrored else 1

    @property
    def role(self) -> Role:
        """The role alone, without what a recipe or a card says of the stage besides."""
        return Role(**{name: getattr(self, name) for name in Role.model_fields})


def check_roles(stages: Mapping[str, Role]) -> None:
    """Check that stages can follow each other as they do; a :class:`ValueError` names the key."""
    for name in stages:
        if name in TAKEN:
            raise ValueError(f"stages.{name}: means something else; give the stage another name")
    name, first = next(iter(stages.items()))
    seen: list[str] = []
    for later, role in stages.items():
        if isinstance(role.look, Cells) and role.look.stage not in seen:
            raise ValueError(
                f"stages.{later}.look.at: {role.look.stage}: is no earlier stage that looks at the "
                f"whole face, once, and answers points; {nearest(role.look.stage, seen)}"
            )
        if isinstance(role.look, Cells) and role.answer.name == "points":
            raise ValueError(
                f"stages.{later}.answer: what looks at features of a row answers steps from where "
                "the points are; expected increments, got points"
            )
        if isinstance(role.look, Gaze) and role.answer.name == "increments":
            raise ValueError(
                f"stages.{later}.answer: what looks at photos answers where points are; expected "
                "points, got increments"
            )
        if isinstance(role.answer, HeatmapsAnswer) and not role.look.whole:
            raise ValueError(
                f"stages.{later}.answer: heatmaps are of the whole face; look at box or five_points"
            )
        if role.look.whole and not role.pointed:
            seen.append(later)
    if first.look.frame != "box":
        raise ValueError(
            f"stages.{name}.look.frame: there are no points yet that the first stage could look "
            f"at; expected box, got {first.look.frame}"
        )
    if first.blend != 1:
        raise ValueError(
            f"stages.{name}.blend: there is nothing yet to blend the first stage's answer with; "
            "leave it out"
        )


def rows_of(stage: str, roles: Mapping[str, Role]) -> list[str]:
    """The rows of a stage's network that other stages look at."""
    looks = [role.look for role in roles.values()]
    at = [look for look in looks if isinstance(look, Cells) and look.stage == stage]
    return list(dict.fromkeys(look.row for look in at))
