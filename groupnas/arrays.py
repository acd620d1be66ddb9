"""NumPy's archives at the edge: written whole, read without executing anything, or refused."""

from __future__ import annotations

import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groupnas.errors import InputError, reading
from groupnas.writing import atomic_path

Arrays = dict[str, NDArray[Any]]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# What zipfile and NumPy were seen to raise for bytes that are not, or no longer, theirs. A header
# that asks for more memory than there is, is one of those.
DAMAGE = (
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_arrays(path: str | os.PathLike[str]) -> Arrays:
    """Return the arrays of an ``.npz`` file by name; it never executes what is in there.

    Raises:
        InputError: the file cannot be read, or is damaged.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{os.fspath(path)}: cannot be read: is no regular file")
    try:
        # NumPy leaves a damaged file that it opened itself open.
        with (
            reading(os.fspath(path)),
            open(path, "rb") as stream,
            np.load(stream, allow_pickle=False) as archive,
        ):
            found: Arrays = dict(archive)
    except InputError:  # a ValueError, too
        raise
    except DAMAGE as error:
        raise InputError(f"{os.fspath(path)}: is damaged, or no archive of NumPy's") from error
    for name, array in found.items():
        if not isinstance(array, np.ndarray):
            raise InputError(f"{os.fspath(path)}: {name} is no array")
    return found


def write_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, Any], *, compress: bool = True
) -> None:
    """Write an ``.npz`` file of arrays by name; raises as :func:`groupnas.writing.atomic_path`."""
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        (np.savez_compressed if compress else np.savez)(stream, **arrays)


def fault(arrays: Arrays, name: str, kind: str, shape: tuple[int | None, ...]) -> str:
    """Return what is wrong with one of the arrays; empty if nothing.

    Args:
        arrays: As :func:`read_arrays` gives them.
        name: Which.
        kind: A dtype, as ``"float64"``, or NumPy's letter for a kind of them: ``"U"`` for texts.
        shape: ``None`` where any size will do.
    """
    array = arrays.get(name)
    if array is None:
        return f"{name} is missing"
    known = array.dtype.kind == kind if len(kind) == 1 else array.dtype == np.dtype(kind)
    fits = array.ndim == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=True)
    )
    if known and fits:
        return ""
    return f"{name}: expected {kind} {_by(shape)}, got {array.dtype} {_by(array.shape)}"


def _by(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"
