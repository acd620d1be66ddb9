"""Read ``.pts`` files, the landmark format of 300W, in both kinds that exist."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from groupnas.errors import InputError
from groupnas.files import read_text

NumberedLine = tuple[int, str]  # number of the line in the file, its text


def read_pts(path: str | os.PathLike[str], points: int = 68) -> NDArray[np.float64]:
    """The landmarks of one face: ``(points, 2)`` float64, x then y, exactly as written.

    Both genuine kinds are read: ``version``, ``n_points`` and rows between braces, and bare rows.
    Blank lines, Windows line ends and a byte order mark are allowed.

    Raises:
        InputError: the file cannot be read, or is not such a file; one line ``file:line: why``.
    """
    text = read_text(path)
    rows = [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not rows:
        raise InputError(f"{path}:1: empty; expected {points} rows of x and y")
    if "\0" in text:
        raise InputError(f"{path}:{rows[0][0]}: binary data; expected {points} rows of x and y")
    last = rows[-1][0]
    if not _is_row(rows[0][1]):
        rows = _inside_braces(path, rows, points)
    values = [_parse_row(path, row) for row in rows]
    if len(values) != points:
        raise InputError(f"{path}:{last}: expected {points} rows of x and y, got {len(values)}")
    return np.array(values, dtype=np.float64)


def _inside_braces(
    path: str | os.PathLike[str], rows: Sequence[NumberedLine], points: int
) -> list[NumberedLine]:
    """The rows between ``{`` and ``}``, after a check of the header."""
    opening = next((i for i, (_, line) in enumerate(rows) if line == "{"), None)
    if opening is None:
        raise InputError(
            f"{path}:{rows[0][0]}: expected 'x y', or a header and '{{'; got {rows[0][1][:40]!r}"
        )
    for number, line in rows[:opening]:
        key, colon, value = (piece.strip() for piece in line.partition(":"))
        if not colon or key not in ("version", "n_points"):
            raise InputError(
                f"{path}:{number}: expected 'version: 1' or 'n_points: {points}', got {line[:40]!r}"
            )
        if key == "n_points" and value != str(points):
            raise InputError(f"{path}:{number}: expected n_points: {points}, got {value[:40]!r}")
    closing = next((i for i, (_, line) in enumerate(rows) if line == "}"), None)
    if closing is None:
        raise InputError(f"{path}:{rows[-1][0]}: the closing brace '}}' is missing")
    if closing != len(rows) - 1:
        number, line = rows[closing + 1]
        raise InputError(
            f"{path}:{number}: nothing may follow the closing brace, got {line[:40]!r}"
        )
    return list(rows[opening + 1 : closing])


def _is_row(line: str) -> bool:
    return line[0] in "+-.0123456789" or line.lower().startswith(("nan", "inf"))


def _parse_row(path: str | os.PathLike[str], row: NumberedLine) -> tuple[float, float]:
    number, line = row
    pieces = line.split()
    if len(pieces) != 2:
        raise InputError(f"{path}:{number}: expected x and y, got {line[:40]!r}")
    try:
        x, y = float(pieces[0]), float(pieces[1])
    except ValueError:
        raise InputError(f"{path}:{number}: expected two numbers, got {line[:40]!r}") from None
    if not (math.isfinite(x) and math.isfinite(y)):
        raise InputError(f"{path}:{number}: expected finite numbers, got {line[:40]!r}")
    return x, y
