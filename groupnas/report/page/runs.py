"""One search or one training, read from its folder as far as it goes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from groupnas.comparison.records import errors_file
from groupnas.comparison.samples import SampleErrors
from groupnas.engine.strategy import strategy_from
from groupnas.errors import InputError
from groupnas.report.page.epochs import charts, health
from groupnas.report.page.model import Cost, Curve, Run, Score
from groupnas.report.page.networks import cost, find_space, network
from groupnas.report.page.reading import Reader, called, flat, is_number, mapping, numbers
from groupnas.runs.begin import BEGUN, again
from groupnas.runs.folder import CONFIG, FOUND, HISTORY, INITIAL, RESULT, RunFolder
from groupnas.spaces.space import SearchSpace

_SURROUNDINGS = ("versions", "device", "threads", BEGUN)
_SIZED = {"channels", "errors"}  # keys of the records of searches that record sizes as well


def collect_search(reader: Reader, name: str) -> Run:
    """A search's folder."""
    config, records = reader.config(), reader.history()
    result = reader.json(RESULT)
    initial = reader.grouping(INITIAL, "the start of the search is not shown")
    begun = "resuming the run writes it anew" if records else "no epoch had ended"
    found = reader.grouping(FOUND, f"what was found is not shown; {begun}")
    space = find_space(config, reader) if initial or found else None
    finished = reader.has(RESULT)
    last = "found" if finished else "so far"
    groupings = [(t, g) for t, g in (("initial", initial), (last, found)) if g is not None]
    drawn = network(groupings, space, records)
    if drawn and not drawn.timeline and any(_SIZED & set(record) for record in records):
        reader.note(HISTORY, "holds no sizes of units (an older groupnas wrote it): no slider")
    unit = str(result.get("error_unit", ""))
    counts = numbers(result.get("validation_counts"))
    return Run(
        name=name,
        folder=str(reader.path),
        kind="search",
        state=_search_state(reader, config, records, result),
        finished=finished,
        groups=drawn.groups if drawn else (),
        network=drawn,
        costs=_search_costs(
            result, [cost(title, space, grouping) for title, grouping in groupings]
        ),
        charts=charts(records, unit),
        health=health(records, result),
        scores=tuple(
            Score(
                samples="validation",
                network=key,
                count=_count(counts),
                unit=unit,
                errors=errors,
                counts=counts,
            )
            for key, table in mapping(result.get("validation_errors")).items()
            if (errors := numbers(table))
        ),
        **described(config, reader),
    )


def collect_training(reader: Reader, name: str) -> Run:
    """The folder of one network's training."""
    config, records, result = reader.config(), reader.history(), reader.json(RESULT)
    arguments = mapping(config.get("arguments"))
    grouping = reader.grouping(FOUND)
    space = _space_of_training(reader) if grouping else None
    drawn = network([("trained", grouping)] if grouping else [], space)
    unit, errors = str(result.get("error_unit", "")), numbers(result.get("validation_errors"))
    priced = cost("trained", space, grouping)
    recorded = mapping(mapping(arguments.get("costs")))
    if priced is None and "mac" in recorded:
        params = numbers(recorded.get("params")) or None
        priced = Cost(network="trained", macs=numbers(recorded["mac"]), params=params)
    scores, curves = _sample_errors(reader)
    if errors and not scores:
        counts = numbers(result.get("validation_counts"))
        scores = (
            Score(
                samples="validation",
                network="trained",
                count=_count(counts),
                unit=unit,
                errors=errors,
                counts=counts,
            ),
        )
    total = mapping(config.get("training")).get("epochs")
    return Run(
        name=name,
        folder=str(reader.path),
        kind="training",
        state=how_far(reader, len(records), total, bool(result)),
        finished=bool(result),
        groups=drawn.groups if drawn else (),
        network=drawn,
        costs=(priced,) if priced else (),
        charts=charts(records, unit),
        scores=scores,
        curves=curves,
        **described(config, reader),
    )


def _space_of_training(reader: Reader) -> SearchSpace | None:
    """The space of the comparison that it lies in."""
    folder = reader.path.resolve().parent
    above = Reader(folder.parent, reader.notes)
    if folder.name == "train" and above.has(CONFIG):
        return find_space(above.config(), above)
    text = "does not say which space: MACs of layers are left out; report the folder above instead"
    reader.note(CONFIG, text)
    return None


def _count(counts: Mapping[str, float]) -> int | None:
    return int(counts["mean"]) if "mean" in counts else None


def _sample_errors(reader: Reader) -> tuple[tuple[Score, ...], tuple[Curve, ...]]:
    """Errors on every set of samples that a comparison measured the network on."""
    scores, curves = [], []
    for path in sorted(reader.path.glob(errors_file("*"))):
        try:
            found = SampleErrors.load(path)
        except InputError as error:
            reader.note(path.name, f"is left out: {error}")
            continue
        name = path.stem.removeprefix("errors-")
        for subset in (None, *found.subsets):
            errors = numbers(found.means(subset))
            if errors:
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
        errors = table[~np.isnan(table)].tolist()
        if errors:
            curves.append(Curve(samples=name, network="trained", unit=found.unit, errors=errors))
    return tuple(scores), tuple(curves)


def described(config: dict[str, Any], reader: Reader) -> dict[str, Any]:
    """What ``config.yaml`` says of settings, environment, data, commands; the reader's notes."""
    data = mapping(config.get("task"))
    left = {key: config[key] for key in config if key not in (*_SURROUNDINGS, "task")}
    return {
        "settings": flat(left) if left else None,
        "environment": surroundings(config),
        "data": flat(data) if data else None,
        "commands": again(config, reader.path),
        "notes": tuple(reader.notes),
    }


def surroundings(config: Mapping[str, Any]) -> dict[str, str] | None:
    """Versions, device and threads as recorded; ``None`` where nothing was."""
    found = {key: config[key] for key in _SURROUNDINGS if key in config}
    return flat(found) if found else None


def how_far(reader: Reader, done: int, total: Any, finished: bool, what: str = "epoch") -> str:
    """How far epochs went, or trials, in a sentence."""
    if finished and not done:
        return f"Finished; it takes no {what}s."
    if finished:
        return f"Finished after {done} {what}{'' if done == 1 else 's'}."
    of = f" of {total}" if is_number(total) else ""
    now = "still runs" if RunFolder(reader.path).held else "was stopped or killed"
    return f"Not finished: {done}{of} {what}s are done; it {now}."


def _search_state(
    reader: Reader,
    config: dict[str, Any],
    records: list[dict[str, Any]],
    result: dict[str, Any],
) -> str:
    settings = mapping(config.get("strategy"))
    if settings:
        try:
            strategy_from(settings, "strategy")
        except InputError as error:
            reader.note(CONFIG, f"the command may not run, since this groupnas says: {error}")
    finished, done = reader.has(RESULT), result.get("epochs")
    done = done if type(done) is int else len(records)  # the history may be cut
    text = how_far(reader, done, _planned(settings), finished, called(records))
    if finished:
        return text
    resume = shlex.join(["groupnas", "search", "--resume", "--out", str(reader.path)])
    reader.note(RESULT, f"is missing, since the search has not ended; to go on: {resume}")
    return text


def _planned(strategy: Mapping[str, Any]) -> int | None:
    """How many epochs or trials settings ask for; ``None`` where that is not known."""
    algorithm = strategy.get("algorithm")
    if algorithm in ("masks", "kronecker"):
        return _sum(strategy, "warmup_epochs", "epochs")
    if algorithm == "knapsack":
        scratch = strategy.get("curves") == "scratch"
        return _sum(strategy, "trials") if scratch else _sum(strategy, "epochs", "rounds")
    try:
        return getattr(strategy_from(dict(strategy), "strategy"), "planned", None)
    except InputError:
        return None


def _sum(table: Mapping[str, Any], *keys: str) -> int | None:
    found = [table[key] for key in keys if type(table.get(key)) is int]
    return sum(found) if found else None


def _search_costs(result: dict[str, Any], counted: Sequence[Cost | None]) -> tuple[Cost, ...]:
    """Costs counted in the space; else the MACs that the run recorded."""
    if found := tuple(item for item in counted if item):
        return found
    told = (("initial", "macs_before"), ("found", "macs_after"))
    tables = [(title, numbers(result.get(key))) for title, key in told]
    return tuple(Cost(network=title, macs=macs) for title, macs in tables if macs)
