"""The landmark task: crops of a face's regions in, the landmarks in them out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from groupnas.errors import InputError
from groupnas.landmarks.augment import (
    Augmentation,
    check_flip,
    default_augmentation,
    draw_placement,
    no_placement,
    place_points,
    resample,
)
from groupnas.landmarks.crops import Patches
from groupnas.landmarks.losses import LandmarkLoss, PointLoss
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.pixels import check_colours, disturb
from groupnas.spaces.schema import SHARED


@dataclass(frozen=True)
class LandmarkTarget:
    """The answer that the network should have given.

    Attributes:
        points: ``(B, 2 K)`` float32, x0 y0 x1 y1 ... region by region, in box units of the crop:
            -1 and 1 are its outer edges.
        percent: ``(B, P)`` float32, what a distance of 1 box unit is in % of the normaliser. Of an
            affine region it is the geometric mean of both axes'.
    """

    points: Tensor
    percent: Tensor


class LandmarkTask:
    """Crops of a face's regions, and the landmarks in them.

    Implements :class:`groupnas.task.Task`. Inputs are ``(B, P D, C, C)`` float32, D = 1 channel
    (grey) or 3 (RGB) for each of P regions; every crop is shifted and scaled by itself to mean 0
    and standard deviation 1, so that exposure and contrast say nothing.

    Args:
        name: What the run folder calls the task.
        patches: The regions of every face, in memory.
        augmentation: What :meth:`batch` draws when it is given a generator; mirroring is left out
            of the defaults where the markup does not say what it does.
        loss: Of points in pixels of the crop; by default Wing along x and y. Its ``repr`` says all.
        groups: A markup whose parts are the groups, where several look at one region: each reads
            all of its channels, and K are in the order of these parts. By default the regions.

    Raises:
        InputError: a point, a box or a normaliser of the patches is not a number; an augmentation
            of colours that grey crops have not, or that mirrors what must not be.
    """

    error_unit = "NME %"

    def __init__(
        self,
        name: str,
        patches: Patches,
        augmentation: Augmentation | None = None,
        loss: PointLoss | None = None,
        groups: Markup | None = None,
    ) -> None:
        regions, settings = patches.markup, patches.settings
        markup = groups or regions
        for sample in np.flatnonzero(~_known(patches)):
            raise InputError(
                f"{name}: sample {sample}, from {patches.sources[sample]}: expected finite points, "
                "boxes and normalisers; leave out what is not known"
            )
        self.name = name
        self.patches = patches
        self.augmentation = augmentation or default_augmentation(markup)
        check_flip(self.augmentation, markup)
        check_colours(self.augmentation, settings.channels)
        self.sources: Sequence[str] = patches.sources
        self.groups = groups
        self.inputs: Mapping[str, int] = (
            dict.fromkeys(markup.parts, settings.channels)
            if groups is None
            else {SHARED: settings.channels}
        )
        self.outputs: Mapping[str, int] = {
            part: 2 * len(indices) for part, indices in markup.parts.items()
        }
        self._loss = loss or LandmarkLoss()
        self._counts = [len(indices) for indices in markup.parts.values()]
        place = {point: number for number, point in enumerate(regions.part_points)}
        # In the patches' own layout, which the last bits of the points' mean depend on
        order = [place[point] for point in markup.part_points]
        self._points = torch.from_numpy(np.ascontiguousarray(patches.points[:, order]))
        # Half a box is one box unit.
        self._percent = torch.from_numpy(100 * patches.box_size / 2 / patches.normaliser[:, None])
        self._owners = torch.tensor([regions.owners[number] for number in order])
        # Row 0 leaves parts and points where they are, row 1 swaps those of a mirrored face.
        self._part_order = torch.tensor([range(len(regions.parts)), regions.flipped_parts])
        self._point_order = torch.tensor([range(len(markup.part_points)), markup.part_flip])

    def mean_output(self) -> Tensor | None:
        """The mean of all samples' points, ``(2 K,)``, in box units of an unchanged crop."""
        return self._points.mean(dim=0).flatten()

    def batch(
        self, indices: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, LandmarkTarget]:
        """Crops and their target, as :meth:`groupnas.task.Task.batch` says."""
        faces, parts = len(indices), len(self.patches.markup.parts)
        placement = (
            no_placement(faces, parts)
            if generator is None
            else draw_placement(faces, parts, self.augmentation, generator)
        )
        flipped = placement.flipped.long()
        rows, part_order = indices[:, None], self._part_order[flipped]
        settings = self.patches.settings
        # The same memory, looked at anew: as an attribute it would be pickled beside the patches.
        pixels = torch.from_numpy(self.patches.pixels)[rows, part_order]
        crops = resample(pixels, placement, settings.cover, settings.size)
        if generator is not None:
            crops = disturb(crops, self.augmentation, generator)
        points = place_points(
            self._points[rows, self._point_order[flipped]], placement, self._owners
        )
        percent = self._percent[rows, part_order] / placement.scale
        return standardise(crops), LandmarkTarget(points.flatten(1), percent)

    def loss(self, predicted: Tensor, target: LandmarkTarget) -> Tensor:
        """Loss of predictions ``(B, 2 K)``, in pixels of the crop; a scalar."""
        half = self.patches.settings.size / 2
        pairs = [(half * points).unflatten(1, (-1, 2)) for points in (predicted, target.points)]
        return self._loss(*pairs)

    def errors(self, predicted: Tensor, target: LandmarkTarget) -> Tensor:
        """Mean distance of each group's points ``(B, G)``, in % of the normaliser."""
        distance = (predicted - target.points).unflatten(1, (-1, 2)).norm(dim=-1)
        means = [part.mean(dim=1) for part in distance.split(self._counts, dim=1)]
        return torch.stack(means, dim=1) * target.percent

    def to(self, target: LandmarkTarget, device: torch.device) -> LandmarkTarget:
        """The target, moved to ``device``."""
        return LandmarkTarget(target.points.to(device), target.percent.to(device))

    def fingerprint(self) -> str:
        """SHA-256 of pixels, points, sources, crop settings, augmentation and loss."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for array in (
            self.patches.pixels,
            self.patches.points,
            self.patches.box_size,
            self.patches.normaliser,
        ):
            digest.update(array.tobytes() if not array.flags.c_contiguous else array.data)
        digest.update(repr(self._told()).encode())
        return digest.hexdigest()

    def _told(self) -> tuple[Any, ...]:
        """All that the fingerprint is of beside the arrays; its ``repr`` says everything."""
        told = (self.sources, self.patches.settings, self.augmentation, self._loss)
        return told if self.groups is None else (*told, self.groups.parts)


def _known(patches: Patches) -> NDArray[np.bool_]:
    """Which samples ``(N,)`` are of numbers alone."""
    arrays = (patches.points, patches.box_size, patches.normaliser[:, None])
    return np.all([np.isfinite(a.reshape(len(a), -1)).all(axis=1) for a in arrays], axis=0)


def standardise(crops: Tensor) -> Tensor:
    """Crops ``(B, P, D, C, C)`` as the network takes them: ``(B, P D, C, C)``.

    Each crop gets mean 0 and standard deviation 1, over its channels together; a flat one gets 0.
    """
    # eps, one grey level squared, keeps a flat crop's noise small
    return functional.layer_norm(crops, crops.shape[2:], eps=1.0).flatten(1, 2)
