"""Comparisons as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from groupnas.comparison.statistics import Difference
from groupnas.comparison.summary import Comparison, Row, Spread
from groupnas.errors import InputError

Table = list[list[str]]  # a header, then rows
NOTE = (
    "Mean ± standard deviation over seeds. Paired differences with 95 % intervals: bootstrap over "
    "photos and seeds, bootstrap over photos, Student's over seeds. *: the first and the last "
    "leave out 0."
)
_MEGA = 1e6


def sections(comparison: Comparison) -> Iterator[tuple[str, Table]]:
    """Title and table of all that a comparison says, for people; :data:`NOTE` belongs to it."""
    keys = dict.fromkeys((row.samples, row.budget) for row in comparison.rows)
    for samples, budget in keys:
        row = next(r for r in comparison.rows if (r.samples, r.budget) == (samples, budget))
        title = f"{samples}: {row.count:,} samples, {row.unit}, cost {budget:g}"
        yield title, errors_table(comparison, samples, budget)
        parts = parts_table(comparison, samples, budget)
        if parts:
            yield "", parts
    if comparison.searches:
        title = "What searches cost; a training is one plain training of the baseline"
        yield title, search_table(comparison)


def errors_table(comparison: Comparison, samples: str, budget: float) -> Table:
    """Cost and errors of every strategy, mean and deviation over seeds, and its differences.

    A difference is to the baseline's mean error, with its 95 % intervals: over photos and seeds,
    over photos alone, over seeds alone. ``*`` marks what is significant; see
    :class:`groupnas.comparison.statistics.Difference`.

    Raises:
        InputError: nothing is finished of these samples and this budget.
    """
    rows = [comparison.row(label, budget, samples) for label in comparison.strategies]
    found = [row for row in rows if row is not None]
    if not found:
        raise InputError(f"{comparison.folder}: nothing of {samples} at budget {budget:g}")
    names = [name for name in found[0].errors if name != "mean"]
    unit = "M" if comparison.measure == "mac" else comparison.measure
    against = f"to {comparison.baseline or 'none'}"
    intervals = ["95 %", "photos", "seeds"]
    head = ["strategy", "seeds", f"cost {unit}", *names, "mean", against, *intervals]
    return [head, *([*_cells(row, comparison.measure, names)] for row in found)]


def _cells(row: Row, measure: str, names: Sequence[str]) -> list[str]:
    cost = f"{row.cost / (_MEGA if measure == 'mac' else 1):,.4g}"
    errors = [_spread(row.errors[name]) for name in (*names, "mean")]
    return [row.strategy, str(len(row.seeds)), cost, *errors, *_difference(row)]


def _difference(row: Row) -> list[str]:
    if "mean" not in row.differences:
        return ["", "", "", ""]
    of = row.differences["mean"]
    mark = "*" if of.significant else ""
    return [
        f"{of.mean:+.3f} ({row.relative['mean']:+.1%}){mark}",
        f"{of.low:+.3f} .. {of.high:+.3f}",
        f"{of.photos_low:+.3f} .. {of.photos_high:+.3f}",
        "-" if of.seeds_low is None else f"{of.seeds_low:+.3f} .. {of.seeds_high:+.3f}",
    ]


def parts_table(comparison: Comparison, samples: str, budget: float) -> Table:
    """The differences of every group's error to the baseline, with 95 % intervals."""
    found = [comparison.row(label, budget, samples) for label in comparison.strategies]
    rows = [row for row in found if row is not None and row.differences]
    if not rows:
        return []
    names = list(rows[0].differences)
    return [
        [f"to {comparison.baseline}", *names],
        *([row.strategy, *(_interval(row.differences[name]) for name in names)] for row in rows),
    ]


def _interval(of: Difference) -> str:
    mark = "*" if of.significant else ""
    return f"{of.mean:+.3f} [{of.low:+.3f}, {of.high:+.3f}]{mark}"


def search_table(comparison: Comparison) -> Table:
    """What searches cost, in time and steps, and in units of one plain training."""
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


def _spread(value: Spread) -> str:
    mean, deviation = value
    return f"{mean:.3f}" if deviation is None else f"{mean:.3f} ± {deviation:.3f}"
