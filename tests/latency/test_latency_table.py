"""groupnas.latency: interpolation by hand, tensors as numbers, the file, a measurement."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from groupnas import Grouping, load_space
from groupnas.costs import grouping_costs, measure
from groupnas.errors import InputError
from groupnas.latency import LatencyFile, LatencyTable
from groupnas.spaces.layer import Layer

SPACE = Path(__file__).parent / "spaces" / "small" / "pools.yaml"
CONV = Layer(
    name="mix",
    op="conv",
    in_unit="a",
    out_unit="b",
    in_channels=8,
    out_channels=8,
    in_size=(4, 4),
    out_size=(4, 4),
    kernel=1,
)
DEPTHWISE = replace(CONV, name="deep", op="depthwise", kernel=3, out_unit="a")


def shape(layer: Layer) -> dict[str, Any]:
    keys = ["op", "in_size", "out_size", "kernel", "stride", "dilation", "norm", "act", "bias"]
    return json.loads(json.dumps({key: getattr(layer, key) for key in keys}))


@pytest.fixture
def data() -> dict[str, Any]:
    mix = {
        "layer": shape(CONV),
        "inputs": [1, 3],
        "outputs": [1, 5, 9],
        # the last figure was measured less than its neighbours: it counts as much as they do
        "ms": [[1.0, 2.0, 4.0], [2.0, 4.0, 3.0]],
    }
    deep = {"layer": shape(DEPTHWISE), "inputs": [2, 4], "outputs": [0], "ms": [[1.0], [2.0]]}
    return {
        "format": 1,
        "kind": "latency",
        "space": "tiny",
        "machine": "m",
        "torch": "t",
        "threads": 1,
        "batch": 1,
        "layers": [mix, deep],
    }


@pytest.fixture
def table(data: dict[str, Any], tmp_path: Path) -> LatencyTable:
    path = tmp_path / "table.json"
    path.write_text(json.dumps(data))
    return LatencyTable.load(path)


@pytest.mark.parametrize(
    ("a", "b", "ms"),
    [
        (1, 1, 1.0),
        (3, 5, 4.0),
        (2, 3, 2.25),  # the mean of 1, 2, 2, 4
        (1, 6, 2.5),
        (3, 9, 4.0),  # not 3
        (5, 1, 3.0),  # on along the last cell
        (1, 17, 8.0),
    ],
)
def test_interpolation_by_hand(table: LatencyTable, a: float, b: float, ms: float) -> None:
    assert table.of_layer(CONV, a, b) == pytest.approx(ms)
    found = table.of_layer(CONV, torch.tensor(float(a)), torch.tensor(float(b)))
    assert found.item() == pytest.approx(ms)


def test_a_layer_that_keeps_channels_apart(table: LatencyTable) -> None:
    assert table.of_layer(DEPTHWISE, 3, 3) == 1.5
    assert table.of_layer(DEPTHWISE, torch.tensor([2.0, 3.0]), None).tolist() == [1.0, 1.5]


@given(a=st.floats(1, 6), b=st.floats(1, 12))
def test_tensors_are_numbers_with_a_gradient(a: float, b: float) -> None:
    file = _file()
    x, y = (torch.tensor([v, 2.0], dtype=torch.float64, requires_grad=True) for v in (a, b))
    found = file.of_layer(CONV, x, y)
    assert found[0].item() == pytest.approx(file.of_layer(CONV, a, b))
    found.sum().backward()
    assert x.grad is not None and y.grad is not None
    # bilinear: within a cell, exactly a difference quotient
    step = 1e-6
    slope = (file.of_layer(CONV, a + step, b) - file.of_layer(CONV, a, b)) / step
    assert x.grad[0].item() == pytest.approx(slope, abs=1e-4) or abs(a + step - 3) < 1e-5
    assert (x.grad >= 0).all() and (y.grad >= 0).all()


def _file() -> LatencyTable:
    entry = {
        "layer": shape(CONV),
        "inputs": [1, 3, 6],
        "outputs": [1, 12],
        "ms": [[1.0, 2.0], [2.0, 5.0], [4.0, 9.0]],
    }
    head = {"space": "tiny", "machine": "m", "torch": "t", "threads": 1, "batch": 1}
    return LatencyTable("table", LatencyFile.model_validate({**head, "layers": [entry]}))


def test_measured_saved_and_read_as_a_measure(tmp_path: Path) -> None:
    space = load_space(SPACE)
    threads = torch.get_num_threads()
    path = tmp_path / "pools.json"
    found = LatencyTable.measure(space, (0, 0.5, 1), repeats=1)
    assert torch.get_num_threads() == threads
    found.save(path)
    cost = measure(str(path))
    assert (cost.name, cost.unit) == (str(path), "ms")
    assert isinstance(cost, LatencyTable) and cost.file == found.file
    even = grouping_costs(space, Grouping.even(space), cost)
    assert set(even) == set(space.groups) and all(ms > 0 for ms in even.values())
    # a convolution up to the widest of its kind, whatever the shares
    grid = {tuple(entry.inputs) for entry in cost.file.layers if entry.layer["op"] == "conv"}
    assert (1, 2) in grid and (1, 4, 9) in grid
    # another resolution is another shape, other widths are not
    wider = space.resized({unit: 2 * width for unit, width in space.free_units.items()})
    assert sum(grouping_costs(wider, Grouping.even(wider), cost).values()) >= sum(even.values())
    with pytest.raises(InputError, match=r"pools.json: mix: no layer like it \(conv 1x1 on 4x4\)"):
        cost.of_layer(CONV, 1, 1)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("kind", "else", "kind: "),
        ("machine", None, "machine: "),
        ("inputs", [3, 1], "layers.0.inputs: expected ascending"),
        ("outputs", [], "layers.0.outputs: expected ascending"),
        ("ms", [[1.0, 2.0, 3.0]], "layers.0.ms: expected 2 rows of 3"),
        ("ms", [[1.0, 2.0, 3.0], [1.0, 2.0, -1.0]], "layers.0.ms.1.2: "),
    ],
)
def test_a_wrong_file(
    data: dict[str, Any], tmp_path: Path, key: str, value: Any, message: str
) -> None:
    (data["layers"][0] if key in data["layers"][0] else data)[key] = value
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=f"wrong.json: {message}"):
        LatencyTable.load(path)


def test_not_json(tmp_path: Path) -> None:
    path = tmp_path / "wrong.json"
    path.write_text("{")
    with pytest.raises(InputError, match="wrong.json: is not JSON"):
        LatencyTable.load(path)
    with pytest.raises(InputError, match="cannot be read"):
        LatencyTable.load(tmp_path / "none.json")


@pytest.mark.parametrize("shares", [(0.5,), (0.5, 1.5)])
def test_wrong_shares(shares: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="shares: expected at least two from 0 to 1"):
        LatencyTable.measure(load_space(SPACE), shares)
