"""The command line as a whole: instant help, and every wrong line answered by one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT, exit_code

from groupnas import __version__
from groupnas.cli.app import app

COMMANDS = (
    "search",
    "compare",
    "ceiling",
    "train",
    "predict",
    "export",
    "bench",
    "eval",
    "flops",
    "plot",
    "report",
    "spaces",
    "strategies",
    "data check",
    "data preview",
)
HELP = """
import sys
from groupnas.cli import main
for line in sys.argv[1:]:
    try:
        main([*line.split(), "--help"])
    except SystemExit as exit_:
        heavy = {"torch", "matplotlib", "numpy", "scipy", "PIL"} & set(sys.modules)
        print(line, exit_.code, heavy, file=sys.stderr)
"""


def test_help_is_printed_without_torch() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HELP, "", *COMMANDS]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.stderr.splitlines() == [f"{line} 0 set()" for line in ("", *COMMANDS)]
    for name in {line.split()[0] for line in COMMANDS}:
        assert f" {name} " in done.stdout
    for line in COMMANDS:
        assert f"Usage: groupnas {line} " in done.stdout


def test_the_help_tests_know_every_command() -> None:
    found = [name for name in app if not name.startswith("-")]
    known = {line.split()[0] for line in COMMANDS}
    assert set(found) == known


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--version") == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("serch", 'Unknown command "serch". Did you mean "search"?'),
        ("data chek", 'Unknown command "chek". Did you mean "check"?'),
        ("search --sed 3", "Unknown option: --sed. Did you mean --seed?"),
        ("flops --space picasso_local --jsn", "Did you mean --json? See groupnas flops --help."),
        ("strategies extra", "Unexpected argument: extra. See groupnas strategies --help."),
        ("flops", "groupnas: --space is missing. See groupnas flops --help."),
        ("flops picasso_local", "--space is missing; unexpected: picasso_local. See"),
        ("plot", "PATHS is missing. See groupnas plot --help."),
        ("plot x", "--output is missing. See groupnas plot --help."),
        ("plot x -o y.png --kind histry", 'Did you mean "history"?'),
        ("train --recpe x", "Did you mean --recipe? See groupnas train --help."),
        ("train", "train needs --recipe; choose from: "),
        ("evl", 'Unknown command "evl". Did you mean "eval"?'),
        ("search --seed", "parameter --seed requires an argument"),
    ],
)
def test_a_wrong_line(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(*line.split()) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("groupnas: ") and output.err.count("\n") == 1
    assert message in output.err


@pytest.mark.parametrize(
    "line",
    [
        "plot {} -o x.png",
        "report {} -o p",
        "compare {}",
        "predict {} --model m",
        "predict p.png --model {}",
        "export {} -o x.onnx",
        "bench {}",
        "train --recipe 300w --out {}",
        "search --resume --out {}",
        "flops --space {}",
        "flops --space picasso_local --grouping {}",
        "data check --data 300w --data-root {}",
        "search --space picasso_local --data synthetic --strategy {}",
        "search --space picasso_local --data synthetic --seed {}",
        "--{}",
    ],
)
def test_an_endless_name_or_number_gets_one_short_line(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code(*line.format("9" * 5000).split()) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("groupnas: ") and len(told) <= 1000
    assert list(tmp_path.iterdir()) == []
