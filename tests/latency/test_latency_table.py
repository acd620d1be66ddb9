"""groupnas.latency.table: exact figures and models by hand, the file, the table that ships."""

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
from groupnas.budget import Budget, fit
from groupnas.errors import InputError
from groupnas.latency import Kernel, LatencyTable
from groupnas.latency.grid import plain_layer
from groupnas.latency.regimes import regime_of
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.layer import INPUT, Layer
from groupnas.spaces.measure import Measure, group_cost, measure

SPACE = load_space("picasso_local")
SHIPPED = LatencyTable.shipped()

CONV = plain_layer("conv", 8, 8, 4, kernel=1)
DEPTHWISE = plain_layer("depthwise", 8, 8, 4, kernel=3)
LINEAR = plain_layer("linear", 8, 8, 4)


def kernel_point(layer: Layer, groups: int, inputs: int, outputs: int, ms: float) -> dict[str, Any]:
    return {
        "op": layer.op,
        "window": [layer.kernel, layer.stride, layer.dilation],
        "in_size": layer.in_size,
        "out_size": layer.out_size,
        "groups": groups,
        "inputs": inputs,
        "outputs": outputs,
        "act": layer.act,
        "format": "plain",
        "ms": ms,
    }


@pytest.fixture
def data() -> dict[str, Any]:
    """Times that the models fit exactly."""
    return {
        "format": 2,
        "kind": "latency",
        "machine": "m",
        "onnxruntime": "1.31",
        "threads": 1,
        "batch": 1,
        "block": 16,
        "kernels": [
            # a millisecond, and one for every 1000 MACs
            *(
                kernel_point(CONV, 2, n, n, 1 + 2 * n * n * 16 / 1000)
                for n in (16, 32, 48, 64, 128, 256)
            ),
            *(kernel_point(DEPTHWISE, n, 1, 1, 0.5 + n / 100) for n in (16, 32, 64)),
            kernel_point(LINEAR, 1, 4, 4, 2.0),
        ],
        "passes": [
            *({"op": "reorder", "pieces": 1, "elements": n, "ms": 0.1 * n} for n in (1, 3)),
            *({"op": "hardswish", "pieces": 1, "elements": n, "ms": 1 + n} for n in (1, 3)),
            *(
                {"op": "pieces", "pieces": c, "elements": n, "ms": 2 * c + 3 * n}
                for c in (2, 4)
                for n in (1, 3)
            ),
            {"op": "sum", "pieces": 1, "elements": 10, "ms": 5},
        ],
    }


def written(data: Any, folder: Path) -> Path:
    path = folder / "table.json"
    path.write_text(json.dumps(data))
    return path


@pytest.fixture
def table(data: dict[str, Any], tmp_path: Path) -> LatencyTable:
    return LatencyTable.load(written(data, tmp_path))


def test_what_was_measured_and_what_was_not(table: LatencyTable, data: dict[str, Any]) -> None:
    assert table.kernel(Kernel(CONV, 2, 32, 32)) == data["kernels"][1]["ms"]
    # other names, units and channels of the space do not matter
    twin = replace(CONV, name="twin", in_unit="c", in_channels=64, norm=True, bias=True)
    assert table.kernel(Kernel(twin, 2, 32, 32)) == data["kernels"][1]["ms"]
    # a model for others: what was measured lies on one line in MACs
    assert table.kernel(Kernel(CONV, 2, 96, 96)) == pytest.approx(1 + 2 * 96 * 96 * 16 / 1000)
    assert table.kernel(Kernel(DEPTHWISE, 48, 1, 1)) == pytest.approx(0.98)
    # 20 channels are computed as two blocks
    assert table.kernel(Kernel(DEPTHWISE, 20, 1, 1)) == pytest.approx(0.82)
    # groups of a linear layer are nodes of their own
    assert table.kernel(Kernel(LINEAR, 3, 4, 4)) == 6.0


def test_passes(table: LatencyTable) -> None:
    assert table.reorder(20) == pytest.approx(2.0)
    assert table.pieces(3, 10) == pytest.approx(36.0)
    assert table.addition(10) == pytest.approx(5.0)


def test_a_hardswish_is_a_pass_in_plain_format(table: LatencyTable) -> None:
    active = replace(DEPTHWISE, act="hardswish")
    elements = 32 * 16
    bare = table.kernel(Kernel(DEPTHWISE, 32, 1, 1))
    expected = bare + 1 + elements + 2 * 0.1 * elements
    assert table.kernel(Kernel(active, 32, 1, 1)) == pytest.approx(expected)
    assert table.fixed(active) == pytest.approx(0.5 + 1)
    assert table.of_layer(active, 32, 32) == pytest.approx(0.32 + elements)


def test_a_group_adds_what_whole_blocks_do(table: LatencyTable) -> None:
    assert table.fixed(CONV) == pytest.approx(1.0)
    assert table.of_layer(CONV, 3, 5) == pytest.approx(3 * 5 * 16 / 1000)
    groups = 2 * table.of_layer(CONV, 96, 96) + table.fixed(CONV)
    assert groups == pytest.approx(table.kernel(Kernel(CONV, 2, 96, 96)))
    assert table.of_layer(DEPTHWISE, 3, None) == pytest.approx(0.03)


@given(a=st.floats(1, 300), b=st.floats(1, 300), which=st.integers(0, len(SPACE.layers) - 1))
def test_tensors_are_numbers_with_a_gradient_that_never_falls(
    a: float, b: float, which: int
) -> None:
    layer = SPACE.layers[which]
    x, y = (torch.tensor([v, 2.0], dtype=torch.float64, requires_grad=True) for v in (a, b))
    found = SHIPPED.of_layer(layer, x, y)
    assert found[0].item() == pytest.approx(SHIPPED.of_layer(layer, a, b))
    assert found[0].item() > 0
    gradients = torch.autograd.grad(found.sum(), (x, y), allow_unused=True)
    for position, gradient in enumerate(gradients):
        if gradient is None:  # a depthwise layer does not look at its outputs
            assert position == 1 and not layer.mixes_channels
            continue
        step = [1.0 if index == position else 0.0 for index in range(2)]
        more = SHIPPED.of_layer(layer, a + step[0], b + step[1])
        assert gradient[0].item() >= 0
        # linear in each of the two
        assert gradient[0].item() == pytest.approx(more - found[0].item(), rel=1e-6)


@pytest.mark.parametrize("name", ["picasso_local", "picasso_global", "groupbench"])
def test_the_shipped_table_costs_every_space(name: str) -> None:
    space = load_space(name)
    costs = Allocation.even(space).costs(SHIPPED)
    fixed = sum(SHIPPED.fixed(layer) for layer in space.layers)
    assert sum(costs.values()) > fixed > 0
    widths = {unit: n / len(space.groups) for unit, n in space.free_units.items()}
    own = group_cost(space, space.groups[0], widths, SHIPPED)
    assert own > fixed / len(space.groups)
    for layer in space.layers:
        count = layer.in_channels if not layer.mixes_channels else 1
        inputs = 1 if not layer.mixes_channels else layer.in_channels
        outputs = 1 if not layer.mixes_channels else layer.out_channels
        assert SHIPPED.kernel(Kernel(layer, count, inputs, outputs)) > 0


def test_the_shipped_table_is_what_it_says() -> None:
    assert (SHIPPED.name, SHIPPED.unit, SHIPPED.block) == ("x86_avx512", "ms", 16)
    assert (SHIPPED.file.threads, SHIPPED.file.batch) == (1, 1)
    assert "x86_64" in SHIPPED.file.machine
    rows = SHIPPED.to_markdown().splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    found = {row[0]: row for row in cells[2:]}
    assert set(found) == {regime_of(p.kernel, 16) for p in SHIPPED.file.kernels} | {
        p.op for p in SHIPPED.file.passes
    }
    for regime in ("blocked pointwise", "plain pointwise", "blocked depthwise"):
        assert float(found[regime][2].rstrip("%")) < 12, "the model does not fit what was measured"
    # what layouts are chosen for: a blocked kernel of many channels beats a plain one of as many
    layer = next(layer for layer in SPACE.layers if layer.name == "stage3.block2.depthwise")
    blocked, plain = (SHIPPED.kernel(Kernel(layer, n, 1, 1)) for n in (288, 282))
    assert plain > 3 * blocked


def test_budgets_are_met_in_milliseconds(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    SHIPPED.save(path)
    assert measure(str(path)) == replace(SHIPPED, name=str(path))
    budget = Budget(total=0.8, measure=str(path))
    found = fit(SPACE, Grouping.random_sizes(SPACE, 3).counts(), budget)
    even = sum(Allocation.even(SPACE).costs(SHIPPED).values())
    cost = sum(found.costs(SHIPPED).values())
    assert cost == pytest.approx(0.8 * even, rel=0.01) and cost <= 0.8 * even


def test_groups_share_what_is_fixed() -> None:
    class OnlyFixed(Measure):
        name, unit = "fixed", "x"

        def of_layer(self, layer: Layer, a: Any, b: Any) -> Any:
            return 0 * a

        def fixed(self, layer: Layer) -> float:
            return 2.0

    costs = Allocation.even(SPACE).costs(OnlyFixed())
    assert set(costs.values()) == {2.0 * len(SPACE.layers) / 4}
    whole = SPACE.ungrouped()
    assert Allocation.even(whole).costs(OnlyFixed()) == {"all": 2.0 * len(SPACE.layers)}


@pytest.mark.parametrize(
    ("here", "lacks", "caveat"),
    [
        ("one core", False, None),
        ("another", False, "measured on one core, and this is another: times are others here"),
        ("one core", True, "measured on one core, and this is one core without AVX-512: times"),
    ],
)
def test_times_of_another_processor(
    table: LatencyTable,
    here: str,
    lacks: bool,
    caveat: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("groupnas.latency.table.machine", lambda: here)
    monkeypatch.setattr("groupnas.latency.table.lacks_avx512", lambda: lacks)
    table = replace(table, file=table.file.model_copy(update={"machine": "one core", "block": 16}))
    told = table.caveat()
    if caveat is None:
        assert told is None
    else:
        assert told is not None and caveat in told and "groupnas bench --table FILE" in told


def test_a_table_is_saved_under_the_name_of_one(table: LatencyTable, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the name of a latency table must end in \.json"):
        table.save(tmp_path / "table.onnx")


def test_saved_and_read_again(table: LatencyTable, tmp_path: Path) -> None:
    path = tmp_path / "again.json"
    table.save(path)
    assert LatencyTable.load(path) == replace(table, name=str(path))
    # one point a line, for people and for version control
    points = len(table.file.kernels) + len(table.file.passes)
    assert sum('"ms"' in line for line in path.read_text().splitlines()) == points


def test_a_kind_that_was_not_measured(table: LatencyTable) -> None:
    spatial = replace(CONV, name="mix", kernel=3)
    message = r"table.json: mix: no kernel like it \(plain spatial, conv 3x3 on 4x4\) was measured"
    with pytest.raises(InputError, match=message):
        table.kernel(Kernel(spatial, 2, 3, 3))
    with pytest.raises(InputError, match=r"mix: no kernel like it \(blocked first, "):
        table.of_layer(replace(spatial, in_unit=INPUT), 1, 1)


def test_a_machine_without_blocked_kernels(data: dict[str, Any], tmp_path: Path) -> None:
    data["block"] = 0
    data["passes"] = [point for point in data["passes"] if point["op"] != "reorder"]
    table = LatencyTable.load(written(data, tmp_path))
    assert table.reorder(100) == 0
    assert table.kernel(Kernel(DEPTHWISE, 20, 1, 1)) == pytest.approx(0.7)  # no padding
    assert table.of_layer(DEPTHWISE, 20, None) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("kind",), "else", "kind: "),
        (("machine",), None, "machine: "),
        (("block",), -1, "block: input should be greater than or equal to 0, got -1"),
        (("kernels",), [], "kernels: "),
        (("kernels", 2, "ms"), -1.0, "kernels.2.ms: input should be greater than 0, got -1"),
        (("kernels", 2, "op"), "conf", "kernels.2.op: "),
        (("kernels", 0, "speed"), 1, "kernels.0.speed: unknown key"),
        (("passes", 1, "elements"), 0, "passes.1.elements: "),
        (("passes",), [], "passes: no reorder among them; expected at least one"),
        (("format",), 1, "format: 1 holds times of PyTorch; measure a new table"),
        (("format",), 3, "format: input should be 2"),
    ],
)
def test_a_wrong_file(
    data: dict[str, Any], tmp_path: Path, place: tuple[Any, ...], value: Any, message: str
) -> None:
    inner = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(InputError, match=f"table.json: {message}"):
        LatencyTable.load(written(data, tmp_path))


def test_not_json(tmp_path: Path) -> None:
    path = tmp_path / "wrong.json"
    path.write_text("{")
    with pytest.raises(InputError, match="wrong.json:1: is not JSON"):
        LatencyTable.load(path)
    with pytest.raises(InputError, match="cannot be read"):
        LatencyTable.load(tmp_path / "none.json")
