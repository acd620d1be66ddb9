"""Every unit's division into groups as a stacked bar (PicassoNet, Fig. 7)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.palette import INK, MUTED, look
from groupnas.report.figure import check_suffix, save, shorten, styled, text_width
from groupnas.report.layout import (
    GAP,
    LABEL,
    LEFT,
    LEGEND_ROW,
    MARGIN,
    NOTE,
    PAGE,
    SMALL,
    TITLE,
    TetrisLayout,
)
from groupnas.spaces.allocation import Allocation


def plot_tetris(
    panels: Sequence[tuple[str, Grouping | Allocation]],
    path: str | os.PathLike[str],
    since: Sequence[int | None] | None = None,
) -> Path:
    """Draw groupings as panels under each other and save them (``.png``, ``.svg`` or ``.pdf``).

    Every unit is a bar of 100 %, in network order, cut from bottom to top into its groups' shares
    of the unit's channels; cells tell their number of channels where it fits. Neighbouring panels
    with the same units share one axis. A panel says how it differs from the panel it is compared
    with: how many channels moved, and by how many points each group's share of all channels
    changed.

    Args:
        panels: Title and grouping, or allocation, of each panel, from top to bottom.
        path: The picture.
        since: For every panel the index of the panel it is compared with, or ``None``. Left out,
            all others are compared with the first. Groupings of different units or groups are
            never compared.

    Returns:
        ``path``.

    Raises:
        InputError: no panel, an unknown suffix, or a file that cannot be written.
    """
    check_suffix(path)
    return save(tetris_figure(panels, since), path)


def tetris_figure(
    panels: Sequence[tuple[str, Grouping | Allocation]], since: Sequence[int | None] | None = None
) -> Figure:
    """The figure that :func:`plot_tetris` saves."""
    if not panels:
        raise InputError("nothing to plot: expected at least one grouping")
    groupings = [(t, p.grouping if isinstance(p, Allocation) else p) for t, p in panels]
    drawn = _panels(groupings, since or [None] + [0] * (len(panels) - 1))
    width = max(panel.width for panel in drawn)
    height = sum(panel.height for panel in drawn) + MARGIN
    with styled():
        figure = Figure(figsize=(width / 72, height / 72))
        # One axes whose unit is the point, so that every length is a length on paper.
        canvas = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
        canvas.set_axis_off()
        top = height
        for panel in drawn:
            _draw_panel(canvas, panel, top, width)
            top -= panel.height
    return figure


@dataclass(frozen=True)
class _Panel:
    """One grouping, what it is compared with, and which parts of the frame come with it."""

    title: str
    grouping: Grouping
    layout: TetrisLayout
    base: Grouping | None
    base_name: str
    head: bool
    foot: bool
    legend: bool

    @property
    def width(self) -> float:
        title = LEFT + text_width(self.title, TITLE, "bold") + MARGIN
        note = LEFT + sum(text_width(text, NOTE) + 16 for text in self.note) + MARGIN
        return max(self.layout.width, min(max(title, note), PAGE))

    @property
    def note(self) -> list[str]:
        """How many channels moved since the base; each group's change of share; their unit."""
        if self.base is None:
            return []
        moved = self.grouping.changed(self.base)
        if not moved:
            return [f"no channel moved since {self.base_name}"]
        before, after = _shares(self.base), _shares(self.grouping)
        changes = [
            round(new - old, 1) + 0.0 for old, new in zip(before, after, strict=True)
        ]  # no -0.0
        return [
            f"{moved} of {sum(self.layout.totals)} channels moved since {self.base_name}",
            *(f"{change:+.1f}".replace("-", "−") for change in changes),
            "points of the share of channels",
        ]

    @property
    def height(self) -> float:
        parts = [MARGIN + TITLE + 4, self.layout.tall]
        parts += [NOTE + 4] if self.note else []
        parts += [self.layout.head] if self.head else []
        parts += [self.layout.foot] if self.foot else []
        return sum(parts)


def _panels(panels: Sequence[tuple[str, Grouping]], since: Sequence[int | None]) -> list[_Panel]:
    groupings = [grouping for _, grouping in panels]
    made = []
    for index, (title, grouping) in enumerate(panels):
        before = groupings[index - 1] if index else None
        after = groupings[index + 1] if index + 1 < len(panels) else None
        origin = since[index]
        base = None if origin is None else groupings[origin]
        made.append(
            _Panel(
                title=f"({_letter(index)}) {title}" if len(panels) > 1 else title,
                grouping=grouping,
                layout=TetrisLayout.of(grouping),
                base=base if base and _alike(base, grouping) else None,
                base_name=f"({_letter(origin or 0)})",
                head=before is None or not _alike(before, grouping),
                foot=after is None or not _alike(after, grouping),
                legend=before is None or before.groups != grouping.groups,
            )
        )
    return made


def _alike(one: Grouping, other: Grouping) -> bool:
    """Whether the two have the same groups and the same units, in the same order."""
    return one.groups == other.groups and _units(one) == _units(other)


def _units(grouping: Grouping) -> list[tuple[str, int]]:
    return [(unit, len(channels)) for unit, channels in grouping.assignments.items()]


def _letter(index: int) -> str:
    """a to z, then a2 to z2 and so on."""
    return chr(ord("a") + index % 26) + (str(index // 26 + 1) if index >= 26 else "")


def _draw_panel(canvas: Axes, panel: _Panel, top: float, width: float) -> None:
    layout = panel.layout
    y = top - MARGIN - TITLE
    title = shorten(panel.title, TITLE, width - LEFT - MARGIN, "bold")
    canvas.text(LEFT, y, title, size=TITLE, weight="bold")
    y -= 4
    if panel.note:
        y -= NOTE + 4
        _draw_note(canvas, panel.note, y + 4, width - MARGIN)
    if panel.head:
        y -= layout.head
        _draw_totals(canvas, layout, y)
    if panel.legend:
        _draw_legend(canvas, layout, y)
    y -= layout.tall
    _draw_bars(canvas, panel, y)
    _draw_shares(canvas, panel, y)
    if panel.foot:
        _draw_labels(canvas, layout, y)


def _draw_note(canvas: Axes, note: Sequence[str], y: float, end: float) -> None:
    """The note in one line, a swatch of its group before each change; what has no room ends in …"""
    x, last = LEFT, len(note) - 1
    for place, text in enumerate(note):
        is_change = 0 < place < last
        x += 8 if is_change else 0
        room = end - x - (0 if place == last else 16)
        if text_width(text, NOTE) > room:
            canvas.text(x, y, "…", size=NOTE, color=MUTED)
            return
        if is_change:
            _draw_cell(canvas, x - 7, y - 0.5, 6, 6, place - 1)
        canvas.text(x, y, text, size=NOTE, color=INK if is_change else MUTED)
        x += text_width(text, NOTE) + (7 if place else 12)


def _shares(grouping: Grouping) -> list[float]:
    """Each group's percentage of the channels of all units."""
    counts = grouping.counts().values()
    sums = [sum(unit[group] for unit in counts) for group in grouping.groups]
    return [100 * channels / sum(sums) for channels in sums]


def _draw_totals(canvas: Axes, layout: TetrisLayout, y: float) -> None:
    style: dict[str, Any] = {"size": SMALL, "color": MUTED, "va": "bottom"}
    canvas.text(LEFT - 4, y + 3, "channels", ha="right", **style)
    rotation = 0 if layout.flat_totals else 90
    for left, total in zip(layout.lefts, layout.totals, strict=True):
        canvas.text(
            left + layout.bar / 2, y + 3, str(total), ha="center", rotation=rotation, **style
        )


def _draw_legend(canvas: Axes, layout: TetrisLayout, top: float) -> None:
    """The groups from top to bottom as they are stacked, so the last comes first."""
    for place, index in enumerate(reversed(range(len(layout.legend)))):
        column, row = divmod(place, layout.legend_rows)
        x = layout.right + 2 * MARGIN + column * layout.legend_column
        y = top - (row + 1) * LEGEND_ROW
        _draw_cell(canvas, x, y, 7.5, 7.5, index)
        canvas.text(x + 11, y + 3.75, layout.legend[index], size=NOTE, va="center_baseline")


def _draw_bars(canvas: Axes, panel: _Panel, y: float) -> None:
    layout, groups = panel.layout, len(panel.grouping.groups)
    even = [y + layout.tall * mark / groups for mark in range(1, groups)]
    lines = []
    for left, counts in zip(layout.lefts, panel.grouping.counts().values(), strict=True):
        point, below, written = layout.tall / sum(counts.values()), 0, []
        for index, channels in enumerate(counts.values()):
            bottom, tall = y + below * point, channels * point
            _draw_cell(canvas, left, bottom, layout.bar, tall, index)
            below += channels
            if tall >= SMALL + 1.5 and text_width(str(channels), SMALL) <= layout.bar - 2.5:
                written.append(bottom + tall / 2)
                _draw_count(canvas, left + layout.bar / 2, written[-1], channels, index)
        # Beside a number, the line would read as a minus sign.
        free = [at for at in even if all(abs(at - middle) > 5 for middle in written)]
        lines += [((left, at), (left + layout.bar, at)) for at in free]
    if groups <= 6:  # more lines are no help to the eye
        style: dict[str, Any] = {"colors": INK, "linewidths": 0.45, "alpha": 0.75}
        canvas.add_collection(LineCollection(lines, linestyles=[(0, (2, 2))], **style))


def _draw_cell(
    canvas: Axes, left: float, bottom: float, wide: float, tall: float, index: int
) -> None:
    style = look(index)
    gap = min(GAP, tall / 4)  # a hairline of a cell must not drown in white
    canvas.add_patch(
        Rectangle(
            (left + GAP / 2, bottom + gap / 2),
            wide - GAP,
            tall - gap,
            facecolor=style.colour,
            edgecolor=style.ink,
            hatch=style.hatch,
            linewidth=0,
            snap=False,  # snapped to pixels, equal gaps would differ and hairlines vanish
        )
    )


def _draw_count(canvas: Axes, x: float, y: float, channels: int, index: int) -> None:
    style = look(index)
    # The halo keeps the hatch off the number.
    halo = patheffects.withStroke(linewidth=2, foreground=style.colour)
    text = canvas.text(
        x, y, str(channels), size=SMALL, color=style.ink, ha="center", va="center_baseline"
    )
    text.set(path_effects=[halo], zorder=5)


def _draw_shares(canvas: Axes, panel: _Panel, y: float) -> None:
    """The axis of shares, marked where the groups would meet if all were even."""
    layout, groups = panel.layout, len(panel.grouping.groups)
    marks = range(groups + 1) if groups <= 6 else range(0, groups + 1, groups)
    for mark in marks:
        at = y + layout.tall * mark / groups
        canvas.plot((LEFT - 3, LEFT), (at, at), color=MUTED, linewidth=0.5)
        text = f"{100 * mark / groups:.0f} %"
        canvas.text(LEFT - 4.5, at, text, size=SMALL, color=MUTED, ha="right", va="center_baseline")


def _draw_labels(canvas: Axes, layout: TetrisLayout, y: float) -> None:
    for left, leaf in zip(layout.lefts, layout.leaves, strict=True):
        rotation = 0 if layout.flat else 90
        x = left + layout.bar / 2
        canvas.text(x, y - 3, leaf, size=LABEL, ha="center", va="top", rotation=rotation)
    y -= 3 + layout.labels_height + 3
    for name, first, last in layout.stages:
        left, right = layout.lefts[first] + 1, layout.lefts[last] + layout.bar - 1
        canvas.plot(
            (left, left, right, right), (y + 2.5, y, y, y + 2.5), color=MUTED, linewidth=0.6
        )
        canvas.text((left + right) / 2, y - 2, name, size=NOTE, ha="center", va="top")
