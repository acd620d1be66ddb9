"""Standard output and error that are closed, full, cut short, or of few characters."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT

from groupnas.cli import main
from groupnas.cli.output import OutputLost, courtesy, standard_streams
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.spaces import load_space

FLOPS = '"$PYTHON" -m groupnas flops --space picasso_local'


def shell(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable, **variables}
    return subprocess.run(
        ["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        (f"{FLOPS} >&-", 0, ""),
        (f"{FLOPS} >&- 2>&- <&-", 0, ""),
        (f"{FLOPS} 2>/dev/full >/dev/null", 0, ""),
        (f"set -o pipefail; {FLOPS} | true", 0, ""),
        ('COLUMNS=² LINES=x "$PYTHON" -m groupnas --help', 0, ""),
        ('COLUMNS=1 "$PYTHON" -m groupnas compare --help', 0, ""),
        (f"{FLOPS} >/dev/full", 2, "No space left on device"),
        ('"$PYTHON" -m groupnas --help >/dev/full', 2, "No space left on device"),
        ('"$PYTHON" -m groupnas nonsense 2>/dev/full', 2, ""),
    ],
)
def test_streams_of_a_shell(line: str, code: int, error: str) -> None:
    done = shell(line)
    assert done.returncode == code
    assert done.stderr.count("\n") == bool(error) and error in done.stderr


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """What a library writes to standard output would end in the file."""
    code = (
        "import os, sys; from groupnas.cli.output import standard_streams\n"
        "with standard_streams():\n"
        f"    file = open({str(tmp_path / 'x')!r}, 'wb', 0)\n"
        "    os.write(1, b'lost'); os.write(2, b'lost'); print('lost', flush=True)\n"
        "    file.write(b'kept')\n"
    )
    command = '"$PYTHON" -c "$CODE" >&- 2>&- <&-'
    assert shell(command, CODE=code).returncode == 0
    assert (tmp_path / "x").read_bytes() == b"kept"


def test_characters_that_a_terminal_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = open(tmp_path / "out", "w", encoding="ascii")  # noqa: SIM115
    monkeypatch.setattr(sys, "stdout", file)
    with standard_streams(), file:
        print("2 × 3 ± 1 \udcff")
    assert (tmp_path / "out").read_text() == "2 \\xd7 3 \\xb1 1 \\udcff\n"


class Broken(io.StringIO):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "groupnas: no table: standard output cannot be written: No space left"),
        (errno.EIO, "groupnas: no table: standard output cannot be written: "),
        (errno.EPIPE, ""),
    ],
)
def test_what_is_done_is_no_failure(
    number: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Broken(number))
    with standard_streams(), courtesy("no table"):
        print("a table")
    told = capsys.readouterr().err
    assert told.startswith(words) and told.count("\n") == bool(words)


def test_a_courtesy_that_cannot_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    with courtesy("the plot was not drawn"):
        raise InputError("x.png: cannot be written: Disk quota exceeded")
    told = "groupnas: the plot was not drawn: x.png: cannot be written: Disk quota exceeded\n"
    assert capsys.readouterr().err == told
    with pytest.raises(ZeroDivisionError), courtesy("the plot was not drawn"):
        1 / 0  # noqa: B018 - a bug stays one


def test_where_a_file_is_standard_output_nothing_else_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (Path("/dev/stdout"), Path("/dev/fd/1"), tmp_path / "x.png"):
        with courtesy("no name", file):
            print(file)
    told = capsys.readouterr()
    assert told.err == "/dev/stdout\n/dev/fd/1\n" and told.out == f"{tmp_path / 'x.png'}\n"


def test_a_picture_on_standard_output_is_whole(tmp_path: Path) -> None:
    Grouping.even(load_space("picasso_local")).save(tmp_path / "G")
    line = 'cd "$FOLDER"; "$PYTHON" -m groupnas plot G -o /dev/stdout > a'
    assert shell(line, FOLDER=str(tmp_path)).returncode == 0
    content = (tmp_path / "a").read_bytes()
    assert content.startswith(b"\x89PNG") and content.endswith(b"IEND\xaeB`\x82")


def test_standard_error_may_fail_and_output_says_so_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", Broken(errno.EPIPE))
    monkeypatch.setattr(sys, "stdout", Broken(errno.ENOSPC))
    with standard_streams():
        print("words", file=sys.stderr, flush=True)
        with pytest.raises(OutputLost) as lost:
            print("a table")
    assert not lost.value.unread


def test_a_working_directory_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: Any) -> int:
        Path("x").resolve()
        return 0

    monkeypatch.setattr("groupnas.cli.app.run", run)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(SystemExit) as exit_:
        main([])
    assert exit_.value.code == 2
    told = "groupnas: the working directory is not there any more; change to another\n"
    assert capsys.readouterr().err == told


def test_no_place_for_temporary_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """torch keeps a folder there, whatever it is asked."""

    def run(_: Any) -> int:
        raise RuntimeError("something inside torch")

    monkeypatch.setattr("groupnas.cli.app.run", run)
    with pytest.raises(RuntimeError, match="inside torch"):
        main([])  # a bug stays one
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: ["/nonexistent"])
    with pytest.raises(SystemExit) as exit_:
        main([])
    assert exit_.value.code == 2
    told = "groupnas: no folder for temporary files can be written; set TMPDIR to one\n"
    assert capsys.readouterr().err == told


def test_ctrl_c_at_any_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("groupnas.cli.app.run", stop)
    with pytest.raises(SystemExit) as exit_:
        main(["spaces"])
    assert exit_.value.code == 130 and capsys.readouterr().err == "groupnas: stopped\n"
