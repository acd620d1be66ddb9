"""The facial-part task: crops of eyes, nose and mouth in, their landmarks out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from groupnas.errors import InputError
from groupnas.tasks.landmarks.augment import (
    Augmentation,
    draw_placement,
    no_placement,
    place_points,
    resample,
)
from groupnas.tasks.landmarks.crops import Patches
from groupnas.tasks.landmarks.losses import wing_loss

CROP = 64  # pixels of a crop's side, Section III-A of the paper


@dataclass(frozen=True)
class PartTarget:
    """What the network should have said.

    Attributes:
        points: ``(B, 2 K)`` float32, x0 y0 x1 y1 ... part by part, in box units of the crop:
            -1 and 1 are its outer edges.
        percent: ``(B, P)`` float32, what a distance of 1 box unit is in % of the inter-ocular
            distance.
    """

    points: Tensor
    percent: Tensor


class FacialPartTask:
    """Grey 64 x 64 crops of four facial parts, and the landmarks in them.

    Implements :class:`groupnas.task.Task`. Inputs are ``(B, 4, 64, 64)`` float32, one channel per
    part; every crop is shifted and scaled by itself to mean 0 and standard deviation 1, so that
    exposure and contrast say nothing.

    Args:
        name: What the run folder calls the task.
        patches: The parts of every face, in memory.
        augmentation: What :meth:`batch` draws when it is given a generator.
    """

    error_unit = "NME %"

    def __init__(
        self, name: str, patches: Patches, augmentation: Augmentation | None = None
    ) -> None:
        markup = patches.markup
        if markup.interocular is None:
            raise InputError(f"{name}: the {markup.name} markup has no inter-ocular distance")
        self.name = name
        self.patches = patches
        self.augmentation = augmentation or Augmentation()
        self.sources: Sequence[str] = patches.sources
        self.inputs: Mapping[str, int] = MappingProxyType({part: 1 for part in markup.parts})
        self.outputs: Mapping[str, int] = MappingProxyType(
            {part: 2 * len(indices) for part, indices in markup.parts.items()}
        )
        self._pixels = torch.from_numpy(patches.pixels)
        self._points = torch.from_numpy(patches.points)
        # Half a box is one box unit.
        self._percent = torch.from_numpy(100 * patches.box_size / 2 / patches.interocular[:, None])
        self._owners = torch.tensor(markup.owners)
        # Row 0 leaves parts and points where they are, row 1 swaps those of a mirrored face.
        self._part_order = torch.tensor([range(len(markup.parts)), markup.flipped_parts])
        self._point_order = torch.tensor([range(len(markup.part_points)), markup.part_flip])

    def batch(
        self, indices: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, PartTarget]:
        """Crops ``(B, 4, 64, 64)`` and their target, as :meth:`groupnas.task.Task.batch` says."""
        faces, parts = len(indices), len(self.inputs)
        placement = (
            no_placement(faces, parts)
            if generator is None
            else draw_placement(faces, parts, self.augmentation, generator)
        )
        flipped = placement.flipped.long()
        rows, part_order = indices[:, None], self._part_order[flipped]
        crops = resample(
            self._pixels[rows, part_order], placement, self.patches.settings.cover, CROP
        )
        points = place_points(
            self._points[rows, self._point_order[flipped]], placement, self._owners
        )
        percent = self._percent[rows, part_order] / placement.scale
        return standardise(crops), PartTarget(points.flatten(1), percent)

    def loss(self, predicted: Tensor, target: PartTarget) -> Tensor:
        """Wing loss of predictions ``(B, 2 K)``, in pixels of the 64 x 64 crop; a scalar."""
        half = CROP / 2
        return wing_loss(predicted * half, target.points * half)

    def errors(self, predicted: Tensor, target: PartTarget) -> Tensor:
        """Mean distance of each part's points ``(B, 4)``, in % of the inter-ocular distance."""
        distance = (predicted - target.points).unflatten(1, (-1, 2)).norm(dim=-1)
        counts = [outputs // 2 for outputs in self.outputs.values()]
        means = [part.mean(dim=1) for part in distance.split(counts, dim=1)]
        return torch.stack(means, dim=1) * target.percent

    def to(self, target: PartTarget, device: torch.device) -> PartTarget:
        """The target, moved to ``device``."""
        return PartTarget(target.points.to(device), target.percent.to(device))

    def fingerprint(self) -> str:
        """SHA-256 of pixels, points, sources, crop settings and augmentation."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for array in (
            self.patches.pixels,
            self.patches.points,
            self.patches.box_size,
            self.patches.interocular,
        ):
            digest.update(array.tobytes() if not array.flags.c_contiguous else array.data)
        digest.update(repr((self.sources, self.patches.settings, self.augmentation)).encode())
        return digest.hexdigest()


def standardise(crops: Tensor) -> Tensor:
    """Crops ``(B, P, C, C)`` with mean 0 and standard deviation 1 each; a flat crop becomes 0."""
    # eps, one grey level squared, keeps a flat crop's noise small
    return functional.layer_norm(crops, crops.shape[2:], eps=1.0)
