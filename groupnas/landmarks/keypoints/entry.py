"""One annotated object, as a file of annotations has it, and its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from groupnas.errors import InputError, shown


@dataclass(frozen=True)
class Entry:
    """An object in an image.

    Attributes:
        place: File and line, or file and key, for messages.
        image: Path of the image from the folder of images, with slashes.
        points: ``(K, 2)`` float64, x then y as written; NaN where the point is missing.
        box: ``(4,)`` float64, left, top, right, bottom as written; ``None`` where there is none.
        fields: What else the file says of it, by column or key.
    """

    place: str
    image: str
    points: NDArray[np.float64]
    box: NDArray[np.float64] | None
    fields: Mapping[str, str]


def image_path(place: str, text: str) -> str:
    """The path of an image inside the folder of images; backslashes are Windows' slashes.

    Raises:
        InputError: it is none, or leads out of the folder.
    """
    name = text.strip().replace("\\", "/")
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or not name.isprintable():
        raise InputError(
            f"{place}: expected the path of an image inside the folder of images, got {shown(text)}"
        )
    return str(path)


def number(place: str, text: str) -> float:
    """A number of pixels; NaN where nothing, or ``NaN``, is written.

    Raises:
        InputError: it is no number, or not finite.
    """
    plain = text.strip()
    if plain.lower() in ("", "nan"):
        return math.nan
    try:
        found = float(plain)
    except ValueError:
        found = math.inf
    if not math.isfinite(found):
        raise InputError(f"{place}: expected a number of pixels or nothing, got {shown(text)}")
    return found


def check_pairs(place: str, points: NDArray[np.float64], names: tuple[str, ...]) -> None:
    """Raise :class:`InputError` where a point has an x and no y, or a y and no x."""
    for row in np.flatnonzero(np.isnan(points).sum(axis=1) == 1):
        raise InputError(f"{place}: {names[row]} has one of x and y; expected both or none")


def check_box(place: str, box: NDArray[np.float64]) -> None:
    """Raise :class:`InputError` unless left, top, right and bottom are a box."""
    if not (np.isfinite(box).all() and (box[:2] < box[2:]).all()):
        raise InputError(
            f"{place}: expected a box whose left is below its right and top below its bottom, got "
            f"{box.tolist()}"
        )
