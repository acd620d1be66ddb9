"""Comparisons as tables: our own, and Tables VII to X in the PicassoNet paper's layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from groupnas.comparison.statistics import Difference
from groupnas.comparison.summary import Cell, Comparison, Row, Spread
from groupnas.errors import InputError

Table = list[list[str]]  # a header, then rows
NOTE = (
    "Mean ± standard deviation over seeds. Paired differences with 95 % intervals: bootstrap over "
    "photos and seeds, bootstrap over photos, Student's over seeds. *: the first and the last "
    "leave out 0."
)
_CONTROLS = ("even", "random", "manual", "ungrouped", "separate")
_FLGC = "flgc"
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


def paper_table(
    number: str, comparisons: Sequence[Comparison], searched: str | None = None
) -> Table:
    """A table of the PicassoNet paper, made of comparisons at their first budget.

    VII: operations of each part where searches began and where they ended. VIII: of the searched
    grouping, a row for each comparison. IX: searched, manual and random groupings. X: separate
    networks, no grouping, even and searched, with changes relative to the first. Operations are
    millions in torchstat's convention; errors are on the test faces if those were scored, else on
    the held-out ones. All numbers are means over seeds.

    Args:
        number: ``"VII"``, ``"VIII"``, ``"IX"`` or ``"X"``.
        comparisons: At least one; only VIII takes several.
        searched: The label of the searched strategy; needed where there are several.

    Raises:
        InputError: no such table, too many comparisons, or none of the strategies that it is of.
    """
    if number not in _PAPER:
        raise InputError(f"table {number!r}: choose from: {', '.join(_PAPER)}")
    if number == "VIII":
        return _table_viii(comparisons, searched)
    if len(comparisons) != 1:
        raise InputError(f"table {number}: is of one comparison, got {len(comparisons)}")
    return _PAPER[number](comparisons[0], searched)


def _table_vii(comparison: Comparison, searched: str | None) -> Table:
    rows = []
    for label in comparison.strategies:
        if not _kind(label):
            rows.append([f"{label}, initial", *_operations(comparison, label, "initial")])
        rows.append([label, *_operations(comparison, label, "found")])
    return [["grouping state", *(f"{group} (M)" for group in comparison.groups)], *rows]


def _table_viii(comparisons: Sequence[Comparison], searched: str | None) -> Table:
    groups = comparisons[0].groups
    for other in comparisons:
        if other.groups != groups:
            raise InputError(f"{other.folder}: has groups {', '.join(other.groups)}, others do not")
    return [
        ["data", *(f"{group} (M)" for group in groups)],
        *([c.task, *_operations(c, _searched(c, searched), "trained")] for c in comparisons),
    ]


def _table_ix(comparison: Comparison, searched: str | None) -> Table:
    labels = [_searched(comparison, searched), *_of_kind(comparison, "manual", "random")]
    return _errors_by_subset(comparison, labels, relative=False)


def _table_x(comparison: Comparison, searched: str | None) -> Table:
    labels = _of_kind(comparison, "separate", "ungrouped", "even")
    return _errors_by_subset(comparison, [*labels, _searched(comparison, searched)], relative=True)


_PAPER: Mapping[str, Callable[[Comparison, str | None], Table]] = {
    "VII": _table_vii,
    "VIII": lambda comparison, searched: _table_viii([comparison], searched),
    "IX": _table_ix,
    "X": _table_x,
}


def _errors_by_subset(comparison: Comparison, labels: Sequence[str], *, relative: bool) -> Table:
    """Mean errors of the best-tested set: a column for each subset, the whole set the last."""
    sets = [name for name in comparison.samples if "/" not in name]
    name = next((s for s in sets if s.startswith("test")), sets[0] if sets else "")
    columns = [s for s in comparison.samples if s.startswith(f"{name}/")] + [name]
    budget = comparison.budgets[0]
    rows: Table = []
    first: dict[str, float] = {}
    for label in dict.fromkeys(labels):
        cells = [label]
        for column in columns:
            row = comparison.row(label, budget, column)
            if row is None:
                cells.append("-")
                continue
            mean = row.errors["mean"][0]
            change = mean / first.setdefault(column, mean) - 1
            cells.append(f"{mean:.2f}" + (f" ({change:+.1%})" if relative else ""))
        rows.append(cells)
    titles = [column.removeprefix(f"{name}/") for column in columns]
    return [["grouping", *titles], *rows]


def _operations(comparison: Comparison, label: str, when: str) -> list[str]:
    """Millions of operations of every group, a mean over seeds; dashes where parts are shared."""
    cells: list[Cell] = [c for c in comparison.cells if c.piece.strategy == label]
    cells = [c for c in cells if c.piece.budget == comparison.budgets[0]]
    counts = [cell.told["flops"].get(when, {}) for cell in cells]
    return [
        f"{sum(c[group] for c in counts) / len(counts) / _MEGA:.2f}"
        if all(group in c for c in counts)
        else "-"
        for group in comparison.groups
    ]


def _of_kind(comparison: Comparison, *kinds: str) -> list[str]:
    """Labels of controls, in the order of the kinds."""
    return [label for kind in kinds for label in comparison.strategies if _kind(label) == kind]


def _kind(label: str) -> str:
    return next((kind for kind in _CONTROLS if label.startswith(kind)), "")


def _searched(comparison: Comparison, label: str | None) -> str:
    """The searched strategy: the one that is named, or the only one that is no baseline."""
    if label is not None and label in comparison.strategies:
        return label
    others = [name for name in comparison.strategies if not _kind(name)]
    if len(others) > 1:
        others = [name for name in others if not name.startswith(_FLGC)]
    if label is None and len(others) == 1:
        return others[0]
    raise InputError(
        f"{comparison.folder}: --searched: name one of the finished strategies: "
        f"{', '.join(comparison.strategies) or '(none)'}"
    )


def _spread(value: Spread) -> str:
    mean, deviation = value
    return f"{mean:.3f}" if deviation is None else f"{mean:.3f} ± {deviation:.3f}"
