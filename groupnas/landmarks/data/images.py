"""Read images; every way in which one can be damaged ends in the same one-line error."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from groupnas.errors import InputError
from groupnas.files import read_bytes

if TYPE_CHECKING:
    from groupnas.landmarks.data.face import Face

# Tags of TIFF and Exif, and some of their values
_BITS, _PHOTOMETRIC, _ORIENTATION, _PLANES, _SAMPLE_FORMAT = 258, 262, 274, 284, 339
_WHITE_IS_ZERO, _APART = 0, 2
_UNSIGNED = {1, 4}  # sample formats: unsigned, and not said
# What a viewer does for each orientation; 1 is upright, anything else is no orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Formats whose deep grey pixels Pillow stretches to 16 bits, whatever the file has.
_STRETCHED = ("PNG", "PPM", "JPEG2000")
_PROGRAMS = ("EPS", "WMF")  # not pixels but drawing, which other programs would have to do


def read_rgb(path: Path, *, upright: bool = False) -> NDArray[np.uint8]:
    """An image as ``(H, W, 3)`` uint8 RGB.

    Deeper pixels are brought to 8 bits by the range of their own format, so that 65,535 of 16 bits
    and 4,095 of 12 bits become 255. What has no range of its own (floats, signed and 32-bit
    integers) is refused. Of an animation it is the first picture. Transparency is left out, and
    colours stay as stored: nothing is put behind them, and colour profiles are not applied.

    Args:
        path: Of a regular file.
        upright: Whether a tag that asks viewers to turn the image is followed. Not where someone
            annotated the stored pixels, as in the data sets. A tag that cannot be read asks
            nothing.

    Raises:
        InputError: the file cannot be read, is damaged or no image, has more than about 179
            million pixels, or pixels that cannot be converted.
    """
    content = read_bytes(path)
    # Pillow's decoders report damage as exceptions of any type, depending on format and byte.
    # Nothing but Pillow runs in here.
    try:
        with _without_warnings(), Image.open(BytesIO(content)) as image:
            turn = None
            if image.format in _PROGRAMS:
                raise UnidentifiedImageError
            if isinstance(image, TiffImagePlugin.TiffImageFile):
                turn = _orientation(image)
                _forget_tags(image)  # or Pillow would turn it itself
            problem, top = _range(image)
            if problem is None:
                image.load()
                turn = turn or _orientation(image)
                rgb = _shallow(image, top) if top else _plain(image)
                if upright and turn in _TURNS:
                    rgb = rgb.transpose(_TURNS[turn])
    except Exception as error:
        raise InputError(f"{path}: damaged or not an image: {_reason(error, content)}") from error
    if problem is not None:
        raise InputError(f"{path}: {problem}; save it with 8 bits per colour")
    return np.asarray(rgb)


def read_picture(face: Face) -> NDArray[np.uint8]:
    """The image of a face that lies in a file of its own; raises as :func:`read_rgb`."""
    return read_rgb(face.path)


def _range(image: Image.Image) -> tuple[str | None, int | None]:
    """Why the pixels cannot be converted; the largest value of deep ones, ``None`` for 8 bits."""
    tags = getattr(image, "tag_v2", None)
    if image.mode == "F":
        return "its pixels are floating-point numbers, which have no range of their own", None
    if tags is not None and not set(tags.get(_SAMPLE_FORMAT, (1,))) <= _UNSIGNED:
        return "its pixels are signed numbers, which have no range of their own", None
    bits = max(tags.get(_BITS, (1,))) if tags is not None else 32
    if not image.mode.startswith("I"):
        if tags is not None and tags.get(_PLANES) == _APART and bits > 8:  # Pillow mixes them up
            return f"its colours of {bits} bits lie apart, plane by plane", None
        return None, None
    if image.format in _STRETCHED:
        return None, 65_535
    if bits <= 16:
        return None, (1 << bits) - 1
    return f"its pixels are integers of {bits} bits, which have no range of their own", None


def _shallow(image: Image.Image, top: int) -> Image.Image:
    """Deep grey pixels, 0 to ``top``, rounded to 8 bits."""
    # The copy has the size of the pixels; that of a TIFF file to be turned is what comes of it.
    grey = np.asarray(image.copy()).astype(np.uint32)
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # Pillow leaves it so
        grey = top - grey
    return Image.fromarray(((grey * 510 + top) // (2 * top)).astype(np.uint8)).convert("RGB")


def _plain(image: Image.Image) -> Image.Image:
    """Pixels of 8 bits as RGB, without their transparency."""
    image.info.pop("transparency", None)  # Pillow would look for a place for it
    if image.mode in ("La", "RGBa"):  # colours times opacity
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """Return the Exif orientation; 1, upright, where it cannot be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # as any type, as with the pixels
        return 1


def _forget_tags(image: Image.Image) -> None:
    try:
        tags = image.getexif()
    except Exception:  # Pillow does not find them a second time either
        return
    for tag in list(tags):
        del tags[tag]


def _reason(error: Exception, content: bytes) -> str:
    """In words, on one line."""
    if isinstance(error, UnidentifiedImageError):
        if content[4:8] == b"ftyp":
            return "a film, or a photo of a kind that is not read, such as HEIC; save it as JPEG"
        return "of no format that is read"
    return " ".join(str(error).split())[:200] or type(error).__name__


_readers = 0
_changing = threading.Lock()
_filters = warnings.catch_warnings()


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Pillow's warnings left out for as long as any thread reads.

    They are of damage that does no harm, tags mostly. Filters belong to the whole process, so the
    first reader changes them and the last one puts them back.
    """
    global _readers, _filters
    with _changing:
        if not _readers:
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\b")
        _readers += 1
    try:
        yield
    finally:
        with _changing:
            _readers -= 1
            if not _readers:
                _filters.__exit__(None, None, None)
