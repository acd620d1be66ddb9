"""The course of a search: its ``history.jsonl``, read and drawn, whatever the strategy."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from groupnas.engine.recorded import recorded_by
from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.palette import COLOURS, INK, MUTED, WARNING, WASH, look
from groupnas.report.figure import check_suffix, save, shorten, styled, text_width
from groupnas.runs.fields import Chart, ReadRecord, Recorded, findings
from groupnas.runs.folder import CONFIG, RunFolder
from groupnas.runs.records import read_begun

_WIDTH, _ROW, _TOP, _BOTTOM, _GAP = 516.0, 105.0, 20.0, 30.0, 38.0  # points
_SCALES = ((1e9, 1e9, " (G)"), (1e5, 1e6, " (M)"), (0, 1, ""))  # from, unit, its name
_TITLE, _TEXT, _MESSAGE = 8.0, 6.5, 200.0  # sizes of text and longest health message
_PANEL, _LINE = 220.0, 22.0  # points: of a panel, and of a legend's line and spaces
_MARK: dict[str, Any] = {"color": WARNING, "marker": "v", "markersize": 3.5, "linestyle": ""}
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1)))
_MEAN: dict[str, Any] = {"color": INK, "linestyle": _DASHES[1], "linewidth": 1.2}
_LINES = (INK, look(2).colour, look(0).colour, look(4).colour)  # of what is no group


def read_recorded(path: str | os.PathLike[str]) -> Recorded:
    """Read what the records of a ``history.jsonl`` hold, as the ``config.yaml`` beside it says.

    Raises:
        InputError: the ``config.yaml`` is damaged.
    """
    folder = RunFolder(Path(path).parent)
    return recorded_by(folder.read_config(), str(folder / CONFIG)) if folder.exists else Recorded()


def read_history(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read the records of a search's ``history.jsonl``, one an epoch, in order.

    Raises:
        InputError: as ``groupnas.runs.records.read_begun``, and as :func:`read_recorded`.
    """
    return read_begun(path, read_recorded(path).model())


def plot_history(
    records: Sequence[ReadRecord],
    path: str | os.PathLike[str],
    recorded: Recorded | None = None,
    groups: Sequence[str] | None = None,
) -> Path:
    """Draw all that a search records to be drawn over its epochs, and save it.

    Phases that the strategy names, such as a warm-up, are shaded; epochs with health messages are
    marked, and the messages listed.

    Args:
        records: Epochs as :func:`read_history` gives them.
        path: The picture (``.png``, ``.svg`` or ``.pdf``).
        recorded: What they hold, as :func:`read_recorded` gives it; left out, whatever numbers
            there are.
        groups: Order of the groups, which decides their colours; left out, the records' own.

    Returns:
        ``path``.

    Raises:
        InputError: no record, nothing to draw in them, a group that they lack, an unknown suffix,
            or a file that cannot be written.
    """
    check_suffix(path)
    return save(history_figure(records, recorded, groups), path)


def history_figure(
    records: Sequence[ReadRecord],
    recorded: Recorded | None = None,
    groups: Sequence[str] | None = None,
) -> Figure:
    """Draw the figure that :func:`plot_history` saves."""
    if not records:
        raise InputError("nothing to plot: the history holds no epoch")
    recorded = (recorded or Recorded()).filled(records)
    charts = recorded.charts(records)
    if not charts:
        raise InputError("nothing to plot: the history holds no numbers that are drawn")
    groups = _groups(charts, groups)
    count = -(-(len(charts) + 1) // 2)
    height = _TOP + _BOTTOM + count * _ROW + (count - 1) * _GAP
    grid = {
        "left": 44 / _WIDTH,
        "right": 1 - 8 / _WIDTH,
        "bottom": _BOTTOM / height,
        "top": 1 - _TOP / height,
        "wspace": 0.2,
        "hspace": _GAP / _ROW,
    }
    with styled():
        figure = Figure(figsize=(_WIDTH / 72, height / 72))
        axes = list(figure.subplots(count, 2, gridspec_kw=grid).flat)
        for place, chart in enumerate(charts):
            _draw(axes[place], chart, groups)
            _draw_epochs(axes[place], records, recorded)
            if place + 2 >= len(charts):
                axes[place].set_xlabel(recorded.step)
        for empty in axes[len(charts) :]:
            empty.set_axis_off()
        means = any(chart.groups and "mean" in chart.lines for chart in charts)
        _draw_side(axes[len(charts)], records, recorded, groups, means)
    return figure


def _groups(charts: Sequence[Chart], groups: Sequence[str] | None) -> list[str]:
    """The groups in their order; an :class:`InputError` where one is missing in a chart."""
    tables = [chart for chart in charts if chart.groups]
    for chart in tables:
        for group in groups or ():
            if group not in chart.lines:
                hint = nearest(group, chart.lines)
                raise InputError(f"{chart.title}: no group {group!r}; {hint}")
    found = groups if groups is not None else [name for chart in tables for name in chart.lines]
    return [name for name in dict.fromkeys(found) if name != "mean"]


def _draw(axes: Axes, chart: Chart, groups: Sequence[str]) -> None:
    """One line for each name; what is null, as during a warm-up, leaves a gap."""
    names = [n for n in (*groups, "mean") if n in chart.lines] if chart.groups else chart.lines
    lines = {n: [math.nan if v is None else v for v in chart.lines[n]] for n in names}
    values = [v for line in lines.values() for v in line if not math.isnan(v)]
    most = max(map(abs, values), default=0)
    unit, name = next((unit, name) for least, unit, name in _SCALES if most >= least)
    for place, (label, line) in enumerate(lines.items()):
        group = groups.index(label) if chart.groups and label != "mean" else None
        style = (
            _group_style(group) if group is not None else _MEAN if chart.groups else _style(place)
        )
        shown = [value / unit for value in line]
        axes.plot(chart.epochs, shown, label=label, **_dotted(shown), **style)
    if chart.unit == "shares" and values and 0 <= min(values) <= max(values) <= 1:
        axes.set_ylim(-0.03, 1.03)
    room = _PANEL
    if len(lines) > 1 and not chart.groups:
        room -= sum(text_width(label, _TEXT) + _LINE for label in lines)
        above = room > _PANEL / 4
        room = room if above else _PANEL
        _legend(axes, len(lines), above)
    axes.set_title(shorten(f"{chart.title}{name}", _TITLE, room, "bold"))


def _legend(axes: Axes, count: int, above: bool) -> None:
    """Above the axes, where it hides no line, if there is room."""
    style: dict[str, Any] = {"borderpad": 0, "handlelength": 1.5, "handletextpad": 0.4}
    style |= {"columnspacing": 1}
    if above:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=count, **style)
    else:
        axes.legend(loc="upper right", ncols=2, fontsize=5, labelspacing=0.1, **style)


def _style(place: int) -> dict[str, Any]:
    dash = _DASHES[place % len(_DASHES)]
    return {"color": _LINES[place % len(_LINES)], "linestyle": dash, "linewidth": 1.2}


def _group_style(index: int) -> dict[str, Any]:
    # Groups past the colours repeat them with another dash, as bars do with a hatch.
    dash = _DASHES[index // len(COLOURS) % len(_DASHES)]
    return {"color": look(index).colour, "linewidth": 1.6, "linestyle": dash}


def _dotted(values: Sequence[float]) -> dict[str, Any]:
    """A line through a single number would not be seen."""
    lonely = sum(not math.isnan(value) for value in values) == 1
    return {"marker": "." if lonely else ""}


def _draw_epochs(axes: Axes, records: Sequence[ReadRecord], recorded: Recorded) -> None:
    """Draw what all axes share: limits, shaded phases and the marks of health messages."""
    axes.set_xlim(records[0]["epoch"] - 0.5, records[-1]["epoch"] + 0.5)
    axes.xaxis.set_major_locator(
        MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10], min_n_ticks=1)
    )
    for phase in _phases(records, recorded):
        inside = [record["epoch"] for record in records if record.get("phase") == phase]
        axes.axvspan(inside[0] - 0.5, inside[-1] + 0.5, color=WASH, linewidth=0, zorder=0)
    ill = [record["epoch"] for record in records if findings(record)]
    if not ill:
        return
    if len(ill) <= 12:  # more lines would hide the curves
        for epoch in ill:
            axes.axvline(epoch, color=WARNING, linewidth=0.6, linestyle=":", zorder=1)
    above = axes.get_xaxis_transform()
    axes.plot(ill, [1] * len(ill), transform=above, clip_on=False, **_MARK)


def _phases(records: Sequence[ReadRecord], recorded: Recorded) -> dict[str, str]:
    """Return the names of the phases that occur and are shaded, with how the legend calls them."""
    found = {str(record.get("phase")) for record in records}
    return {phase: name for phase, name in recorded.phases.items() if phase in found}


def _draw_side(
    axes: Axes,
    records: Sequence[ReadRecord],
    recorded: Recorded,
    groups: Sequence[str],
    means: bool,
) -> None:
    """The groups' colours, what the marks mean, and the health messages, as text."""
    messages = [f"{record['epoch']}: {text}" for record in records for text in findings(record)]
    # Two columns of long names or three of short ones, at most eight rows with the marks' own.
    columns = 2 if any(text_width(group, _TEXT) > 45 for group in groups) else 3
    handles: list[Any] = [
        Line2D(
            [], [], label=shorten(group, _TEXT, 80 if columns == 2 else 45), **_group_style(index)
        )
        for index, group in enumerate(groups[: 8 * columns - 2 - means])
    ]
    if means:
        handles.append(Line2D([], [], label="mean", **_MEAN))
    handles += [Patch(color=WASH, label=name) for name in _phases(records, recorded).values()]
    if messages:
        handles.append(Line2D([], [], label="health", **_MARK))
    topics = ["groups"] * bool(groups) + ["health"] * (recorded.health or bool(messages))
    axes.set_title(" and ".join(topics).capitalize())
    rows = -(-len(handles) // columns)
    if handles:
        axes.legend(
            handles=handles,
            loc="upper left",
            ncols=columns,
            borderpad=0,
            borderaxespad=0,
            handlelength=1.5,
            columnspacing=1.2,
            labelspacing=0.3,
        )
    if "health" not in topics:
        return
    ink, room = (WARNING, 11 - rows) if messages else (MUTED, 1)  # room in lines
    messages = messages or ["no health messages"]
    if len(messages) > room:
        messages[room - 1 :] = [f"… and {len(messages) - room + 1} more"]
    text = "\n".join(shorten(message, _TEXT, _MESSAGE) for message in messages)
    below: dict[str, Any] = {
        "xytext": (0, -9.5 * rows - 5),
        "textcoords": "offset points",
        "va": "top",
    }
    axes.annotate(text, (0, 1), xycoords="axes fraction", color=ink, size=_TEXT, **below)
