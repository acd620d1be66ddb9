"""Measurements from what there is: finished runs, comparisons, GroupBench's table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from groupnas.arrays import Floats, Integers
from groupnas.ceilings.measurements import LEAST, Measurements
from groupnas.errors import InputError
from groupnas.runs.folder import CONFIG, RESULT, RunFolder
from groupnas.runs.kinds import COMPARISON, SEARCH, expect, kind_of, refusal
from groupnas.runs.records import Finite
from groupnas.saved import Saved, read_saved

if TYPE_CHECKING:
    from groupnas.comparison.rows import Cell
    from groupnas.spaces.measure import Measure
    from groupnas.spaces.space import SearchSpace
    from groupnas.strategies.knapsack.profiles import Family
    from groupnas.tabular.bench import TabularBench

Positive = Annotated[Finite, Field(gt=0)]

_EVEN = "even"  # the strategy of a comparison whose networks are used
_FREE, _PROPORTIONAL = ("free", "depth"), ("uniform", "parts")  # arms, by what depth may do
_POINTS = 8  # of an arm: its networks are one network, smaller and smaller

_ONE_NETWORK = (
    "All errors are of one training: what another seed would change is not in the intervals."
)
_UNTUNED = (
    "Errors are of a network while it was pruned, before it was tuned: small sizes look worse than "
    "they would be once tuned, so that gains may be overstated."
)
_NO_EVEN = (
    "All sizes have the profile over depth that the search chose: what even proportions would have "
    "had is not known; run the arm uniform, too."
)


class CeilingCurve(Saved):
    """The measurements of a group in ``result.json`` of a knapsack search."""

    profiles: list[list[Annotated[float, Field(ge=-1, le=1)]]]
    errors: list[Positive]


class TrajectoryPoint(Saved):
    """A network on the way of a saliency search's pruning."""

    costs: dict[str, Positive]
    errors: dict[str, Positive]


class MeasuredResult(Saved):
    """``result.json`` of a search, as far as a ceiling is estimated from it."""

    curves: dict[str, CeilingCurve] = {}
    trajectory: dict[str, list[TrajectoryPoint]] = {}


def read_measurements(path: str | os.PathLike[str]) -> Measurements:
    """Return what a finished run measured of its groups.

    Args:
        path: The folder of a knapsack or a saliency search, or of a comparison with even groups at
            several budgets.

    Raises:
        InputError: no such run, one that has not ended, damaged files, or too few measurements.
    """
    kind = expect("ceiling", path)
    if kind is COMPARISON:
        return _of_comparison(path)
    if kind.state(path) != "finished":
        raise refusal(path, [SEARCH, COMPARISON])
    folder = RunFolder(path)
    result = read_saved(folder / RESULT, MeasuredResult)
    try:
        if result.get("curves"):
            return _of_knapsack(folder, result["curves"])
        if result.get("trajectory"):
            return _of_trajectory(folder, result["trajectory"])
    except InputError as error:
        where = str(folder.path)
        raise error if str(error).startswith(where) else InputError(f"{where}: {error}") from error
    raise InputError(
        f"{folder.path}: its strategy measures no groups at several costs; give the folder of a "
        "knapsack or saliency search, or let `groupnas ceiling --space --data` train some networks"
    )


def has_measurements(path: str | os.PathLike[str]) -> bool:
    """Return whether the folder of a run that has ended has enough of them.

    Raises:
        InputError: its files are damaged.
    """
    if kind_of(path) is COMPARISON:
        cells = _even_cells(path)
        return len(cells) >= LEAST and len({cell.piece.budget for cell in cells}) > 1
    result = read_saved(RunFolder(path) / RESULT, MeasuredResult)
    return bool(result.get("curves") or result.get("trajectory"))


def from_sizes(
    space: SearchSpace,
    family: Family,
    sizes: Mapping[str, Integers],
    errors: Mapping[str, Sequence[float]],
    training: Sequence[Any],
    by: str | Measure = "mac",
    cautions: Sequence[str] = (),
) -> Measurements:
    """Return the measurements of groups at sizes in every free unit.

    Args:
        space: The space.
        family: Which shapes over depth are told apart.
        sizes: By group: ``(T, units)`` channels.
        errors: By group: ``(T,)``.
        training: ``(T,)``, which training each row is of.
        by: Of the costs.
        cautions: See :class:`Measurements`.
    """
    from groupnas.spaces.measure import group_cost

    rows: dict[str, Any] = {"group": [], "cost": [], "error": [], "training": []}
    shapes: dict[str, list[float]] = {knob: [] for knob in family.knobs[1:]}
    for group, table in sizes.items():
        widths = (dict(zip(family.units, row, strict=True)) for row in table.tolist())
        rows["group"] += [group] * len(table)
        rows["cost"] += [float(group_cost(space, group, row, by)) for row in widths]
        rows["error"] += list(errors[group])
        rows["training"] += list(training)
        for knob, values in zip(shapes, shapes_of(family, table).T, strict=True):
            shapes[knob] += values.tolist()
    return Measurements(
        **rows,
        even=_even(space, by),
        weights={group: float(count) for group, count in space.outputs.items()},
        shapes=shapes,
        unit=_unit(by),
        cautions=tuple(cautions),
    )


def shapes_of(family: Family, sizes: Integers) -> Floats:
    """Return the knobs but the scale ``(n, knobs - 1)`` that ``(n, units)`` channels come down to.

    Of few channels, whole numbers are far from what a knob asked for. Least squares of logarithms.
    """
    logs = np.log(sizes / family.shares)
    columns = np.column_stack([np.ones(len(family.units)), family.directions.T])
    found: Floats = np.linalg.lstsq(columns, logs.T, rcond=None)[0][1:].T
    return found


def on_table(bench: TabularBench, trainings: int = 12, seed: int = 0) -> Measurements:
    """Return measurements of a benchmark's table: every training is of one seed.

    In each, every group has a size of its own: a Latin hypercube of scales and tilts for each
    group.

    Args:
        bench: The benchmark.
        trainings: So many; seeds of the table come again where there are more than it has.
        seed: Of the sizes, and of the order of the table's seeds.
    """
    from groupnas.strategies.knapsack.profiles import Family

    rng, space = np.random.default_rng(seed), bench.space()
    family = Family.of(space, "depth", 0.4, 1.6, {"tilt": 0.5})
    order = np.resize(rng.permutation(bench.seeds), trainings)
    by_seed = {int(one): bench.curves(int(one), "test") for one in set(order)}
    sizes: dict[str, Integers] = {}
    errors: dict[str, list[float]] = {}
    for group in space.groups:
        slices = [rng.permutation(trainings) for _ in family.knobs]
        wanted = family.sizes(2 * (np.stack(slices, axis=1) + 0.5) / trainings - 1)
        known = by_seed[int(order[0])][group].sizes
        sizes[group] = np.minimum(wanted, known.max(axis=0))
        rows = [int((known == size).all(axis=1).argmax()) for size in sizes[group]]
        errors[group] = [
            float(by_seed[int(one)][group].errors[row])
            for one, row in zip(order, rows, strict=True)
        ]
    return from_sizes(space, family, sizes, errors, range(trainings))


def _of_knapsack(folder: RunFolder, curves: Mapping[str, Any]) -> Measurements:
    from groupnas.engine.strategy import strategy_from
    from groupnas.runs.begin import recorded_space
    from groupnas.strategies.knapsack.profiles import Family
    from groupnas.strategies.knapsack.settings import Knapsack

    space, origin = recorded_space(folder.path), f"{folder / CONFIG}: strategy"
    strategy = strategy_from(folder.read_config().get("strategy"), origin)
    if not isinstance(strategy, Knapsack) or set(curves) != set(space.groups):
        raise InputError(f"{folder / RESULT}: is not of the search in {CONFIG}")
    ranges = {"tilt": strategy.tilt, "ratio": strategy.ratio}
    family = Family.of(space, strategy.profiles, strategy.smallest, strategy.widest, ranges)
    count = len(next(iter(curves.values()))["errors"])
    sizes = {}
    for group, curve in curves.items():
        knobs = {len(profile) for profile in curve["profiles"]}
        if {len(curve["profiles"]), len(curve["errors"])} != {count} or knobs != {
            len(family.knobs)
        }:
            raise InputError(f"{folder / RESULT}: curves.{group}: expected {count} profiles")
        sizes[group] = family.sizes(np.array(curve["profiles"]))
    one = strategy.curves == "slimmable"
    return from_sizes(
        space,
        family,
        sizes,
        {group: curve["errors"] for group, curve in curves.items()},
        [0] * count if one else range(count),
        by=strategy.budget.resolved_measure if strategy.budget else "mac",
        cautions=[_ONE_NETWORK] if one else [],
    )


def _of_trajectory(folder: RunFolder, trajectory: Mapping[str, Any]) -> Measurements:
    """Arms that keep even proportions over depth are one end of a knob, the others the other."""
    from groupnas.engine.strategy import strategy_from
    from groupnas.runs.begin import recorded_space

    space, origin = recorded_space(folder.path), f"{folder / CONFIG}: strategy"
    strategy = strategy_from(folder.read_config().get("strategy"), origin)
    by = strategy.budget.resolved_measure if strategy.budget else "mac"
    arms = {arm: rows for arm, rows in trajectory.items() if arm in (*_FREE, *_PROPORTIONAL)}
    rows: dict[str, Any] = {"group": [], "cost": [], "error": []}
    profile: list[float] = []
    for arm, points in arms.items():
        for place in np.unique(np.linspace(0, len(points) - 1, _POINTS).round().astype(int)):
            if place == 0 and profile:
                continue  # the network that all arms start from, in even proportions
            for group in space.groups:
                for name, key in (("cost", "costs"), ("error", "errors")):
                    if group not in points[place][key]:
                        raise InputError(f"{folder / RESULT}: trajectory.{arm}: {group}: missing")
                    rows[name].append(points[place][key][group])
                rows["group"].append(group)
                profile.append(float(place > 0 and arm in _FREE))
    proportional = any(arm in _PROPORTIONAL for arm in arms)
    told = proportional and any(arm in _FREE for arm in arms)
    return Measurements(
        **rows,
        training=[0] * len(profile),
        even=_even(space, by),
        weights={group: float(count) for group, count in space.outputs.items()},
        shapes={"profile": profile} if told else {},
        unit=_unit(by),
        cautions=(_UNTUNED, _ONE_NETWORK, *([] if proportional else [_NO_EVEN])),
    )


def _of_comparison(path: str | os.PathLike[str]) -> Measurements:
    from groupnas.comparison import read_comparison
    from groupnas.comparison.records import VALIDATION
    from groupnas.runs.begin import recorded_space

    found = read_comparison(path, draws=1)
    space = recorded_space(path)
    cells = [cell for cell in found.cells if cell.piece.strategy == _EVEN]
    if len({cell.piece.budget for cell in cells}) < 2:
        raise InputError(
            f"{os.fspath(path)}: has no even groups at two budgets or more; add --strategies even "
            "and --budgets to it"
        )
    rows: dict[str, Any] = {"group": [], "cost": [], "error": [], "training": []}
    for number, cell in enumerate(cells):
        errors = cell.errors[VALIDATION].means()
        for group, cost in cell.told["costs"][found.measure].items():
            if np.isfinite(errors.get(group, np.nan)):
                rows["group"].append(group)
                rows["cost"].append(cost)
                rows["error"].append(errors[group])
                rows["training"].append(number)
    try:
        return Measurements(
            **rows,
            even=_even(space, found.measure),
            weights={group: float(count) for group, count in space.outputs.items()},
            unit=_unit(found.measure),
        )
    except InputError as error:
        raise InputError(f"{os.fspath(path)}: {error}") from error


def _even_cells(path: str | os.PathLike[str]) -> list[Cell]:
    from groupnas.comparison import read_comparison

    return [c for c in read_comparison(path, draws=1).cells if c.piece.strategy == _EVEN]


def _unit(by: str | Measure) -> str:
    from groupnas.spaces.measure import measure

    found = measure(by)
    return "MACs" if found.name == "mac" else found.unit


def _even(space: SearchSpace, by: str | Measure) -> dict[str, float]:
    from groupnas.spaces.allocation import Allocation

    return {g: float(cost) for g, cost in Allocation.even(space).costs(by).items()}
