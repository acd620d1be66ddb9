"""Read comparisons, from folders and files of numbers: errors, differences, what searches cost."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

from groupnas.comparison.evidence import IDENTITY, Evidence
from groupnas.comparison.plan import ComparisonConfig, Piece
from groupnas.comparison.records import CELL, errors_file, read_cell, seconds
from groupnas.comparison.records import steps as count_steps
from groupnas.comparison.rows import Cell, SearchTold
from groupnas.comparison.samples import SampleErrors
from groupnas.comparison.tables import Comparison
from groupnas.errors import InputError
from groupnas.runs.folder import CONFIG, RESULT, RunFolder
from groupnas.runs.kinds import COMPARISON
from groupnas.schema import validate
from groupnas.values import listed, whole

EVIDENCE = "evidence.json"  # in a comparison's folder: numbers that it goes on from
StrPath = str | os.PathLike[str]
OnDamage = Callable[[InputError], None]


def read_comparison(
    path: StrPath | Sequence[StrPath],
    baseline: str | None = None,
    *,
    draws: int = 10_000,
    on_damage: OnDamage | None = None,
) -> Comparison:
    """Read a comparison, finished or not.

    Args:
        path: Its folder, or a file of its numbers (:meth:`.Evidence.save`). Several of one identity
            are joined: seeds that another machine trained add up.
        baseline: The label of the strategy that others are compared with; ``even`` by default, and
            then it may be missing.
        draws: Of the bootstrap, which is seeded: the same folder gives the same intervals.
        on_damage: Told what is wrong with a trained network's files; that network then counts as
            missing. By default it is raised.

    Raises:
        InputError: no comparison there, a damaged file, no such strategy, or several that do not
            belong together.
    """
    draws = whole("draws", draws, 1)
    paths = [path] if isinstance(path, (str, os.PathLike)) else listed("path", path)
    found = [read_evidence(path, on_damage) for path in paths]
    if not found:
        raise InputError("path: expected the folder of a comparison, or a file of its numbers")
    return reduce(Evidence.joined, found).comparison(baseline, draws=draws)


def read_evidence(path: StrPath, on_damage: OnDamage | None = None) -> Evidence:
    """Read the numbers of a comparison's folder, or of a file; raise as :func:`read_comparison`."""
    if os.path.isfile(path):
        return Evidence.load(path)
    folder = RunFolder(path)
    recorded = COMPARISON.read(folder.path)
    config = validate(ComparisonConfig, recorded, f"{folder / CONFIG}: is damaged")
    found = Evidence(
        task=config.task.name,
        groups=tuple(config.groups),
        measure=config.measure,
        identity=identity(recorded),
        strategies=dict(config.strategies),
        path=folder.path,
    )
    for budget in config.budgets:
        for label in config.strategies:
            for seed in config.seeds:
                piece = Piece(label, seed, budget)
                found.planned.append(piece)
                try:
                    _read_cell(found, piece)
                except InputError as error:
                    if on_damage is None:
                        raise
                    on_damage(error)
    for label in config.strategies:
        for seed in config.seeds:
            run = RunFolder(folder.path / Piece(label, seed).folder)
            if (run / RESULT).is_file():
                told = SearchTold(seconds=seconds(run), steps=count_steps(run))
                found.searches[Piece(label, seed)] = told
    if (folder / EVIDENCE).is_file():
        found = found.joined(Evidence.load(folder / EVIDENCE))
    return found


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what all numbers of a comparison share, from what its ``config.yaml`` holds."""
    older = {"split": "fixed", "measured": {}}  # what versions did that recorded neither
    return {key: {**older, **config}[key] for key in IDENTITY if key in config or key in older}


def _read_cell(evidence: Evidence, piece: Piece) -> None:
    """Add a trained network of the evidence's folder, if it is finished."""
    folder = evidence.path / piece.folder
    if not (folder / CELL).is_file():
        return
    told, groups = read_cell(folder), evidence.groups
    if (own := Piece(told["strategy"], told["seed"], told["budget"])) != piece:
        raise InputError(f"{folder / CELL}: is of {own}, not of {piece}; remove it and resume")
    if evidence.measure not in told["costs"]:
        raise InputError(
            f"{folder / CELL}: costs.{evidence.measure}: missing; remove it and resume"
        )
    errors = {name: SampleErrors.load(folder / errors_file(name)) for name in told["errors"]}
    for name, found in errors.items():
        if set(found.groups) != set(groups):
            raise InputError(
                f"{folder / errors_file(name)}: has errors of {', '.join(found.groups)}, the "
                f"comparison is of {', '.join(groups)}; remove it and resume"
            )
    evidence.cells[piece] = Cell(piece=piece, told=told, errors=errors)
