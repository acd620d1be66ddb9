"""How a search went: read its ``history.jsonl`` and draw it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.palette import COLOURS, INK, MUTED, WARNING, WASH, look
from groupnas.report.figure import check_suffix, save, shorten, styled, text_width
from groupnas.runs.records import MaskEpoch, read_epochs

Record = Mapping[str, Any]

_WIDTH, _HEIGHT = 516.0, 440.0  # points
_GRID = {
    "left": 44 / _WIDTH,
    "right": 1 - 8 / _WIDTH,
    "bottom": 30 / _HEIGHT,
    "top": 1 - 20 / _HEIGHT,
    "wspace": 0.2,
    "hspace": 0.36,
}
_SCALES = ((1e9, 1e9, " (G)"), (1e5, 1e6, " (M)"), (0, 1, ""))  # from, unit, its name
_TEXT, _MESSAGE = 6.5, 200.0  # size of text and longest health message beside the plots
_MARK: dict[str, Any] = {"color": WARNING, "marker": "v", "markersize": 3.5, "linestyle": ""}
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1)))


def read_history(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The records of a ``history.jsonl``, one an epoch, in order.

    Raises:
        InputError: as ``groupnas.runs.records.read_epochs``, of a mask search.
    """
    return read_epochs(path, MaskEpoch)


def plot_history(
    records: Sequence[Record],
    path: str | os.PathLike[str],
    groups: Sequence[str] | None = None,
) -> Path:
    """Draw losses, decisions, temperature, MACs and channels over the epochs and save them.

    Warm-up epochs are shaded; epochs with health messages are marked, and the messages listed.

    Args:
        records: Epochs as :func:`read_history` gives them.
        path: The picture (``.png``, ``.svg`` or ``.pdf``).
        groups: Order of the groups, which decides their colours; left out, the records' own.

    Returns:
        ``path``.

    Raises:
        InputError: no record, a group that a record lacks, an unknown suffix, or a file that
            cannot be written.
    """
    check_suffix(path)
    return save(history_figure(records, groups), path)


def history_figure(records: Sequence[Record], groups: Sequence[str] | None = None) -> Figure:
    """The figure that :func:`plot_history` saves."""
    if not records:
        raise InputError("nothing to plot: the history holds no epoch")
    groups = list(records[0]["channels"] if groups is None else groups)
    _check_groups(records, groups)
    with styled():
        figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72))
        (losses, masks), (temperature, side), (macs, channels) = figure.subplots(
            3, 2, gridspec_kw=_GRID
        )
        _draw_keys(losses, "Loss", records, {"train_loss": "train", "mask_loss": "mask"})
        shares = {"entropy": "entropy", "moved": "moved (total)", "changed": "moved (epoch)"}
        _draw_keys(masks, "Masks", records, shares)
        masks.set_ylim(-0.03, 1.03)
        _draw_keys(temperature, "Temperature", records, {"temperature": "temperature"})
        _draw_groups(macs, "MACs", records, groups, "macs")
        _draw_groups(channels, "Channels", records, groups, "channels")
        for axes in (losses, masks, temperature, macs, channels):
            _draw_epochs(axes, records)
        for axes in (macs, channels):
            axes.set_xlabel("epoch")
        _draw_side(side, records, groups)
    return figure


def _check_groups(records: Iterable[Record], groups: Iterable[str]) -> None:
    for record in records:
        for group in groups:
            for key in ("channels", "macs"):
                if group not in record[key]:
                    hint = nearest(group, record[key])
                    raise InputError(f"epoch {record['epoch']}: {key}: no group {group!r}; {hint}")


def _draw_keys(axes: Axes, title: str, records: Sequence[Record], names: Mapping[str, str]) -> None:
    """One line for each key of the records; a null, as during the warm-up, leaves a gap."""
    axes.set_title(title)
    colours = (INK, look(2).colour, look(0).colour)
    for colour, dash, (key, name) in zip(colours, _DASHES, names.items(), strict=False):
        values = [math.nan if record[key] is None else record[key] for record in records]
        style: dict[str, Any] = {"color": colour, "linestyle": dash, "linewidth": 1.2}
        axes.plot(_epochs(records), values, label=name, **_dotted(values), **style)
    if len(names) > 1:
        # Above the axes, where it hides no line.
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=len(names),
            borderpad=0,
            handlelength=1.5,
            handletextpad=0.4,
            columnspacing=1,
        )


def _draw_groups(
    axes: Axes,
    title: str,
    records: Sequence[Record],
    groups: Sequence[str],
    key: str,
) -> None:
    most = max(record[key][group] for record in records for group in groups)
    unit, name = next((unit, name) for least, unit, name in _SCALES if most >= least)
    axes.set_title(f"{title} of each group{name}")
    for index, group in enumerate(groups):
        values = [record[key][group] / unit for record in records]
        axes.plot(_epochs(records), values, **_dotted(values), **_group_style(index))


def _group_style(index: int) -> dict[str, Any]:
    # Groups past the colours repeat them with another dash, as bars do with a hatch.
    dash = _DASHES[index // len(COLOURS) % len(_DASHES)]
    return {"color": look(index).colour, "linewidth": 1.6, "linestyle": dash}


def _dotted(values: Sequence[float]) -> dict[str, Any]:
    """A line through a single number would not be seen."""
    lonely = sum(not math.isnan(value) for value in values) == 1
    return {"marker": "." if lonely else ""}


def _epochs(records: Iterable[Record]) -> list[int]:
    return [record["epoch"] for record in records]


def _draw_epochs(axes: Axes, records: Sequence[Record]) -> None:
    """What all axes share: limits, the shaded warm-up and the marks of health messages."""
    epochs = _epochs(records)
    axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    axes.xaxis.set_major_locator(
        MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10], min_n_ticks=1)
    )
    warm = [record["epoch"] for record in records if record["phase"] == "warmup"]
    if warm:
        axes.axvspan(warm[0] - 0.5, warm[-1] + 0.5, color=WASH, linewidth=0, zorder=0)
    ill = [record["epoch"] for record in records if record["health"]]
    if not ill:
        return
    if len(ill) <= 12:  # more lines would hide the curves
        for epoch in ill:
            axes.axvline(epoch, color=WARNING, linewidth=0.6, linestyle=":", zorder=1)
    above = axes.get_xaxis_transform()
    axes.plot(ill, [1] * len(ill), transform=above, clip_on=False, **_MARK)


def _draw_side(axes: Axes, records: Sequence[Record], groups: Sequence[str]) -> None:
    """The groups' colours, what the marks mean, and the health messages, as text."""
    axes.set_axis_off()
    axes.set_title("Groups and health")
    messages = [f"{record['epoch']}: {text}" for record in records for text in record["health"]]
    # Two columns of long names or three of short ones, at most eight rows with the marks' own.
    columns = 2 if any(text_width(group, _TEXT) > 45 for group in groups) else 3
    handles: list[Any] = [
        Line2D(
            [], [], label=shorten(group, _TEXT, 80 if columns == 2 else 45), **_group_style(index)
        )
        for index, group in enumerate(groups[: 8 * columns - 2])
    ]
    if any(record["phase"] == "warmup" for record in records):
        handles.append(Patch(color=WASH, label="warm-up"))
    if messages:
        handles.append(Line2D([], [], label="health", **_MARK))
    rows = -(-len(handles) // columns)
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
