"""Packages that are installed only where they are needed, and how to get them."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

_CHECKOUT = Path(__file__).parents[1]


def install_hint(extra: str) -> str:
    """The command line that installs an extra for this interpreter, e.g. ``"onnx"``.

    In a checkout with the versions that are tested, as ``docs/install.md`` has it.
    """
    return _hint(extra, _CHECKOUT)


def _hint(extra: str, checkout: Path) -> str:
    constraints = checkout / ("constraints-nni.txt" if extra == "nni" else "constraints.txt")
    told = []
    if constraints.is_file() and (checkout / "pyproject.toml").is_file():
        told = ["-c", _shortest(constraints)]
    return pip_line(*told, f"groupnas[{extra}]")


def pip_line(*arguments: str) -> str:
    """The command line that makes this interpreter's pip install something."""
    python = _shortest(Path(sys.executable or "python3"))
    return shlex.join([python, "-m", "pip", "install", *arguments])


def _shortest(path: Path) -> str:
    """From the working directory, if it is inside."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):  # elsewhere, or a working directory that was deleted
        return os.fspath(path)
