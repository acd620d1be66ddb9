"""Answers: what the outputs of a stage's network mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from groupnas.files import nearest
from groupnas.landmarks.frames import ArrayT, Frame
from groupnas.schema import Settings

if TYPE_CHECKING:
    from torch import Tensor

Cell = Annotated[float, Field(ge=0, le=100)]  # a distance in cells of a map


class PointsAnswer(Settings):
    """Outputs that are the points themselves, in the units of their own regions.

    Source: PicassoNet, section III-A.

    Attributes:
        outputs: Of the network, for each point.
    """

    name: Literal["points"] = "points"
    outputs: ClassVar[int] = 2

    def pairs(self, outputs: Tensor) -> Tensor:
        """What the K points are read from ``(B, 2 K)``, the outputs of a network: ``(B, K, 2)``."""
        return outputs.unflatten(1, (-1, 2))

    def shape(self, outputs: ArrayT, frame: Frame[ArrayT], before: ArrayT | None) -> ArrayT:
        """Points ``(B, K, 2)`` in pixels.

        Args:
            outputs: ``(B, K, 2)``, of the network, as :meth:`pairs` reads them.
            frame: ``(B, K)``, the region of each point.
            before: ``(B, K, 2)``, where the stages before have the points; ``None`` for the first.
        """
        return frame.out(outputs)


class HeatmapsAnswer(Settings):
    """Outputs that are maps of the region, one for each point, which lies where its map is highest.

    Source: Earp et al., sub-pixel landmarks (paper 004), sections 2.1 and 2.2.

    Attributes:
        outputs: Of the network, for each point.
        sigma: Standard deviation in cells of the Gaussians that maps are trained to be.
        decode: How points are read; a key of :data:`groupnas.landmarks.heatmaps.DECODINGS`.
        blur: Standard deviation in cells of a blur before that.
        loss: A key of :data:`groupnas.landmarks.heatmaps.HEATMAP_LOSSES`. By ``cross_entropy`` the
            outputs are logits of maps, by ``squared`` they are maps.
    """

    name: Literal["heatmaps"] = "heatmaps"
    outputs: ClassVar[int] = 1
    sigma: Annotated[float, Field(gt=0, le=100)] = 2.0
    decode: Literal["argmax", "quarter", "taylor"] = "taylor"
    blur: Cell = 0.0
    loss: Literal["cross_entropy", "squared"] = "cross_entropy"

    def pairs(self, outputs: Tensor) -> Tensor:
        """The points ``(B, K, 2)`` in units of the region, of maps ``(B, K, H, W)``."""
        from groupnas.landmarks.heatmaps import decode, from_cells, probabilities

        maps = probabilities(outputs) if self.loss == "cross_entropy" else outputs
        return from_cells(decode(maps, self.decode, self.blur), (maps.shape[-2], maps.shape[-1]))

    def shape(self, outputs: ArrayT, frame: Frame[ArrayT], before: ArrayT | None) -> ArrayT:
        """Points ``(B, K, 2)`` in pixels; as :meth:`PointsAnswer.shape`."""
        return frame.out(outputs)


class IncrementsAnswer(Settings):
    """Outputs that are steps from where the stages before have the points, in regions' units.

    Source: Su et al., GRegNet + LRefNets (paper 001), eq. 7. A loss on the points that come of it
    is one on the steps: what they start from is in both terms of it, and in no gradient.
    """

    name: Literal["increments"] = "increments"
    outputs: ClassVar[int] = 2

    def pairs(self, outputs: Tensor) -> Tensor:
        """The K steps ``(B, K, 2)`` of ``(B, 2 K)``, the outputs of a network."""
        return outputs.unflatten(1, (-1, 2))

    def shape(self, outputs: ArrayT, frame: Frame[ArrayT], before: ArrayT | None) -> ArrayT:
        """Points ``(B, K, 2)`` in pixels; as :meth:`PointsAnswer.shape`, of a later stage."""
        if before is None:
            raise ValueError("increments: the first stage has nothing to start from")
        return before + frame.vectors(outputs)


Answer = PointsAnswer | IncrementsAnswer | HeatmapsAnswer
ANSWERS: Mapping[str, type[Answer]] = {
    "points": PointsAnswer,
    "increments": IncrementsAnswer,
    "heatmaps": HeatmapsAnswer,
}


def answer_from(data: Any) -> Any:
    """The answer that settings mean; a name stands for the answer of that name."""
    told = {"name": data} if isinstance(data, str) else data
    if isinstance(told, Answer):
        return told
    if not isinstance(told, dict):
        return PointsAnswer.model_validate(told)  # the fault of one of them, not of each
    name = str(told.get("name"))
    if name not in ANSWERS:
        raise ValueError(f"name: {name!r} is no answer; {nearest(name, ANSWERS)}")
    return ANSWERS[name].model_validate(told)
