"""Open HDF5 files, which Matlab's of version 7.3 are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from groupnas.errors import InputError
from groupnas.extras import install_hint

if TYPE_CHECKING:
    import h5py

# All the ways in which h5py was seen to report damage (benchmarks/fuzz_loaders.py looks for more)
_DAMAGE = (AttributeError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)


@contextmanager
def opened_hdf5(path: Path, place: str = "") -> Iterator[h5py.File]:
    """A file open for reading; damage that is found inside the ``with`` is its error too.

    Args:
        path: Of the file.
        place: What of it is read, for an error.

    Raises:
        InputError: h5py is not installed, or the file cannot be read or is damaged.
    """
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path}: reading it needs h5py: {install_hint('cofw')}") from error
    try:
        with h5py.File(path, "r") as file:
            yield file
    except InputError:
        raise
    except _DAMAGE as error:
        reason = " ".join(str(error).replace(str(path), "").split()) or type(error).__name__
        raise InputError(f"{path}: {place}damaged or not a Matlab file: {reason[:200]}") from error
