"""Read images; every way in which one can be damaged ends in the same one-line error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groupnas.errors import InputError


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """An image as ``(H, W, 3)`` uint8 RGB, its pixels as stored.

    A tag that asks viewers to turn the image is not followed: whoever annotated the data sets
    saw the stored pixels.

    Raises:
        InputError: the image cannot be read or is damaged.
    """
    with opened(path) as image:
        return np.asarray(image.convert("RGB"))


def check_image(path: Path) -> tuple[int, int]:
    """Width and height, from the header alone; raises as :func:`read_rgb`."""
    with opened(path) as image:
        return image.size


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    # Pillow's decoders report damage as any of these, depending on the format
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).replace(str(path), "").split())
        raise InputError(f"{path}: damaged or not an image: {reason}") from error
