"""Differences and errors of a comparison, drawn."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from groupnas.comparison.fronts import CostRatio
from groupnas.comparison.rows import FrontRow, ResultRow
from groupnas.comparison.statistics import Difference
from groupnas.comparison.tables import Comparison
from groupnas.errors import InputError
from groupnas.report import comparison as module
from groupnas.report.comparison import _ratio, plot_comparison


def row(strategy: str, budget: float, mean: float, differs: bool = True) -> ResultRow:
    of = Difference(
        mean=mean,
        low=mean - 0.2,
        high=mean + 0.2,
        sources_low=mean,
        sources_high=mean,
        seeds_low=None,
        seeds_high=None,
        samples=10,
        sources=10,
        seeds=2,
    )
    return ResultRow(
        strategy=strategy,
        budget=budget,
        samples="validation",
        count=10,
        sources=10,
        counts={"left_eye": 10, "mean": 10},
        seeds=(0, 1),
        diverged=(),
        cost=4e6 * budget,
        unit="NME %",
        errors={"left_eye": (3.0, 0.1), "mean": (4.0 + mean, 0.1)},
        differences={"left_eye": of, "mean": of} if differs else {},
        relative={},
    )


def of(*rows: ResultRow) -> Comparison:
    return Comparison(
        folder=Path("c"),
        task="faces",
        groups=("left_eye",),
        measure="mac",
        baseline="even",
        rows=rows,
        searches=(),
        cells=(),
        missing=(),
    )


ROWS = [row("even", b, 0.0, False) for b in (1.0, 0.5)]
ROWS += [row(name, b, d) for b in (1.0, 0.5) for name, d in (("random", 0.3), ("own", -0.3))]


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_it_is_drawn_the_same_each_time(tmp_path: Path, suffix: str) -> None:
    first, second = (plot_comparison(of(*ROWS), tmp_path / f"{n}{suffix}") for n in "ab")
    assert first.read_bytes() == second.read_bytes() and first.stat().st_size > 1000


def test_panels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, int]] = []
    monkeypatch.setattr(
        module, "_draw_differences", lambda axes, rows, *_: drawn.append(("d", len(rows)))
    )
    monkeypatch.setattr(
        module, "_draw_errors", lambda axes, rows, *_: drawn.append(("e", len(rows)))
    )
    one = [r for r in ROWS if r.budget == 1.0]
    for rows, panels in ((ROWS, [("d", 4), ("e", 6)]), (one, [("d", 2)]), (one[:1], [("e", 1)])):
        drawn.clear()
        with Image.open(plot_comparison(of(*rows), tmp_path / "x.png")) as picture:
            assert picture.width == pytest.approx(len(panels) * 430 / 72 * 300, abs=4)
        assert drawn == panels


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing is finished on any samples"):
        plot_comparison(of(), tmp_path / "x.png")
    with pytest.raises(InputError, match="nothing is finished on test"):
        plot_comparison(of(*ROWS), tmp_path / "x.png", "test")
    with pytest.raises(InputError, match="must end in"):
        plot_comparison(of(*ROWS), tmp_path / "x.jpg")


def test_intervals_and_networks_that_there_are_not(tmp_path: Path) -> None:
    """Of few sources no line is drawn, and of a network that diverged nothing."""
    ends = dict.fromkeys(
        ("low", "high", "sources_low", "sources_high", "seeds_low", "seeds_high"), None
    )
    few = [
        replace(r, differences={n: replace(d, sources=2, **ends) for n, d in r.differences.items()})
        for r in ROWS
    ]
    for name, rows, told in (("few", few, False), ("whole", ROWS, True)):
        svg = plot_comparison(of(*rows), tmp_path / f"{name}.svg").read_text()
        assert ("95 %" in svg) == ("significant" in svg) == told
    lost = replace(ROWS[-1], diverged=(1,), errors={"mean": (math.inf, None)}, differences={})
    assert plot_comparison(of(*ROWS[:-1], lost), tmp_path / "lost.png").stat().st_size > 1000
    alone = replace(lost, budget=1.0)
    assert plot_comparison(of(alone), tmp_path / "alone.png").stat().st_size > 1000


def test_the_legend_tells_the_cost_at_equal_error() -> None:
    told: dict[str, Any] = {"better": None, "below": None, "least": 1.0, "most": 2.0}
    told |= {"overlap": 1.0, "sources": 10, "seeds": 2}
    of = CostRatio(ratio=0.764, low=0.68, high=0.854, **told)
    front = FrontRow(strategy="own", samples="test", unit="px", found=of, why="")
    assert _ratio(front, "test") == "0.76 [0.68, 0.85] at equal error"
    assert _ratio(front, "validation") == ""
    sole = replace(front, found=replace(of, low=None, high=None))
    assert _ratio(sole, "test") == "0.76 at equal error"
    assert _ratio(replace(front, found=replace(of, ratio=None)), "test") == ""
