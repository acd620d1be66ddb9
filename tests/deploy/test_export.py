"""export_onnx: one file that computes, in ONNX Runtime, what the supernet computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

import groupnas as gn
from groupnas.deploy.planner import LayoutPlanner
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.onnx_tools import open_session
from groupnas.spaces import SearchSpace, load_space
from groupnas.spaces.derive import build
from groupnas.spaces.supernet import Supernet

SMALL = Path(__file__).parents[1] / "spaces/small"
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
    network = randomised(build(space, Grouping.random(space)))  # in training mode, and stays there
    gn.export_onnx(network, tmp_path / "net.onnx", batch=2)
    assert network.training
    session = open_session(tmp_path / "net.onnx")
    assert session.get_inputs()[0].shape == [2, 4, 6, 5]
    x = torch.randn(2, 4, 6, 5)
    with torch.no_grad():
        expected = network.eval()(x)
    assert (torch.from_numpy(session.run(None, {"x": x.numpy()})[0]) - expected).abs().max() < 1e-5


def test_groups_are_kept_and_nothing_is_gathered(tmp_path: Path) -> None:
    space = load_space("picasso_local")
    deployed = PLANNER(build(space, Grouping.random(space, 2)).eval())
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
    with pytest.raises(InputError, match=f"batch: expected at least 1, got {batch}"):
        gn.export_onnx(build(space, Grouping.even(space)), tmp_path / "net.onnx", batch=batch)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    space = load_space(SMALL / "plain.yaml")
    with pytest.raises(InputError, match="no/such/net.onnx"):
        file = tmp_path / "no/such/net.onnx"
        (tmp_path / "no").write_text("a file where a folder is needed")
        gn.export_onnx(build(space, Grouping.even(space)), file)
