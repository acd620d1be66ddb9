"""Records that the pieces of a comparison leave beside their run folders; no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from groupnas.comparison.plan import Label
from groupnas.runs.folder import HISTORY, TIMINGS, RunFolder
from groupnas.runs.records import (
    Costs,
    Count,
    Epoch,
    EpochTiming,
    Finite,
    SearchEpoch,
    read_epochs,
)
from groupnas.saved import Saved, read_records, read_saved

CELL = "cell.json"  # costs, seconds, steps and mean errors of a trained network: its last file
VALIDATION = "validation"  # the set of samples that every comparison holds out

SetName = Annotated[str, Field(pattern=r"^[^/\\]+$")]  # of a set of samples: it names a file


class CellFile(Saved):
    """``cell.json``: the record of a trained network."""

    strategy: Label
    seed: Count
    budget: Annotated[Finite, Field(gt=0)]
    costs: dict[str, Costs]
    flops: dict[str, dict[str, Finite]] = {}
    steps: Annotated[int, Field(ge=1)]
    seconds: Annotated[Finite, Field(ge=0)]
    errors: dict[SetName, dict[str, float | None]]


def errors_file(name: str) -> str:
    """Return the file, in a training's folder, of the errors on one set of samples."""
    return f"errors-{name}.npz"


def read_cell(folder: Path) -> dict[str, Any]:
    """Return ``cell.json`` of a training's folder; raise where it is damaged."""
    found: dict[str, Any] = read_saved(folder / CELL, CellFile, "remove it and resume")
    return found


def fall(history: Sequence[Mapping[str, Any]]) -> float | None:
    """Return by how much the best validation error fell in the last fifth of a training's epochs.

    In units of the best error before; 0 where no later epoch was better. ``None`` of fewer than 5
    epochs, or where an error is not finite.
    """
    errors = [float(record["validation"]["mean"]) for record in history]
    before = len(errors) - len(errors) // 5
    if before == len(errors) or not all(map(math.isfinite, errors)) or not min(errors[:before]):
        return None
    return 1 - min(errors) / min(errors[:before])


def seconds(folder: RunFolder) -> float:
    """Return the CPU time that the epochs of a run took: others on the machine do not count.

    An epoch that a kill left out counts as their mean.
    """
    path = folder / TIMINGS
    lines = read_records(path, EpochTiming) if path.is_file() else ()
    times = {line["epoch"]: line["cpu_seconds"] for line in lines}
    epochs = len(_history(folder, Epoch))
    return sum(times.values()) * epochs / len(times) if times else 0.0


def steps(folder: RunFolder) -> int:
    """Return the optimiser steps that a search took."""
    return sum(record["steps"] for record in _history(folder, SearchEpoch))


def _history(folder: RunFolder, model: type[Epoch]) -> list[dict[str, Any]]:
    path = folder / HISTORY
    return read_epochs(path, model) if path.is_file() else []
