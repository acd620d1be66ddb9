"""Read a comparison's folder: errors, differences to a baseline, and what searches cost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groupnas.comparison.plan import ComparisonConfig, Piece
from groupnas.comparison.records import CELL, errors_file, read_cell, seconds
from groupnas.comparison.records import steps as count_steps
from groupnas.comparison.rows import Cell, ResultRow, SearchCost
from groupnas.comparison.samples import SampleErrors
from groupnas.comparison.statistics import Difference, paired_differences, spread
from groupnas.comparison.tables import Comparison
from groupnas.engine.missing import known_counts, known_means
from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.runs.folder import CONFIG, RESULT, RunFolder
from groupnas.runs.kinds import COMPARISON
from groupnas.schema import validate
from groupnas.values import whole

BASELINE = "even"


def read_comparison(
    path: str | os.PathLike[str],
    baseline: str | None = None,
    *,
    draws: int = 10_000,
    on_damage: Callable[[InputError], None] | None = None,
) -> Comparison:
    """Read a comparison's folder, finished or not.

    Args:
        path: The folder.
        baseline: The label of the strategy that others are compared with; ``even`` by default, and
            then it may be missing.
        draws: Of the bootstrap, which is seeded: the same folder gives the same intervals.
        on_damage: Told what is wrong with a trained network's files; that network then counts as
            missing. By default it is raised.

    Raises:
        InputError: no comparison there, a damaged file, or no such strategy.
    """
    draws = whole("draws", draws, 1)
    folder = RunFolder(path)
    config = validate(
        ComparisonConfig, COMPARISON.read(folder.path), f"{folder / CONFIG}: is damaged"
    )
    labels, seeds, budgets = list(config.strategies), config.seeds, config.budgets
    measure = config.measure
    if baseline is not None and baseline not in labels:
        raise InputError(f"{folder.path}: baseline {baseline!r}: {nearest(baseline, labels)}")
    trainings = [Piece(label, seed, b) for b in budgets for label in labels for seed in seeds]
    cells = []
    for piece in trainings:
        try:
            cell = _read_cell(folder.path, piece, measure, config.groups)
        except InputError as error:
            if on_damage is None:
                raise
            on_damage(error)
        else:
            cells += [cell] if cell else []
    finished = {cell.piece for cell in cells}
    against = baseline or (BASELINE if BASELINE in labels else None)
    return Comparison(
        folder=folder.path,
        task=config.task.name,
        groups=tuple(config.groups),
        measure=measure,
        baseline=against,
        rows=tuple(_rows(cells, measure, against, draws)),
        searches=tuple(_search_costs(folder.path, labels, seeds, cells, against)),
        cells=tuple(cells),
        missing=tuple(piece for piece in trainings if piece not in finished),
    )


def _read_cell(out: Path, piece: Piece, measure: str, groups: Sequence[str]) -> Cell | None:
    folder = out / piece.folder
    if not (folder / CELL).is_file():
        return None
    told = read_cell(folder)
    if (own := Piece(told["strategy"], told["seed"], told["budget"])) != piece:
        raise InputError(f"{folder / CELL}: is of {own}, not of {piece}; remove it and resume")
    if measure not in told["costs"]:
        raise InputError(f"{folder / CELL}: costs.{measure}: missing; remove it and resume")
    errors = {name: SampleErrors.load(folder / errors_file(name)) for name in told["errors"]}
    for name, found in errors.items():
        if set(found.groups) != set(groups):
            raise InputError(
                f"{folder / errors_file(name)}: has errors of {', '.join(found.groups)}, the "
                f"comparison is of {', '.join(groups)}; remove it and resume"
            )
    return Cell(piece=piece, told=told, errors=errors)


def _rows(
    cells: Sequence[Cell], measure: str, baseline: str | None, draws: int
) -> Iterator[ResultRow]:
    """A row for every budget, set, subset and strategy that has a finished network."""
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

    def seeds(self, strategy: str) -> list[int]:
        return [seed for label, seed in self.cells if label == strategy]

    def row(self, strategy: str, measure: str, baseline: str | None, draws: int) -> ResultRow:
        seeds = self.seeds(strategy)
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
        """Differences and relative ones; none where a network diverged, as no mean holds that."""
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
    """Errors that are infinite where a sample shows a part and they are not finite."""
    errors = np.where(np.isfinite(found.errors), found.errors, np.where(shown, np.inf, np.nan))
    return replace(found, errors=errors)


def _search_costs(
    out: Path,
    labels: Sequence[str],
    seeds: Sequence[int],
    cells: Sequence[Cell],
    baseline: str | None,
) -> Iterator[SearchCost]:
    """Of every strategy with a finished search; needs a training to measure by."""
    plain = [cell for cell in cells if cell.piece.strategy == baseline] or list(cells)
    plain = [cell for cell in plain if cell.piece.budget == plain[0].piece.budget]
    if not plain:
        return
    training = float(np.mean([cell.told["seconds"] for cell in plain]))
    training_steps = float(np.mean([cell.told["steps"] for cell in plain]))
    for label in labels:
        folders = [RunFolder(out / Piece(label, seed).folder) for seed in seeds]
        folders = [folder for folder in folders if (folder / RESULT).is_file()]
        if not folders:
            continue
        took = float(np.mean([seconds(folder) for folder in folders]))
        steps = float(np.mean([count_steps(folder) for folder in folders]))
        yield SearchCost(
            strategy=label,
            seconds=took,
            steps=steps,
            trainings=took / training if training else 0.0,
            training_steps=steps / training_steps if training_steps else 0.0,
        )
