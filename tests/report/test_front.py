"""Errors against costs: every model is drawn, and the staircase holds those that none beats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from groupnas.errors import InputError
from groupnas.report.front import FrontPoint, front_figure, plot_front

POINTS = [
    FrontPoint("whole", 3.4, {"M MACs": 99.0, "ms": 3.0}),
    FrontPoint("half", 3.5, {"M MACs": 50.0}),
    FrontPoint("worse", 3.9, {"M MACs": 70.0, "ms": 2.0}),
    FrontPoint("tenth", 4.2, {"M MACs": 10.0}),
]


def test_a_panel_for_each_cost() -> None:
    macs, times = front_figure(POINTS, unit="NME %").axes
    assert (macs.get_xlabel(), times.get_xlabel()) == ("M MACs", "ms")
    assert macs.get_ylabel() == "NME %" and not times.get_ylabel()
    stairs, dots = macs.lines
    assert np.asarray(dots.get_xdata()).tolist() == [99, 50, 70, 10]
    assert np.asarray(stairs.get_xdata()).tolist() == [10, 50, 99]
    assert np.asarray(stairs.get_ydata()).tolist() == [4.2, 3.5, 3.4]
    assert [text.get_text() for text in times.texts] == ["whole", "worse"]


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two models or more"):
        front_figure(POINTS[:1], unit="NME %")
    with pytest.raises(InputError, match="picture"):
        plot_front(POINTS, tmp_path / "front.txt", unit="NME %")
    assert plot_front(POINTS, tmp_path / "front.png", unit="NME %").stat().st_size > 5000
