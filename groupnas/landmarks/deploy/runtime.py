"""A cascade from one ONNX file, with NumPy and ONNX Runtime and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from groupnas.errors import InputError
from groupnas.files import parse_json
from groupnas.landmarks.data.face import BoxPolicy
from groupnas.landmarks.located import FacePair, Image, Located, Points, check_faces
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.markup_record import card_markup
from groupnas.landmarks.upgrade import upgraded_card
from groupnas.onnx_tools import open_session

KIND, FORMAT = "cascade", 1
_TOLD = ("card", "parts")  # in the metadata, as JSON


def outputs_of(stages: Iterable[str]) -> dict[str, str]:
    """The output of the graph that each stage's answer is; the last's is called alike in all.

    Args:
        stages: Their names, in their order.
    """
    names = [*stages]
    return dict(zip(names, ["initial", *names[1:-1], "points"][-len(names) :], strict=True))


@dataclass(frozen=True)
class OnnxCascade:
    """A cascade that :func:`groupnas.landmarks.deploy.export.export_cascade` wrote, ready to run.

    Attributes:
        session: The ``onnxruntime.InferenceSession``.
        card: The model card; see :func:`groupnas.landmarks.model.load_cascade`.
        parts: Landmark indices of each facial part.
    """

    session: Any
    card: Mapping[str, Any]
    parts: Mapping[str, tuple[int, ...]]

    @classmethod
    def load(cls, path: str | os.PathLike[str], threads: int = 1) -> OnnxCascade:
        """Read a file.

        Args:
            path: Of the ONNX file.
            threads: Of a single operator.

        Raises:
            InputError: ONNX Runtime is not installed, or the file cannot be read, is no cascade of
                groupnas, or of a format that this version does not know.
        """
        session = open_session(path, threads)
        about = session.get_modelmeta().custom_metadata_map
        if about.get("groupnas.kind") != KIND:
            raise InputError(f"{path}: is not a cascade that groupnas exported")
        if about.get("groupnas.format") != str(FORMAT):
            raise InputError(
                f"{path}: format {about.get('groupnas.format')}: this version of groupnas reads "
                f"format {FORMAT}; export the cascade again"
            )
        try:
            card, parts = (parse_json(about.get(f"groupnas.{key}", ""), key) for key in _TOLD)
        except InputError as error:
            raise InputError(
                f"{path}: its metadata are damaged: {error}; export it again"
            ) from error
        if not _is_card(card) or not _are_parts(parts, card_markup(card).points):
            raise InputError(f"{path}: its metadata are damaged; export it again")
        return cls(session, card, {name: tuple(part) for name, part in parts.items()})

    @cached_property
    def markup(self) -> Markup:
        """The landmarks."""
        return card_markup(self.card)

    @property
    def box(self) -> BoxPolicy:
        """What a face's box is; see :class:`groupnas.landmarks.cascade.Cascade`."""
        return cast(BoxPolicy, self.card["box"])

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The output of the graph that each stage's answer is."""
        return outputs_of(upgraded_card(self.card)["stages"])

    def locate(self, image: Image, boxes: Points) -> Located:
        """The landmarks of all faces of one image, one after the other.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.
            boxes: ``(F, 4)``: x0, y0, x1, y1 of each face in pixel-centre coordinates.

        Raises:
            InputError: shapes, dtype or values that no face can have.
        """
        boxes = np.asarray(boxes, dtype=np.float64)
        check_faces(image, boxes)
        return self.locate_many((image, box) for box in boxes)

    def locate_many(self, faces: Iterable[FacePair]) -> Located:
        """The landmarks of faces from many images, one after the other, each with its box."""
        outputs = [*self.outputs.values()]
        found = [
            self.session.run(
                outputs, {"image": np.ascontiguousarray(image), "box": box.astype(np.float32)}
            )
            for image, box in faces
        ]
        shape = (len(found), self.markup.points, 2)
        return Located(
            {
                stage: np.array([face[number] for face in found], dtype=np.float64).reshape(shape)
                for number, stage in enumerate(self.outputs)
            }
        )


def _is_card(card: Any) -> bool:
    if not isinstance(card, dict) or not isinstance(upgraded_card(card).get("stages"), dict):
        return False
    try:
        card_markup(card)
    except ValueError:
        return False
    return card.get("box") in ("landmarks", "listed") and bool(upgraded_card(card)["stages"])


def _are_parts(parts: Any, points: int) -> bool:
    return isinstance(parts, dict) and all(
        isinstance(part, list) and all(type(i) is int and 0 <= i < points for i in part)
        for part in parts.values()
    )
