"""The cascade: stages that look at a face in turn, each where those before it found its points.

Source: Wen et al., PicassoNet, section III-A and Fig. 3: a global estimate of all landmarks, then
each facial part again at close sight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from groupnas.errors import InputError
from groupnas.landmarks.data.face import BoxPolicy
from groupnas.landmarks.frames import Frame, around
from groupnas.landmarks.located import FacePair, Image, Located, Points, check_faces
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.roles import Cells, Gaze, Role, rows_of
from groupnas.landmarks.sources import Features, Photos, Source
from groupnas.spaces.network import GroupedNetwork


@dataclass(frozen=True)
class Stage:
    """A network with its role in the cascade: regions of faces in, their landmarks out.

    Attributes:
        network: Maps ``(B, P D, C, C)`` float32 to ``(B, 2 K)``; in evaluation mode.
        markup: The landmarks.
        role: What it is shown, and what its answer means.
    """

    network: nn.Module
    markup: Markup
    role: Role

    @cached_property
    def regions(self) -> Markup:
        """The markup whose parts are the P regions; its ``part_points`` are the K answered."""
        return self.role.look.regions(self.markup)

    def frames(self, source: Source, boxes: Points, before: Points | None) -> Frame[Points]:
        """Return where it looks, at boxes and at points that are known before, if any."""
        return source.frames(self.role.look, boxes, before, self.markup)

    def see(self, source: Source, frame: Frame[Points]) -> Tensor:
        """The network's input ``(B, P D, C, C)``: the regions ``(B, P)`` of a source."""
        weight = next(self.network.parameters())
        crops = source.cut(frame, self.role.look, weight.device).to(weight.dtype)
        return crops.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def locate(
        self,
        source: Source,
        frame: Frame[Points],
        before: Points | None,
        rows: Sequence[str] = (),
    ) -> tuple[Points, dict[str, Tensor]]:
        """All landmarks ``(B, points, 2)``, those that it does not answer as they were before.

        The second is what rows of the network put out on the way, ``(B, C, H, W)`` of each.

        Args:
            source: What it looks at.
            frame: ``(B, P)``, where.
            before: ``(B, points, 2)``, as the stages before have them; ``None`` for the first,
                which answers all.
            rows: Of the network, a :class:`groupnas.spaces.network.GroupedNetwork`.
        """
        seen, maps = self.see(source, frame), dict[str, Tensor]()
        if rows:
            outputs, maps = cast(GroupedNetwork, self.network).features(seen, rows)
        else:
            outputs = self.network(seen)
        answers = outputs.double().cpu().numpy().reshape(len(outputs), -1, 2)
        regions, members = self.regions, list(self.regions.part_points)
        known = None if before is None else before[:, members]
        closer = self.role.answer.shape(answers, frame.of(regions.owners), known)
        if before is None or known is None:
            points = np.empty((len(closer), self.markup.points, 2))
            points[:, members] = closer
            return points, maps
        points = before.copy()
        points[:, members] += self.role.blend * (closer - known)
        return points, maps


@dataclass(frozen=True)
class Cascade:
    """Stages that locate the landmarks of a face in turn.

    Points that a stage does not answer, such as the contour's where it looks at parts, stay as the
    stages before have them; all others are its own, or between both.

    Attributes:
        markup: The landmarks.
        stages: By their names, in their order; the first looks at the face's box.
        box: What a face's box is: the extent of its landmarks, or a rectangle that is listed.
        card: What a person should know of it; see :func:`groupnas.landmarks.model.load_cascade`.
    """

    markup: Markup
    stages: Mapping[str, Stage]
    box: BoxPolicy
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
            {name: np.concatenate([one.stages[name] for one in found]) for name in self.stages}
        )

    def frames(self, faces: Iterable[FacePair], look: Gaze) -> Frame[Points]:
        """Where a stage behind these would look at faces, ``(F, P)``; as :meth:`locate_many`."""
        kept: list[Points] = []

        def noted() -> Iterator[FacePair]:
            for image, box in faces:
                kept.append(box)
                yield image, box

        points, boxes = self.locate_many(noted()).points, np.stack(kept)
        return look.frames(boxes, self._sane(points, boxes), self.markup)

    def _locate(self, faces: list[FacePair]) -> Located:
        if not faces:
            return Located(dict.fromkeys(self.stages, np.zeros((0, self.markup.points, 2))))
        photos, boxes = Photos([image for image, _ in faces]), np.stack([box for _, box in faces])
        points: Points | None = None
        kept: dict[str, Features] = {}
        found: dict[str, Points] = {}
        for name, stage in self.stages.items():
            sane = None if points is None else self._sane(points, boxes)
            look = stage.role.look
            source = kept[look.at] if isinstance(look, Cells) else photos
            frame = stage.frames(source, boxes, sane)
            points, maps = stage.locate(source, frame, points, rows_of(name, self.roles))
            found[name] = points
            kept.update({f"{name}.{row}": Features(one, frame) for row, one in maps.items()})
        return Located(found)

    @cached_property
    def roles(self) -> dict[str, Role]:
        """The stages' roles."""
        return {name: stage.role for name, stage in self.stages.items()}

    def _sane(self, points: Points, boxes: Points) -> Points:
        """Points that the next stage can look at.

        An estimate gone wild must not ask for a crop of a million pixels, nor one that is no number
        for none at all: whoever asked sees it, and can say of which face.
        """
        first = next(iter(self.stages.values()))
        assert isinstance(first.role.look, Gaze)  # at the face's box
        limits = around(boxes[:, None], 2 * first.role.look.margin)
        centre, reach = limits.origin, limits.side[..., None] / 2
        known = np.where(np.isfinite(points), points, centre)
        return known.clip(centre - reach, centre + reach)
