"""A knapsack search's curves: each group's error against its operations, and the choice made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from pydantic import Field

from groupnas.errors import InputError
from groupnas.palette import INK, MUTED, PAPER, look
from groupnas.report.figure import check_suffix, save, styled
from groupnas.runs.records import Costs, Finite
from groupnas.saved import Saved, read_saved

Result = Mapping[str, Any]

_SIZE = (360 / 72, 240 / 72)  # inches
_COLUMN = (252 / 72, 210 / 72)  # a paper's column
_UNITS = ((1e9, "billion "), (1e6, "million "), (1e3, "thousand "), (1.0, ""))


class FittedPoint(Saved):
    """A point of a line."""

    macs: Annotated[Finite, Field(gt=0)]
    error: Finite


class PartCurve(Saved):
    """The measurements of a group, and the line through them."""

    macs: Annotated[list[Annotated[Finite, Field(gt=0)]], Field(min_length=1)]
    errors: list[Finite]
    fitted: Annotated[list[FittedPoint], Field(min_length=1)]


class Predicted(Saved):
    """The errors that the lines promise."""

    even: Costs
    found: Costs


class CurvesResult(Saved):
    """``result.json`` of a knapsack search, as far as it is drawn."""

    curves: Annotated[dict[str, PartCurve], Field(min_length=1)]
    macs_before: Costs
    macs_after: Costs
    predicted: Predicted
    error_unit: str


def read_curves(path: str | os.PathLike[str]) -> Result:
    """The ``result.json`` of a knapsack search.

    Raises:
        InputError: the file cannot be read, is damaged, or is another strategy's.
    """
    said = "is not the result.json of a knapsack search, or is damaged"
    result: dict[str, Any] = read_saved(path, CurvesResult, said=said)
    for group, curve in result["curves"].items():
        tables = {
            "macs_before": result["macs_before"],
            "macs_after": result["macs_after"],
            **{f"predicted.{key}": table for key, table in result["predicted"].items()},
        }
        for name, table in tables.items():
            if group not in table:
                raise InputError(f"{os.fspath(path)}: {name}.{group}: missing")
        if len(curve["macs"]) != len(curve["errors"]):
            raise InputError(f"{os.fspath(path)}: curves.{group}: macs and errors differ in number")
    return result


def plot_curves(result: Result, path: str | os.PathLike[str], *, column: bool = False) -> Path:
    """Draw every part's error against its MACs (the paper's Fig. 2), and save it.

    Points are what was measured, lines the fitted error of the best shape at every cost, rings
    what even groups have, and discs what the budget was best spent on.

    Args:
        result: As :func:`read_curves` gives it.
        path: The picture (``.png``, ``.svg`` or ``.pdf``).
        column: Fit a paper's column: the legend below, and no title, which the caption is.

    Returns:
        ``path``.

    Raises:
        InputError: an unknown suffix, or a file that cannot be written.
    """
    check_suffix(path)
    with styled():
        figure = Figure(figsize=_COLUMN if column else _SIZE, layout="constrained")
        axes = figure.subplots()
        most = max(max(curve["macs"]) for curve in result["curves"].values())
        scale, word = next(unit for unit in _UNITS if most >= unit[0] or unit[0] == 1)
        for index, (group, curve) in enumerate(result["curves"].items()):
            colour = look(index).colour
            macs = [cost / scale for cost in curve["macs"]]
            axes.plot(macs, curve["errors"], ".", color=colour, ms=4, alpha=0.45, mew=0)
            line = [(p["macs"] / scale, p["error"]) for p in curve["fitted"]]
            axes.plot(*zip(*line, strict=True), color=colour, lw=1.4, label=_words(group))
            for which, when, fill in (("even", "before", PAPER), ("found", "after", colour)):
                place = result[f"macs_{when}"][group] / scale
                error = result["predicted"][which][group]
                axes.plot(place, error, "o", color=colour, mfc=fill, ms=5, mew=1.2, zorder=4)
        _limit(axes, result)
        _label(axes, f"{word}MACs of the part", result["error_unit"])
        if column:
            figure.legend(*_signs(axes), loc="outside lower center", ncols=4, labelcolor=INK)
        else:
            axes.set_title("What each part gains from its operations")
            axes.legend(*_signs(axes), loc="upper right", ncols=2, labelcolor=INK)
        return save(figure, path)


def _limit(axes: Axes, result: Result) -> None:
    """Leave out what lies far above the lines: a few sizes that did not train."""
    lines = [point["error"] for curve in result["curves"].values() for point in curve["fitted"]]
    measured = [error for curve in result["curves"].values() for error in curve["errors"]]
    top = min(max(*measured, *lines), 1.5 * max(lines))
    least = min(*measured, *lines)
    axes.set_ylim(least - 0.05 * (top - least), top + 0.25 * (top - least))  # room for the legend


def _label(axes: Axes, costs: str, unit: str) -> None:
    axes.set_xlabel(costs)
    axes.set_ylabel(f"validation error, {unit}")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _signs(axes: Axes) -> tuple[list[Any], list[str]]:
    """Return the legend's entries: a line for each group, and the meaning of its marks."""
    parts, names = axes.get_legend_handles_labels()
    signs = [
        Line2D([], [], marker="o", ls="", color=MUTED, mfc=PAPER, ms=5, mew=1.2),
        Line2D([], [], marker="o", ls="", color=MUTED, ms=5),
        Line2D([], [], marker=".", ls="", color=MUTED, ms=4, mew=0),
    ]
    return [*parts, *signs], [*names, "even groups", "allocated", "measured"]


def _words(group: str) -> str:
    return group.replace("_", " ")
