"""Pictures in and out: photos, folders of photos, video files, webcams; videos written.

All pictures are upright: what a file says about turning it for viewers is done.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps

from groupnas.errors import InputError
from groupnas.files import atomic_path
from groupnas.tasks.landmarks.data.images import opened

PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
VIDEOS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".3gp")
_TICKS = 90_000  # per second in written videos, a multiple of the common frame rates


@dataclass(frozen=True)
class Frame:
    """One picture.

    Attributes:
        source: The file, or the webcam's name.
        image: ``(H, W, 3)`` uint8 RGB, upright.
        number: Its place in a video, from 0; ``None`` for a photo.
        time: Seconds since the video's start; ``None`` for a photo.
    """

    source: str
    image: NDArray[np.uint8]
    number: int | None = None
    time: float | None = None


def is_video(path: Path) -> bool:
    """Whether a file is a video, by its name."""
    return path.suffix.lower() in VIDEOS


def find_sources(paths: Sequence[Path]) -> list[Path]:
    """The photos and videos that are meant; a folder stands for the photos in it, by name.

    Raises:
        InputError: there is no such file, or a folder has no photos.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            try:
                files = sorted(path.iterdir())
            except OSError as error:
                raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
            photos = [
                file
                for file in files
                if file.suffix.lower() in PHOTOS and not file.name.startswith(".")
            ]
            if not photos:
                raise InputError(f"{path}: no photos in it; they end in {', '.join(PHOTOS)}")
            found += photos
        elif path.exists():
            found.append(path)
        else:
            raise InputError(f"{path}: no such file")
    return found


def read_photo(path: Path) -> Frame:
    """A photo; raises :class:`InputError` if it cannot be read or is damaged."""
    with opened(path) as image:
        try:
            upright = ImageOps.exif_transpose(image)
        except struct.error as error:  # Pillow rewrites the Exif data, whatever they hold
            raise ValueError(f"Exif data: {error}") from error
        return Frame(str(path), np.asarray(upright.convert("RGB")))


def read_video(path: Path) -> Iterator[Frame]:
    """The frames of a video file, one at a time.

    Raises:
        InputError: PyAV is not installed, or the file is no video, damaged or empty.
    """
    return _decoded(str(path), str(path), None, "damaged or not a video")


def read_webcam(number: int) -> Iterator[Frame]:
    """The frames of a webcam, as they come, until it is unplugged or the caller stops.

    Raises:
        InputError: PyAV is not installed, or there is no such webcam.
    """
    device, kind = f"/dev/video{number}", "v4l2"
    if sys.platform == "darwin":
        device, kind = f"{number}:none", "avfoundation"
    elif not os.path.exists(device):
        raise InputError(f"--webcam {number}: no such camera ({device})")
    return _decoded(device, f"webcam {number}", kind, "cannot be opened")


@contextmanager
def write_video(path: Path) -> Iterator[VideoWriter]:
    """A video (H.264, no sound), put in place when the block ends without an error.

    At least one frame must be added.

    Raises:
        InputError: PyAV is not installed, or the file cannot be written.
    """
    av = _pyav()
    with atomic_path(path) as temporary, av.open(str(temporary), "w") as container:
        writer = VideoWriter(container)
        yield writer
        writer.finish()


class VideoWriter:
    """Appends frames to a video; the first decides its size."""

    def __init__(self, container: Any) -> None:
        self._container = container
        self._stream: Any = None
        self._ticks = -1

    def add(self, frame: Frame) -> None:
        """Append a frame, to be shown at its time."""
        # The colour format halves the resolution, so sides are even: an odd one loses a pixel.
        height, width = (side // 2 * 2 for side in frame.image.shape[:2])
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=30, options={"crf": "20"})
            self._stream.width, self._stream.height = width, height
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.time_base = Fraction(1, _TICKS)
        picture = _pyav().VideoFrame.from_ndarray(
            np.ascontiguousarray(frame.image[:height, :width]), format="rgb24"
        )
        # Players refuse frames that do not come after the last one.
        self._ticks = max(round((frame.time or 0) * _TICKS), self._ticks + 1)
        picture.pts, picture.time_base = self._ticks, Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(picture))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))


def _decoded(file: str, source: str, kind: str | None, problem: str) -> Iterator[Frame]:
    av = _pyav()
    number = 0
    try:
        with av.open(file, format=kind, metadata_errors="replace") as container:
            if not container.streams.video:
                raise InputError(f"{source}: {problem}: it has no pictures")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            start: float | None = None
            for picture in container.decode(stream):
                time = float(picture.time) if picture.time is not None else number / 25
                start = time if start is None else start
                # The angle is counter-clockwise, like NumPy's.
                turned = np.rot90(picture.to_ndarray(format="rgb24"), round(picture.rotation / 90))
                yield Frame(source, np.ascontiguousarray(turned), number, time - start)
                number += 1
    except av.FFmpegError as error:
        where = f" after frame {number - 1}" if number else ""
        raise InputError(f"{source}: {problem}{where}: {error.strerror}") from error
    if not number:
        raise InputError(f"{source}: {problem}: it has no pictures")


def _pyav() -> Any:
    try:
        return import_module("av")
    except ImportError as error:
        raise InputError("videos and webcams need PyAV: pip install 'groupnas[video]'") from error
