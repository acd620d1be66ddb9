"""A stage's role in a cascade: where it looks, what it answers, how much that counts.

Without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, Field, StringConstraints, field_validator

from groupnas.landmarks.answers import PointsAnswer
from groupnas.landmarks.crops import CropSettings, extents, whole_face
from groupnas.landmarks.frames import Frame, around, upright
from groupnas.landmarks.markup import Markup
from groupnas.schema import Settings

# It was called trust once: recipes and cards that say so are read.
Blend = Annotated[float, Field(gt=0, le=1, validation_alias=AliasChoices("blend", "trust"))]
# It names folders, tensors and columns of tables.
Name = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]*$")]

TAKEN = ("cascade", "initial", "points", "search")  # names that mean something else beside stages'


@dataclass(frozen=True, kw_only=True)
class Gaze(CropSettings):
    """Where a stage looks, and how what is there is cut.

    Attributes:
        frame: ``box``, the face's box, which is one region with all points; or ``extents``, a
            region for each part of the markup, around its points as the stages before have them.
    """

    frame: Literal["box", "extents"]

    @classmethod
    def at(cls, frame: Literal["box", "extents"], crops: CropSettings) -> Self:
        """Look at a frame, which is cut as other settings say."""
        return cls(frame=frame, **asdict(crops))

    @property
    def whole(self) -> bool:
        """Whether it is the whole face in one region."""
        return self.frame == "box"

    @property
    def crops(self) -> CropSettings:
        """How regions are cut, wherever they lie."""
        return CropSettings(**{one.name: getattr(self, one.name) for one in fields(CropSettings)})

    def regions(self, markup: Markup) -> Markup:
        """The markup whose parts are the P regions."""
        return whole_face(markup) if self.whole else markup

    def frames(
        self, boxes: NDArray[np.float64], before: NDArray[np.float64] | None, markup: Markup
    ) -> Frame[NDArray[np.float64]]:
        """The frames ``(B, P)`` of B faces, upright squares of at least one pixel.

        Args:
            boxes: ``(B, 4)``, of the faces.
            before: ``(B, K, 2)``, their points as the stages before have them.
            markup: Of the points.
        """
        if self.whole or before is None:
            found = around(boxes[:, None], self.margin)
        else:
            found = around(extents(before, markup), self.margin)
        return upright(found.origin, np.maximum(found.side, 1.0))  # a box may have collapsed


class Role(Settings):
    """A stage's role in a cascade.

    Attributes:
        look: Where it looks.
        answer: What its network's outputs mean; a name stands for an answer of that name.
        blend: Share of its answer in its points, above 0 and up to 1; the rest is that of the
            stages before. 1 is the paper's cascade.
    """

    look: Gaze
    answer: PointsAnswer = PointsAnswer()
    blend: Blend = 1.0

    @field_validator("answer", mode="before")
    @classmethod
    def _named(cls, answer: Any) -> Any:
        return {"name": answer} if isinstance(answer, str) else answer

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
    if not first.look.whole:
        raise ValueError(
            f"stages.{name}.look.frame: there are no points yet that the first stage could look "
            f"at; expected box, got {first.look.frame}"
        )
    if first.blend != 1:
        raise ValueError(
            f"stages.{name}.blend: there is nothing yet to blend the first stage's answer with; "
            "leave it out"
        )
