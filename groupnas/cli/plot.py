"""``groupnas plot``: groupings as Tetris plots, or how a search went."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from groupnas.cli.output import courtesy
from groupnas.errors import InputError

if TYPE_CHECKING:
    from groupnas.grouping import Grouping


def plot(
    paths: list[Path],
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    kind: Literal["tetris", "history", "curves", "trajectory", "training"] = "tetris",
) -> None:
    """Draw groupings, one panel each, or what a search or a training was like.

    A run folder gives two panels, the grouping it started from and the one it found; runs that
    started alike share the first. What changed is told against the run's own start, and for
    grouping files against the first panel.

    Args:
        paths: Run folders, grouping files; or one history.
        output: A .png, .svg or .pdf file.
        kind: tetris: each unit's channels by group; history: a search's epochs; curves: each
            group's error against its MACs, of a knapsack search; trajectory: what a saliency search
            left at some costs, and its errors on the way; training: the epochs of trainings,
            or of all stages of a cascade.
    """
    from groupnas.report import (
        plot_curves,
        plot_history,
        plot_tetris,
        plot_training,
        plot_trajectory,
        read_curves,
        read_history,
        read_recorded,
        read_training,
        read_trajectory,
    )
    from groupnas.report.figure import check_suffix
    from groupnas.runs.folder import HISTORY, RESULT

    check_suffix(output)
    if kind == "history":
        file = _one_file(paths, kind, HISTORY, "expected a search that has begun")
        plot_history(read_history(file), output, read_recorded(file))
    elif kind == "curves":
        file = _one_file(paths, kind, RESULT, "its search has not ended")
        plot_curves(read_curves(file), output)
    elif kind == "trajectory":
        file = _one_file(paths, kind, RESULT, "its search has not ended")
        plot_trajectory(read_trajectory(file), output)
    elif kind == "training":
        files = _training_files(paths)
        unit = _error_unit(files.values())
        plot_training({name: read_training(f) for name, f in files.items()}, output, unit)
    else:
        panels, since = _panels(paths)
        plot_tetris(panels, output, since)
    with courtesy("the picture's name was not printed", output):
        print(output)


def _one_file(paths: list[Path], kind: str, name: str, otherwise: str) -> Path:
    """The file itself, or the one of that name in a search's folder."""
    from groupnas.engine.recorded import recorded_by
    from groupnas.runs.folder import CONFIG, RunFolder
    from groupnas.runs.kinds import expect

    if len(paths) != 1:
        raise InputError(f"--kind {kind} draws one run, got {len(paths)}: {_listed(paths)}")
    if not paths[0].is_dir():
        return paths[0]
    expect(f"plot --kind {kind}", paths[0])
    folder = RunFolder(paths[0])
    if folder.exists:
        plots = recorded_by(folder.read_config(), str(folder / CONFIG)).plots
        if kind not in plots:
            raise InputError(
                f"{paths[0]}: its search has no {kind} to draw; it has: {', '.join(plots)}"
            )
    return _member(paths[0], name, otherwise)


def _training_files(paths: list[Path]) -> dict[str, Path]:
    """Title and history of every training; a cascade's folder holds several."""
    from groupnas.runs.folder import HISTORY
    from groupnas.runs.kinds import CASCADE, expect

    found: dict[str, Path] = {}
    for path in paths:
        cascade = expect("plot --kind training", path) is CASCADE
        steps = [path / step for step in _steps(path)] if cascade else [path]
        begun = [step for step in steps if (step / HISTORY).is_file()]
        if not begun:
            raise InputError(f"{path}: has no {HISTORY} yet; expected a training that has begun")
        for step in begun:
            found[step.name if len(paths) == 1 else str(step)] = step / HISTORY
    return found


def _steps(path: Path) -> list[str]:
    """The folders of a cascade's steps."""
    from groupnas.landmarks.upgrade import step_names
    from groupnas.runs.folder import RunFolder

    folder = RunFolder(path)
    return step_names(folder.read_config().get("recipe") if folder.exists else None)


def _error_unit(histories: Iterable[Path]) -> str:
    """Return the unit of trainings' errors; a training says so when it ends."""
    from groupnas.runs.folder import RESULT
    from groupnas.saved import Saved, read_saved

    class EndedTraining(Saved):
        error_unit: str

    for file in histories:
        with suppress(InputError):
            return str(read_saved(file.with_name(RESULT), EndedTraining)["error_unit"])
    return ""


def _panels(paths: list[Path]) -> tuple[list[tuple[str, Grouping]], list[int | None]]:
    """Title and grouping of each panel, and the panel that each is compared with."""
    from groupnas.grouping import Grouping
    from groupnas.runs.folder import FOUND, INITIAL
    from groupnas.runs.kinds import expect

    panels: list[tuple[str, Grouping]] = []
    since: list[int | None] = []
    starts: dict[Grouping, int] = {}
    runs = sum(path.is_dir() for path in paths)
    for path in paths:
        if not path.is_dir():
            if path.suffix == ".jsonl":
                raise InputError(f"{path}: is a history, not a grouping; add --kind history")
            panels.append((str(path.with_suffix("")), Grouping.load(path)))
            since.append(0 if len(panels) > 1 else None)
            continue
        try:
            expect("plot", path)
        except InputError as error:
            if not (path / FOUND).is_file():
                raise
            raise InputError(f"{error}; give {path / FOUND} to draw that alone") from error
        found = Grouping.load(_member(path, FOUND, "expected a search that has begun"))
        start = Grouping.load(_member(path, INITIAL, f"give {path / FOUND} to draw that alone"))
        name = f"{path}: " if runs > 1 else ""
        if start not in starts:
            starts[start] = len(panels)
            panels.append((f"{name}initial", start))
            since.append(None)
        panels.append((f"{name}found", found))
        since.append(starts[start])
    if len(starts) == 1:
        first = next(iter(starts.values()))
        panels[first] = ("initial", panels[first][1])
    return panels, since


def _member(folder: Path, name: str, otherwise: str) -> Path:
    path = folder / name
    if os.path.lexists(path):
        return path
    raise InputError(f"{folder}: has no {name}; {otherwise}")


def _listed(paths: list[Path]) -> str:
    return ", ".join(map(str, paths))
