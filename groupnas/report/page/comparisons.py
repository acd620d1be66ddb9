"""A comparison of strategies: its tables, every search's grouping, and errors of all samples."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from groupnas.comparison.rows import Cell
from groupnas.comparison.summary import read_comparison
from groupnas.comparison.tables import Comparison
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.report.page.model import Cost, ErrorCurve, PageRun
from groupnas.report.page.networks import network
from groupnas.report.page.reading import Reader, mapping
from groupnas.runs.folder import FOUND, INITIAL


def collect_comparison(reader: Reader, name: str) -> PageRun:
    """A comparison's folder, finished or not."""
    found: Comparison | None = None
    try:
        found = read_comparison(
            reader.path, on_damage=lambda error: reader.note("", f"a network is left out: {error}")
        )
    except InputError as error:
        reader.note("", f"errors and costs are left out: {error}")
    groupings = _groupings(reader)
    drawn = network(groupings, reader.space if groupings else None)
    if found and found.missing:
        resume = shlex.join(["groupnas", "compare", "--resume", "--out", str(reader.path)])
        some = ", ".join(map(str, found.missing[:3])) + (" …" if len(found.missing) > 3 else "")
        reader.note("", f"{len(found.missing)} trainings are missing ({some}); to go on: {resume}")
    return reader.run(
        name,
        "comparison",
        drawn,
        state=_state(found),
        finished=found is not None and bool(found.cells) and not found.missing,
        groups=drawn.groups if drawn else (found.groups if found else ()),
        costs=_costs(found) if found else (),
        comparison=found,
        curves=_curves(found) if found else (),
    )


def _state(found: Comparison | None) -> str:
    if found is None:
        return "Its results cannot be read."
    done = len(found.cells)
    if found.missing:
        return f"Not finished: {done} of {done + len(found.missing)} networks are trained."
    return f"Finished: {done} networks of {len(found.strategies)} strategies are trained."


def _groupings(reader: Reader) -> list[tuple[str, Grouping]]:
    """The start that searches share, then what each found."""
    labels, seeds = mapping(reader.config.get("strategies")), reader.config.get("seeds")
    found: list[tuple[str, Grouping]] = []
    for label in labels:
        for seed in seeds if isinstance(seeds, list) else []:
            inside = reader.inside(f"search/{label}-s{seed}")
            start = inside.grouping(INITIAL) if not found else None
            if start is not None:
                found.append(("initial", start))
            ended = inside.grouping(FOUND)
            if ended is not None:
                found.append((f"{label}, seed {seed}", ended))
    return found


def _called(cell: Cell, found: Comparison) -> str:
    """The strategy of a network, and its budget where there are several."""
    several = len(found.budgets) > 1
    return f"{cell.piece.strategy} at {cell.piece.budget:g}" if several else cell.piece.strategy


def _costs(found: Comparison) -> tuple[Cost, ...]:
    """Costs of each strategy's networks at each budget, a mean over seeds."""
    tables: dict[str, list[Mapping[str, Any]]] = {}
    for cell in found.cells:
        tables.setdefault(_called(cell, found), []).append(mapping(cell.told.get("costs")))
    return tuple(
        Cost(network=title, macs=_mean(told, "mac"), params=_mean(told, "params") or None)
        for title, told in tables.items()
    )


def _mean(tables: list[Mapping[str, Any]], measure: str) -> dict[str, float]:
    rows = [mapping(table.get(measure)) for table in tables]
    groups = [group for group in rows[0] if all(group in row for row in rows)]
    return {group: float(np.mean([row[group] for row in rows])) for group in groups}


def _curves(found: Comparison) -> tuple[ErrorCurve, ...]:
    """Errors of the samples, those of all seeds together."""
    pooled: dict[tuple[str, str, str], list[Any]] = {}
    for cell in found.cells:
        for samples, errors in cell.errors.items():
            table = errors.table()[:, -1]
            key = (samples, _called(cell, found), errors.unit)
            pooled.setdefault(key, []).append(table[~np.isnan(table)])
    return tuple(
        ErrorCurve(samples=samples, network=network, unit=unit, errors=pool.tolist())
        for (samples, network, unit), tables in pooled.items()
        if len(pool := np.concatenate(tables))
    )
