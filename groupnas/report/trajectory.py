"""A pruning: channels of every unit and group at some costs, and errors on the way down."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from pydantic import Field

from groupnas.errors import InputError
from groupnas.palette import INK, MUTED, PAPER, look
from groupnas.report.figure import check_suffix, save, styled
from groupnas.runs.records import Costs, Count, Finite
from groupnas.saved import Saved, read_saved

Result = Mapping[str, Any]

_WIDTH, _BARS, _ERRORS = 516 / 72, 62 / 72, 170 / 72  # inches
_PANELS = 4  # costs that are drawn as bars, the start among them
_STYLES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1, 1, 1)))


class Point(Saved):
    """A pruned network on the way."""

    cost: Annotated[Finite, Field(gt=0)]
    costs: Costs
    errors: Costs
    sizes: Annotated[dict[str, dict[str, Count]], Field(min_length=1)]


class TrajectoryResult(Saved):
    """``result.json`` of a saliency search, as far as it is drawn."""

    trajectory: Annotated[
        dict[str, Annotated[list[Point], Field(min_length=1)]], Field(min_length=1)
    ]
    validation_errors: dict[str, Costs]
    tuned_costs: dict[str, Costs]
    error_unit: str


def read_trajectory(path: str | os.PathLike[str]) -> Result:
    """Read the ``result.json`` of a saliency search.

    Raises:
        InputError: the file cannot be read, is damaged, or is another strategy's.
    """
    said = "is not the result.json of a search that pruned, or is damaged"
    result: dict[str, Any] = read_saved(path, TrajectoryResult, said=said)
    first = next(iter(result["trajectory"].values()))[0]["sizes"]
    shape = {unit: list(row) for unit, row in first.items()}
    for arm, points in result["trajectory"].items():
        for index, point in enumerate(points):
            there = {unit: list(row) for unit, row in point["sizes"].items()}
            if there != shape or len({*map(tuple, shape.values())}) != 1:
                raise InputError(
                    f"{os.fspath(path)}: trajectory.{arm}.{index}.sizes: other units or groups "
                    "than the first's; it is damaged"
                )
    tables = {
        **{
            f"trajectory.{arm}": [p["errors"] for p in ps]
            for arm, ps in result["trajectory"].items()
        },
        **{f"validation_errors.{label}": [e] for label, e in result["validation_errors"].items()},
    }
    for where, errors in tables.items():
        if any("mean" not in each for each in errors):
            raise InputError(f"{os.fspath(path)}: {where}: has no mean; it is damaged")
    return result


def plot_trajectory(result: Result, path: str | os.PathLike[str]) -> Path:
    """Draw what a pruning left at some costs, and its errors, and save it.

    Bars are the channels of every unit that are left, relative to the unit's start, cut into its
    groups. Below, lines are errors of the network while it was pruned, discs those of what was
    fine-tuned.

    Args:
        result: As :func:`read_trajectory` gives it.
        path: The picture (``.png``, ``.svg`` or ``.pdf``).

    Returns:
        ``path``.

    Raises:
        InputError: an unknown suffix, or a file that cannot be written.
    """
    check_suffix(path)
    main, points = next(iter(result["trajectory"].items()))
    chosen = _spread(points)
    with styled():
        height = len(chosen) * _BARS + _ERRORS
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        rows = figure.subplots(
            len(chosen) + 1, height_ratios=[*[_BARS] * len(chosen), _ERRORS], squeeze=True
        )
        for axes, point in zip(rows, chosen, strict=False):
            _bars(axes, points[0]["sizes"], point, main)
        units = list(points[0]["sizes"])
        rows[len(chosen) - 1].set_xticks(
            range(len(units)), units, rotation=30, ha="right", rotation_mode="anchor"
        )
        rows[0].legend(
            loc="lower right", bbox_to_anchor=(1, 1.02), ncols=6, labelcolor=INK, borderaxespad=0
        )
        _errors(rows[-1], result)
        return save(figure, path)


def _spread(points: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return some points, from first to last, in about equal steps of log cost."""
    costs = [math.log(point["cost"]) for point in points]
    wanted = [costs[0] + (costs[-1] - costs[0]) * n / (_PANELS - 1) for n in range(_PANELS)]
    nearest = [min(range(len(costs)), key=lambda i, w=w: abs(costs[i] - w)) for w in wanted]  # type: ignore[misc]
    return [points[place] for place in dict.fromkeys(nearest)]


def _bars(
    axes: Axes, start: Mapping[str, Mapping[str, int]], point: Mapping[str, Any], arm: str
) -> None:
    units = list(start)
    groups = list(start[units[0]])
    below = [0.0] * len(units)
    for index, group in enumerate(groups):
        heights = [
            100 * point["sizes"][unit][group] / max(sum(start[unit].values()), 1) for unit in units
        ]
        axes.bar(
            range(len(units)), heights, 0.86, below, color=look(index).colour, label=_words(group)
        )
        below = [a + b for a, b in zip(below, heights, strict=True)]
    axes.set_ylim(0, 100)
    axes.set_yticks([0, 50, 100])
    axes.set_xlim(-0.6, len(units) - 0.4)
    axes.set_xticks([])
    axes.grid(visible=False, axis="x")
    error = point["errors"]["mean"]
    axes.set_title(f"{arm}: cost {point['cost']:.3g}, error {error:.3g}, % of the start's channels")


def _errors(axes: Axes, result: Result) -> None:
    """Draw each arm's error on the way down, and what was fine-tuned."""
    even = _even(result)
    for index, (arm, points) in enumerate(result["trajectory"].items()):
        colour = look(index).colour
        costs = [point["cost"] for point in points]
        errors = [point["errors"]["mean"] for point in points]
        style = _STYLES[index % len(_STYLES)]
        axes.plot(costs, errors, color=colour, lw=1.0, ls=style, label=f"{arm}, pruning")
        tuned = sorted(
            (sum(result["tuned_costs"][label].values()) / even, errors["mean"])
            for label, errors in result["validation_errors"].items()
            if label.startswith(f"{arm}-") and label in result["tuned_costs"]
        )
        if tuned:
            axes.plot(
                *zip(*tuned, strict=True), "o", color=colour, ms=4.5, mfc=PAPER, mew=1.3,
                label=f"{arm}, fine-tuned",
            )  # fmt: skip
    full = result["validation_errors"].get("full")
    if full is not None:
        axes.axhline(full["mean"], color=MUTED, lw=0.8, ls=(0, (1, 2)), label="not pruned")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    low, high = axes.get_xlim()
    axes.set_xticks([c for c in (0.05, 0.1, 0.125, 0.25, 0.5, 1, 2, 4) if low <= c <= high])
    axes.set_xlim(low, high)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("cost, relative to even groups")
    axes.set_ylabel(f"validation error, {result['error_unit']}")
    axes.legend(loc="upper right", ncols=2, labelcolor=INK)


def _even(result: Result) -> float:
    """Return what even groups cost, in the measure of the run's costs."""
    point = next(iter(result["trajectory"].values()))[0]
    return float(sum(point["costs"].values()) / point["cost"])


def _words(group: str) -> str:
    return group.replace("_", " ")
