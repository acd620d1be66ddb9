"""A sheet of images with true and found points, such as a model's worst cases (Fig. 8)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from groupnas.errors import InputError
from groupnas.palette import look
from groupnas.report.figure import check_suffix, save, shorten, styled

_PANEL, _TITLE, _GAP, _HEAD = 124.0, 11.0, 4.0, 16.0  # points
_MARGIN = 0.15  # around the points, as a share of their extent
_TRUE, _FOUND = look(1).colour, look(2).colour
_RIM = [Stroke(linewidth=1.2, foreground="#00000070"), Normal()]  # seen on bright skin as well


@dataclass(frozen=True)
class SheetImage:
    """One image of the sheet.

    Attributes:
        title: Above it.
        image: ``(H, W, 3)`` uint8 RGB; the part around the points is shown.
        truth: ``(K, 2)``, x and y in pixel-centre coordinates; NaN where a point is not known.
        found: ``(K, 2)``, likewise.
        curves: Which points to join by lines; the last goes on to the first if it says so.
    """

    title: str
    image: NDArray[np.uint8]
    truth: NDArray[np.float64]
    found: NDArray[np.float64]
    curves: Sequence[tuple[Sequence[int], bool]] = ()


def plot_faces(
    panels: Sequence[SheetImage], path: str | os.PathLike[str], columns: int = 4
) -> Path:
    """Draw images with their true and found points and save them.

    Args:
        panels: From left to right, then down.
        path: The picture (``.png``, ``.svg`` or ``.pdf``).
        columns: How many stand side by side.

    Returns:
        ``path``.

    Raises:
        InputError: no panel, one without a point, an unknown suffix, or a file that cannot be
            written.
    """
    check_suffix(path)
    return save(faces_figure(panels, columns), path)


def faces_figure(panels: Sequence[SheetImage], columns: int = 4) -> Figure:
    """The figure that :func:`plot_faces` saves."""
    if not panels:
        raise InputError("nothing to plot: expected at least one image")
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    width = max(columns, 2) * (_PANEL + _GAP) + _GAP  # the legend needs two
    height = rows * (_PANEL + _TITLE + _GAP) + _HEAD
    with styled():
        figure = Figure(figsize=(width / 72, height / 72))
        for number, panel in enumerate(panels):
            row, column = divmod(number, columns)
            left = _GAP + column * (_PANEL + _GAP)
            bottom = height - _HEAD - (row + 1) * (_PANEL + _TITLE + _GAP) + _GAP
            _draw(
                figure.add_axes((left / width, bottom / height, _PANEL / width, _PANEL / height)),
                panel,
            )
        figure.legend(
            handles=[
                Line2D([], [], color=colour, linewidth=1, marker="o", markersize=2.5, label=label)
                for colour, label in ((_TRUE, "truth"), (_FOUND, "found"))
            ],
            loc="upper left",
            bbox_to_anchor=(0, 1),
            ncols=2,
            borderpad=0.3,
        )
    return figure


def _draw(axes: Axes, panel: SheetImage) -> None:
    both = np.concatenate([panel.truth, panel.found])
    both = both[np.isfinite(both).all(axis=1)]
    if not len(both):
        raise InputError(f"{panel.title}: none of its points is known")
    low, high = both.min(axis=0), both.max(axis=0)
    centre, half = (low + high) / 2, max((high - low).max() * (0.5 + _MARGIN), 1.0)
    # Only what is shown goes into the picture.
    height, width = panel.image.shape[:2]
    x0, y0 = np.clip(np.floor(centre - half), 0, (width, height)).astype(int)
    x1, y1 = np.clip(np.ceil(centre + half) + 1, 0, (width, height)).astype(int)
    if x1 > x0 and y1 > y0:
        axes.imshow(
            panel.image[y0:y1, x0:x1], extent=(x0 - 0.5, x1 - 0.5, y1 - 0.5, y0 - 0.5), zorder=0
        )
    axes.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] + half, centre[1] - half))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor("#202020")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(shorten(panel.title, 6.5, _PANEL), fontsize=6.5, fontweight="normal", pad=2.5)
    for points, colour in ((panel.truth, _TRUE), (panel.found, _FOUND)):
        lines = [points[_cycle(indices, closed)] for indices, closed in panel.curves]
        axes.add_collection(LineCollection(lines, linewidths=0.6, colors=colour, path_effects=_RIM))
        axes.plot(*points.T, "o", markersize=1.5, markeredgewidth=0, color=colour)


def _cycle(indices: Sequence[int], closed: bool) -> list[int]:
    return [*indices, indices[0]] if closed else list(indices)
