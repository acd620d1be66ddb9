"""Errors against costs of several models: which are worth what they take."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from groupnas.errors import InputError
from groupnas.palette import MUTED, look
from groupnas.report.figure import check_suffix, save, styled

_WIDTH, _HEIGHT = 252.0, 200.0  # points, of a panel


@dataclass(frozen=True)
class FrontPoint:
    """A model's error and what it takes.

    Attributes:
        name: Its own.
        error: On the same samples as the others'.
        costs: By what is counted, e.g. ``{"M MACs": 99.2, "ms": 3.1}``; what is not known is not
            there.
    """

    name: str
    error: float
    costs: Mapping[str, float]


def plot_front(points: Sequence[FrontPoint], path: str | os.PathLike[str], *, unit: str) -> Path:
    """Draw errors against costs, a panel for each kind of cost that two models or more have.

    A staircase joins those that no other beats in both.

    Args:
        points: Of each model.
        path: The picture (``.png``, ``.svg`` or ``.pdf``).
        unit: Of the errors.

    Returns:
        ``path``.

    Raises:
        InputError: no kind of cost is known of two models; an unknown suffix, or a file that cannot
            be written.
    """
    check_suffix(path)
    return save(front_figure(points, unit=unit), path)


def front_figure(points: Sequence[FrontPoint], *, unit: str) -> Figure:
    """Return the figure that :func:`plot_front` saves."""
    kinds = dict.fromkeys(kind for point in points for kind in point.costs)
    by_kind = {kind: [point for point in points if kind in point.costs] for kind in kinds}
    drawn = {kind: known for kind, known in by_kind.items() if len(known) > 1}
    if not drawn:
        raise InputError("nothing to plot: expected two models or more of known costs")
    with styled():
        size = _WIDTH * len(drawn) / 72, _HEIGHT / 72
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
        for axes, (kind, known) in zip(panels, drawn.items(), strict=True):
            costs = [point.costs[kind] for point in known]
            stairs = _undominated(sorted(zip(costs, (point.error for point in known), strict=True)))
            axes.step(*zip(*stairs, strict=True), where="post", color=MUTED, linewidth=0.8)
            axes.plot(costs, [p.error for p in known], "o", color=look(0).colour, markersize=4)
            for point, cost in zip(known, costs, strict=True):
                axes.annotate(
                    point.name,
                    (cost, point.error),
                    xytext=(3, 4),
                    textcoords="offset points",
                    fontsize=6,
                )
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xlabel(kind)
        panels[0].set_ylabel(unit)
    return figure


def _undominated(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points, by rising cost, whose error is less than that of all before."""
    found: list[tuple[float, float]] = []
    for cost, error in points:
        if not found or error < found[-1][1]:
            found.append((cost, error))
    return found
