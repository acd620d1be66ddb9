"""Run a cascade over photos, videos and webcams: JSON and a drawing for each picture."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from PIL import Image

from groupnas.errors import InputError, printable
from groupnas.landmarks.located import Locator
from groupnas.landmarks.predict.detect import Boxes, Detector
from groupnas.landmarks.predict.follow import Follower, FoundFace, locate_faces
from groupnas.landmarks.predict.frames import (
    Still,
    is_video,
    read_photo,
    read_video,
    read_webcam,
    write_video,
)
from groupnas.landmarks.predict.overlay import draw_faces
from groupnas.writing import atomic_path

_STEM = 200  # bytes of a photo's name that a drawing's begins with
UNITS = "pixels right and down; (0, 0) is the centre of the top left pixel of the upright picture"


@dataclass(kw_only=True)
class Prediction:
    """The work on every source, and what came out so far.

    Attributes:
        cascade: Locates.
        name: Of the model, for the records.
        detector: Finds faces; ``None`` where ``boxes`` say where they are.
        boxes: ``(F, 4)``, the faces of a photo, or of a video's first frame.
        passes: As in :func:`locate_faces`.
        every: As in :class:`Follower`.
        smooth: As in :class:`Follower`.
        names: Names the drawings; ``None`` for none.
        lines: Takes one JSON object on a line for each photo or frame, in ASCII: what is no text in
            a file's name is escaped as ``\\udcNN``, which ``json`` makes the same name again.
        say: Tells the user something.
        faces: How many were found so far.
        problems: A line for each source that could not be read.
    """

    cascade: Locator
    name: str
    detector: Detector | None
    boxes: Boxes
    passes: int
    every: int
    smooth: bool
    names: DrawingNames | None
    lines: TextIO
    say: Callable[[str], None]
    faces: int = 0
    problems: list[str] = field(default_factory=list)

    def files(self, paths: Sequence[Path]) -> None:
        """Photos and videos; what cannot be read is told and kept, the rest is done."""
        for path in paths:
            try:
                if is_video(path):
                    self._video(read_video(path), path.stem, str(path))
                else:
                    self._photo(path)
            except InputError as error:
                named = printable(str(path)) in str(error)
                self.problems.append(str(error) if named else f"{path}: {error}")
                if len(paths) > 1:
                    self.say(self.problems[-1])

    def webcam(self, number: int) -> None:
        """A webcam, until Ctrl-C; what was written by then is whole."""
        name = f"webcam{number}"
        self._video(until_stopped(read_webcam(number)), name, name)

    def _photo(self, path: Path) -> None:
        frame = read_photo(path)
        boxes = self._given(frame) if self.detector is None else self.detector(frame.image)
        faces = locate_faces(self.cascade, frame.image, boxes, self.passes)
        if not faces:
            self.say(f"{path}: no face found; --box X0,Y0,X1,Y1 says where one is")
        drawing = None
        if self.names is not None:
            drawing = self.names.take(path.stem, ".jpg")
            picture = Image.fromarray(draw_faces(frame.image, faces, self.cascade.markup))
            with atomic_path(drawing) as temporary:
                picture.save(temporary, quality=92, subsampling=0)
        self._tell(frame, faces, drawing)

    def _video(self, frames: Iterator[Still], stem: str, source: str) -> None:
        before = self.faces
        with ExitStack() as stack:
            follow = drawing = writer = None
            for frame in frames:
                if follow is None:  # only now is it known to be a video
                    follow = self._follower(frame)
                    if self.names is not None:
                        drawing = self.names.take(stem, ".mp4")
                        writer = stack.enter_context(write_video(drawing))
                faces = follow(frame.image, frame.number or 0, frame.time or 0.0)
                if writer is not None:
                    drawn = draw_faces(frame.image, faces, self.cascade.markup)
                    writer.add(Still(frame.source, drawn, frame.number, frame.time))
                self._tell(frame, faces, drawing)
        if self.faces == before:
            self.say(f"{source}: no face found in any frame")

    def _follower(self, first: Still) -> Follower:
        start = self._given(first) if self.detector is None else self.boxes
        return Follower(
            self.cascade, self.detector, self.every, self.passes, smooth=self.smooth, start=start
        )

    def _given(self, frame: Still) -> Boxes:
        """The user's boxes, once it is known that they fit the picture."""
        height, width = frame.image.shape[:2]
        for x0, y0, x1, y1 in self.boxes:
            if not (0 <= x0 + x1 < 2 * width and 0 <= y0 + y1 < 2 * height):
                raise InputError(
                    f"--box {x0:g},{y0:g},{x1:g},{y1:g}: its centre lies outside {frame.source}, "
                    f"which has {width} x {height} pixels"
                )
        return self.boxes

    def _tell(self, frame: Still, faces: Sequence[FoundFace], drawing: Path | None) -> None:
        """Write one line of JSON; coordinates to a hundredth of a pixel."""
        height, width = frame.image.shape[:2]
        markup = self.cascade.markup
        record: dict[str, Any] = {
            "path": frame.source,
            "frame": frame.number,
            "time": None if frame.time is None else round(frame.time, 4),
            "width": width,
            "height": height,
            "model": self.name,
            "markup": {
                "name": markup.name,
                "points": markup.points,
                **({"names": [*markup.names]} if markup.names else {}),
            },
            "units": UNITS,
            "overlay": None if drawing is None else str(drawing),
            "faces": [
                {
                    "id": face.number,
                    "box": face.box.round(2).tolist(),
                    "points": face.points.round(2).tolist(),
                }
                for face in faces
            ],
        }
        self.faces += len(faces)
        print(json.dumps(record), file=self.lines, flush=True)


class DrawingNames:
    """Names files for drawings: each once, and none that is a source's."""

    def __init__(self, folder: Path, sources: Iterable[Path]) -> None:
        self._folder = folder
        self._taken = {_same(source) for source in sources}

    def take(self, stem: str, suffix: str) -> Path:
        """``stem_landmarks.suffix`` in the folder, with a number where that is taken.

        A long stem is cut: the name of a file, with what is added to it, has 255 bytes at most.
        """
        while len(os.fsencode(stem)) > _STEM:
            stem = stem[:-1]
        number = 1
        while True:
            ending = "" if number == 1 else f"-{number}"
            path = self._folder / f"{stem}_landmarks{ending}{suffix}"
            if _same(path) not in self._taken:
                self._taken.add(_same(path))
                return path
            number += 1


def until_stopped(frames: Iterator[Still]) -> Iterator[Still]:
    """The frames until Ctrl-C, which lets the work on the current one end.

    A second Ctrl-C interrupts as usual.
    """
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        for frame in frames:
            yield frame
            if stopped:
                return
    finally:
        signal.signal(signal.SIGINT, before)


def _same(path: Path) -> str:
    """A file's identity; some file systems do not tell capitals apart."""
    return os.path.realpath(path).lower()
