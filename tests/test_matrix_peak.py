"""benchmarks/matrix_peak.py: operations of a graph, against the accountant and by hand."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from helpers import ROOT, load_script

import groupnas
from groupnas.deploy.export import export_onnx


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script(ROOT / "benchmarks/matrix_peak.py")


@pytest.mark.parametrize("batch", [1, None])
def test_a_network_as_the_accountant_counts(
    script: ModuleType, tmp_path: Path, batch: int | None
) -> None:
    """Of even groups, whose convolutions hold no zeros."""
    space = groupnas.load_space(ROOT / "examples/three_parts.yaml")
    grouping = groupnas.Grouping.even(space)
    export_onnx(groupnas.Allocation(space, grouping).build(), tmp_path / "net.onnx", batch=batch)
    assert (
        script.total_macs(tmp_path / "net.onnx")
        == groupnas.flops(groupnas.Allocation(space, grouping)).total
    )


def test_single_nodes_by_hand(script: ModuleType, tmp_path: Path) -> None:
    nodes = script.single_nodes(tmp_path)
    counts = {name: script.node_macs(path) for name, path in nodes.items()}
    assert counts["matrix product, 512"] == {"node": 512**3}
    assert counts["3x3, 64 channels, 56 x 56"] == {"node": 56**2 * 64 * 64 * 9}
    assert counts["depthwise 3x3, 128 channels, 16 x 16"] == {"node": 16**2 * 128 * 9}


def test_a_profile_has_every_convolution(script: ModuleType, tmp_path: Path) -> None:
    space = groupnas.load_space("picasso_local")
    grouping = groupnas.Grouping.even(space)
    export_onnx(groupnas.Allocation(space, grouping).build(), tmp_path / "net.onnx", batch=1)
    found = script.profile(tmp_path / "net.onnx", threads=1, runs=3)
    convolutions = [figures for kind, figures in found.items() if figures[2] and "x" in kind]
    counted = groupnas.flops(groupnas.Allocation(space, grouping))
    ops = {layer.name: layer.op for layer in space.layers}
    expected = sum(n for name, n in counted.per_layer.items() if ops[name] != "linear")
    # Channels that ONNX Runtime pads to whole blocks are computed, and counted.
    assert expected <= sum(macs for _, _, macs in convolutions) < 1.05 * expected
    assert sum(nodes for nodes, _, _ in convolutions) == sum(op != "linear" for op in ops.values())
    assert all(ms > 0 for _, ms, _ in convolutions)
