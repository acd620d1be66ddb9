"""NumPy's archives: read whole, or refused in one line."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from groupnas.arrays import fault, read_arrays
from groupnas.errors import InputError

ARRAYS = {"errors": np.arange(6.0).reshape(3, 2), "names": np.array(["a", "é"])}


def bytes_of(**arrays: object) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def archive(header: str) -> bytes:
    """An archive with one array of a header of one's own."""
    text = header.ljust(117) + "\n"
    entry = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("errors.npy", entry)
    return stream.getvalue()


def test_all_come_back(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(bytes_of(**ARRAYS))
    found = read_arrays(tmp_path / "a.npz")
    assert found.keys() == ARRAYS.keys()
    assert all(np.array_equal(found[name], ARRAYS[name]) for name in ARRAYS)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing",
        bytes_of(**ARRAYS)[:-40],
        bytes_of(errors=np.array([{}], dtype=object)),
        archive("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000, 1000)}"),
        archive("{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}"),
        archive("{'descr': 'x', 'fortran_order': False, 'shape': (3,)}"),
        archive("(((("),
        archive("exit()"),
    ],
)
def test_damage_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"a.npz: (is damaged, or no archive of NumPy's|errors)"):
        read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "put", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir()]
)
def test_what_is_no_file_is_refused_at_once(put: Callable[[Path], None], tmp_path: Path) -> None:
    put(tmp_path / "a.npz")
    with pytest.raises(InputError, match=r"a.npz: cannot be read: is no regular file"):
        read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("name", "kind", "shape", "expected"),
    [
        ("errors", "float64", (3, 2), ""),
        ("errors", "float64", (None, None), ""),
        ("names", "U", (2,), ""),
        ("more", "U", (2,), "more is missing"),
        ("errors", "float32", (3, 2), "errors: expected float32 (3, 2), got float64 (3, 2)"),
        ("errors", "float64", (None, 3), "errors: expected float64 (?, 3), got float64 (3, 2)"),
        ("errors", "U", (6,), "errors: expected U (6), got float64 (3, 2)"),
    ],
)
def test_faults(name: str, kind: str, shape: tuple[int | None, ...], expected: str) -> None:
    assert fault(ARRAYS, name, kind, shape) == expected
