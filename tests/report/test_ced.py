"""The curves pass through what was computed by hand; what cannot be drawn is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from groupnas.errors import InputError
from groupnas.report.ced import ced_figure, plot_ced


def test_a_staircase_of_every_error() -> None:
    figure = ced_figure({"one": [4.0, 1.0, 2.0, 20.0]}, limit=10, unit="NME, %")
    line = figure.axes[0].lines[0]
    assert line.get_xdata() == pytest.approx([0, 1, 2, 4, 20, 20])
    assert line.get_ydata() == pytest.approx([0, 25, 50, 75, 100, 100])
    assert figure.axes[0].get_xlim() == (0, 10)


def test_a_curve_goes_on_to_the_limit() -> None:
    figure = ced_figure({"one": [1.0]}, limit=10, unit="NME, %")
    assert list(figure.axes[0].lines[0].get_xdata())[-1] == 10


def test_names_notes_and_looks() -> None:
    curves = {"global": np.arange(5.0), "cascade": np.arange(3.0)}
    figure = ced_figure(curves, limit=8, unit="NME, %", notes=["NME 2 %"])
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["global: NME 2 %", "cascade"]
    first, second = figure.axes[0].lines
    assert first.get_color() != second.get_color()
    assert first.get_linestyle() != second.get_linestyle()  # without colours too


def test_errors_that_are_not_known_are_counted() -> None:
    figure = ced_figure({"one": [4.0, np.nan, 2.0, np.nan]}, limit=5, unit="NME, %", notes=["a"])
    axes = figure.axes[0]
    assert list(axes.lines[0].get_xdata()) == [0, 2, 4, 5]
    assert list(axes.lines[0].get_ydata()) == [0, 50, 100, 100]
    legend = axes.get_legend()
    assert legend is not None and legend.get_texts()[0].get_text() == "one: a (2 of 4 samples)"
    with pytest.raises(InputError, match="one: has no errors"):
        ced_figure({"one": [np.nan]}, limit=5, unit="NME, %")


def test_saved_and_refused(tmp_path: Path) -> None:
    path = plot_ced({"one": [1.0]}, tmp_path / "ced.svg", limit=10, unit="NME, %")
    assert path.read_bytes().startswith(b"<?xml")
    with pytest.raises(InputError, match="nothing to plot"):
        plot_ced({}, tmp_path / "ced.png", limit=10, unit="NME, %")
    with pytest.raises(InputError, match="one: has no errors"):
        plot_ced({"one": []}, tmp_path / "ced.png", limit=10, unit="NME, %")
    with pytest.raises(InputError, match="must end in"):
        plot_ced({"one": [1.0]}, tmp_path / "ced.jpg", limit=10, unit="NME, %")
