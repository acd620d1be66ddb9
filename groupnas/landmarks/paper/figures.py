"""The figures of a paper, drawn from runs: vector graphics as wide as a column or a page."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from groupnas.engine.recorded import recorded_by
from groupnas.engine.strategy import load_strategy
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.landmarks.paper.definition import (
    FigureDefinition,
    Wanted,
    load_definition,
    load_published,
)
from groupnas.landmarks.paper.runs import Evaluated, Runs, read_runs, role_of
from groupnas.landmarks.paper.sheet import plot_sheet
from groupnas.landmarks.paper.speed import plot_speed
from groupnas.landmarks.saved import FACES, read_faces
from groupnas.report.curves import plot_curves, read_curves
from groupnas.report.figure import check_suffix
from groupnas.report.tetris import plot_tetris
from groupnas.runs.folder import CONFIG, INITIAL, RESULT, RunFolder

_SHOWN = 8  # faces of a sheet


def render_figure(
    name: str, runs: Sequence[str | os.PathLike[str]], path: str | os.PathLike[str]
) -> Path:
    """Draw a figure of the paper from some runs.

    Args:
        name: Of a definition, such as ``"figure7"``; or the path of one.
        runs: As :func:`groupnas.landmarks.paper.render` takes them.
        path: The picture (``.pdf``, ``.svg`` or ``.png``).

    Returns:
        ``path``.

    Raises:
        InputError: no such figure, an unknown suffix, a run that is none, or none of the runs
            that the figure needs; says which.
    """
    check_suffix(path)
    definition = load_definition(name)
    if not isinstance(definition, FigureDefinition):
        raise InputError(f"{name}: is a table, not a figure; it needs a format, not a picture")
    _PLOTS[definition.plot](name, definition, read_runs(runs), Path(path))
    return Path(path)


def _tetris(name: str, definition: FigureDefinition, runs: Runs, path: Path) -> None:
    """Groupings of the searches that the definition names.

    A panel is compared with its own run's start, where that is drawn above it.
    """
    folders = {key: _search(name, runs, wanted) for key, wanted in definition.runs.items()}
    starts: dict[str, int] = {}
    panels: list[tuple[str, Grouping]] = []
    since: list[int | None] = []
    for place, panel in enumerate(definition.panels):
        panels.append((panel.title, Grouping.load(folders[panel.run] / panel.file)))
        since.append(starts.get(panel.run))
        if panel.file == INITIAL:
            starts[panel.run] = place
    plot_tetris(panels, path, since)


def _search(name: str, runs: Runs, wanted: Wanted) -> Path:
    published = load_published().strategies
    role = role_of("", load_strategy(wanted.strategy).model_dump(), published)
    for folder, settings in runs.all_searches():
        if role_of("", settings, published) == role:
            return folder
    raise InputError(
        f"{name}: needs a search by {wanted.strategy}: groupnas search --space {wanted.space} "
        f"--data {wanted.data} --strategy {wanted.strategy} --seed {wanted.seed}"
    )


def _curves(name: str, definition: FigureDefinition, runs: Runs, path: Path) -> None:
    """Every part's error at every cost, of the first search of such curves that has ended."""
    for folder, _ in runs.all_searches():
        config = RunFolder(folder).read_config()
        recorded = recorded_by(config, str(folder / CONFIG))
        if "curves" in recorded.plots and (folder / RESULT).is_file():
            plot_curves(read_curves(folder / RESULT), path, column=True)
            return
    raise InputError(f"{name}: needs {definition.needs}")


def _worst(name: str, definition: FigureDefinition, runs: Runs, path: Path) -> None:
    one = _evaluated(name, definition, runs)
    plot_sheet(one, _ranked(one)[::-1][:_SHOWN], str(definition.data), path)


def _typical(name: str, definition: FigureDefinition, runs: Runs, path: Path) -> None:
    one = _evaluated(name, definition, runs)
    ranked = _ranked(one)
    places = np.linspace(0, len(ranked) - 1, min(_SHOWN, len(ranked))).round().astype(int)
    plot_sheet(one, [ranked[place] for place in places], str(definition.data), path)


def _evaluated(name: str, definition: FigureDefinition, runs: Runs) -> Evaluated:
    """The first evaluation with a list of its faces and its model, the figure's data first."""
    listed = [one for one in runs.evaluations if (one.path.parent / FACES).is_file()]
    for one in sorted(listed, key=lambda one: one.data != definition.data):
        if one.model is not None:
            return one
    raise InputError(f"{name}: needs {definition.needs}")


def _ranked(one: Evaluated) -> list[str]:
    """Names of the faces, the one with the least error first."""
    file = one.path.parent / FACES
    columns = read_faces(file)
    if "cascade_nme" not in columns:
        raise InputError(f"{file}: is damaged: cascade_nme is missing; evaluate again")
    errors = dict(zip(columns["face"], columns["cascade_nme"], strict=True))
    return sorted(errors, key=lambda face: (math.isnan(errors[face]), errors[face]))


_PLOTS: Mapping[str, Callable[[str, FigureDefinition, Runs, Path], None]] = {
    "plot_curves": _curves,
    "plot_speed": plot_speed,
    "plot_tetris": _tetris,
    "plot_typical": _typical,
    "plot_worst": _worst,
}
