"""The course of trainings: read their ``history.jsonl`` and draw losses and errors."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter

from groupnas.engine.training_settings import TrainingEpoch
from groupnas.errors import InputError
from groupnas.palette import INK, look
from groupnas.report.figure import check_suffix, save, styled
from groupnas.runs.fields import ReadRecord
from groupnas.runs.records import read_begun

_PANEL, _HEIGHT = 230.0, 260.0  # points


def read_training(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The records of a training's ``history.jsonl``, one an epoch, in order.

    Raises:
        InputError: as ``groupnas.runs.records.read_begun``, of a training; or the groups that
            have errors are not the same in all epochs.
    """
    records = read_begun(path, TrainingEpoch)
    groups = records[0]["validation"].keys()
    for record in records:
        if record["validation"].keys() != groups:
            raise InputError(
                f"{os.fspath(path)}: epoch {record['epoch']} has not the errors of epoch "
                f"{records[0]['epoch']}: {', '.join(groups)}"
            )
    return records


def plot_training(
    stages: Mapping[str, Sequence[ReadRecord]], path: str | os.PathLike[str], unit: str
) -> Path:
    """Draw loss and validation error over the epochs, a column for each training, and save them.

    Args:
        stages: Name to epochs as :func:`read_training` gives them.
        path: The picture (``.png``, ``.svg`` or ``.pdf``).
        unit: Of the errors, e.g. ``"px"``; empty where it is not known.

    Returns:
        ``path``.

    Raises:
        InputError: nothing to draw, an unknown suffix, or a file that cannot be written.
    """
    check_suffix(path)
    if not stages:
        raise InputError("nothing to plot: no training")
    with styled():
        size = (_PANEL * len(stages) / 72, _HEIGHT / 72)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(2, len(stages), squeeze=False, sharex="col")
        for (loss, error), (name, records) in zip(grid.T, stages.items(), strict=True):
            epochs = [record["epoch"] for record in records]
            loss.set_title(f"{name}: training loss")
            loss.plot(epochs, [record["train_loss"] for record in records], color=INK, lw=1.2)
            _draw_errors(error, name, unit, records)
            for axes in (loss, error):
                axes.set_yscale("log")  # the first epochs are far above the rest
                axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
                axes.yaxis.set_major_formatter(ScalarFormatter())
                axes.yaxis.set_minor_locator(NullLocator())
                axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        return save(figure, path)


def _draw_errors(axes: Axes, name: str, unit: str, records: Sequence[ReadRecord]) -> None:
    """The error of every group, and over all, with the epoch that was kept."""
    epochs = [record["epoch"] for record in records]
    errors = [record["validation"] for record in records]
    groups = [group for group in errors[0] if group != "mean"]
    if len(groups) > 1:
        for index, group in enumerate(groups):
            label = group.replace("_", " ")
            axes.plot(epochs, [e[group] for e in errors], color=look(index).colour, label=label)
    mean = [math.inf if math.isnan(e["mean"]) else e["mean"] for e in errors]
    best = min(range(len(mean)), key=mean.__getitem__)
    axes.plot(epochs, mean, color=INK, lw=1.4, label="all")
    if all((record.get("train_error") or {}).get("mean") is not None for record in records):
        fitted = [record["train_error"]["mean"] for record in records]
        axes.plot(epochs, fitted, color=INK, lw=1, ls=(0, (3, 2)), label="of training samples")
        errors = [*errors, *({"mean": error} for error in fitted)]
    label = f"kept: epoch {epochs[best]}, {mean[best]:.2f}"
    axes.plot(epochs[best], mean[best], "o", color=INK, ms=3.5, label=label)
    axes.set_title(f"{name}: validation error" + (f", {unit}" if unit else ""))
    known = [value for e in errors for value in e.values() if math.isfinite(value)]
    if math.isfinite(mean[best]):  # else there is nothing to see of a network that diverged
        axes.set_ylim(0.9 * min(known), max(2 * mean[best], min(max(mean), 5 * mean[best])))
    axes.set_xlabel("epoch")
    axes.legend(loc="upper right", ncols=2)
