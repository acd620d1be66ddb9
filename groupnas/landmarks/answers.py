"""Answers: what the outputs of a stage's network mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from groupnas.files import nearest
from groupnas.landmarks.frames import ArrayT, Frame
from groupnas.schema import Settings


class PointsAnswer(Settings):
    """Outputs that are the points themselves, in the units of their own regions.

    Source: PicassoNet, section III-A.
    """

    name: Literal["points"] = "points"

    def shape(self, outputs: ArrayT, frame: Frame[ArrayT], before: ArrayT | None) -> ArrayT:
        """Points ``(B, K, 2)`` in pixels.

        Args:
            outputs: ``(B, K, 2)``, of the network.
            frame: ``(B, K)``, the region of each point.
            before: ``(B, K, 2)``, where the stages before have the points; ``None`` for the first.
        """
        return frame.out(outputs)


class IncrementsAnswer(Settings):
    """Outputs that are steps from where the stages before have the points, in regions' units.

    Source: Su et al., GRegNet + LRefNets (paper 001), eq. 7. A loss on the points that come of it
    is one on the steps: what they start from is in both terms of it, and in no gradient.
    """

    name: Literal["increments"] = "increments"

    def shape(self, outputs: ArrayT, frame: Frame[ArrayT], before: ArrayT | None) -> ArrayT:
        """Points ``(B, K, 2)`` in pixels; as :meth:`PointsAnswer.shape`, of a later stage."""
        if before is None:
            raise ValueError("increments: the first stage has nothing to start from")
        return before + frame.vectors(outputs)


Answer = PointsAnswer | IncrementsAnswer
ANSWERS: Mapping[str, type[Answer]] = {"points": PointsAnswer, "increments": IncrementsAnswer}


def answer_from(data: Any) -> Any:
    """The answer that settings mean; a name stands for the answer of that name."""
    told = {"name": data} if isinstance(data, str) else data
    if not isinstance(told, dict):
        return data
    name = str(told.get("name"))
    if name not in ANSWERS:
        raise ValueError(f"name: {name!r} is no answer; {nearest(name, ANSWERS)}")
    return ANSWERS[name].model_validate(told)
