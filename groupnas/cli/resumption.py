"""What commands that can be stopped and resumed have in common."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any

from groupnas.errors import InputError, shown
from groupnas.runs.folder import CONFIG, RunFolder
from groupnas.runs.kinds import CASCADE, COMPARISON, SEARCH

# What kind of run each command starts, and the least that its whole numbers can be.
_KINDS = {"search": SEARCH, "train": CASCADE, "compare": COMPARISON}
_LEAST = {"limit": 1, "epochs": 1, "search_epochs": 1, "threads": 1}
_MOVABLE = ("data_root", "device", "threads")  # may differ when a run goes on


def recorded_arguments(
    command: str,
    out: Path | None,
    given: Mapping[str, Any],
    kinds: Mapping[str, type | UnionType],
) -> dict[str, Any]:
    """What a run was started with; an option that says otherwise is refused.

    Args:
        command: That started it, e.g. ``"search"``.
        out: Its folder.
        given: The options of now; ``None`` where not given.
        kinds: Types of what ``config.yaml`` records.

    Raises:
        InputError: no folder, no run in it, damaged records, or an option that differs.
    """
    if out is None:
        raise InputError("--resume needs --out, the folder of the run to go on with")
    recorded = RunFolder(out).read_config(_KINDS[command]).get("arguments")
    if not isinstance(recorded, dict) or not set(kinds) <= set(recorded):
        raise InputError(
            f"{out / CONFIG}: arguments: expected {', '.join(kinds)}; "
            f"was the run started by `groupnas {command}`?"
        )
    for name, kind in kinds.items():
        value: Any = recorded[name]
        few = type(value) is int and value < _LEAST.get(name, 0)
        truth = isinstance(value, bool) and kind not in (bool, bool | None)  # True is an int
        if not isinstance(value, kind) or truth or few:
            raise InputError(f"{out / CONFIG}: arguments.{name}: is damaged: {shown(value)}")
    for name, value in given.items():
        if value is not None and value != recorded[name] and name not in _MOVABLE:
            option = name.replace("_", "-")
            raise InputError(
                f"{out}: the run was started with --{option} {recorded[name]}, not {value}"
            )
    return {name: recorded[name] if given[name] is None else given[name] for name in kinds}


def say_stopped(command: str, folder: Path) -> int:
    """Tell how a stopped run goes on; the exit code."""
    if RunFolder(folder).exists:
        line = f"groupnas {command} --resume --out {shlex.quote(str(folder))}"
        print(f"groupnas: stopped; go on with: {line}", file=sys.stderr)
    else:
        print(f"groupnas: stopped before the {command} run began", file=sys.stderr)
    return 130
