"""A comparison as a picture: differences to the baseline, and error against cost."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from groupnas.comparison.statistics import LEAST_SOURCES
from groupnas.comparison.tables import counted
from groupnas.errors import InputError
from groupnas.palette import INK, MUTED, PAPER, look
from groupnas.report.figure import check_suffix, save, styled
from groupnas.spaces.measure import million

if TYPE_CHECKING:
    from groupnas.comparison import Comparison
    from groupnas.comparison.rows import FrontRow, ResultRow

_PANEL, _LINE, _FRAME = 240.0, 17.0, 74.0  # points: width of a panel, height of a line, the rest
_MARGINS = 190.0  # of each panel: labels on one side, a legend on the other
_THIN, _THICK = 0.9, 2.8
_TICK: dict[str, Any] = {"marker": "|", "ms": 4, "mew": 1.4}


def plot_comparison(
    comparison: Comparison, path: str | os.PathLike[str], samples: str | None = None
) -> Path:
    """Draw every strategy's difference to the baseline, and error against cost; save it.

    Groups have small marks of their own beneath the mean over all. Where there are several
    budgets, a second panel shows mean error against cost, with the deviation over seeds.

    Args:
        comparison: With a finished network at least.
        path: The picture (``.png``, ``.svg`` or ``.pdf``).
        samples: The set of samples; the first, the held-out ones, by default.

    Returns:
        ``path``.

    Raises:
        InputError: nothing to draw, an unknown suffix, or a file that cannot be written.
    """
    check_suffix(path)
    samples = samples or (comparison.samples[0] if comparison.samples else "")
    rows = [row for row in comparison.rows if row.samples == samples]
    if not rows:
        raise InputError(f"{comparison.folder}: nothing is finished on {samples or 'any samples'}")
    differing = [row for row in rows if row.differences]
    curves = len(comparison.budgets) > 1
    panels = int(bool(differing)) + int(curves or not differing)
    with styled():
        lines = len(differing) + len({row.budget for row in differing}) - 1
        height = max(_FRAME + _LINE * lines, 150.0)
        size = ((_PANEL + _MARGINS) * panels / 72, height / 72)
        figure = Figure(figsize=size, layout="constrained")
        axes = list(figure.subplots(1, panels, squeeze=False)[0])
        if differing:
            _draw_differences(axes[0], differing, str(comparison.baseline), samples)
        if len(axes) > bool(differing):
            ratios = {f.strategy: told for f in comparison.fronts if (told := _ratio(f, samples))}
            _draw_errors(axes[-1], rows, comparison.measure, samples, ratios)
        return save(figure, path)


def _draw_differences(axes: Axes, rows: Sequence[ResultRow], baseline: str, samples: str) -> None:
    """A forest plot: a line for each strategy and budget, budgets apart."""
    budgets = list(dict.fromkeys(row.budget for row in rows))
    places = [number + budgets.index(row.budget) for number, row in enumerate(rows)]
    for place, row in zip(places, rows, strict=True):
        mean = row.differences["mean"]
        for low, high, width in (
            (mean.low, mean.high, _THIN),
            (mean.sources_low, mean.sources_high, _THICK),
        ):
            if low is not None and high is not None:
                axes.plot([low, high], [place, place], color=INK, lw=width)
        fill = INK if mean.significant else PAPER
        axes.plot(mean.mean, place, "o", ms=4.5, mec=INK, mfc=fill, mew=0.9, zorder=4)
        groups = [name for name in row.differences if name != "mean"]
        for index, group in enumerate(groups):
            colour = look(index).colour
            axes.plot(row.differences[group].mean, place + 0.34, color=colour, **_TICK)
    axes.axvline(0, color=MUTED, lw=0.8, zorder=0)
    several = len(budgets) > 1
    labels = [f"{r.strategy}, cost {r.budget:g}" if several else r.strategy for r in rows]
    axes.set_yticks(places, labels)
    axes.set_ylim(max(places) + 0.8, -0.7)
    axes.grid(visible=False, axis="y")
    axes.set_title(f"Difference to {baseline}, {samples}")
    sure = mean.sources >= LEAST_SOURCES
    few = "" if sure else ": too few for intervals"
    axes.set_xlabel(f"{rows[0].unit}; left of 0 is better than {baseline}\n{counted(rows[0])}{few}")
    axes.legend(handles=_legend(groups, sure), loc="center left", bbox_to_anchor=(1.0, 0.5))


def _legend(groups: Sequence[str], sure: bool) -> list[Line2D]:
    """Explain the marks of the forest plot; ``sure``: whether there are intervals."""
    dot: dict[str, Any] = {"marker": "o", "ms": 4.5, "mec": INK, "mew": 0.9, "lw": 0}
    intervals = [
        Line2D([], [], color=INK, lw=_THICK, label="95 %, sources"),
        Line2D([], [], color=INK, lw=_THIN, label="95 %, sources and seeds"),
        Line2D([], [], mfc=INK, label="mean, significant", **dot),
        Line2D([], [], mfc=PAPER, label="mean, not significant", **dot),
    ]
    return [
        *(intervals if sure else [Line2D([], [], mfc=PAPER, label="mean", **dot)]),
        *(
            Line2D([], [], color=look(index).colour, label=group.replace("_", " "), lw=0, **_TICK)
            for index, group in enumerate(groups)
        ),
    ]


def _ratio(front: FrontRow, samples: str) -> str:
    """Return what a strategy costs at the baseline's error, for the legend; empty if unknown."""
    of = front.found if front.samples == samples else None
    if of is None or of.ratio is None:
        return ""
    ends = "" if of.low is None else f" [{of.low:.2f}, {of.high:.2f}]"
    return f"{of.ratio:.2f}{ends} at equal error"


def _draw_errors(
    axes: Axes,
    rows: Sequence[ResultRow],
    measure: str,
    samples: str,
    ratios: Mapping[str, str],
) -> None:
    """Mean error against cost, a curve for each strategy; of networks that did not diverge.

    ``ratios`` says of a strategy what it costs relative to the baseline.
    """
    scale, unit = (1e6, million(measure)) if million(measure) else (1.0, measure)
    strategies = list(dict.fromkeys(row.strategy for row in rows))
    apart = 0.006 * max(row.cost for row in rows) / scale
    for index, strategy in enumerate(strategies):
        mine = [r for r in rows if r.strategy == strategy and not r.diverged]
        mine.sort(key=lambda row: row.cost)
        # Costs are equal: side by side, the deviations can be told apart.
        aside = apart * (index - (len(strategies) - 1) / 2)
        axes.errorbar(
            [row.cost / scale + aside for row in mine],
            [row.errors["mean"][0] for row in mine],
            yerr=[row.errors["mean"][1] or 0.0 for row in mine],
            fmt="o-",
            ms=3,
            lw=1.1,
            elinewidth=0.8,
            capsize=2,
            color=look(index).colour,
            label="\n".join(filter(None, [strategy, ratios.get(strategy)])),
        )
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.set_title(f"Error against cost, {samples}")
    axes.set_xlabel(unit)
    axes.set_ylabel(f"{rows[0].unit}, mean and deviation over seeds")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
