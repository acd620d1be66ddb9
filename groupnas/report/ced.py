"""Cumulative error distributions: which share of samples has at most which error."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from groupnas.errors import InputError
from groupnas.palette import look
from groupnas.report.figure import check_suffix, save, styled

_WIDTH, _HEIGHT = 252.0, 200.0  # points
_ORDER = (2, 0, 4, 6)  # of the palette's colours: dark ones, which lines need
_DASHES = ((0, (4, 1.5)), "-", (0, (1.5, 1)), (0, (4, 1, 1, 1)))


def plot_ced(
    curves: Mapping[str, ArrayLike],
    path: str | os.PathLike[str],
    *,
    limit: float,
    unit: str,
    notes: Sequence[str] = (),
) -> Path:
    """Draw the cumulative error distribution of each set of errors and save it.

    Args:
        curves: Name to the error of every sample ``(N,)``; the last is drawn on top. Of errors that
            are not known, NaN, the legend says how many there are; shares are of the others.
        path: The picture (``.png``, ``.svg`` or ``.pdf``).
        limit: Largest error shown.
        unit: Of the errors, e.g. ``"NME, % of interocular"``.
        notes: What the legend adds to each name, e.g. its area.

    Returns:
        ``path``.

    Raises:
        InputError: no curve, a curve without errors, an unknown suffix, or a file that cannot be
            written.
    """
    check_suffix(path)
    return save(ced_figure(curves, limit=limit, unit=unit, notes=notes), path)


def ced_figure(
    curves: Mapping[str, ArrayLike], *, limit: float, unit: str, notes: Sequence[str] = ()
) -> Figure:
    """The figure that :func:`plot_ced` saves."""
    if not curves:
        raise InputError("nothing to plot: expected the errors of at least one model")
    with styled():
        figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), layout="constrained")
        axes = figure.subplots()
        for number, (name, errors) in enumerate(curves.items()):
            given = np.asarray(errors, dtype=float)
            values = np.sort(given[~np.isnan(given)])
            if not len(values):
                raise InputError(f"{name}: has no errors to plot")
            # A staircase that begins at 0 and goes on, level, beyond the limit.
            shares = 100 * np.arange(len(values) + 1) / len(values)
            note = f": {notes[number]}" if number < len(notes) else ""
            if len(values) < len(given):
                note += f" ({len(values):,} of {len(given):,} samples)"
            axes.step(
                [0, *values, max(limit, values[-1])],
                [*shares, 100],
                where="post",
                label=f"{name}{note}",
                color=look(_ORDER[number % len(_ORDER)]).colour,
                linestyle=_DASHES[number % len(_DASHES)],
                linewidth=1.3,
            )
        axes.set(xlim=(0, limit), ylim=(0, 100), xlabel=unit, ylabel="% of samples")
        axes.legend(loc="lower right")
    return figure
