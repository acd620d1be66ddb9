"""A file of points for each object: ``.pts`` files that a pattern names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePath

from groupnas.errors import InputError
from groupnas.landmarks.data.pts import read_pts
from groupnas.landmarks.keypoints.entry import Entry, image_path
from groupnas.landmarks.keypoints.settings import KeypointFile

_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def pts_folder(base: Path, pattern: str) -> Path:
    """The folder that a pattern begins at: all before its first wildcard."""
    return base / _split(pattern)[0]


def pts_files(base: Path, pattern: str) -> list[Path]:
    """The files of a pattern, sorted.

    Raises:
        InputError: there are none.
    """
    _, wild = _split(pattern)
    found = sorted(file for file in pts_folder(base, pattern).glob(wild) if file.is_file())
    if not found:
        raise InputError(f"{base / pattern}: no file fits this pattern")
    return found


def read_pts_files(base: Path, images: Path, settings: KeypointFile) -> list[Entry]:
    """The objects of a pattern of ``.pts`` files; each image is called as its file is.

    Args:
        base: What the pattern is relative to.
        images: The folder of images, with the same folders inside.
        settings: Of the data file.

    Raises:
        InputError: there is no such file, or one is damaged; ``file:line: why``.
    """
    folder, entries = pts_folder(base, settings.annotations), []
    seen: dict[Path, Mapping[str, str]] = {}  # what folders of images hold
    for file in pts_files(base, settings.annotations):
        points = read_pts(file, len(settings.names))
        inside = file.relative_to(folder)
        if inside.parent not in seen:
            seen[inside.parent] = _images(images / inside.parent)
        name = seen[inside.parent].get(file.stem, f"{file.stem}{_IMAGES[0]}")
        image = image_path(str(file), (inside.parent / name).as_posix())
        entries.append(Entry(str(file), image, points, None, {}))
    return entries


def _images(folder: Path) -> Mapping[str, str]:
    """The images of a folder by their stems."""
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    return {Path(name).stem: name for name in names if Path(name).suffix.lower() in _IMAGES}


def _split(pattern: str) -> tuple[PurePath, str]:
    parts = PurePath(pattern).parts
    wild = next(at for at, part in enumerate(parts) if any(sign in part for sign in "*?["))
    return PurePath(*parts[:wild]), str(PurePath(*parts[wild:]))
