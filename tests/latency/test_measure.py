"""groupnas.latency.measure: the grid, the graphs that are timed, a table of a small space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from groupnas import load_space
from groupnas.latency import Kernel, LatencyTable, kernel_format, measure_table
from groupnas.latency import measure as module
from groupnas.latency.graphs import BLOCKED, FLOOD, kernel_model, pass_model
from groupnas.latency.grid import kernel_grid, pass_grid, plain_layer
from groupnas.latency.kernel import padded_kernel
from groupnas.latency.regimes import regime_of
from groupnas.onnx_tools import open_session
from groupnas.spaces.allocation import Allocation

onnx = pytest.importorskip("onnx")

SPACE = load_space("examples/three_parts.yaml")
REGIMES = {
    *(f"blocked {kind}" for kind in ("first", "pointwise", "spatial", "depthwise", "pooling")),
    *(f"plain {kind}" for kind in ("pointwise", "spatial", "depthwise", "pooling")),
    "linear",
}


def test_the_grid_has_a_spaces_kernels_and_some_of_every_kind() -> None:
    grid = kernel_grid([SPACE], 16)
    assert len({kernel.shape for kernel in grid}) == len(grid)
    assert {regime_of(kernel, 16) for kernel in grid} == REGIMES
    shapes = {kernel.shape for kernel in grid}
    for layer in SPACE.layers:
        if layer.op == "conv":
            a, b = layer.in_channels, layer.out_channels
            assert Kernel(layer, 1, a, b).shape in shapes
            assert Kernel(layer, 3, a // 3, b // 3).shape in shapes
    assert {regime_of(kernel, 0) for kernel in kernel_grid([SPACE], 0)} == {
        regime for regime in REGIMES if not regime.startswith("blocked")
    }
    assert {op for op, _, _ in pass_grid(0)} == {"pieces", "hardswish", "sum"}


@pytest.mark.parametrize("index", range(0, len(kernel_grid([SPACE], 16)), 7))
def test_a_kernels_graph(index: int) -> None:
    kernel = kernel_grid([SPACE], 16)[index]
    form = kernel_format(kernel, 16)
    padded = padded_kernel(kernel, 16)
    graph = onnx.load_from_string(kernel_model(padded, form, 3, 2)).graph
    names = ("Conv", "Gemm", "AveragePool", "MaxPool")
    nodes = [node for node in graph.node if node.op_type in names]
    assert len(nodes) == 3 == len(graph.output)
    assert len({node.input[0] for node in nodes}) == 1
    assert all((node.domain == BLOCKED) == (form == "blocked") for node in nodes)
    sizes = {
        tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in graph.output
    }
    [size] = sizes
    assert int(np.prod(size)) == 2 * padded.out_elements
    flood = [dim.dim_value for dim in graph.input[1].type.tensor_type.shape.dim]
    assert int(np.prod(flood)) == FLOOD


def test_graphs_compute_what_they_say() -> None:
    # plain formats can be told by their numbers: of a convolution of ones, sums
    session = open_session(pass_model("pieces", 4, 1920, 1, 1))
    x = np.arange(1920, dtype=np.float32).reshape(1, 120, 4, 4)
    [y] = session.run(None, {"x": x})
    assert (y == np.concatenate(np.split(x, 4, axis=1)[::-1], axis=1)).all()
    [y] = open_session(pass_model("hardswish", 1, 1920, 2, 1)).run(None, {"x": x - 900})
    once = (x - 900) * np.clip((x - 900) / 6 + 0.5, 0, 1)
    np.testing.assert_allclose(y, once * np.clip(once / 6 + 0.5, 0, 1), rtol=1e-5)
    if module.block_size():
        [y] = open_session(pass_model("reorder", 1, 1920, 3, 1)).run(None, {"x": x})
        assert (y == x).all()  # there and back


def test_a_time_is_what_more_of_it_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that charges 10 ms for a call, 2 for a flood and 0.5 for each kernel."""

    def session(model: bytes, threads: int) -> int:
        assert threads == 1
        return sum(node.op_type == "Conv" for node in onnx.load_from_string(model).graph.node)

    class Timing:
        def __init__(self, convs: int) -> None:
            self.least = 10 + 2 + 0.5 * convs

    monkeypatch.setattr(module, "open_session", session)
    monkeypatch.setattr(module, "_call", lambda convs: convs)
    monkeypatch.setattr(
        module,
        "time_side_by_side",
        lambda work, **_: {name: Timing(convs) for name, convs in work.items()},
    )
    layer = plain_layer("conv", 4, 4, 4, kernel=1)
    for kernel in (Kernel(layer, 1, 4, 4), Kernel(layer, 1, 512, 512)):
        assert module._Bench(1, 1, 1).kernel(kernel, 16).ms == pytest.approx(0.5)
        # a batch of four: figures are of an image
        assert module._Bench(1, 4, 1).kernel(kernel, 16).ms == pytest.approx(0.125)


def test_a_table_of_a_small_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        module,
        "kernel_grid",
        lambda spaces, block: [
            kernel
            for index, kernel in enumerate(kernel_grid(spaces, block))
            if index % 4 == 0 or regime_of(kernel, block) in ("linear", "plain pooling")
        ],
    )
    seen: list[tuple[int, int]] = []
    found = measure_table(SPACE, repeats=1, progress=lambda *done: seen.append(done))
    total = len(found.file.kernels) + len(found.file.passes)
    assert seen == [(n + 1, total) for n in range(total)]
    assert found.block == module.block_size()
    path = tmp_path / "small.json"
    found.save(path)
    costs = Allocation.even(SPACE).costs(LatencyTable.load(path))
    assert all(ms > 0 for ms in costs.values())
    assert costs == Allocation.even(SPACE).costs(found)
