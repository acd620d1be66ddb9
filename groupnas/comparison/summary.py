"""What a comparison's folder says: errors, differences to a baseline, and what searches cost."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groupnas.comparison.plan import ComparisonConfig, Piece
from groupnas.comparison.records import CELL, VALIDATION, errors_file, read_cell, seconds
from groupnas.comparison.records import steps as count_steps
from groupnas.comparison.samples import SampleErrors
from groupnas.comparison.statistics import Difference, paired_differences, spread
from groupnas.engine.missing import known_counts, known_means
from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.runs.folder import CONFIG, RESULT, RunFolder
from groupnas.runs.kinds import COMPARISON
from groupnas.schema import validate
from groupnas.values import whole

BASELINE = "even"
Spread = tuple[float, float | None]  # mean and standard deviation over seeds


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One trained network: its piece, what ``cell.json`` says, and its errors by set."""

    piece: Piece
    told: Mapping[str, Any] = field(repr=False)
    errors: Mapping[str, SampleErrors] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A strategy at one budget on one set of samples, over its seeds.

    Attributes:
        strategy: Its label.
        budget: Relative to even groups.
        samples: The set, and its subset if it is one: ``"validation"``, ``"test/common"``.
        count: Samples in it.
        photos: That those are from.
        counts: Samples that show each group, and any at all, which is called ``mean``.
        seeds: That are finished.
        diverged: Those of them whose network has errors that are not finite: its mean is infinite,
            and there are no differences to it.
        cost: Of the network, in the comparison's measure; mean over seeds.
        unit: Of the errors.
        errors: Mean and standard deviation over seeds, of every group that a sample shows and of
            ``mean``.
        differences: To the baseline with the same budget, over the seeds that both have; none for
            the baseline itself, where there is none, or where one of both diverged.
        relative: Those differences in units of the baseline's error, where that is not 0.
    """

    strategy: str
    budget: float
    samples: str
    count: int
    photos: int
    counts: Mapping[str, int]
    seeds: tuple[int, ...]
    diverged: tuple[int, ...]
    cost: float
    unit: str
    errors: Mapping[str, Spread]
    differences: Mapping[str, Difference] = field(repr=False)
    relative: Mapping[str, float] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON holds it, which knows no infinity: ``None``."""
        return {
            **{key: value for key, value in vars(self).items() if key != "differences"},
            "counts": dict(self.counts),
            "seeds": list(self.seeds),
            "diverged": list(self.diverged),
            "errors": {
                name: {"mean": mean if math.isfinite(mean) else None, "deviation": deviation}
                for name, (mean, deviation) in self.errors.items()
            },
            "differences": {name: d.to_dict() for name, d in self.differences.items()},
        }


@dataclass(frozen=True, kw_only=True)
class SearchCost:
    """What the searches of a strategy took, a mean over seeds.

    Attributes:
        strategy: Its label.
        seconds: Of the CPU, in all epochs.
        steps: Of optimisers.
        trainings: The seconds in units of one plain training, the baseline's.
        training_steps: The steps in units of that training's.
    """

    strategy: str
    seconds: float
    steps: float
    trainings: float
    training_steps: float


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
    """

    folder: Path
    task: str
    groups: tuple[str, ...]
    measure: str
    baseline: str | None
    rows: tuple[Row, ...]
    searches: tuple[SearchCost, ...]
    cells: tuple[Cell, ...]
    missing: tuple[Piece, ...]

    def __repr__(self) -> str:
        missing = f", {len(self.missing)} missing" if self.missing else ""
        return (
            f"Comparison({str(self.folder)!r}: {', '.join(self.strategies) or 'nothing'} on "
            f"{self.task}; {len(self.cells)} networks{missing})"
        )

    def __str__(self) -> str:
        from groupnas.comparison.tables import as_text

        return as_text(self)

    @property
    def samples(self) -> tuple[str, ...]:
        """The sets of samples and their subsets."""
        return tuple(dict.fromkeys(row.samples for row in self.rows))

    @property
    def budgets(self) -> tuple[float, ...]:
        """Those of finished networks."""
        return tuple(dict.fromkeys(row.budget for row in self.rows))

    @property
    def strategies(self) -> tuple[str, ...]:
        """Those with finished networks."""
        return tuple(dict.fromkeys(row.strategy for row in self.rows))

    def row(self, strategy: str, budget: float, samples: str = VALIDATION) -> Row | None:
        """A row, if that is finished."""
        key = (strategy, budget, samples)
        return next((r for r in self.rows if (r.strategy, r.budget, r.samples) == key), None)

    def to_dict(self) -> dict[str, Any]:
        """Everything but single samples, as JSON holds it."""
        return {
            "task": self.task,
            "groups": list(self.groups),
            "measure": self.measure,
            "baseline": self.baseline,
            "rows": [row.to_dict() for row in self.rows],
            "searches": [vars(cost) for cost in self.searches],
            "networks": [_finite(dict(cell.told)) for cell in self.cells],
            "missing": [str(piece) for piece in self.missing],
        }


def _finite(value: Any) -> Any:
    """The value as JSON can hold it: ``None`` for numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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


def _rows(cells: Sequence[Cell], measure: str, baseline: str | None, draws: int) -> Iterator[Row]:
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
        self.photos = self.first.photos(subset)
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

    def row(self, strategy: str, measure: str, baseline: str | None, draws: int) -> Row:
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
        return Row(
            strategy=strategy,
            budget=budget,
            samples=self.name,
            count=len(self.photos),
            photos=len(set(self.photos.tolist())),
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
        found = paired_differences(mine, other, self.photos.tolist(), draws=draws)
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
