"""One annotated face, and what a data set of faces offers, whatever its files look like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from groupnas.landmarks.markup import Markup

BoxPolicy = Literal["landmarks", "listed"]
Normaliser = Literal["interocular", "interpupil", "distance", "box", "box_longest", "box_width"]


@dataclass(frozen=True)
class Face:
    """One annotated face.

    Attributes:
        name: Unique in its data set, e.g. ``"helen/testset/30427236_1"``; printable, whatever
            its file is called.
        source: The photo it is from; faces of one photo share it, and never part in a split.
        path: The image.
        points: ``(K, 2)`` float64, x then y, in pixel-centre coordinates: (0, 0) is the centre of
            the top left pixel.
        box: ``(4,)`` float64, the face box that the data set lists: x0, y0, x1, y1 in the same
            coordinates; ``None`` where it lists none.
        subsets: Names of the test subsets that it belongs to, e.g. ``{"common"}``, ``{"pose"}``.
        visible: ``(K,)`` bool where the data set says which points are seen, else ``None``.
        index: Which of the pictures in ``path`` it is, where one file holds many (COFW).
    """

    name: str
    source: str
    path: Path
    points: NDArray[np.float64]
    box: NDArray[np.float64] | None = None
    subsets: frozenset[str] = frozenset()
    visible: NDArray[np.bool_] | None = None
    index: int | None = None

    @property
    def place(self) -> str:
        """The face as messages name it: the file of its image, and its name."""
        return f"{self.path} ({self.name})"


@dataclass(frozen=True, kw_only=True)
class FaceSet:
    """A data set of annotated faces.

    Attributes:
        name: What ``--data`` calls it.
        markup: Its scheme of landmarks.
        box: Where a face's box comes from: the extent of its landmarks, or the listed rectangle.
        normaliser: What the field divides its errors by.
        subsets: The subsets of each split, by split: ``{"train": (), "test": ("pose", ...)}``;
            the splits' names are its keys, ``"train"`` the first.
        faces: The faces of a split: called with the data root, the split's name and whether an
            incomplete copy is allowed.
        files: Everything that faces of a split are read from besides their images, e.g. the
            annotation lists; called like ``faces``. A cache is stale when one of them changes.
        read: An image of the set as ``(H, W, 3)`` uint8 RGB.
    """

    name: str
    markup: Markup
    box: BoxPolicy
    normaliser: Normaliser
    subsets: Mapping[str, Sequence[str]]
    # No two methods of a copied object are equal.
    faces: Callable[[Path, str, bool], Sequence[Face]] = field(compare=False)
    files: Callable[[Path, str, bool], Sequence[Path]] = field(compare=False)
    read: Callable[[Face], NDArray[np.uint8]]
