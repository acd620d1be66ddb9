"""Figures of comparisons: operations of each part, and errors by subset."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from groupnas.accountant import flops
from groupnas.comparison import Comparison
from groupnas.comparison.records import VALIDATION
from groupnas.comparison.rows import ResultRow
from groupnas.errors import InputError
from groupnas.landmarks.paper.counted import CONVENTION
from groupnas.landmarks.paper.definition import Protocol
from groupnas.landmarks.paper.runs import FLGC, SEARCHED, Compared, ComparedStrategy, Runs
from groupnas.landmarks.paper.values import Answer, Question, TableRow, Value, among
from groupnas.runs.fields import numbers
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import load_space

_MEGA = 1e6
_TEST = "test"  # the set of samples that Tables IX and X are of
_MANUAL = ("manual_a", "manual_b")  # Table IX's rows, in the order of manual strategies


def comparison_operations(runs: Runs, question: Question) -> Answer:
    """Millions of operations of each group (Tables VII and VIII), means over seeds.

    Rows are strategies, where FLGC's start is the Gaussian one, or data sets.
    """
    if question.measured.rows == "data":
        return _by_data(runs, question)
    for one in _matching(runs, question):
        return _by_strategy(one, question)
    return Answer()


def _by_strategy(one: Compared, question: Question) -> Answer:
    answer = Answer(used={str(one.path): None})
    for strategy in _strategies(one, question):
        started = _operations(one, strategy, "initial", question)
        found = _operations(one, strategy, "found", question)
        if strategy.role == FLGC and FLGC not in answer.rows:
            answer.rows["initial"], answer.rows[FLGC] = started, found
        elif strategy.role == SEARCHED:
            answer.rows[SEARCHED] = found
            answer.others.append((f"{strategy.label}, initial", started))
        else:
            answer.others.append((strategy.label, found))
    return answer


def _by_data(runs: Runs, question: Question) -> Answer:
    answer = Answer()
    for one in runs.comparisons:
        for strategy in _strategies(one, question):
            if strategy.role != SEARCHED:
                continue
            answer.used[str(one.path)] = None
            row = _operations(one, strategy, "trained", question)
            if one.comparison.task in question.keys and one.comparison.task not in answer.rows:
                answer.rows[one.comparison.task] = row
            else:
                answer.others.append((one.comparison.task, row))
    return answer


def _operations(
    one: Compared, strategy: ComparedStrategy, when: str, question: Question
) -> TableRow:
    """Return each group's operations at the first budget; none where groups share channels."""
    comparison = one.comparison
    budget = comparison.budgets[0]
    cells = [c for c in comparison.cells if c.piece.strategy == strategy.label]
    counts = [c.told.get("flops", {}).get(when, {}) for c in cells if c.piece.budget == budget]
    data = question.definition.data or comparison.task
    protocol = question.protocols.get(data)
    notes = [
        *_data_notes(one, data, protocol),
        *_protocol_notes(one, strategy, protocol, trained=False),
        *([_convention(question, data, protocol)] if protocol else []),
    ]
    row: TableRow = {}
    for column in question.columns:
        figures = [count[column] / _MEGA for count in counts if column in count]
        if figures and len(figures) == len(counts):
            row[column] = _value(figures, notes)
    return row


def comparison_errors(runs: Runs, question: Question) -> Answer:
    """Mean errors of strategies by subset (Tables IX and X), means over seeds.

    On the test faces if those were scored, else on the held-out ones, which is noted.
    """
    for one in _matching(runs, question):
        answer = Answer(used={str(one.path): None})
        manual = iter(_MANUAL)
        for strategy in _strategies(one, question):
            key = next(manual, "other") if strategy.role == "manual" else strategy.role
            row = _errors(one, strategy, question)
            if key in question.keys and key not in answer.rows:
                answer.rows[key] = row
            else:
                answer.others.append((strategy.label, row))
        return answer
    return Answer()


def _errors(one: Compared, strategy: ComparedStrategy, question: Question) -> TableRow:
    comparison, protocol = one.comparison, question.protocol
    name = _TEST if _TEST in comparison.samples else VALIDATION
    budget = comparison.budgets[0]
    row: TableRow = {}
    for column in question.columns:
        samples = name if column == "full" else f"{name}/{column}"
        found = comparison.row(strategy.label, budget, samples)
        if (
            found is None
            or found.diverged
            or (column == "full" and _is_one_subset(comparison, found))
        ):
            continue
        notes = (
            *_data_notes(one, question.definition.data, protocol, found, column),
            *_protocol_notes(one, strategy, protocol, trained=True),
        )
        mean, deviation = found.errors["mean"]
        row[column] = Value(mean, deviation, notes)
    return row


def _matching(runs: Runs, question: Question) -> list[Compared]:
    """Comparisons on the table's data first."""
    data = question.definition.data
    return sorted(runs.comparisons, key=lambda one: one.comparison.task != data)


def _strategies(one: Compared, question: Question) -> list[ComparedStrategy]:
    known = one.comparison.strategies
    if question.searched is not None and question.searched not in known:
        raise InputError(
            f"{one.path}: {question.searched!r} is not among its finished strategies; choose from: "
            f"{', '.join(known) or '(none)'}"
        )
    return one.strategies(question.searched)


def _value(figures: Sequence[float], notes: Sequence[str]) -> Value:
    deviation = float(np.std(figures, ddof=1)) if len(figures) > 1 else None
    return Value(float(np.mean(figures)), deviation, tuple(notes))


def _data_notes(
    one: Compared,
    data: str | None,
    protocol: Protocol | None,
    scored: ResultRow | None = None,
    column: str = "full",
) -> list[str]:
    """Return notes on the faces, where those are not the paper's."""
    comparison = one.comparison
    told = []
    if comparison.task != data:
        told.append(f"{comparison.task}, not {data}")
    elif protocol is not None:
        used = one.config["task"].get("samples")
        told.append(among(used, protocol.faces["train"], "training faces") if used else "")
        if scored is not None and scored.samples.startswith(_TEST):
            what = "test faces" if column == "full" else f"{column} test faces"
            told.append(among(scored.count, protocol.faces.get(column), what))
    if scored is not None and not scored.samples.startswith(_TEST):
        told.append(f"{scored.count:,} faces held out of training, not the test faces")
    told = [text for text in told if text]
    return [f"other data: {'; '.join(told)}"] if told else []


def _is_one_subset(comparison: Comparison, scored: ResultRow) -> bool:
    """Return True where all faces are of one subset: then it is not the full set."""
    subsets = [name for name in comparison.samples if name.startswith(f"{scored.samples}/")]
    rows = [comparison.row(scored.strategy, scored.budget, name) for name in subsets]
    return any(row is not None and row.count == scored.count for row in rows)


def _protocol_notes(
    one: Compared, strategy: ComparedStrategy, protocol: Protocol | None, *, trained: bool
) -> list[str]:
    """Return notes on the search and the training, where those are not as in the paper."""
    told = []
    if protocol is not None:
        epochs = (one.config.get("training") or {}).get("epochs")
        if trained and epochs and epochs != protocol.epochs[-1]:
            told.append(f"trained for {epochs} epochs (paper: {protocol.epochs[-1]})")
        recipe = (one.config.get("arguments") or {}).get("recipe")
        if trained and recipe:
            told.append(f"otherwise by the recipe {Path(recipe).name}")
        if strategy.epochs and strategy.epochs != protocol.search_epochs:
            told.append(f"searched for {strategy.epochs} epochs (paper: {protocol.search_epochs})")
    if one.comparison.budgets[0] != 1:
        told.append(f"at {one.comparison.budgets[0]:g} times the cost of even groups")
    notes = [f"other protocol: {'; '.join(told)}"] if told else []
    if strategy.role == SEARCHED and not strategy.alike:
        notes.append(f"searched by {strategy.label}, not by the paper's algorithm")
    if strategy.role == "manual" and (weights := numbers(strategy.settings.get("weights"))):
        shares = ", ".join(f"{group} {weight:g}" for group, weight in weights.items())
        notes.append(f"divided by hand, relative to even: {shares}; the paper's sets are unknown")
    return notes


def _convention(question: Question, data: str, protocol: Protocol) -> str:
    """Say that the paper's figures add up to less than any count of its Table II."""
    ours = _even_total(protocol.points) / _MEGA
    row = next((r for r in question.published.rows if r.key == data), question.published.rows[0])
    theirs = sum(map(float, row.texts))
    return (
        f"counted as {CONVENTION} does on our reading of Table II: even groups add up to "
        f"{ours:.2f} M, the paper's figures to {theirs:.2f} M"
    )


@lru_cache
def _even_total(points: int) -> int:
    """Operations of the local network of a markup, in even groups."""
    space = load_space(f"picasso_local:{points}")
    return flops(Allocation.even(space), CONVENTION).total
