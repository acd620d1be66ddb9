"""What the pieces of a comparison leave behind beside their run folders; no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from groupnas.engine.run_folder import HISTORY, TIMINGS, RunFolder
from groupnas.errors import InputError
from groupnas.files import read_text

CELL = "cell.json"  # costs, seconds, steps and mean errors of a trained network: its last file
VALIDATION = "validation"  # the set of samples that every comparison holds out


def errors_file(name: str) -> str:
    """The file, in a training's folder, that holds the errors on one set of samples."""
    return f"errors-{name}.npz"


def remove_leftovers(folder: RunFolder) -> None:
    """Remove what a process that was killed left half-written, beside the run's own files."""
    for pattern in (".errors-*-????????.npz", ".cell-????????.json"):
        for path in folder.path.glob(pattern):
            path.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; an :class:`InputError` names a file that is not one."""
    try:
        data = json.loads(read_text(path))
    except ValueError as error:
        raise InputError(f"{path}: is damaged: {error}; remove it and resume") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: is damaged: expected an object; remove it and resume")
    return data


def seconds(folder: RunFolder) -> float:
    """Time of the CPU that the epochs of a run took: others on the machine do not count.

    An epoch that a kill left out counts as their mean.
    """
    lines = _lines(folder / TIMINGS, "cpu_seconds")
    times = {line["epoch"]: line["cpu_seconds"] for line in lines}
    epochs = len(_lines(folder / HISTORY, "epoch"))
    return sum(times.values()) * epochs / len(times) if times else 0.0


def steps(folder: RunFolder) -> int:
    """Optimiser steps that a search took."""
    return sum(line["steps"] for line in _lines(folder / HISTORY, "steps"))


def _lines(path: Path, number: str) -> list[dict[str, Any]]:
    """The records of a log, none if it has not begun; each has an ``epoch`` and this number."""
    if not path.is_file():
        return []
    try:
        records = [json.loads(line) for line in read_text(path).splitlines()]
        sum(record["epoch"] + record[number] for record in records)
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path}: is damaged: {error!r}") from error
    return records
