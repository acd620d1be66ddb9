"""What is installed: by whom something is offered, and how to get what is missing."""

from __future__ import annotations

import os
import shlex
import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from groupnas.errors import InputError

MEASURES = "groupnas.measures"  # a group of entry points
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


@cache
def registered(group: str, what: str) -> dict[str, EntryPoint]:
    """The installed entry points of a group by name: groupnas's own and those of other packages.

    Args:
        group: Such as ``"groupnas.strategies"``.
        what: One of them is called in errors, e.g. ``"algorithm"``.

    Raises:
        InputError: two packages offer one name.
    """
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise InputError(
                f"{what} {entry.name!r} is offered twice: {other.value} and {entry.value}; "
                "uninstall one of the packages"
            )
    return found


def load_registered(group: str, what: str, name: str) -> Any:
    """The object of a registered name.

    Raises:
        InputError: its package cannot be imported.
    """
    try:
        return registered(group, what)[name].load()
    except (ImportError, AttributeError) as error:
        raise InputError(f"{what} {name!r} cannot be loaded: {error}") from error


def _shortest(path: Path) -> str:
    """From the working directory, if it is inside."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):  # elsewhere, or a working directory that was deleted
        return os.fspath(path)
