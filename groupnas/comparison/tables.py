"""A comparison, and its tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from groupnas.comparison.plan import Piece
from groupnas.comparison.records import VALIDATION
from groupnas.comparison.rows import Cell, FrontRow, ResultRow, SearchCost, Spread
from groupnas.comparison.statistics import LEAST_SOURCES, Difference
from groupnas.errors import InputError
from groupnas.spaces.measure import million

TextTable = list[list[str]]  # a header, then rows
NOTE = (
    "Mean ± standard deviation over seeds. Paired differences with 95 % intervals: bootstrap over "
    "sources and seeds, bootstrap over sources, Student's over seeds; of so many sources x seeds. "
    "*: the first and the last leave out 0, and p is below 5 % when corrected for the number of "
    "strategies (Holm). better: share of the bootstrap's draws. detectable: the smallest true "
    "difference that so many seeds show four times of five. -: too few to tell."
)
FRONTS = (
    "Errors over costs are joined by lines in their logarithms, which never rise; the ratio is the "
    "mean over the errors that both reach, its interval over sources and seeds."
)
LONGEST = 2000  # characters of a comparison that is printed
_MEGA = 1e6


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that is finished of a comparison; printed, its tables.

    Attributes:
        folder: Where it lies.
        task: What was learned from.
        groups: Names of the space's groups.
        measure: Of costs.
        baseline: What differences are to; ``None`` where that strategy is not in it.
        rows: Errors.
        searches: Costs of searches.
        cells: Every trained network.
        missing: Pieces that are not finished.
        fronts: What strategies cost at the baseline's error.
    """

    folder: Path
    task: str
    groups: tuple[str, ...]
    measure: str
    baseline: str | None
    rows: tuple[ResultRow, ...]
    searches: tuple[SearchCost, ...]
    cells: tuple[Cell, ...]
    missing: tuple[Piece, ...]
    fronts: tuple[FrontRow, ...] = ()

    def __repr__(self) -> str:
        missing = f", {len(self.missing)} missing" if self.missing else ""
        return (
            f"Comparison({str(self.folder)!r}: {', '.join(self.strategies) or 'nothing'} on "
            f"{self.task}; {len(self.cells)} networks{missing})"
        )

    def __str__(self) -> str:
        return as_text(self)

    @property
    def samples(self) -> tuple[str, ...]:
        """The sets of samples and their subsets."""
        return tuple(dict.fromkeys(row.samples for row in self.rows))

    @property
    def budgets(self) -> tuple[float, ...]:
        """The budgets of finished networks."""
        return tuple(dict.fromkeys(row.budget for row in self.rows))

    @property
    def strategies(self) -> tuple[str, ...]:
        """The strategies with finished networks."""
        return tuple(dict.fromkeys(row.strategy for row in self.rows))

    def row(self, strategy: str, budget: float, samples: str = VALIDATION) -> ResultRow | None:
        """Return a row, ``None`` where that is not finished."""
        key = (strategy, budget, samples)
        return next((r for r in self.rows if (r.strategy, r.budget, r.samples) == key), None)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but single samples, as JSON holds it."""
        return {
            "task": self.task,
            "groups": list(self.groups),
            "measure": self.measure,
            "baseline": self.baseline,
            "rows": [row.to_dict() for row in self.rows],
            "fronts": [front.to_dict() for front in self.fronts],
            "searches": [vars(cost) for cost in self.searches],
            "networks": [finite(dict(cell.told)) for cell in self.cells],
            "missing": [str(piece) for piece in self.missing],
        }


def finite(value: Any) -> Any:
    """Return the value as JSON can hold it: ``None`` for numbers that are not finite."""
    if isinstance(value, Mapping):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sections(comparison: Comparison) -> Iterator[tuple[str, list[TextTable], list[str]]]:
    """Yield title, tables and remarks of each section; :data:`NOTE` explains all of them."""
    found: dict[tuple[str, float], list[ResultRow]] = {}
    for row in comparison.rows:
        found.setdefault((row.samples, row.budget), []).append(row)
    for (samples, budget), rows in found.items():
        title = f"{samples}: {counted(rows[0])}, {rows[0].unit}, cost {budget:g}"
        tables = [errors_table(comparison, samples, budget)]
        if by_group := groups_table(comparison, samples, budget):
            tables.append(by_group)
        yield title, tables, remarks(rows)
    for title, table, missing in front_sections(comparison):
        yield title, [table] if table else [], missing
    if comparison.searches:
        title = "What searches cost; a training is one plain training of the baseline"
        yield title, [search_table(comparison)], search_remarks(comparison)
    if told := level(comparison):
        yield "How far from level", [], [told]


def front_sections(comparison: Comparison) -> list[tuple[str, TextTable, list[str]]]:
    """Return title, table and remarks on what strategies cost at equal error, set by set."""
    found = []
    for samples in dict.fromkeys(front.samples for front in comparison.fronts):
        title = f"{samples}: {at_equal_error(comparison)}, relative to {comparison.baseline}"
        table, told = front_table(comparison, samples)
        found.append((title, table, [*told, *([FRONTS] if table else [])]))
    return found


def at_equal_error(comparison: Comparison) -> str:
    """Return what a ratio of costs is called."""
    return f"{'MACs' if comparison.measure == 'mac' else comparison.measure} at equal error"


def counted(row: ResultRow) -> str:
    """Say how many samples a row is of, and how many independent sources those are of."""
    sources = several(row.sources, "source")
    if row.varied:
        return f"{several(row.count, 'sample')} of each seed, of {sources} in all"
    return f"{several(row.count, 'sample')} of {sources}"


def remarks(rows: Sequence[ResultRow]) -> list[str]:
    """Return remarks on one set's rows at a budget: few sources, missing groups, divergence."""
    found, first = [], rows[0]
    if first.sources < LEAST_SOURCES:
        found.append(
            f"{first.samples}: samples of {several(first.sources, 'source')} only: no intervals "
            f"and no *, which take at least {LEAST_SOURCES}"
        )
    else:
        few = {
            name: of.sources
            for row in rows
            for name, of in row.differences.items()
            if of.sources < LEAST_SOURCES
        }
        if few:
            told = ", ".join(f"{name} of {several(count, 'source')}" for name, count in few.items())
            found.append(
                f"{first.samples}: {told} only: no intervals there, which take at least "
                f"{LEAST_SOURCES}"
            )
    if any(count < first.count for count in first.counts.values()):
        told = ", ".join(f"{name} {count:,}" for name, count in first.counts.items())
        found.append(
            f"{first.samples}: not every sample shows every group; means are over those that do: "
            f"n = {told}"
        )
    found += [
        f"{row.samples}: {row.strategy} diverged (seeds: {', '.join(map(str, row.diverged))}): "
        "errors are not finite, so that no differences are told; lower weights.lr"
        for row in rows
        if row.diverged
    ]
    return found


def several(count: int, what: str) -> str:
    """Return a number of things, in words."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def as_text(comparison: Comparison) -> str:
    """Return the first tables as text, of :data:`LONGEST` characters at most, for ``print``."""
    lines = [repr(comparison)]
    for title, tables, told in sections(comparison):
        lines += ["", title, *chain.from_iterable(map(_aligned, tables)), *told]
    room = LONGEST
    for number, line in enumerate(lines):
        room -= len(line) + 1
        if room < 0:
            more = f"... and {len(lines) - number} more lines: groupnas compare {comparison.folder}"
            return "\n".join([*lines[:number], more])
    return "\n".join(lines)


def _aligned(table: TextTable) -> list[str]:
    """Return the lines of a table; the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            f"{cell:>{width}}" if index else f"{cell:{width}}"
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def errors_table(comparison: Comparison, samples: str, budget: float) -> TextTable:
    """Return every strategy's cost and errors, mean and deviation over seeds, and differences.

    A difference is to the baseline's mean error, with its 95 % intervals: over sources and seeds,
    over sources alone, over seeds alone; then of how many sources and seeds they are, in which
    share of the draws it is an improvement, and which difference so many seeds would have shown.
    ``*`` marks what is significant, ``-`` what cannot be told; see
    :class:`groupnas.comparison.statistics.Difference`.

    Raises:
        InputError: nothing is finished of these samples and this budget.
    """
    rows = [comparison.row(label, budget, samples) for label in comparison.strategies]
    found = [row for row in rows if row is not None]
    if not found:
        raise InputError(f"{comparison.folder}: nothing of {samples} at budget {budget:g}")
    names = [name for name in found[0].errors if name != "mean"]
    unit = "M" if million(comparison.measure) else comparison.measure
    against = f"to {comparison.baseline or 'none'}"
    intervals = ["95 %", "sources", "seeds", "sources x seeds", "better", "detectable"]
    head = ["strategy", "seeds", f"cost {unit}", *names, "mean", against, *intervals]
    return [head, *([*_cells(row, comparison.measure, names)] for row in found)]


def _cells(row: ResultRow, measure: str, names: Sequence[str]) -> list[str]:
    cost = f"{row.cost / (_MEGA if million(measure) else 1):,.4g}"
    errors = [_spread(row.errors[name]) for name in (*names, "mean")]
    return [row.strategy, str(len(row.seeds)), cost, *errors, *_difference(row)]


def _difference(row: ResultRow) -> list[str]:
    if "mean" not in row.differences:
        return [""] * 7
    of = row.differences["mean"]
    relative = f" ({row.relative['mean']:+.1%})" if "mean" in row.relative else ""
    return [
        f"{of.mean:+.3f}{relative}{'*' if of.significant else ''}",
        *(
            "-" if low is None or high is None else f"{low:+.3f} .. {high:+.3f}"
            for low, high in (
                (of.low, of.high),
                (of.sources_low, of.sources_high),
                (of.seeds_low, of.seeds_high),
            )
        ),
        f"{of.sources:,} x {of.seeds}",
        "-" if of.better is None else f"{of.better:.1%}",
        "-" if of.detectable is None else f"{of.detectable:.3f}",
    ]


def groups_table(comparison: Comparison, samples: str, budget: float) -> TextTable:
    """Return the differences of every group's error to the baseline, with 95 % intervals.

    Where not all are of the same sources, a last line says of how many each is.
    """
    found = [comparison.row(label, budget, samples) for label in comparison.strategies]
    rows = [row for row in found if row is not None and row.differences]
    if not rows:
        return []
    names = list(rows[0].differences)
    sources = [rows[0].differences[name].sources for name in names]
    return [
        [f"to {comparison.baseline}", *names],
        *([row.strategy, *(_interval(row.differences[name]) for name in names)] for row in rows),
        *([["sources", *map(str, sources)]] if len(set(sources)) > 1 else []),
    ]


def _interval(of: Difference) -> str:
    if of.low is None or of.high is None:
        return f"{of.mean:+.3f} -"
    mark = "*" if of.significant else ""
    return f"{of.mean:+.3f} [{of.low:+.3f}, {of.high:+.3f}]{mark}"


def search_table(comparison: Comparison) -> TextTable:
    """Return the searches' costs, in time and steps, and in units of one plain training."""
    head = ["strategy", "search time", "trainings", "search steps", "trainings' steps"]
    return [
        head,
        *(
            [
                cost.strategy,
                f"{cost.seconds:,.3g} s",
                f"{cost.trainings:.2f}",
                f"{cost.steps:,.0f}",
                f"{cost.training_steps:.2f}",
            ]
            for cost in comparison.searches
        ),
    ]


def search_remarks(comparison: Comparison) -> list[str]:
    """Return a remark where networks were trained by their searches, too."""
    longer = [cost.strategy for cost in comparison.searches if cost.inherited]
    if not longer:
        return []
    told = ", ".join(longer)
    return [f"{told}: networks go on from the search's weights, so its steps trained them as well"]


def front_table(comparison: Comparison, samples: str) -> tuple[TextTable, list[str]]:
    """Return what strategies cost at the baseline's error, and remarks on what cannot be told.

    A ratio of costs with its 95 % interval, the share of draws in which it is below 1, the errors
    that both fronts reach, and of how many sources and seeds that is; see
    :func:`groupnas.comparison.fronts.cost_ratio`.
    """
    rows = [front for front in comparison.fronts if front.samples == samples]
    head = ["strategy", at_equal_error(comparison), "95 %", "cheaper", "at errors"]
    table = [[*head, "sources x seeds"]]
    for row in rows:
        of = row.found
        if of is None or of.ratio is None:
            continue
        table.append(
            [
                row.strategy,
                f"{of.ratio:.3f}",
                "-" if of.low is None else f"{of.low:.3f} .. {of.high:.3f}",
                "-" if of.better is None else f"{of.better:.1%}",
                f"{of.least:.3f} .. {of.most:.3f}",
                f"{of.sources:,} x {of.seeds}",
            ]
        )
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.why:
            reasons.setdefault(row.why, []).append(row.strategy)
    told = [f"{', '.join(labels)}: {why}" for why, labels in reasons.items()]
    return table if len(table) > 1 else [], told


def level(comparison: Comparison) -> str:
    """Say by how much errors still fell at the end of the trainings; empty if that is not known."""
    falls = [cell.told.get("fall") for cell in comparison.cells]
    known = [fall for fall in falls if isinstance(fall, float) and math.isfinite(fall)]
    if not known:
        return ""
    return (
        f"In the last fifth of their epochs the best validation error of trainings fell by "
        f"{sum(known) / len(known):.1%} ({min(known):.1%} to {max(known):.1%}). A rate that ends "
        "at 0 makes any training end with a fall, and level: only longer ones tell what is left."
    )


def _spread(value: Spread) -> str:
    mean, deviation = value
    return f"{mean:.3f}" if deviation is None else f"{mean:.3f} ± {deviation:.3f}"
