"""The rows of a comparison, and what its searches cost, from its trained networks; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from groupnas.comparison.fronts import CostRatio, cost_ratio
from groupnas.comparison.plan import Piece
from groupnas.comparison.rows import Cell, FrontRow, ResultRow, SearchCost, SearchTold
from groupnas.comparison.samples import SampleErrors
from groupnas.comparison.statistics import (
    LEAST_SOURCES,
    Difference,
    holm,
    paired_differences,
    spread,
)
from groupnas.engine.missing import known_counts, known_means
from groupnas.errors import InputError


def result_rows(
    cells: Sequence[Cell], measure: str, baseline: str | None, draws: int
) -> Iterator[ResultRow]:
    """Yield a row for every budget, set, subset and strategy that has a finished network.

    Differences at one budget on one set are corrected for the number of strategies.
    """
    for budget in dict.fromkeys(cell.piece.budget for cell in cells):
        here = [cell for cell in cells if cell.piece.budget == budget]
        for tables in _sets(here):
            strategies = dict.fromkeys(label for label, _, _ in tables.cells)
            rows = [tables.row(label, measure, baseline, draws) for label in strategies]
            yield from _corrected(rows)


def front_rows(
    cells: Sequence[Cell], measure: str, baseline: str | None, draws: int
) -> Iterator[FrontRow]:
    """Yield a row for every set, subset and strategy that can be held against the baseline."""
    for tables in _sets(cells):
        strategies = dict.fromkeys(label for label, _, _ in tables.cells)
        if baseline in strategies:
            yield from (
                tables.front(label, measure, str(baseline), draws)
                for label in strategies
                if label != baseline
            )


def _sets(cells: Sequence[Cell]) -> Iterator[_Tables]:
    """Yield the errors on each set of samples and each subset that shows anything."""
    for name in dict.fromkeys(name for cell in cells for name in cell.errors):
        having = [cell for cell in cells if name in cell.errors]
        for subset in (None, *having[0].errors[name].subsets):
            tables = _Tables(having, name, subset)
            if tables.columns:
                yield tables


def _corrected(rows: Sequence[ResultRow]) -> Iterator[ResultRow]:
    """Yield rows of one budget and set, their differences corrected for the number of rows."""
    names = dict.fromkeys(name for row in rows for name in row.differences)
    found = {
        name: holm({r.strategy: r.differences[name] for r in rows if name in r.differences})
        for name in names
    }
    for row in rows:
        yield replace(row, differences={k: found[k][row.strategy] for k in row.differences})


class _Tables:
    """The errors of networks on one set of samples, or a subset of it.

    Networks of one seed have the same samples; other seeds may have others.
    """

    def __init__(self, cells: Sequence[Cell], name: str, subset: str | None) -> None:
        self.first = cells[0].errors[name]
        self.cells = {_key(cell): cell for cell in cells}
        self.name = name if subset is None else f"{name}/{subset}"
        of_seed: dict[int, Cell] = {}
        alike: dict[bytes, list[Cell]] = {}
        for cell in cells:
            mine = cell.errors[name]
            one = of_seed.setdefault(cell.piece.seed, cell)
            if (
                mine.groups != self.first.groups
                or mine.subsets.keys() != self.first.subsets.keys()
                or not np.array_equal(mine.sources, one.errors[name].sources)
            ):
                raise InputError(
                    f"{cell.piece}: its errors on {name!r} are not of the same samples as those "
                    f"of {one.piece}; compare them in a new folder"
                )
            alike.setdefault(mine.sources.tobytes(), []).append(cell)
        self.varied = len(alike) > 1
        self.sources = {s: cell.errors[name].sources_of(subset) for s, cell in of_seed.items()}
        self.tables = {}
        for group in alike.values():
            # A sample shows what any network has an error of: one that has none there diverged.
            shown = np.any([~np.isnan(cell.errors[name].errors) for cell in group], axis=0)
            for cell in group:
                self.tables[_key(cell)] = _told(cell.errors[name], shown).table(subset)
        counts = np.min([known_counts(table) for table in self.tables.values()], axis=0).tolist()
        self.counts = dict(zip(self.first.columns, counts, strict=True))
        self.columns = [name for name, count in self.counts.items() if count]

    def row(self, strategy: str, measure: str, baseline: str | None, draws: int) -> ResultRow:
        """Return the row of a strategy, where all networks are of one budget."""
        keys = [key for key in self.cells if key[0] == strategy]
        budget, seeds = keys[0][1], [seed for _, _, seed in keys]
        means = np.stack([known_means(self.tables[key]) for key in keys])
        diverged = tuple(key[2] for key in keys if np.isinf(self.tables[key]).any())
        differences: dict[str, Difference] = {}
        relative: dict[str, float] = {}
        shared = [s for s in seeds if (baseline, budget, s) in self.cells]
        if shared and strategy != baseline:
            differences, relative = self._differences(
                [(strategy, budget, seed) for seed in shared],
                [(str(baseline), budget, seed) for seed in shared],
                draws,
            )
        names = [self.sources[seed] for seed in seeds]
        return ResultRow(
            strategy=strategy,
            budget=budget,
            samples=self.name,
            count=min(map(len, names)),
            sources=len({name for of in names for name in of.tolist()}),
            counts=self.counts,
            seeds=tuple(seeds),
            diverged=diverged,
            cost=float(np.mean([_cost(self.cells[key], measure) for key in keys])),
            unit=self.first.unit,
            errors={
                name: spread(means[:, k].tolist())
                for k, name in enumerate(self.first.columns)
                if name in self.columns
            },
            differences=differences,
            relative=relative,
            varied=self.varied,
        )

    def _differences(
        self, mine: Sequence[_Key], other: Sequence[_Key], draws: int
    ) -> tuple[dict[str, Difference], dict[str, float]]:
        """Return differences and relative ones; none where a network diverged."""
        ours, theirs = ([self.tables[key] for key in keys] for keys in (mine, other))
        if any(np.isinf(table).any() for table in (*ours, *theirs)):
            return {}, {}
        sources = [self.sources[seed].tolist() for _, _, seed in mine]
        found = paired_differences(ours, theirs, sources, draws=draws)
        named = zip(self.first.columns, found, strict=True)
        differences = {name: of for name, of in named if of is not None}
        means = np.mean([known_means(table) for table in theirs], axis=0).tolist()
        base = dict(zip(self.first.columns, means, strict=True))
        return differences, {n: of.mean / base[n] for n, of in differences.items() if base[n]}

    def front(self, strategy: str, measure: str, baseline: str, draws: int) -> FrontRow:
        """Return what a strategy costs at the baseline's error, or why that cannot be told."""
        pair = strategy, baseline
        grids = [self._grid(label) for label in pair]
        shared = [seed for seed in grids[0][1] if seed in grids[1][1]]
        short = [label for label, (budgets, _) in zip(pair, grids, strict=True) if len(budgets) < 2]
        found, why = None, ""
        if short:
            why = f"{short[0]} has one budget only; a front takes two and more"
        elif not shared:
            why = "no seed is finished at all budgets of both"
        else:
            errors, costs = [], []
            for label, (budgets, _) in zip(pair, grids, strict=True):
                keys = [[(label, budget, seed) for budget in budgets] for seed in shared]
                errors.append(
                    [np.stack([self.tables[k][:, -1] for k in of], axis=1) for of in keys]
                )
                told = [[_cost(self.cells[key], measure) for key in of] for of in keys]
                costs.append(np.mean(told, axis=0))
            if all(np.isfinite(m := known_means(t)).all() and m.all() for of in errors for t in of):
                sources = [self.sources[seed].tolist() for seed in shared]
                found = cost_ratio(errors[0], errors[1], costs[0], costs[1], sources, draws=draws)
                why = _missing(found, *pair)
            else:
                why = "a network diverged, or has no error at all"
        unit = self.first.unit
        return FrontRow(strategy=strategy, samples=self.name, unit=unit, found=found, why=why)

    def _grid(self, strategy: str) -> tuple[list[float], list[int]]:
        """Return the budgets of a strategy, and the seeds that are finished at all of them."""
        mine = [key for key in self.cells if key[0] == strategy]
        budgets = list(dict.fromkeys(budget for _, budget, _ in mine))
        seeds = dict.fromkeys(seed for _, _, seed in mine)
        done = [s for s in seeds if all((strategy, b, s) in self.cells for b in budgets)]
        return budgets, done


_Key = tuple[str, float, int]  # strategy, budget, seed


def _key(cell: Cell) -> _Key:
    piece = cell.piece
    assert piece.budget is not None
    return piece.strategy, piece.budget, piece.seed


def _cost(cell: Cell, measure: str) -> float:
    return float(sum(cell.told["costs"][measure].values()))


def _missing(found: CostRatio, strategy: str, baseline: str) -> str:
    """Say what a ratio lacks."""
    if found.ratio is None:
        less, more = (strategy, baseline) if found.below else (baseline, strategy)
        return f"fronts share no error: {less} has less at its cheapest than {more} at its dearest"
    if found.low is not None:
        return ""
    if found.sources < LEAST_SOURCES:
        return f"no interval of fewer than {LEAST_SOURCES} sources"
    if found.seeds < 2:
        return "no interval of one seed"
    return f"no interval: in {1 - found.overlap:.0%} of the draws fronts share no error"


def _told(found: SampleErrors, shown: NDArray[np.bool_]) -> SampleErrors:
    """Return the errors, infinite where a sample shows a group and they are not finite."""
    errors = np.where(np.isfinite(found.errors), found.errors, np.where(shown, np.inf, np.nan))
    return replace(found, errors=errors)


def search_costs(
    searches: Mapping[Piece, SearchTold], cells: Sequence[Cell], baseline: str | None
) -> Iterator[SearchCost]:
    """Yield the cost of every strategy with a finished search; none before a training ended."""
    plain = [cell for cell in cells if cell.piece.strategy == baseline] or list(cells)
    plain = [cell for cell in plain if cell.piece.budget == plain[0].piece.budget]
    if not plain:
        return
    training = float(np.mean([cell.told["seconds"] for cell in plain]))
    training_steps = float(np.mean([cell.told["steps"] for cell in plain]))
    for label in dict.fromkeys(piece.strategy for piece in searches):
        mine = [told for piece, told in searches.items() if piece.strategy == label]
        own = [cell for cell in cells if cell.piece.strategy == label]
        took = float(np.mean([told.seconds for told in mine]))
        steps = float(np.mean([told.steps for told in mine]))
        yield SearchCost(
            strategy=label,
            seconds=took,
            steps=steps,
            trainings=took / training if training else 0.0,
            training_steps=steps / training_steps if training_steps else 0.0,
            inherited=any(cell.told.get("inherited") is True for cell in own),
        )
