"""Separable costs: against the accountant's table, which counts layer by layer itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import install
from hypothesis import given
from hypothesis import strategies as st

import groupnas as gn
from groupnas.errors import InputError
from groupnas.latency import LatencyTable
from groupnas.spaces.measure import group_cost, measure, million

SPACES = ("picasso_local", "picasso_local:19", "picasso_global")


@pytest.mark.parametrize("name", SPACES)
@given(seed=st.integers(0, 1000))
def test_parts_add_up_to_the_accountants_table(name: str, seed: int) -> None:
    space = gn.load_space(name)
    grouping = gn.Grouping.random_sizes(space, seed)
    table = gn.flops(gn.Allocation(space, grouping))
    assert gn.Allocation(space, grouping).costs() == table.per_group
    assert gn.Allocation(space, grouping).costs(measure("params")) == table.params_per_group


def test_a_part_by_hand() -> None:
    space = gn.load_space("examples/three_parts.yaml")
    # stem: 8x8 of 3x3, 1 -> 4; block 1 expands to 8 at 8x8, depthwise to 4x4, projects to 6 ...
    stem = 8 * 8 * 9 * 1 * 4
    block1 = 8 * 8 * 4 * 8 + 4 * 4 * 9 * 8 + 4 * 4 * 8 * 6
    block2 = 4 * 4 * 6 * 12 + 4 * 4 * 9 * 12 + 4 * 4 * 12 * 6
    rest = 4 * 4 * 6 * 8 + 4 * 4 * 8 * 3
    widths = {unit: channels // 3 for unit, channels in space.free_units.items()}
    assert group_cost(space, "disc", widths) == stem + block1 + block2 + rest


def test_tensors_carry_gradients() -> None:
    space = gn.load_space("picasso_local")
    widths = {
        unit: torch.tensor([n / 4, n / 2], dtype=torch.float64, requires_grad=True)
        for unit, n in space.free_units.items()
    }
    cost = group_cost(space, "nose", widths)
    assert cost.shape == (2,)
    numbers = {unit: n / 4 for unit, n in space.free_units.items()}
    assert cost[0].item() == group_cost(space, "nose", numbers)
    gradients = torch.autograd.grad(cost[0], list(widths.values()))
    bumped = {**numbers, "stem": numbers["stem"] + 1}  # linear in each width on its own
    difference = group_cost(space, "nose", bumped) - cost[0].item()
    assert gradients[list(widths).index("stem")][0].item() == pytest.approx(difference)
    assert all(g[1] == 0 for g in gradients)


def test_an_unknown_measure_is_refused() -> None:
    with pytest.raises(InputError, match=r"measure 'macs': did you mean 'mac'\?"):
        measure("macs")


# -- files and other packages' ------------------------------------------------------------------


def test_a_table_is_read_once_in_a_search(
    shapes_space: Any, shapes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.json"
    LatencyTable.shipped().save(path)
    reads, parsed = [], LatencyTable._parsed.__func__  # type: ignore[attr-defined]
    counted = classmethod(lambda cls, *given: reads.append(given[1]) or parsed(cls, *given))
    monkeypatch.setattr(LatencyTable, "_parsed", counted)
    strategy = gn.load_strategy("evolution:quick").with_settings(
        trials=3,
        population=2,
        tournament=2,
        epochs=1,
        budget={"measure": str(path), "tolerance": 0.05},
    )
    run = gn.search(shapes_space, shapes, strategy, tmp_path / "run", quiet=True)
    assert len(run.history) == 3 and reads == [str(path)]
    within = gn.Budget(measure=str(path), tolerance=0.05)
    assert sum(run.design(within).costs(within.resolved_measure).values()) > 0
    assert reads == [str(path)]
    # Another table under the same name is another measure.
    path.write_text(path.read_text().replace('"threads": 1', '"threads":  2'))
    other = measure(str(path))
    assert isinstance(other, LatencyTable) and other.file.threads == 2 and len(reads) == 2


PLUGIN = '''
from groupnas.accountant import count_parameters
from groupnas.spaces.measure import Measure

class WeightBytes(Measure):
    """Bytes of float16 weights, and of a header for each layer."""
    name, unit = "bytes", "bytes"

    def of_layer(self, layer, a, b):
        return 2 * count_parameters(layer, a, b)

    def fixed(self, layer):
        return 16

    def caveat(self):
        return "float16 only"

    million = "MB"
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Another package with a measure, as pip would install it."""
    (tmp_path / "others.py").write_text(PLUGIN)
    install(tmp_path, "others", "groupnas.measures", "bytes = others:WeightBytes")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("others", None)


def test_another_packages_measure_works_as_ours(
    plugin: Path, shapes_space: Any, shapes: Any
) -> None:
    even = gn.Allocation.even(shapes_space)
    whole = 2 * gn.flops(even).total_params + 16 * len(shapes_space.layers)
    assert sum(even.costs("bytes").values()) == pytest.approx(whole)
    assert measure("bytes").caveat() == "float16 only" and measure("mac").caveat() is None
    names = ("mac", "params", "bytes", "gone", "gone.json")
    assert [million(name) for name in names] == ["million MACs", "", "MB", "", ""]
    with pytest.raises(InputError, match="measure 'byte': did you mean 'bytes'"):
        measure("byte")

    budget = gn.Budget(total=0.7, measure="bytes", tolerance=0.05)
    strategy = gn.load_strategy("random").with_budget(budget)
    run = gn.search(shapes_space, shapes, strategy, plugin / "run", quiet=True)
    assert sum(run.allocation.costs("bytes").values()) == pytest.approx(0.7 * whole, rel=0.05)

    gn.compare(
        shapes_space,
        lambda: shapes,
        ["even", "random"],
        plugin / "compared",
        training=gn.Training(epochs=1, batch_size=20, weights={"lr": 0.01}),  # type: ignore[arg-type]
        seeds=[0],
        budgets=[0.5],
        measure="bytes",
        tolerance=0.05,
        jobs=1,
        quiet=True,
    )
    for name in ("even", "random"):
        cell = json.loads((plugin / f"compared/train/{name}-s0-b0.5/cell.json").read_text())
        assert sum(cell["costs"]["bytes"].values()) == pytest.approx(0.5 * whole, rel=0.05)


def test_help_lists_what_is_registered(plugin: Path) -> None:
    code = "from groupnas.cli import main; main(['compare', '--help'])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(plugin), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert {"bytes", "latency", "mac", "params"} <= set(re.findall(r"\w+", done.stdout))


def test_a_broken_package_is_named(plugin: Path) -> None:
    (plugin / "others.py").write_text("import not_there\n")
    with pytest.raises(InputError, match="measure 'bytes' cannot be loaded: .*not_there"):
        measure("bytes")
