"""What a notebook shows of a result is short: no table of everything that it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import groupnas
from groupnas.engine.split import split_by_source
from groupnas.groupbench import load_groupbench
from groupnas.latency.table import LatencyTable

SPACE = groupnas.load_space("picasso_local:68")
EVEN = groupnas.Grouping.even(SPACE)
BENCH = load_groupbench()


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (SPACE, "SearchSpace(name='picasso_local:68', title='Local network"),
        (EVEN, "Grouping(picasso_local:68: left_eye 1210, right_eye 1210, nose 1210, mouth 1210 "),
        (BENCH, "GroupBench(left_eye, nose, mouth; 10 seeds, 15 epochs)"),
        (BENCH.table, "Table(about={"),
        (BENCH.curves()["nose"], "Curve(70, errors "),
        (BENCH.choices(groupnas.Budget(total=0.001)), "Choices(none)"),
        (groupnas.flops(groupnas.Allocation(SPACE, EVEN)), "FlopsTable(space='picasso_local:68'"),
        (LatencyTable.shipped(), "LatencyTable(name='x86_avx512'"),
        (split_by_source(["a", "b", "c"], 0.3, 0), "Split(2 samples train, 1 validate)"),
        (groupnas.Budget(), "Budget(measure='mac', total=1.0"),
        (groupnas.load_strategy("gumbel"), "MaskSearch("),
    ],
    ids=lambda value: type(value).__name__,
)
def test_short(value: Any, part: str) -> None:
    assert repr(value).startswith(part)
    assert len(repr(value)) < 1000


def test_results_are_short(shapes_space: Any, shapes: Any, tmp_path: Path) -> None:
    run = groupnas.search(shapes_space, shapes, "even", tmp_path / "a", quiet=True)
    split = split_by_source(shapes.sources, 0.3, 0)
    settings = groupnas.Training(epochs=1, batch_size=20, weights={"lr": 0.01})  # type: ignore[arg-type]
    network = run.design().build()
    trained = groupnas.train(network, shapes, settings, tmp_path / "b", split=split, quiet=True)
    assert repr(run).startswith(f"Run(folder=RunFolder('{tmp_path / 'a'}'), allocation=Allocation(")
    assert repr(trained).startswith(f"Trained(folder=RunFolder('{tmp_path / 'b'}'), result={{")
    assert max(len(repr(run)), len(repr(trained))) < 1000
