"""Read variables of Matlab's files of versions 5 to 7, whatever their state.

Written for files that may be damaged: every length is checked before it is used, nothing is
executed, and all that can go wrong is one kind of error. (SciPy's reader brings the interpreter
down on some damaged files.) Numbers, texts and cells of these are read; other variables may be
there but cannot be asked for. Files of version 7.3 are HDF5, see :mod:`.hdf5`.

Source of the format: MathWorks, MAT-File Format, Version 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groupnas.errors import InputError
from groupnas.files import read_bytes

Shape = tuple[int | None, ...]  # None: of any size

_HEADER = 128  # bytes
_MOST = 1 << 28  # bytes that a packed variable may unpack to; a damaged one may promise more
_MATRIX, _PACKED = 14, 15  # kinds of elements
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"} | {
    12: "i8",
    13: "u8",
}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
_CELL, _TEXT = 1, 4  # classes of matrices
_NUMERIC = range(6, 16)
_COMPLEX = 0x800


class _Damage(Exception):
    """A fault of the bytes."""


def read_mat(path: Path, shapes: Mapping[str, Shape]) -> dict[str, NDArray[Any]]:
    """Variables of a Matlab file, by name.

    Numbers come in the type that they are stored in; texts as arrays of one ``str``; cells as
    arrays of objects, which are arrays of numbers or ``str``.

    Args:
        path: The file.
        shapes: The shape that each variable must have, by name.

    Raises:
        InputError: the file cannot be read or is damaged, or a variable is missing or of another
            shape.
    """
    try:
        found = dict(_variables(read_bytes(path), shapes))
    except _Damage as error:
        raise InputError(f"{path}: damaged or not a Matlab file: {error}") from error
    for name, shape in shapes.items():
        check_shape(path, name, found[name].shape if name in found else None, shape)
    return found


def check_shape(path: Path, name: str, found: Sequence[int] | None, expected: Shape) -> None:
    """Raise :class:`InputError` unless a variable is there and of the expected shape."""
    wanted = " x ".join("n" if size is None else f"{size:,}" for size in expected)
    if found is None:
        raise InputError(f"{path}: variable {name!r} is missing; expected one of {wanted}")
    fits = len(found) == len(expected) and all(
        size is None or size == own for own, size in zip(found, expected, strict=True)
    )
    if not fits:
        got = " x ".join(f"{size:,}" for size in found) or "one value"
        raise InputError(f"{path}: {name} must be {wanted}, got {got}")


def as_numbers(path: Path, name: str, values: NDArray[Any]) -> NDArray[np.float64]:
    """A variable's rows as float64; an :class:`InputError` names the first that is not finite."""
    if values.dtype.kind not in "buif":
        raise InputError(f"{path}: {name} must hold numbers, got {values.dtype}")
    numbers = values.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers).reshape(len(numbers), -1).all(axis=1))
    if len(bad):
        raise InputError(f"{path}: {name} row {bad[0] + 1}: expected finite numbers")
    return numbers


@dataclass
class _Stream:
    """Bytes that elements are taken from, one after the other."""

    content: memoryview
    order: str  # "<" or ">"
    place: int = 0

    @property
    def left(self) -> int:
        return len(self.content) - self.place

    def element(self) -> tuple[int, memoryview]:
        """Kind and bytes of the next element."""
        tag = self._take(8)
        kind, size = struct.unpack(f"{self.order}II", tag)
        if kind >> 16:  # a short one: its bytes are in the tag
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise _Damage(f"a short element of {size:,} bytes")
            return kind, tag[4 : 4 + size]
        body = self._take(size)
        if kind != _PACKED:
            self.place = min(self.place + -size % 8, len(self.content))
        return kind, body

    def numbers(self) -> NDArray[Any]:
        """The next element, which must be numbers."""
        kind, body = self.element()
        if kind not in _NUMBERS:
            raise _Damage(f"an element of kind {kind} where numbers must be")
        stored = np.dtype(self.order + _NUMBERS[kind])
        if len(body) % stored.itemsize:
            raise _Damage(f"{len(body):,} bytes of numbers of {stored.itemsize} bytes")
        return np.frombuffer(body, stored)

    def text(self) -> str:
        """The next element, which must be text."""
        kind, body = self.element()
        if kind not in _TEXTS:
            raise _Damage(f"an element of kind {kind} where text must be")
        coding = _TEXTS[kind]
        if coding == "utf-16":
            coding += "-le" if self.order == "<" else "-be"
        try:
            return bytes(body).decode(coding)
        except UnicodeDecodeError as error:
            raise _Damage("a text that is none") from error

    def _take(self, size: int) -> memoryview:
        if size > self.left:
            raise _Damage(f"{size:,} bytes are expected where {self.left:,} are left")
        self.place += size
        return self.content[self.place - size : self.place]


def _variables(content: bytes, wanted: Container[str]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Name and value of each wanted variable of a file."""
    order = {b"IM": "<", b"MI": ">"}.get(content[126:_HEADER])
    if order is None or content[125 if order == "<" else 124] != 1:
        raise _Damage("expected version 5 to 7")
    stream = _Stream(memoryview(content)[_HEADER:], order)
    while stream.left:
        kind, body = stream.element()
        if kind == _PACKED:
            kind, body = _Stream(_unpacked(body), order).element()
        if kind != _MATRIX:
            raise _Damage(f"an element of kind {kind} where a variable must be")
        name, value = _matrix(_Stream(body, order), wanted)
        if value is not None:
            yield name, value


def _unpacked(body: memoryview) -> memoryview:
    packer = zlib.decompressobj()
    try:
        content = packer.decompress(body, _MOST)
    except zlib.error as error:
        raise _Damage("a packed variable cannot be unpacked") from error
    if not packer.eof:
        raise _Damage("a packed variable does not end")
    return memoryview(content)


def _matrix(
    stream: _Stream, wanted: Container[str] | None, in_cell: bool = False
) -> tuple[str, NDArray[Any] | None]:
    """Name and value of a matrix; ``None`` if it is not wanted. ``wanted=None``: all are."""
    if in_cell and not stream.left:
        return "", np.empty((0, 0))
    flags, sizes, name = stream.numbers(), stream.numbers(), stream.text()
    if flags.dtype.kind != "u" or len(flags) != 2:
        raise _Damage("a variable without flags")
    if wanted is not None and name not in wanted:
        return name, None
    if sizes.dtype.kind not in "iu" or len(sizes) < 2 or (sizes < 0).any():
        raise _Damage(f"{name or 'a cell'} has no sizes")
    shape, kind = tuple(map(int, sizes)), int(flags[0]) & 0xFF
    if kind == _CELL and not in_cell:
        return name, _cells(stream, shape)
    if kind == _TEXT:
        return name, np.array(stream.text(), dtype=object)
    if kind not in _NUMERIC or flags[0] & _COMPLEX:
        raise _Damage(f"{name or 'a cell'} holds neither numbers nor text (class {kind})")
    values = stream.numbers()
    if len(values) != math.prod(shape):
        raise _Damage(f"{name or 'a cell'} holds {len(values):,} numbers, not {shape}")
    return name, values.reshape(shape, order="F")


def _cells(stream: _Stream, shape: tuple[int, ...]) -> NDArray[Any]:
    count = math.prod(shape)
    if count > stream.left // 8:  # an element has 8 bytes at least
        raise _Damage(f"{count:,} cells in {stream.left:,} bytes")
    found = np.empty(count, dtype=object)
    for index in range(count):
        kind, body = stream.element()
        if kind != _MATRIX:
            raise _Damage(f"an element of kind {kind} where a cell must be")
        value = _matrix(_Stream(body, stream.order), None, in_cell=True)[1]
        assert value is not None  # all are wanted
        found[index] = value.item() if value.ndim == 0 else value
    return found.reshape(shape, order="F")
