"""Where a stage looks at training faces, as the stages before it find their points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groupnas.arrays import fault, read_arrays, write_arrays
from groupnas.errors import InputError
from groupnas.landmarks.boxes import face_box
from groupnas.landmarks.data.face import Face, FaceSet
from groupnas.landmarks.frames import Frame
from groupnas.landmarks.model import StageNetwork, make_cascade
from groupnas.landmarks.recipe import Recipe
from groupnas.landmarks.roles import Gaze


def found_frames(
    file: Path,
    recipe: Recipe,
    stage: str,
    networks: Mapping[str, StageNetwork],
    faces: FaceSet,
    samples: Sequence[Face],
    device: str,
) -> Frame[NDArray[np.float64]]:
    """The frames ``(N, P)`` of N faces.

    They are kept in a file, so that a training goes on with the very same: with other threads, or
    on another processor, networks find others in the last digits.

    Args:
        file: An ``.npz``; written where there is none.
        recipe: Of the cascade.
        stage: Which looks; at photos.
        networks: Of the stages before it, and perhaps of others.
        faces: The data set.
        samples: Its faces.
        device: A torch device.

    Raises:
        InputError: the file is damaged, or of other faces; a face cannot be read.
    """
    look, names = recipe.stages[stage].look, [*recipe.stages]
    assert isinstance(look, Gaze)
    count = len(look.regions(faces.markup).parts)
    if not file.exists():
        before = {name: networks[name] for name in names[: names.index(stage)]}
        cascade = make_cascade(faces.markup, faces.box, before, {}, device)
        pairs = ((faces.read(face), face_box(face, faces)) for face in samples)
        frame = cascade.frames(pairs, look)
        write_arrays(file, {"linear": frame.linear, "origin": frame.origin})
    arrays = read_arrays(file)
    for name, ends in (("linear", (2, 2)), ("origin", (2,))):
        if wrong := fault(arrays, name, "float64", (len(samples), count, *ends)):
            raise InputError(f"{file}: {wrong}; remove the file")
    return Frame(arrays["linear"], arrays["origin"])
