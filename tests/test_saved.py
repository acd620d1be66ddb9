"""What was saved and is read back: plain values of the right types, or one line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from groupnas.errors import InputError
from groupnas.saved import Saved, check_plain, parse_saved, read_records, read_saved


class Point(Saved):
    x: float
    count: int
    tags: dict[str, list[int]] = {}


def test_what_was_saved_comes_back_as_it_stands(tmp_path: Path) -> None:
    saved = {"x": 1, "count": 2, "tags": {"a": [1, 2]}, "more": {"nan": math.inf}}
    path = tmp_path / "p.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(saved, indent=1).replace("\n", "\r\n").encode())
    assert read_saved(path, Point) == saved


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"x": 1}', "is damaged: count: missing"),
        ('{"x": "1", "count": 1}', "is damaged: x: input should be a valid number, got '1'"),
        ('{"x": true, "count": 1}', "is damaged: x: input should be a valid number, got True"),
        ('{"x": 1, "count": 1.0}', "is damaged: count: input should be a valid integer, got 1.0"),
        ('{"x": 1, "count": true}', "is damaged: count: input should be a valid integer, got True"),
        ('{"x": 1, "count": 1, "tags": {"a": [null]}}', "is damaged: tags.a.0: input should be"),
        ("[]", r"is damaged: expected an object, got \[\]"),
        ('{"x": 1, "x": 2, "count": 1}', "is not JSON: key 'x' stands twice"),
        ('{"x": 1, "count": 9223372036854775808}', "a whole number is too large"),
        ('{"x": 1, "count": ' + "9" * 5000 + "}", "is not JSON: "),
        ('{"x": "\\ud800", "count": 1}', r"'\\ud800' is no text"),
        ('{"\\u0000": 1}', "is no text"),
        ("[" * 100 + "]" * 100, "holds too much to be read, or is nested too deeply"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_anything_else_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_saved(path, Point, "do it again")
    told = str(caught.value)
    assert told.startswith(f"{path}:") and told.endswith("; do it again")
    assert len(told) <= 1000 and len(told.splitlines()) == 1


def test_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"x": 1, "count": 1}\n{"x": 2, "count": 2}\n{"x"\n')
    records = read_records(path, Point)
    assert [next(records)["x"], next(records)["x"]] == [1, 2]
    with pytest.raises(InputError, match=r"p.jsonl, line 3: is not JSON"):
        next(records)


def test_references_that_stand_for_more_than_there_is_memory() -> None:
    value: Any = "x"
    for _ in range(40):
        value = [value] * 10  # 10^40 texts
    with pytest.raises(InputError, match="c.yaml: holds too much"):
        check_plain(value, "c.yaml")
    value.append(value)
    with pytest.raises(InputError, match="c.yaml: holds too much"):
        check_plain(value, "c.yaml")


def test_numbers_of_64_bits_are_kept() -> None:
    ends = [-(2**63), 2**63 - 1, 1e308, -0.0]
    assert parse_saved(json.dumps(ends), "x") == ends
