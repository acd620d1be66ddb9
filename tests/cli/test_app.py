"""The command line as a whole: instant help, and every wrong line answered by one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from groupnas import __version__
from groupnas.cli import main

ROOT = Path(__file__).parents[2]


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def test_help_is_printed_without_torch() -> None:
    code = """
import sys
from groupnas.cli import main
try:
    main(["--help"])
except SystemExit as exit_:
    print(exit_.code, {"torch", "matplotlib", "numpy"} & set(sys.modules), file=sys.stderr)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.stderr == "0 set()\n"
    for name in ("search", "flops", "plot", "spaces", "strategies", "data"):
        assert f" {name} " in done.stdout


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version") == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("serch", 'Unknown command "serch". Did you mean "search"?'),
        ("data chek", 'Unknown command "chek". Did you mean "check"?'),
        ("search --sed 3", "Unknown option: --sed. Did you mean --seed?"),
        ("flops --space picasso_local --jsn", "Did you mean --json? See groupnas flops --help."),
        ("strategies extra", "Unexpected argument: extra. See groupnas strategies --help."),
        ("flops", "parameter --space requires an argument"),
        ("plot x", "parameter --output requires an argument"),
        ("plot x -o y.png --kind histry", 'Did you mean "history"?'),
        ("search --seed", "parameter --seed requires an argument"),
    ],
)
def test_a_wrong_line(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*line.split()) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("groupnas: ") and output.err.count("\n") == 1
    assert message in output.err
