"""Pictures in and out: photos, folders of photos, video files, webcams; videos written.

All pictures are upright: what a file says about turning it for viewers is done.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groupnas.errors import InputError, reading
from groupnas.extras import install_hint
from groupnas.landmarks.data.images import read_rgb
from groupnas.runs.kinds import describe, kind_of
from groupnas.writing import atomic_path

PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
VIDEOS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".3gp")
_TICKS = 90_000  # per second in written videos, a multiple of the common frame rates


@dataclass(frozen=True)
class Still:
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
    """Return True for the name of a video."""
    return path.suffix.lower() in VIDEOS


def find_sources(paths: Sequence[Path]) -> list[Path]:
    """The photos and videos that are meant; a folder stands for the photos in it, by name.

    Raises:
        InputError: there is no such file, a folder has no photos, or the system refuses.
    """
    found: list[Path] = []
    for path in paths:
        with reading(path):  # a name may be too long, a folder closed
            try:
                folder = stat.S_ISDIR(os.stat(path).st_mode)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise InputError(f"{path}: no such file") from error
            files = sorted(path.iterdir()) if folder else [path]
        if folder:
            files = [
                file
                for file in files
                if file.suffix.lower() in PHOTOS and not file.name.startswith(".")
            ]
            if not files:
                other = f"; it {describe(path)}" if kind_of(path) else ""
                raise InputError(f"{path}: no photos in it; they end in {', '.join(PHOTOS)}{other}")
        found += files
    return found


def read_photo(path: Path) -> Still:
    """A photo; raises as :func:`~groupnas.landmarks.data.images.read_rgb`."""
    return Still(str(path), read_rgb(path, upright=True))


def read_video(path: Path) -> Iterator[Still]:
    """The frames of a video file, one at a time.

    Raises:
        InputError: PyAV is not installed, or the file is no video, damaged or empty.
    """
    _pyav()
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{path}: is not a regular file")
    with ExitStack() as stack:
        with reading(path):  # by name, FFmpeg would take what precedes a colon for a protocol
            file = stack.enter_context(open(path, "rb"))
        yield from _decoded(file, str(path), None, "damaged or not a video")


def read_webcam(number: int) -> Iterator[Still]:
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
    try:
        with (
            atomic_path(path) as temporary,
            open(temporary, "wb") as file,  # as above
            av.open(file, "w") as container,
        ):
            writer = VideoWriter(container)
            yield writer
            writer.finish()
    except av.FFmpegError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


class VideoWriter:
    """Appends frames to a video; the first decides its size."""

    def __init__(self, container: Any) -> None:
        self._container = container
        self._stream: Any = None
        self._ticks = -1

    def add(self, frame: Still) -> None:
        """Append a frame, to be shown at its time."""
        # The colour format halves the resolution, so sides are even: an odd one loses a pixel.
        height, width = (max(side // 2 * 2, 2) for side in frame.image.shape[:2])
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


def _decoded(file: Any, source: str, kind: str | None, problem: str) -> Iterator[Still]:
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
                yield Still(source, np.ascontiguousarray(turned), number, time - start)
                number += 1
    except (av.FFmpegError, OSError) as error:
        where = f" after frame {number - 1}" if number else ""
        raise InputError(f"{source}: {problem}{where}: {error.strerror}") from error
    if not number:
        raise InputError(f"{source}: {problem}: it has no pictures")


def _pyav() -> Any:
    try:
        return import_module("av")
    except ImportError as error:
        raise InputError(f"videos and webcams need PyAV: {install_hint('video')}") from error
