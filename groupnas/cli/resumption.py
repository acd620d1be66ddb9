"""The common part of commands that can be stopped and resumed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from groupnas.errors import InputError
from groupnas.runs.folder import CONFIG, RunFolder
from groupnas.runs.kinds import expect
from groupnas.saved import Saved
from groupnas.schema import validate

RecordedCount = Annotated[int, Field(ge=1)]

_MOVABLE = ("data_root", "device", "threads")  # may differ when a run goes on


def recorded_arguments(
    command: str, out: Path | None, given: Mapping[str, Any], model: type[Saved]
) -> dict[str, Any]:
    """Return what a run was started with; an option that says otherwise is refused.

    Args:
        command: That started it, e.g. ``"search"``.
        out: Its folder.
        given: The options of now; ``None`` where not given.
        model: What ``config.yaml`` records of them.

    Raises:
        InputError: no folder, no run in it, damaged records, or an option that differs.
    """
    if out is None:
        raise InputError("--resume needs --out, the folder of the run to go on with")
    arguments = expect(f"{command} --resume", out).read(out).get("arguments")
    try:
        told = arguments if isinstance(arguments, dict) else {}
        found = validate(model, told, f"{out / CONFIG}: arguments")
    except InputError as error:
        raise InputError(f"{error}; was the run started by `groupnas {command}`?") from error
    recorded = found.model_dump()
    for name, value in given.items():
        if value is not None and value != recorded[name] and name not in _MOVABLE:
            option = name.replace("_", "-")
            raise InputError(
                f"{out}: the run was started with --{option} {recorded[name]}, not {value}"
            )
    return {name: was if given[name] is None else given[name] for name, was in recorded.items()}


def say_stopped(command: str, folder: Path) -> int:
    """Tell how a stopped run goes on; the exit code."""
    if RunFolder(folder).exists:
        line = f"groupnas {command} --resume --out {shlex.quote(str(folder))}"
        print(f"groupnas: stopped; go on with: {line}", file=sys.stderr)
    else:
        print(f"groupnas: stopped before the {command} run began", file=sys.stderr)
    return 130
