"""``.pts`` files: both kinds read, every defect named by file and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groupnas.errors import InputError
from groupnas.landmarks.data.pts import read_pts

ROWS = [f"{i}.5 {200 - i}" for i in range(68)]
EXPECTED = np.array([(i + 0.5, 200 - i) for i in range(68)])
HEADER = ["version: 1", "n_points:  68", "{"]


def full(rows: list[str]) -> str:
    return "\n".join([*HEADER, *rows, "}"])


@pytest.mark.parametrize(
    "text",
    [
        full(ROWS),
        full(ROWS) + "\n",
        full(ROWS).replace("\n", "\r\n"),
        "\ufeff" + full(ROWS),
        "\n".join(ROWS),
        "\n".join(f"  {row.replace(' ', chr(9))} \n" for row in ROWS),
    ],
    ids=["full", "newline at the end", "windows", "byte order mark", "bare", "blanks"],
)
def test_reads_both_kinds(tmp_path: Path, text: str) -> None:
    path = tmp_path / "face.pts"
    path.write_bytes(text.encode())
    points = read_pts(path)
    assert points.dtype == np.float64
    np.testing.assert_array_equal(points, EXPECTED)


def changed(number: int, row: str) -> list[str]:
    return [row if i == number else old for i, old in enumerate(ROWS)]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "empty"),
        ("\n \n", 1, "empty"),
        ("\n".join(ROWS[:-1]), 67, "expected 68 rows of x and y, got 67"),
        (full([*ROWS, "1 2"]), 73, "got 69"),
        (full(changed(4, "1.0 x")), 8, "expected two numbers, got '1.0 x'"),
        (full(changed(4, "1.0")), 8, "expected x and y"),
        (full(changed(4, "1.0 2.0 3.0")), 8, "expected x and y"),
        (full(changed(0, "nan 3")), 4, "finite"),
        ("\n".join(changed(0, "nan 3")), 1, "finite"),
        ("\n".join(changed(67, "3 -inf")), 68, "finite"),
        ("\n".join(changed(67, "3 1e999")), 68, "finite"),
        (full(ROWS)[:-2], 71, "closing brace"),
        ("\n".join([*HEADER[:2], *ROWS, "}"]), 1, "a header and '{'"),
        (full(ROWS).replace("68", "49", 1), 2, "expected n_points: 68, got '49'"),
        (full(ROWS) + "\n1 2", 73, "nothing may follow"),
        ("hello\n" + full(ROWS), 1, "expected 'version: 1'"),
        ("GIF89a\0\0", 1, "binary"),
    ],
)
def test_every_defect_is_named(tmp_path: Path, text: str, line: int, reason: str) -> None:
    path = tmp_path / "face.pts"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        read_pts(path)
    message = str(raised.value)
    assert message.startswith(f"{path}:{line}: ")
    assert reason in message
    assert "\n" not in message


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "face.pts"
    with pytest.raises(InputError, match="face.pts: cannot be read"):
        read_pts(path)
    path.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(InputError, match="face.pts: is not a text file"):
        read_pts(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.text(alphabet=st.sampled_from("{}:. \n\t0159-einfavrso_\0\x85"), max_size=60))
def test_nothing_else_is_ever_raised(tmp_path: Path, text: str) -> None:
    path = tmp_path / "face.pts"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        read_pts(path, points=40)
    assert len(str(raised.value).splitlines()) == 1
