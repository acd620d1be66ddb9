"""The cascade: a global estimate of all landmarks, then each facial part again at close sight.

Source: Wen et al., PicassoNet, section III-A and Fig. 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import AliasChoices, Field
from torch import Tensor, nn

from groupnas.errors import InputError
from groupnas.landmarks.crops import CropSettings, cut_frames, extents
from groupnas.landmarks.data.face import BoxPolicy
from groupnas.landmarks.frames import Frame, around, upright
from groupnas.landmarks.located import FacePair, Image, Located, Points, check_faces
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.task import standardise

# It was called trust once: recipes and cards that say so are read.
Blend = Annotated[float, Field(gt=0, le=1, validation_alias=AliasChoices("blend", "trust"))]


@dataclass(frozen=True)
class Stage:
    """A network with what it must be shown: crops of regions in, their landmarks out.

    Attributes:
        network: Maps ``(B, P D, C, C)`` float32 to ``(B, 2 K)`` in box units; in evaluation mode.
        markup: Whose parts are the regions.
        crops: How regions are cut.
    """

    network: nn.Module
    markup: Markup
    crops: CropSettings

    @torch.inference_mode()
    def locate(self, faces: Iterable[FacePair]) -> Points:
        """Landmarks ``(B, K, 2)``, in the order of ``markup.part_points``.

        Args:
            faces: For each face its image and the boxes ``(P, 4)`` of its regions.
        """
        crops, frame = self.see(faces)
        points = self.network(crops)
        in_box = points.double().cpu().numpy().reshape(len(crops), -1, 2)
        return frame.of(self.markup.owners).out(in_box)

    def see(self, faces: Iterable[FacePair]) -> tuple[Tensor, Frame[Points]]:
        """Return the crops ``(B, P D, C, C)``, and the ``(B, P)`` squares that were cut out.

        Args:
            faces: As of :meth:`locate`.
        """
        pairs, settings = list(faces), self.crops
        frame = around(np.stack([boxes for _, boxes in pairs]), settings.margin)
        frame = upright(frame.origin, np.maximum(frame.side, 1.0))  # a box may have collapsed
        pixels = [
            cut_frames(image, Frame(*arrays), settings.size, settings.colour)
            for (image, _), *arrays in zip(pairs, frame.linear, frame.origin, strict=True)
        ]
        weight = next(self.network.parameters())
        seen = torch.from_numpy(np.stack(pixels)).to(weight.device).float()
        crops = standardise(seen).to(weight.dtype)
        return crops.contiguous(memory_format=torch.channels_last), frame


@dataclass(frozen=True)
class Cascade:
    """The global stage, and the local stage that looks again at each part.

    Contour points are the global stage's; all others are the local stage's, or between both.

    Attributes:
        markup: The landmarks.
        global_stage: The global stage; one region, the whole face.
        local_stage: The local stage; its regions are the markup's parts.
        box: What a face's box is: the extent of its landmarks, or a rectangle that is listed.
        blend: Share of the local stage's answer in a part's points, above 0 and up to 1; the rest
            is the global estimate's. 1 is the paper's cascade.
        card: What a person should know of it; see :func:`groupnas.landmarks.model.load_cascade`.
    """

    markup: Markup
    global_stage: Stage
    local_stage: Stage
    box: BoxPolicy
    blend: float
    card: Mapping[str, Any]

    def locate(self, image: Image, boxes: Points) -> Located:
        """The landmarks of all faces of one image, in one batch.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.
            boxes: ``(F, 4)``: x0, y0, x1, y1 of each face in pixel-centre coordinates, as
                :attr:`box` says; squared and enlarged here.

        Raises:
            InputError: shapes, dtype or values that no face can have.
        """
        boxes = np.asarray(boxes, dtype=np.float64)
        check_faces(image, boxes)
        return self._locate([(image, box) for box in boxes])

    def locate_many(self, faces: Iterable[FacePair], batch: int = 32) -> Located:
        """The landmarks of faces from many images, each with its box ``(4,)``."""
        if batch < 1:
            raise InputError(f"batch: expected at least 1, got {batch}")
        source, found = iter(faces), []
        while group := list(islice(source, batch)):
            found.append(self._locate(group))
        if not found:
            return self._locate([])
        return Located(
            np.concatenate([one.points for one in found]),
            np.concatenate([one.initial for one in found]),
        )

    def _locate(self, faces: list[FacePair]) -> Located:
        if not faces:
            nothing = np.zeros((0, self.markup.points, 2))
            return Located(nothing, nothing)
        initial = self.global_stage.locate((image, box[None]) for image, box in faces)
        points = initial.copy()
        # An estimate gone wild must not ask for a crop of a million pixels, nor one that is no
        # number for none at all: whoever asked sees it, and can say of which face.
        boxes = np.stack([box for _, box in faces])
        limits = around(boxes[:, None], 2 * self.global_stage.crops.margin)
        centre, reach = limits.origin, limits.side[..., None] / 2
        known = np.where(np.isfinite(initial), initial, centre)
        sane = known.clip(centre - reach, centre + reach)
        boxes = extents(sane, self.markup)
        pairs = ((image, box) for (image, _), box in zip(faces, boxes, strict=True))
        members = list(self.markup.part_points)
        closer = self.local_stage.locate(pairs)
        points[:, members] += self.blend * (closer - points[:, members])
        return Located(points, initial)
