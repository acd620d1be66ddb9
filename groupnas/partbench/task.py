"""Drawn parts side by side, as a task."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from groupnas.partbench.drawing import POINTS, draw_part

ERROR_UNIT = "% of the side"


@dataclass(frozen=True)
class DrawnPart:
    """One part of a task.

    Attributes:
        difficulty: See :mod:`groupnas.partbench.drawing`; 1 to 16.
        draw: Which of the endless many sets of samples.
        weight: How often every point is asked for: the part has 16 outputs times that, so that its
            error weighs as much more, and its output layer costs as much more.
    """

    difficulty: float
    draw: int
    weight: int = 1


class DrawnParts:
    """Parts that have nothing to do with each other; a :class:`groupnas.task.Task`.

    A sample has a crop of each part. There is no augmentation: what a training of many epochs sees
    is the same samples again.

    Args:
        name: Of the task.
        parts: By group.
        samples: How many.
    """

    error_unit = ERROR_UNIT

    def __init__(self, name: str, parts: Mapping[str, DrawnPart], samples: int) -> None:
        self.name = name
        self.inputs: Mapping[str, int] = dict.fromkeys(parts, 1)
        self.outputs: Mapping[str, int] = {
            group: 2 * POINTS * part.weight for group, part in parts.items()
        }
        self.sources: Sequence[str] = [f"{name}/{index:05d}" for index in range(samples)]
        drawn = [draw_part(part.difficulty, part.draw, samples) for part in parts.values()]
        repeated = [
            np.tile(points, (1, part.weight, 1))
            for (_, points), part in zip(drawn, parts.values(), strict=True)
        ]
        self._crops = torch.from_numpy(np.stack([crops for crops, _ in drawn], axis=1))
        self._points = torch.from_numpy(np.concatenate(repeated, axis=1)).flatten(1)

    def batch(
        self, indices: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return crops ``(B, parts, 12, 12)`` and coordinates ``(B, outputs)``, -1 to 1."""
        return self._crops[indices], self._points[indices]

    def mean_output(self) -> Tensor:
        """Return the mean shapes, ``(outputs,)``."""
        return self._points.mean(dim=0)

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Return the mean distance along the axes."""
        return (predicted - target).abs().mean()

    def errors(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Return every part's mean distance of points, ``(B, parts)``, in % of the crop's side."""
        distances = (predicted - target).unflatten(1, (-1, 2)).norm(dim=-1)
        points = [outputs // 2 for outputs in self.outputs.values()]
        means = [part.mean(dim=1) for part in distances.split(points, dim=1)]
        return 50 * torch.stack(means, dim=1)

    def to(self, target: Tensor, device: torch.device) -> Tensor:
        """Return the target, moved to ``device``."""
        return target.to(device)

    def fingerprint(self) -> str:
        """Return a hash of the samples."""
        digest = hashlib.sha256(self._crops.numpy().tobytes())
        digest.update(self._points.numpy().tobytes())
        return digest.hexdigest()
