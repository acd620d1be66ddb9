"""The data sets of faces, by name."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.landmarks.data.face import FaceSet

# Where each set's ``FACES`` is; imported when asked for, since some need libraries of their own.
MODULES = {
    "300w": "w300",
    "wflw": "wflw",
    "aflw": "aflw",
    "cofw": "cofw",
    "cofw68": "cofw68",
    "synthetic": "synthetic",
}


def face_set(name: str) -> FaceSet:
    """The data set of faces that a name means.

    Raises:
        InputError: no such data set, or it is not of faces; suggests the nearest name.
    """
    if name not in MODULES:
        raise InputError(f"{name!r} is not a data set of faces; {nearest(name, MODULES)}")
    return cast(FaceSet, import_module(f"groupnas.landmarks.data.{MODULES[name]}").FACES)
