"""groupnas.files: read whole, and found by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from groupnas.errors import InputError
from groupnas.files import (
    find_shipped,
    nearest,
    parse_json,
    read_bytes,
    read_text,
    split_choice,
    split_text,
)


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    binary = tmp_path / "picture.png"
    binary.write_bytes(b"ok\xff\x00")
    wide = tmp_path / "of a Windows shell.yaml"
    wide.write_text("format: 1", "utf-16")
    for path, reason in [
        (binary, "is not a text file (byte 2)"),
        (wide, "is text in UTF-16; save it as UTF-8"),
        (tmp_path / "none.json", "cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory"),
    ]:
        with pytest.raises(InputError) as caught:
            read_text(path)
        assert str(caught.value) == f"{path}: {reason}"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_texts_of_other_editors_are_read_alike(tmp_path: Path, mark: bytes, end: bytes) -> None:
    (tmp_path / "text").write_bytes(mark + end.join(["Größe".encode(), b"2", b""]))
    assert read_text(tmp_path / "text") == "Größe\n2\n"


def test_what_may_never_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(InputError, match=f"^{path}: is not a regular file$"):
            read_bytes(path)
    (tmp_path / "large").write_bytes(b"")
    os.truncate(tmp_path / "large", 2**40)
    with pytest.raises(InputError, match="large: is too large: over 1,073,741,824 bytes$"):
        read_text(tmp_path / "large")


def test_what_the_shell_hands_over_is_read() -> None:
    end, start = os.pipe()
    os.write(start, b'{"a": 1}')
    os.close(start)
    assert read_text(f"/dev/fd/{end}") == '{"a": 1}'
    os.close(end)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.json:1: is not JSON: Expecting value"),
        ('{"a": 1,\n "b": }', "x.json:2: is not JSON: Expecting value"),
        ('{"a": 1, "a": 2}', "x.json: is not JSON: key 'a' stands twice"),
        ("[" * 100_000, "x.json: is not JSON: maximum recursion depth exceeded"),
        ("9" * 5000, "x.json: is not JSON: Exceeds the limit"),
    ],
)
def test_what_is_not_json_is_named(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_json(text, "x.json")
    assert str(caught.value).startswith(message)


def test_a_name_may_have_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kind").mkdir()
    (tmp_path / "kind/a:b.yaml").write_text("")
    assert split_choice("kind", "a:b") == ("a:b", None)
    assert split_choice("kind", "a:b:c") == ("a:b", "c")
    assert split_choice("kind", "kind/a:b.yaml") == ("kind/a:b.yaml", None)
    assert split_choice("kind", "kind/a:b.yaml:c") == ("kind/a:b.yaml", "c")
    assert find_shipped("kind", "a:b") == tmp_path / "kind/a:b.yaml"


def test_a_name_may_have_an_equal_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("kind", "run=3"):
        (tmp_path / folder).mkdir()
    for file in ("kind/a.yaml", "kind/b=c.yaml", "run=3/a.yaml"):
        (tmp_path / file).write_text("")
    for whole in ("a", "a:x", "b=c", "b=c:x", "run=3/a.yaml", "run=3/a.yaml:x", "./no=3/a.yaml"):
        assert split_text("kind", whole) == (whole, None)
    for stem in ("a", "a:x", "b=c", "run=3/a.yaml", "run=3/a.yaml:x", "unknown"):
        for text in ("g.json", "nose:0.8,mouth:1", "run=3/g.json", ""):
            assert split_text("kind", f"{stem}={text}") == (stem, text)


def test_names_are_found_where_the_working_folder_was_removed(tmp_path: Path) -> None:
    code = (
        "import os, sys; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1])\n"
        "from groupnas.files import find_shipped\n"
        "print(find_shipped('search_spaces', 'picasso_local').name)"
    )
    (tmp_path / "gone").mkdir()
    assert run(code, tmp_path / "gone").stdout == "picasso_local.yaml\n"


def test_nearest_suggests_and_lists() -> None:
    spaces = ["picasso_local", "picasso_global", "bee"]
    listed = "choose from: bee, picasso_global, picasso_local"
    assert nearest("picaso_local", spaces) == f"did you mean 'picasso_local'? {listed}"
    assert nearest("zzz", spaces) == listed
    assert nearest("nope", ["even", "ungrouped"]) == "choose from: even, ungrouped"
    assert nearest("zzz", []) == "choose from: (none)"
