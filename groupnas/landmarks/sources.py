"""Sources: what stages look at, and how regions of it become the inputs of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from groupnas.landmarks.crops import CropSettings, cut_frames
from groupnas.landmarks.frames import Frame
from groupnas.landmarks.located import Image, Points
from groupnas.landmarks.task import standardise


class Source(Protocol):
    """What the regions of B faces are cut out of."""

    def cut(self, frame: Frame[Points], settings: CropSettings, device: torch.device) -> Tensor:
        """Inputs ``(B, P D, C, C)`` float32 of a network, of the frame's ``(B, P)`` regions."""


@dataclass(frozen=True)
class Photos:
    """The photo of each face.

    Attributes:
        images: B of ``(H, W, 3)`` uint8 RGB; one may stand several times.
    """

    images: Sequence[Image]

    def cut(self, frame: Frame[Points], settings: CropSettings, device: torch.device) -> Tensor:
        """Crops as :class:`Source` says, each with mean 0 and standard deviation 1."""
        pixels = [
            cut_frames(image, Frame(*arrays), settings.size, settings.colour)
            for image, *arrays in zip(self.images, frame.linear, frame.origin, strict=True)
        ]
        return standardise(torch.from_numpy(np.stack(pixels)).to(device).float())
