"""The rows of a comparison, and what its searches cost, from its trained networks; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from groupnas.comparison.plan import Piece
from groupnas.comparison.rows import Cell, ResultRow, SearchCost, SearchTold
from groupnas.comparison.samples import SampleErrors
from groupnas.comparison.statistics import Difference, paired_differences, spread
from groupnas.engine.missing import known_counts, known_means
from groupnas.errors import InputError


def result_rows(
    cells: Sequence[Cell], measure: str, baseline: str | None, draws: int
) -> Iterator[ResultRow]:
    """Yield a row for every budget, set, subset and strategy that has a finished network."""
    for budget in dict.fromkeys(cell.piece.budget for cell in cells):
        here = [cell for cell in cells if cell.piece.budget == budget]
        for name in dict.fromkeys(name for cell in here for name in cell.errors):
            having = [cell for cell in here if name in cell.errors]
            for subset in (None, *having[0].errors[name].subsets):
                tables = _Tables(having, name, subset)
                if not tables.columns:  # no sample, or none that shows anything
                    continue
                for strategy in dict.fromkeys(cell.piece.strategy for cell in having):
                    yield tables.row(strategy, measure, baseline, draws)


class _Tables:
    """The errors of all networks of one budget on one set of samples, or a subset of it."""

    def __init__(self, cells: Sequence[Cell], name: str, subset: str | None) -> None:
        self.first = cells[0].errors[name]
        for cell in cells:
            other = cell.errors[name]
            if other.groups != self.first.groups or not np.array_equal(
                other.sources, self.first.sources
            ):
                raise InputError(
                    f"{cell.piece}: its errors on {name!r} are not of the same samples as those "
                    f"of {cells[0].piece}; compare them in a new folder"
                )
        self.cells = {(cell.piece.strategy, cell.piece.seed): cell for cell in cells}
        self.name = name if subset is None else f"{name}/{subset}"
        self.sources = self.first.sources_of(subset)
        # A sample shows what any network has an error of: one that has none there diverged.
        shown = np.any([~np.isnan(cell.errors[name].errors) for cell in cells], axis=0)
        rows = slice(None) if subset is None else self.first.subsets[subset]
        self.tables = {
            key: _told(cell.errors[name], shown).table()[rows] for key, cell in self.cells.items()
        }
        counts = known_counts(next(iter(self.tables.values()))).tolist()
        self.counts = dict(zip(self.first.columns, counts, strict=True))
        self.columns = [name for name, count in self.counts.items() if count]

    def row(self, strategy: str, measure: str, baseline: str | None, draws: int) -> ResultRow:
        seeds = [seed for label, seed in self.cells if label == strategy]
        cells = [self.cells[strategy, seed] for seed in seeds]
        means = np.stack([known_means(self.tables[strategy, seed]) for seed in seeds])
        diverged = tuple(seed for seed in seeds if np.isinf(self.tables[strategy, seed]).any())
        differences: dict[str, Difference] = {}
        relative: dict[str, float] = {}
        shared = [s for s in seeds if baseline is not None and (baseline, s) in self.cells]
        if shared and strategy != baseline:
            differences, relative = self._differences(strategy, str(baseline), shared, draws)
        costs = [sum(cell.told["costs"][measure].values()) for cell in cells]
        budget = cells[0].piece.budget
        assert budget is not None
        return ResultRow(
            strategy=strategy,
            budget=budget,
            samples=self.name,
            count=len(self.sources),
            sources=len(set(self.sources.tolist())),
            counts=self.counts,
            seeds=tuple(seeds),
            diverged=diverged,
            cost=float(np.mean(costs)),
            unit=self.first.unit,
            errors={
                name: spread(means[:, k].tolist())
                for k, name in enumerate(self.first.columns)
                if name in self.columns
            },
            differences=differences,
            relative=relative,
        )

    def _differences(
        self, strategy: str, baseline: str, seeds: Sequence[int], draws: int
    ) -> tuple[dict[str, Difference], dict[str, float]]:
        """Return differences and relative ones; none where a network diverged."""
        mine = np.stack([self.tables[strategy, seed] for seed in seeds])
        other = np.stack([self.tables[baseline, seed] for seed in seeds])
        if np.isinf(mine).any() or np.isinf(other).any():
            return {}, {}
        found = paired_differences(mine, other, self.sources.tolist(), draws=draws)
        named = zip(self.first.columns, found, strict=True)
        differences = {name: of for name, of in named if of is not None}
        means = np.mean([known_means(table) for table in other], axis=0).tolist()
        base = dict(zip(self.first.columns, means, strict=True))
        return differences, {n: of.mean / base[n] for n, of in differences.items() if base[n]}


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
        took = float(np.mean([told.seconds for told in mine]))
        steps = float(np.mean([told.steps for told in mine]))
        yield SearchCost(
            strategy=label,
            seconds=took,
            steps=steps,
            trainings=took / training if training else 0.0,
            training_steps=steps / training_steps if training_steps else 0.0,
        )
