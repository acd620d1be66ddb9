"""Matlab's files: the same values as SciPy reads, from bytes made by SciPy and by hand."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from groupnas.errors import InputError
from groupnas.landmarks.data.matlab import as_numbers, read_mat

ANY = (None, None)
TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]
NUMBERS = st.sampled_from(TYPES).flatmap(
    lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=2, max_dims=3, max_side=5))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=NUMBERS, text=st.text("abc/_.0é", min_size=1), packed=st.booleans())
def test_what_scipy_wrote(tmp_path: Path, numbers: np.ndarray, text: str, packed: bool) -> None:
    from scipy.io import savemat

    cells = np.empty((2, 2), object)
    cells[0, 0], cells[0, 1], cells[1, 0], cells[1, 1] = numbers, text, np.eye(2), np.zeros((0, 0))
    content = {"numbers": numbers, "other": {"a": 1}, "cells": cells}
    savemat(tmp_path / "some.mat", content, do_compression=packed)
    found = read_mat(tmp_path / "some.mat", {"numbers": (None,) * numbers.ndim, "cells": (2, 2)})
    np.testing.assert_array_equal(found["numbers"], numbers)
    np.testing.assert_array_equal(found["cells"][0, 0], numbers)
    np.testing.assert_array_equal(found["cells"][1, 0], np.eye(2))
    assert found["cells"][0, 1] == text
    assert found["cells"][1, 1].size == 0


def element(order: str, kind: int, body: bytes) -> bytes:
    return struct.pack(f"{order}II", kind, len(body)) + body + bytes(-len(body) % 8)


def by_hand(order: str, name: bytes = b"ab", sizes: tuple[int, int] = (2, 3)) -> bytes:
    """A file with one variable, the doubles 0 to 5 stored as bytes in a short-named element."""
    short = struct.pack(f"{order}I", len(name) << 16 | 1) + name.ljust(4, b"\0")
    body = (
        element(order, 6, struct.pack(f"{order}II", 6, 0))
        + element(order, 5, struct.pack(f"{order}ii", *sizes))
        + short
        + element(order, 2, bytes(range(6)))
    )
    return header(order) + element(order, 14, body)


def header(order: str) -> bytes:
    return bytes(124) + struct.pack(f"{order}HH", 0x0100, 0x4D49)


@pytest.mark.parametrize("order", ["<", ">"])
def test_bytes_made_by_hand(tmp_path: Path, order: str) -> None:
    path = tmp_path / "some.mat"
    path.write_bytes(by_hand(order))
    # Matlab counts down columns first
    np.testing.assert_array_equal(read_mat(path, {"ab": (2, 3)})["ab"], [[0, 2, 4], [1, 3, 5]])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "expected version 5 to 7"),
        (bytes(200), "expected version 5 to 7"),
        (bytes(124) + b"\0\x02IM", "expected version 5 to 7"),
        (header("<"), "variable 'ab' is missing; expected one of 2 x 3"),
        (by_hand("<", name=b"cd"), "variable 'ab' is missing"),
        (by_hand("<", sizes=(3, 2)), "ab must be 2 x 3, got 3 x 2"),
        (by_hand("<", sizes=(3, 3)), "ab holds 6 numbers, not (3, 3)"),
        (by_hand("<", sizes=(-2, -3)), "ab has no sizes"),
        (by_hand("<")[:-8], "56 bytes are expected where 48 are left"),
        (header("<") + element("<", 9, bytes(8)), "an element of kind 9 where a variable must be"),
        (header("<") + element("<", 15, b"junk"), "a packed variable cannot be unpacked"),
        (header("<") + element("<", 15, zlib.compress(bytes(99))[:-4]), "does not end"),
    ],
)
def test_every_defect_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "some.mat"
    path.write_bytes(content)
    with pytest.raises(InputError) as raised:
        read_mat(path, {"ab": (2, 3)})
    assert str(raised.value).startswith(f"{path}: ") and reason in str(raised.value)


def test_what_cannot_be_asked_for(tmp_path: Path) -> None:
    from scipy.io import savemat

    path = tmp_path / "some.mat"
    savemat(path, {"complex": np.ones((1, 1)) * 1j, "struct": {"a": 1}})
    for name in ("complex", "struct"):
        with pytest.raises(InputError, match=f"{name} holds neither numbers nor text"):
            read_mat(path, {name: ANY})
    with pytest.raises(InputError, match="nothing.mat: cannot be read: No such file"):
        read_mat(tmp_path / "nothing.mat", {})


def test_rows_that_are_no_numbers() -> None:
    path = Path("some.mat")
    with pytest.raises(InputError, match="some.mat: x row 2: expected finite numbers"):
        as_numbers(path, "x", np.array([[1, 2], [3, np.inf]]))
    with pytest.raises(InputError, match="some.mat: x must hold numbers, got object"):
        as_numbers(path, "x", np.array([None]))
