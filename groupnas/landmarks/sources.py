"""Sources: what stages look at, and how regions of it become the inputs of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from groupnas.landmarks.crops import cut_frames, cut_turned
from groupnas.landmarks.features import features_around
from groupnas.landmarks.frames import Frame
from groupnas.landmarks.located import Image, Points
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.roles import Cells, Gaze
from groupnas.landmarks.task import standardise


class Source(Protocol):
    """What the regions of B faces are cut out of."""

    def frames(
        self, look: Gaze | Cells, boxes: Points, before: Points | None, markup: Markup
    ) -> Frame[Points]:
        """Where a stage looks, ``(B, P)``; as :meth:`groupnas.landmarks.roles.Gaze.frames`."""

    def cut(self, frame: Frame[Points], look: Gaze | Cells, device: torch.device) -> Tensor:
        """Inputs ``(B, P D, C, C)`` float32 of a network, of the frame's ``(B, P)`` regions."""


@dataclass(frozen=True)
class Photos:
    """The photo of each face.

    Attributes:
        images: B of ``(H, W, 3)`` uint8 RGB; one may stand several times.
    """

    images: Sequence[Image]

    def frames(
        self, look: Gaze | Cells, boxes: Points, before: Points | None, markup: Markup
    ) -> Frame[Points]:
        """As :meth:`groupnas.landmarks.roles.Gaze.frames`."""
        assert isinstance(look, Gaze)  # others have another source
        return look.frames(boxes, before, markup)

    def cut(self, frame: Frame[Points], look: Gaze | Cells, device: torch.device) -> Tensor:
        """Crops as :class:`Source` says, each with mean 0 and standard deviation 1."""
        assert isinstance(look, Gaze)
        cut = cut_turned if look.turned else cut_frames
        pixels = [
            cut(image, Frame(*arrays), look.size, look.colour)
            for image, *arrays in zip(self.images, frame.linear, frame.origin, strict=True)
        ]
        return standardise(torch.from_numpy(np.stack(pixels)).to(device).float())


@dataclass(frozen=True)
class Features:
    """A feature map of an earlier stage.

    Attributes:
        maps: ``(B, C, H, W)``.
        frame: ``(B, 1)``, where the region lies that the map is of.
    """

    maps: Tensor
    frame: Frame[Points]

    def frames(
        self, look: Gaze | Cells, boxes: Points, before: Points | None, markup: Markup
    ) -> Frame[Points]:
        """A frame around every point, in the units of the map's region."""
        assert before is not None  # none looks at features first
        return Frame(self.frame.of([0] * before.shape[1]).linear, before)

    def cut(self, frame: Frame[Points], look: Gaze | Cells, device: torch.device) -> Tensor:
        """The cells around each region's centre, as :func:`features_around` finds them."""
        points = self.frame.of([0] * frame.origin.shape[1]).into(frame.origin)
        places = torch.from_numpy(points).to(device, self.maps.dtype)
        return features_around(self.maps, places, look.size)
