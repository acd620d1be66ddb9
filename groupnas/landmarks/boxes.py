"""The box of an annotated face, the normaliser of its errors, and checks that it can be used.

Without torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from groupnas.errors import InputError
from groupnas.landmarks.crops import FACE_CROPS, PART_CROPS, extents, regions, whole_face
from groupnas.landmarks.data.face import Face, FaceSet
from groupnas.landmarks.metrics import normaliser


def face_box(face: Face, faces: FaceSet) -> NDArray[np.float64]:
    """The box ``(4,)`` of a face by the data set's policy: what the global network is given.

    Raises:
        InputError: the policy wants a listed box, and the face has none.
    """
    if faces.box == "landmarks":
        return extents(face.points, whole_face(faces.markup))[0]
    if face.box is None:
        raise InputError(f"{face.place}: {faces.name} lists no box for this face")
    return face.box


def normalisers(faces: Sequence[Face], of: FaceSet, kind: str | None = None) -> NDArray[np.float64]:
    """The distance ``(N,)`` in pixels that each face's errors are divided by.

    Args:
        faces: At least one.
        of: Their data set.
        kind: One of :data:`groupnas.landmarks.metrics.NORMALISERS`; left out, the data
            set's own.

    Raises:
        InputError: a face whose distance is not above 0, or that lacks the box that it is of;
            names its file. A kind that there is not, or not for these landmarks.
    """
    kind = kind or of.normaliser
    points = np.stack([face.points for face in faces])
    boxes = np.stack([face_box(face, of) for face in faces]) if kind.startswith("box") else None
    return normaliser(points, of.markup, kind, boxes, names=[face.place for face in faces])


def check_fits(face: Face, of: FaceSet, size: tuple[int, int]) -> None:
    """Refuse a face whose landmarks or box cannot be of an image of that width and height.

    Raises:
        InputError: landmarks that are no numbers, lie far outside the image or on one spot; names
            the face's file.
    """
    box = None if of.box == "landmarks" else face_box(face, of)
    regions(face.points, size, whole_face(of.markup), FACE_CROPS, box=box, name=face.place)


def check_face(face: Face, of: FaceSet, size: tuple[int, int], *, trains: bool) -> None:
    """Refuse a face that a training, or else an evaluation, could not use.

    Raises:
        InputError: as :func:`check_fits`; a normaliser that is not above 0; if it ``trains``, the
            landmarks of a part on one spot. Names the face's file.
    """
    check_fits(face, of, size)
    if trains:
        regions(face.points, size, of.markup, PART_CROPS, name=face.place)
    normalisers([face], of)
