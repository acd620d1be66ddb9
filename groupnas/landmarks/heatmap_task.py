"""The task of networks that answer with a heatmap for each point."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from groupnas.landmarks.answers import HeatmapsAnswer
from groupnas.landmarks.augment import Augmentation
from groupnas.landmarks.crops import Patches
from groupnas.landmarks.heatmaps import HEATMAP_LOSSES, to_cells
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.task import LandmarkTarget, LandmarkTask


class HeatmapTask(LandmarkTask):
    """Crops of a face, and the landmarks in them as maps of the whole crop.

    A point that lies beyond its map, which augmentation or a turned face may bring about, asks for
    the cells next to it, and is measured where it truly is: nothing better can be answered, in
    training as in use, and to leave it out would make errors look smaller than they are.

    Args:
        name: What the run folder calls the task.
        patches: One region of every face, in memory.
        answer: What the maps should be, and how points are read from them.
        output_size: Height and width of a map.
        augmentation: As of :class:`LandmarkTask`, and so are the groups.
        groups: Their points are the outputs.
    """

    def __init__(
        self,
        name: str,
        patches: Patches,
        answer: HeatmapsAnswer,
        output_size: tuple[int, int],
        augmentation: Augmentation | None = None,
        groups: Markup | None = None,
    ) -> None:
        super().__init__(name, patches, augmentation, groups=groups)
        self.answer = answer
        self.outputs = dict(zip(self.outputs, self._counts, strict=True))
        self.output_size = output_size

    def mean_output(self) -> None:
        """Nothing: maps start at 0."""

    def loss(self, predicted: Tensor, target: LandmarkTarget) -> Tensor:
        """Loss of maps ``(B, K, H, W)``; a scalar."""
        cells = to_cells(target.points.unflatten(1, (-1, 2)), self.output_size)
        return HEATMAP_LOSSES[self.answer.loss](predicted, cells, self.answer.sigma)

    def errors(self, predicted: Tensor, target: LandmarkTarget) -> Tensor:
        """As :meth:`LandmarkTask.errors`, of the points that maps ``(B, K, H, W)`` are read as."""
        return super().errors(self.answer.pairs(predicted).flatten(1), target)

    def _told(self) -> tuple[Any, ...]:
        return (*super()._told(), self.answer, self.output_size)
