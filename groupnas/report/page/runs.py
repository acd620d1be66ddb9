"""One search or one training, read from its folder as far as it goes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from groupnas.comparison.records import errors_file
from groupnas.comparison.samples import SampleErrors
from groupnas.engine.strategy import strategy_from
from groupnas.errors import InputError
from groupnas.report.page.model import Cost, ErrorCurve, PageRun, Score
from groupnas.report.page.networks import cost, network
from groupnas.report.page.reading import Reader, mapping
from groupnas.runs.fields import numbers
from groupnas.runs.folder import CONFIG, FOUND, HISTORY, INITIAL, RESULT
from groupnas.spaces.space import SearchSpace


def collect_search(reader: Reader, name: str) -> PageRun:
    """A search's folder."""
    finished, result = reader.has(RESULT), reader.result
    initial = reader.grouping(INITIAL, "the start of the search is not shown")
    begun = "resuming the run writes it anew" if reader.records else "no epoch had ended"
    found = reader.grouping(FOUND, f"what was found is not shown; {begun}")
    space = reader.space if initial or found else None
    titled = (("initial", initial), ("found" if finished else "so far", found))
    groupings = [(title, grouping) for title, grouping in titled if grouping is not None]
    drawn = network(groupings, space, reader)
    if drawn and not drawn.timeline and reader.records and reader.recorded.sizes:
        reader.note(HISTORY, "holds no sizes of units (an older groupnas wrote it): no slider")
    if not finished:
        resume = shlex.join(["groupnas", "search", "--resume", "--out", str(reader.path)])
        reader.note(RESULT, f"is missing, since the search has not ended; to go on: {resume}")
    if settings := mapping(reader.config.get("strategy")):
        try:
            strategy_from(settings, "strategy")
        except InputError as error:
            reader.note(CONFIG, f"the command may not run, since this groupnas says: {error}")
    costs = [cost(title, space, grouping) for title, grouping in groupings]
    return reader.run(
        name,
        "search",
        drawn,
        state=reader.state,
        finished=finished,
        costs=tuple(filter(None, costs)) or _recorded_costs(result),
        charts=reader.charts,
        health=reader.health,
        scores=_validation(result, mapping(result.get("validation_errors"))),
    )


def collect_training(reader: Reader, name: str) -> PageRun:
    """The folder of one network's training."""
    arguments, result = mapping(reader.config.get("arguments")), reader.result
    grouping = reader.grouping(FOUND)
    space = _space_of_training(reader) if grouping else None
    drawn = network([("trained", grouping)] if grouping else [], space)
    priced = cost("trained", space, grouping)
    recorded = mapping(mapping(arguments.get("costs")))
    if priced is None and "mac" in recorded:
        params = numbers(recorded.get("params")) or None
        priced = Cost(network="trained", macs=numbers(recorded["mac"]), params=params)
    scores, curves = _sample_errors(reader)
    return reader.run(
        name,
        "training",
        drawn,
        state=reader.state,
        finished=bool(result),
        costs=(priced,) if priced else (),
        charts=reader.charts,
        scores=scores or _validation(result, {"trained": result.get("validation_errors")}),
        curves=curves,
    )


def _space_of_training(reader: Reader) -> SearchSpace | None:
    """The space of the comparison that it lies in."""
    folder = reader.path.resolve().parent
    above = Reader(folder.parent, reader.notes)
    if folder.name == "train" and above.has(CONFIG):
        return above.space
    text = "does not say which space: MACs of layers are left out; report the folder above instead"
    reader.note(CONFIG, text)
    return None


def _recorded_costs(result: Mapping[str, Any]) -> tuple[Cost, ...]:
    """The MACs that the run recorded."""
    told = (("initial", "macs_before"), ("found", "macs_after"))
    tables = [(title, numbers(result.get(key))) for title, key in told]
    return tuple(Cost(network=title, macs=macs) for title, macs in tables if macs)


def _validation(result: Mapping[str, Any], tables: Mapping[str, Any]) -> tuple[Score, ...]:
    """Errors of networks on the validation side."""
    counts = numbers(result.get("validation_counts"))
    return tuple(
        Score(
            samples="validation",
            network=network,
            count=int(counts["mean"]) if "mean" in counts else None,
            unit=str(result.get("error_unit", "")),
            errors=errors,
            counts=counts,
        )
        for network, table in tables.items()
        if (errors := numbers(table))
    )


def _sample_errors(reader: Reader) -> tuple[tuple[Score, ...], tuple[ErrorCurve, ...]]:
    """Errors on every set of samples that a comparison measured the network on."""
    scores, curves = [], []
    for path in sorted(reader.path.glob(errors_file("*"))):
        found = reader.read(path.name, SampleErrors.load)
        if found is None:
            continue
        name = path.stem.removeprefix("errors-")
        for subset in (None, *found.subsets):
            if errors := numbers(found.means(subset)):
                scores.append(
                    Score(
                        samples=name if subset is None else f"{name}/{subset}",
                        network="trained",
                        count=len(found.sources_of(subset)),
                        counts=found.counts(subset),
                        unit=found.unit,
                        errors=errors,
                    )
                )
        table = found.table()[:, -1]
        if known := table[~np.isnan(table)].tolist():
            curves.append(
                ErrorCurve(samples=name, network="trained", unit=found.unit, errors=known)
            )
    return tuple(scores), tuple(curves)
