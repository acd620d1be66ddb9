"""matplotlib is had whatever MPLBACKEND says, and draws by its defaults."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from groupnas.matplotlib_tools import mpl, style

DRAW = """
import os, sys
sys.modules["matplotlib.pyplot"] = None  # whoever asks for a window fails
from groupnas.matplotlib_tools import mpl, style
from matplotlib.figure import Figure
with style({}):
    Figure().savefig("x.png")
print(os.environ["MPLBACKEND"], mpl.rcParams._get_backend_or_none())
"""


def run(code: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **variables}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("backend", ["module://no_such.package", "nonsense"])
def test_a_backend_that_is_not_there(tmp_path: Path, backend: str) -> None:
    done = run(DRAW, tmp_path, MPLBACKEND=backend)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[0] == backend  # it stays the user's
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_a_backend_that_is_there_holds(tmp_path: Path) -> None:
    assert run(DRAW, tmp_path, MPLBACKEND="svg").stdout.split() == ["svg", "svg"]


def test_a_matplotlibrc_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe")
    done = run(DRAW, tmp_path)
    assert done.stderr.endswith(
        "InputError: matplotlib: its file matplotlibrc is no text; remove it\n"
    )


def test_style_is_matplotlibs_whatever_the_user_set() -> None:
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 33.0}):
        with style({"font.size": 7.0}):
            assert mpl.rcParams["axes.facecolor"] == "white" and mpl.rcParams["font.size"] == 7
        assert mpl.rcParams["font.size"] == 33
