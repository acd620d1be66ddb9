"""Patches of a data set, cut once and kept on disk as a ``.npz`` file.

The folder is ``$GROUPNAS_CACHE``, else ``$XDG_CACHE_HOME/groupnas``, else ``~/.cache/groupnas``.
Everything in it can be deleted at any time. The file's name holds a hash of what went in (the
names, sizes and times of all files, and the crop settings): changed data is cut again.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from groupnas.arrays import fault, read_arrays, write_arrays
from groupnas.errors import InputError, reading
from groupnas.landmarks.crops import CropSettings, Patches
from groupnas.landmarks.markup import Markup

_log = logging.getLogger(__name__)

FORMAT = 2  # raise when the way crops are cut, or the file's contents, change
# Of Patches, in its order
_ARRAYS = {"pixels": "uint8", "points": "float32", "box_size": "float32", "normaliser": "float32"}


def cached_patches(
    dataset: str,
    files: Sequence[Path],
    markup: Markup,
    settings: CropSettings,
    build: Callable[[], Patches],
) -> Patches:
    """The patches cut from ``files``, from the cache if it has them, else built and kept there.

    A damaged cache file is built again. A folder that cannot be written is warned of, once.

    ``dataset`` begins the cache file's name; ``build`` cuts the patches and reads nothing else.
    """
    key = _key(dataset, files, markup, settings)
    try:
        path = cache_folder() / f"{dataset.replace('/', '-')}-{key}.npz"
    except InputError as error:
        _tell_once(str(error))
        return build()
    patches = load_patches(path, markup, settings)
    if patches is None:
        patches = build()
        try:
            if os.path.exists(path) and not path.is_file():  # a pipe would wait for its reader
                raise InputError(f"{path}: is no regular file")
            save_patches(path, patches)
        except InputError as error:
            _tell_once(str(error))
    return patches


def cache_folder() -> Path:
    """Return the folder of cache files; it need not exist.

    Raises:
        InputError: the user has no home folder, and no variable names another.
    """
    if own := os.environ.get("GROUPNAS_CACHE"):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    if shared and os.path.isabs(shared):  # others are invalid, says the XDG specification
        return Path(shared) / "groupnas"
    try:
        return Path.home() / ".cache/groupnas"
    except (RuntimeError, KeyError) as error:
        raise InputError("there is no home folder to keep crops in") from error


def save_patches(path: Path, patches: Patches) -> None:
    """Write patches as ``.npz``, whole or not at all; raises :class:`InputError` if it cannot."""
    sources = np.array(patches.sources, dtype=np.str_)
    arrays = {name: getattr(patches, name) for name in _ARRAYS}
    write_arrays(path, {**arrays, "sources": sources}, compress=False)


def load_patches(path: Path, markup: Markup, settings: CropSettings) -> Patches | None:
    """Read what :func:`save_patches` wrote; ``None`` if it is not there, damaged or unfit."""
    try:
        arrays = read_arrays(path)
    except InputError:
        return None
    if fault(arrays, "sources", "U", (None,)):
        return None
    sources = tuple(map(str, arrays["sources"]))
    faces, parts, side = len(sources), len(markup.parts), settings.pixels
    shapes = (
        (faces, parts, settings.channels, side, side),
        (faces, len(markup.part_points), 2),
        (faces, parts),
        (faces,),
    )
    for (name, kind), shape in zip(_ARRAYS.items(), shapes, strict=True):
        if fault(arrays, name, kind, shape):
            return None
    found = {name: arrays[name] for name in _ARRAYS}
    return Patches(**found, sources=sources, markup=markup, settings=settings)


def _key(dataset: str, files: Sequence[Path], markup: Markup, settings: CropSettings) -> str:
    # Relative names: a copy elsewhere, with its times kept, is the same data.
    files = [Path(os.path.abspath(file)) for file in files]
    root = os.path.commonpath([file.parent for file in files])
    entries = []
    for file in files:
        with reading(file):
            status = file.stat()
        entries.append((file.relative_to(root).as_posix(), status.st_size, status.st_mtime_ns))
    regions = [markup.name, markup.part_points]
    content = [FORMAT, dataset, regions, asdict(settings), entries]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]


@functools.cache
def _tell_once(reason: str) -> None:
    _log.warning("%s; the crops will be cut again each time (set GROUPNAS_CACHE)", reason)
