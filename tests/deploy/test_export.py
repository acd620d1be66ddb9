"""export_onnx: one file that computes, in ONNX Runtime, what the supernet computes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from helpers import SMALL, UNPLANNED_SPACES

import groupnas as gn
from groupnas.deploy.dense import DensePlanner
from groupnas.deploy.planner import LayoutPlanner
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.onnx_tools import open_session
from groupnas.spaces import SearchSpace, load_space
from groupnas.spaces.supernet import Supernet

PLANNER = LayoutPlanner()


def test_what_was_searched_is_what_runs(
    space: SearchSpace, randomised: Callable[..., Any], tmp_path: Path
) -> None:
    net = randomised(Supernet(space, init="normal")).eval()
    torch.manual_seed(5)
    x = torch.randn(3, sum(space.inputs.values()), *space.input_size)
    gn.export_onnx(gn.derive(net, planner=PLANNER), tmp_path / "net.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]
    session = open_session(tmp_path / "net.onnx")
    (port,), (answer,) = session.get_inputs(), session.get_outputs()
    assert (port.name, port.type) == ("x", "tensor(float)")
    assert (answer.name, answer.shape[1]) == ("y", sum(space.outputs.values()))
    for some in (x, x[:1]):
        with torch.no_grad():
            expected = net(some)
        (found,) = session.run(None, {"x": some.numpy()})
        limit = 1e-5 * expected.abs().max().clamp(min=1)
        assert (torch.from_numpy(found) - expected).abs().max() < limit


def test_a_fixed_batch_and_a_network_to_train_on(
    randomised: Callable[..., Any], tmp_path: Path
) -> None:
    space = load_space(SMALL / "plain.yaml")
    network = randomised(
        gn.Allocation(space, Grouping.random(space)).build()
    )  # in training mode, and stays there
    gn.export_onnx(network, tmp_path / "net.onnx", batch=2)
    assert network.training
    session = open_session(tmp_path / "net.onnx")
    assert session.get_inputs()[0].shape == [2, 4, 6, 5]
    x = torch.randn(2, 4, 6, 5)
    with torch.no_grad():
        expected = network.eval()(x)
    assert (torch.from_numpy(session.run(None, {"x": x.numpy()})[0]) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("path", UNPLANNED_SPACES, ids=lambda path: path.stem)
def test_what_no_planner_lays_out_is_exported_as_it_is(
    path: Path, randomised: Callable[..., Any], tmp_path: Path
) -> None:
    net = randomised(Supernet(load_space(path), init="normal")).eval()
    x = torch.randn(3, sum(net.space.inputs.values()), *net.space.input_size)
    gn.export_onnx(gn.derive(net), tmp_path / "net.onnx")
    with torch.no_grad():
        expected = net(x)
    (found,) = open_session(tmp_path / "net.onnx").run(None, {"x": x.numpy()})
    assert found.shape == expected.shape
    limit = 1e-5 * expected.abs().max().clamp(min=1)
    assert (torch.from_numpy(found) - expected).abs().max() < limit


def test_groups_are_kept_and_nothing_is_gathered(tmp_path: Path) -> None:
    space = load_space("picasso_local")
    deployed = PLANNER(gn.Allocation(space, Grouping.random(space, 2)).build().eval())
    gn.export_onnx(deployed, tmp_path / "net.onnx", batch=1)
    nodes = onnx.load(tmp_path / "net.onnx").graph.node
    kinds = {node.op_type for node in nodes}
    assert kinds <= {"Conv", "Clip", "Add", "Reshape", "Gemm", "Split", "Concat"}
    groups = [a.i for node in nodes for a in node.attribute if a.name == "group"]
    planned = [plan.groups for plan in deployed.plan.layers if plan.layer.op != "linear"]
    assert groups == planned and groups.count(4) > 10


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_that_is_none(batch: int, tmp_path: Path) -> None:
    space = load_space(SMALL / "plain.yaml")
    with pytest.raises(InputError, match=f"batch: expected a whole number from 1 on, got {batch}"):
        gn.export_onnx(gn.Allocation.even(space).build(), tmp_path / "net.onnx", batch=batch)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    space = load_space(SMALL / "plain.yaml")
    with pytest.raises(InputError, match="no/such/net.onnx"):
        file = tmp_path / "no/such/net.onnx"
        (tmp_path / "no").write_text("a file where a folder is needed")
        gn.export_onnx(gn.Allocation.even(space).build(), file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda net: net.double(), "is float64, and runtimes lack operators for that; export"),
        (lambda net: net.half(), "is float16, and runtimes lack"),
        (lambda net: net.bfloat16(), "is bfloat16, and runtimes lack"),
        (lambda net: net.to("meta"), "is on the meta device and has no values; load weights first"),
        (lambda net: next(net.parameters()).data.fill_(torch.nan), "holds NaN or infinity, and so"),
        (lambda net: statistics(net).fill_(torch.inf), "holds NaN or infinity, and so"),
    ],
    ids=["double", "half", "bfloat16", "meta", "weight", "statistics"],
)
def test_a_network_that_no_runtime_could_use(
    change: Callable[[Any], Any], message: str, tmp_path: Path
) -> None:
    space = load_space(SMALL / "plain.yaml")
    network = gn.Allocation(space, Grouping.random(space)).build()
    change(network)
    with pytest.raises(InputError, match=rf"blocks\S+: {message}"):
        gn.export_onnx(network, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def statistics(network: torch.nn.Module) -> torch.Tensor:
    """Running statistics of a BatchNorm."""
    return next(value for value in network.buffers() if value.is_floating_point())


@pytest.mark.parametrize("planner", [PLANNER, DensePlanner()], ids=["layout", "dense"])
def test_such_a_network_laid_out(planner: Any, tmp_path: Path) -> None:
    space = load_space(SMALL / "plain.yaml")
    network = gn.Allocation(space, Grouping.random(space)).build().double().eval()
    with pytest.raises(InputError, match="is float64"):
        gn.export_onnx(planner(network), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("default_dtype", [torch.float64], indirect=True)
def test_a_float32_network_whatever_the_surroundings(
    default_dtype: torch.dtype, randomised: Callable[..., Any], tmp_path: Path
) -> None:
    space = load_space(SMALL / "plain.yaml")
    network = randomised(gn.Allocation(space, Grouping.random(space)).build().float()).eval()
    with torch.device("meta"), torch.inference_mode():
        gn.export_onnx(network, tmp_path / "net.onnx", batch=2)
    x = torch.randn(2, 4, 6, 5, dtype=torch.float32)
    (found,) = open_session(tmp_path / "net.onnx").run(None, {"x": x.numpy()})
    with torch.no_grad():
        assert (torch.from_numpy(found) - network(x)).abs().max() < 1e-5


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_what_is_missing_is_named(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = load_space(SMALL / "plain.yaml")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"^{package} is missing; .*'groupnas\[onnx\]'"):
        gn.export_onnx(gn.Allocation.even(space).build(), tmp_path / "x.onnx")
