"""The crops that a cascade shows its networks, which its int8 files are calibrated on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from groupnas.errors import InputError, naming
from groupnas.landmarks.boxes import face_box
from groupnas.landmarks.cascade import Cascade
from groupnas.landmarks.data.face import BoxPolicy, FaceSet
from groupnas.landmarks.load import load_faces
from groupnas.landmarks.located import FacePair, check_faces

Crops = list[NDArray[np.float32]]

FACES = 200  # 20 and 100 did about as well, on training photos that they were not among


def training_faces(
    data: FaceSet,
    root: Path | None,
    box: BoxPolicy,
    *,
    limit: int | None = FACES,
    allow_partial: bool = False,
) -> Iterator[FacePair]:
    """Faces of a data set's training split, evenly spread over it, one after the other.

    Boxes are the cascade's, not the data set's own; other arguments are those of
    :func:`groupnas.landmarks.load.load_faces`.

    Raises:
        InputError: faces are missing (and that is not allowed), one lacks its box, or a file is
            damaged.
    """
    given = replace(data, box=box)
    for face in load_faces(data, root, "train", allow_partial=allow_partial, limit=limit):
        image, found = data.read(face), face_box(face, given)
        with naming(face.place):
            check_faces(image, found[None])
        yield image, found


def crops_shown(cascade: Cascade, faces: Iterable[FacePair]) -> dict[str, Crops]:
    """Return the crops of faces for each stage, ``(1, P D, C, C)`` float32 of each face.

    Raises:
        InputError: there are no faces, or one that no cascade can locate.
    """
    with ExitStack() as stack:
        seen = {name: _recorded(one.network, stack) for name, one in cascade.stages.items()}
        for image, box in faces:
            cascade.locate(image, np.asarray(box)[None])
    if not all(seen.values()):
        raise InputError("calibration: expected at least one face, got none")
    return seen


def batched(crops: Crops, size: int) -> Crops:
    """All crops in batches of one size; the last may repeat some from the front."""
    joined = np.concatenate(crops)
    count = -(-len(joined) // size)
    return [joined.take(range(i * size, (i + 1) * size), 0, mode="wrap") for i in range(count)]


def _recorded(network: nn.Module, stack: ExitStack) -> Crops:
    """Fills, until the stack is left, with all that a network is given."""
    seen: Crops = []
    hook = network.register_forward_pre_hook(
        lambda _, inputs: seen.append(np.ascontiguousarray(inputs[0].cpu().numpy()))
    )
    stack.callback(hook.remove)
    return seen
