"""The end of a file's name, checked before the work begins: it says what is to be in it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from groupnas.errors import InputError
from groupnas.files import opened

MODEL = (".onnx",)
TABLE = (".json",)
LINES = (".json", ".jsonl", ".ndjson", ".txt", "")

TEXTS = {
    "markdown": (".md", ".markdown", ".txt", ""),
    "latex": (".tex",),
    "csv": (".csv",),
    "html": (".html", ".htm"),
}

# Ends of names that nobody gives a folder.
_OF_FILES = (
    *(".bmp", ".gif", ".jpeg", ".jpg", ".png", ".svg", ".tif", ".tiff", ".webp"),
    *(".avi", ".mkv", ".mov", ".mp4", ".webm"),
    *(".csv", ".htm", ".html", ".json", ".jsonl", ".md", ".pdf", ".tex", ".txt", ".yaml", ".yml"),
    *(".npy", ".npz", ".onnx", ".pt", ".pth", ".safetensors", ".tflite", ".zip"),
)


def check_suffix(path: str | os.PathLike[str], suffixes: Sequence[str], what: str) -> str:
    """The lower-case suffix of a file that is to be written; the first one where it has none.

    Args:
        path: Its name. A device, a pipe and ``/dev/stdout`` may be called anything.
        suffixes: Those that say what will be in it, in lower case; the empty one is none at all.
        what: Will be in it, e.g. ``"an ONNX file"``.

    Raises:
        InputError: it has another one, or there is a folder of that name.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if os.path.isdir(path):
        raise InputError(f"{path}: is a folder; expected the name of {what}")
    if suffix in suffixes:
        return suffix
    if opened(path) is not None or (os.path.exists(path) and not os.path.isfile(path)):
        return suffixes[0]
    named = ", ".join(filter(None, suffixes))
    raise InputError(f"{path}: the name of {what} must end in {named}")


def check_folder(path: str | os.PathLike[str], what: str) -> None:
    """Raise :class:`InputError` where a folder cannot be made, since a file has its name.

    Args:
        path: Its name.
        what: Goes into it, e.g. ``"the page"``.

    Raises:
        InputError: it ends as files do, and is no folder yet; or it is a file.
    """
    path = Path(path)
    if os.path.isdir(path):
        return
    if os.path.exists(path):
        raise InputError(f"{path}: is a file; expected a folder for {what}")
    if path.suffix.lower() in _OF_FILES:
        raise InputError(
            f"{path}: is to be a folder for {what}, and has the name of a {path.suffix} file; "
            "give it another"
        )
