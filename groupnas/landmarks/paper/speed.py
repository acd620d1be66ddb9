"""Accuracy against time, published and measured (Fig. 6)."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from groupnas.accountant import flops
from groupnas.landmarks.paper.counted import CONVENTION
from groupnas.landmarks.paper.definition import FigureDefinition, load_published
from groupnas.landmarks.paper.runs import Runs
from groupnas.palette import MUTED, PAPER, WARNING, look
from groupnas.report.figure import save, styled
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import load_space

COLUMN = 252.0  # points
_MODEL = "cascade"  # what a timing calls ours
_PUBLISHED, _OURS = look(0).colour, look(2).colour
_LEAST_AREA, _AREA_PER_G = 14.0, 14.0  # square points


def plot_speed(_: str, definition: FigureDefinition, runs: Runs, path: Path) -> None:
    """Draw the published networks hollow and ours filled; says so where ours is not measured."""
    table = load_published().tables[str(definition.published)]
    with styled():
        figure = Figure(figsize=(COLUMN / 72, COLUMN * 0.72 / 72), layout="constrained")
        axes = figure.subplots()
        for row in table.rows:
            accuracy, time, giga = map(float, row.texts)
            _circle(axes, (time, accuracy, giga), row.label[0], PAPER, _PUBLISHED)
        auc, latency, machine = measured(definition, runs)
        missing = [
            name
            for name, figure_ in ((f"AUC on {definition.data}", auc), ("time", latency))
            if figure_ is None
        ]
        if auc is not None and latency is not None:
            _circle(axes, (latency, auc, _operations()), "here", _OURS, _OURS)
            note, colour = f"filled: {machine}, one thread", MUTED
        else:
            note, colour = f"here: not measured ({', '.join(missing)})", WARNING
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.margins(0.3, 0.28)
        axes.set_xlabel("milliseconds of one face")
        axes.set_ylabel(f"AUC at 0.1 on {str(definition.data).upper()}")
        axes.text(0.02, 0.02, note, transform=axes.transAxes, color=colour, fontsize=6)
    save(figure, path)


def measured(definition: FigureDefinition, runs: Runs) -> tuple[float | None, float | None, str]:
    """Return what our own circle shows.

    Returns:
        AUC on all test faces of the figure's data, milliseconds of the model that timings call
        ``cascade``, and where those were measured; ``None`` where no run has it.
    """
    aucs = [
        auc
        for one in runs.evaluations
        if (one.data, one.split) == (definition.data, "test")
        if (auc := one.told["scores"].get("full", {}).get("cascade", {}).get("auc")) is not None
    ]
    times = [
        (row["timing"]["median"], told["machine"])
        for told in (timed.told for timed in runs.benches)
        for row in told["rows"]
        if (row["model"], row["batch"], row["threads"]) == (_MODEL, 1, 1)
    ]
    latency, machine = times[0] if times else (None, "")
    return (aucs[0] if aucs else None), latency, machine


def _operations() -> float:
    """Billions, of both networks with even groups."""
    spaces = [load_space(name) for name in ("picasso_global:98", "picasso_local:98")]
    tables = [flops(Allocation.even(space), CONVENTION) for space in spaces]
    return sum(table.total for table in tables) / 1e9


def _circle(axes: Axes, at: tuple[float, float, float], label: str, fill: str, colour: str) -> None:
    latency, auc, giga = at
    area = _LEAST_AREA + _AREA_PER_G * giga
    axes.scatter(latency, auc, s=area, facecolor=fill, edgecolor=colour, linewidth=1.1, zorder=3)
    axes.annotate(
        f"{label}, {giga:.3g} G",
        (latency, auc),
        xytext=(0, area**0.5 / 2 + 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=6.5,
    )
