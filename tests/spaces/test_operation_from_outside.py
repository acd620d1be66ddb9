"""An operation of another package: one class, and a rule for each room that should know it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
import torch
import yaml
from fvcore.nn import FlopCountAnalysis
from helpers import install
from torch import Tensor, nn

import groupnas
from groupnas import accountant
from groupnas.deploy.dense import DensePlanner
from groupnas.deploy.planner import LayoutPlanner
from groupnas.errors import InputError
from groupnas.landmarks.paper import counted
from groupnas.latency import LatencyTable
from groupnas.latency.grid import kernel_grid
from groupnas.latency.kernel import Kernel
from groupnas.latency.table import KernelPoint
from groupnas.onnx_tools import open_session
from groupnas.spaces import Allocation, SearchSpace
from groupnas.spaces.behind import ACTIVATIONS, NORMALISATIONS, Activation, Normalisation
from groupnas.spaces.layer import Channelwise, Layer
from groupnas.spaces.operations import Conv
from groupnas.spaces.rooms import Catalogue, Room
from groupnas.spaces.rows import OPERATORS, Draft, Operator, Place, Row, Step
from groupnas.spaces.supernet import Supernet
from groupnas.strategies.knapsack.slimmable import SlimmableNetwork
from groupnas.strategies.kronecker.design import KroneckerDesign, convolutions, factors

TABLE = LatencyTable.shipped()


class Conv1x5(Conv):
    """A convolution along rows."""

    name = spelled = pattern = "conv1x5"
    kernel = 5

    def taps(self, layer: Layer) -> tuple[int, ...]:
        return (1, layer.kernel)


class Pair(Operator):
    """Two convolutions, added to the input, or to what a third one makes of it where it differs."""

    name, spelled, pattern = "pair", "pairKxK", r"pair([1-9])x\1"
    required, allowed = frozenset({"c"}), frozenset({"n", "s", "act"})
    odd = numbered = True

    def drafts(self, row: Row, place: Place) -> list[Draft]:
        name, act, kernel = place.name, row.act or place.act, row.kernel or 1

        def step(part: str, end: str, kernel: int, stride: int, act: str = "none") -> Step:
            return Step(
                name=f"{name}.{part}",
                op="conv",
                out_unit=f"{name}.{end}",
                out_channels=place.width,
                kernel=kernel,
                stride=stride,
                norm=True,
                act=act,
            )

        steps = step("first", "hidden", kernel, place.stride, act), step("second", "sum", kernel, 1)
        if place.stride == 1 and place.channels == place.width:
            return [Draft(name=name, steps=steps, plus=place.source)]
        aside = Draft(name=f"{name}.aside", steps=(step("third", "other", 1, place.stride),))
        return [aside, Draft(name=name, steps=steps, source=place.source, plus=aside.name)]


class Bare(Channelwise):
    """A layer that no room knows: its input."""

    name = spelled = pattern = "bare"
    weighted = False

    def step(self, row: Row, place: Place) -> Step:
        return Step(name=place.name, op=self.name, kernel=1)

    def dense(self, layer: Layer, inputs: int, outputs: int, **options: Any) -> nn.Module:
        return nn.Identity()


class Elu(Activation):
    name, kind = "elu", "torch.nn:ELU"


class InstanceNorm(Normalisation):
    name, kind = "instance", "torch.nn:InstanceNorm2d"


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    things: list[tuple[Catalogue[Any], type[Any]]] = [
        (OPERATORS, Conv1x5),
        (OPERATORS, Pair),
        (OPERATORS, Bare),
    ]
    things += [(ACTIVATIONS, Elu), (NORMALISATIONS, InstanceNorm)]
    for table, thing in things:
        table.register(thing)
    yield
    for table, thing in things:
        del table[thing.name]


def written(file: Path, *rows: dict[str, Any]) -> Path:
    data: dict[str, Any] = {
        "format": 1,
        "title": "Rows from outside",
        "input": [16, 16],
        "groups": ["disc", "square", "ring"],
        "inputs": {"disc": 1, "square": 1, "ring": 1},
        "outputs": {"disc": 3, "square": 3, "ring": 3},
        "layers": [{"name": "stem", "op": "conv3x3", "c": 12, "s": 2}, *rows],
    }
    data["layers"].append({"name": "output", "op": "linear"})
    file.write_text(yaml.safe_dump(data))
    return file


@pytest.fixture
def space(tmp_path: Path) -> SearchSpace:
    rows = [
        {"name": "wide", "op": "conv1x5", "c": 9},
        {"name": "far", "op": "conv1x5", "c": 12, "s": 2},
    ]
    return groupnas.load_space(written(tmp_path / "rows.yaml", *rows))


def compared(net: nn.Module, other: Callable[[Tensor], Tensor], x: Tensor, limit: float) -> None:
    with torch.no_grad():
        expected = net(x)
        assert (other(x) - expected).abs().max() < limit * expected.abs().max().clamp(min=1)


def test_it_is_searched_counted_derived_and_exported(
    space: SearchSpace, shapes: Any, brief: Any, randomised: Callable[..., Any], tmp_path: Path
) -> None:
    run = groupnas.search(space, shapes, brief(), tmp_path / "run")
    assert run.grouping.units == ("stem", "wide", "far")
    net = randomised(Supernet(space))
    net.set_grouping(run.grouping)
    net.double().eval()
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    derived = groupnas.derive(net)
    compared(net, derived, x, 1e-10)
    windows = {m.kernel_size for m in derived.modules() if isinstance(m, nn.Conv2d)}
    assert windows == {(3, 3), (1, 5)}
    net.float()
    groupnas.export_onnx(groupnas.derive(net, planner=LayoutPlanner()), tmp_path / "net.onnx")
    session = open_session(tmp_path / "net.onnx")
    answer = session.run(None, {"x": x.float().numpy()})[0]
    compared(net, lambda _: torch.from_numpy(answer), x.float(), 1e-5)
    nodes = [node for node in onnx.load(tmp_path / "net.onnx").graph.node if node.op_type == "Conv"]
    shapes_of = {tuple(a.ints) for n in nodes for a in n.attribute if a.name == "kernel_shape"}
    assert shapes_of == {(3, 3), (1, 5)}


def test_it_is_counted_by_hand_and_as_fvcore_does(space: SearchSpace) -> None:
    even = Allocation.even(space)  # of each group: 4, 3 and 4 channels; 8 x 8, 8 x 8, 4 x 4
    assert [layer.out_size for layer in space.layers] == [(8, 8), (8, 8), (4, 4), (1, 1)]
    table = accountant.flops(even)
    assert table.per_layer == {
        "stem": 3 * 64 * 9 * 1 * 4,
        "wide": 3 * 64 * 5 * 4 * 3,
        "far": 3 * 16 * 5 * 3 * 4,
        "output": 3 * 16 * 4 * 3,
    }
    network = even.build().eval()
    weights = 3 * (9 * 4 + 5 * 12 + 5 * 12 + 16 * 12 + 3)
    assert table.total_params == weights + 2 * (12 + 9 + 12)
    assert table.total_params == sum(p.numel() for p in network.parameters())
    counter = FlopCountAnalysis(network, torch.zeros(1, 3, 16, 16))
    counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    assert counter.total() == accountant.flops(even, "fvcore").total


def test_a_table_of_latencies_holds_it(space: SearchSpace) -> None:
    layer = space.layers[1]
    taken = KernelPoint.of(Kernel(layer, 3, 4, 3), "plain", 0.5)
    assert (
        KernelPoint.model_validate_json(taken.model_dump_json()).kernel.shape == taken.kernel.shape
    )
    assert (taken.op, taken.window) == ("conv1x5", (5, 1, 1))
    assert any(kernel.layer.op == "conv1x5" for kernel in kernel_grid([space], 16))
    # MACs are 5 for each pair of channels, not 25
    square = Layer(**{**vars(layer), "op": "conv", "kernel": 5})
    assert (
        TABLE.of_layer(layer, 8, 8) < TABLE.of_layer(square, 8, 8) < 6 * TABLE.of_layer(layer, 8, 8)
    )


def test_shared_weights_and_open_groups_compute_it(space: SearchSpace) -> None:
    even = Allocation.even(space)
    network = SlimmableNetwork(space, {"stem": 6, "wide": 6, "far": 6})
    sizes = {
        group: {unit: row[group] for unit, row in even.grouping.counts().items()}
        for group in space.groups
    }
    x = torch.randn(4, 3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(network.plain(even).train()(x), network(x, sizes), atol=1e-4)
    open_ = {layer.name: tuple(0 for _ in factors(layer).gated) for layer in convolutions(space)}
    design = KroneckerDesign(space, open_)
    assert design.groups() == {"stem": 3, "wide": 3, "far": 3}
    assert design.costs() == {"all": accountant.flops(even).total + 16 * (12 * 9 - 3 * 4 * 3)}


def test_a_row_of_several_blocks(randomised: Callable[..., Any], tmp_path: Path) -> None:
    row = {"name": "res", "op": "pair3x3", "c": 15, "n": 2, "s": 2}
    space = groupnas.load_space(written(tmp_path / "rows.yaml", row))
    blocks = {block.name: (block.source, block.plus) for block in space.blocks}
    assert blocks == {
        "stem": ("input", None),
        "res.block1.aside": ("stem", None),
        "res.block1": ("stem", "res.block1.aside"),
        "res.block2": ("res.block1", "res.block1"),
        "output": ("res.block2", None),
    }
    # Both sums are one unit, called after its earliest end
    assert dict(space.free_units) == {
        "stem": 12, "res.block1.other": 15, "res.block1.hidden": 15, "res.block2.hidden": 15
    }  # fmt: skip
    net = randomised(Supernet(space, init="normal")).double().eval()
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    compared(net, groupnas.derive(net), x, 1e-10)


# -- what a room has no rule for -------------------------------------------------------------------


def slimmable(space: SearchSpace) -> None:
    widths = dict.fromkeys(space.free_units, 4)
    network = SlimmableNetwork(space, widths)
    network(torch.randn(2, 3, 16, 16), dict.fromkeys(space.groups, widths))


def printed(space: SearchSpace, folder: Path) -> None:
    path = folder / "rows.yaml"
    counted.layers(None, SimpleNamespace(measured=SimpleNamespace(space=path, names={})))  # type: ignore[arg-type]


def even(space: SearchSpace) -> Any:
    return Allocation.even(space).build().eval()


ACCOUNTANT, LATENCY = "groupnas.accountant", "groupnas.latency.kernel"
LAYOUT, SLIMMABLE = "groupnas.deploy.network", "groupnas.strategies.knapsack.slimmable"
MISSING: dict[str, tuple[str, Callable[[SearchSpace, Path], Any], dict[str, str]]] = {
    "counted": (
        "the accountant",
        lambda space, _: accountant.flops(Allocation.even(space)),
        {"bare": f"{ACCOUNTANT}.OPERATIONS", "elu": f"{ACCOUNTANT}.ELEMENTWISE",
         "instance": f"{ACCOUNTANT}.ELEMENTWISE"},
    ),
    "expected": (
        "the accountant",
        lambda space, _: accountant.expected_flops(space, Supernet(space).probabilities()),
        {"bare": f"{ACCOUNTANT}.OPERATIONS", "elu": f"{ACCOUNTANT}.ELEMENTWISE",
         "instance": f"{ACCOUNTANT}.ELEMENTWISE"},
    ),
    "timed": (
        "the latency table",
        lambda space, _: [TABLE.of_layer(layer, 4, 4) for layer in space.layers],
        {"bare": f"{LATENCY}.KERNELS", "elu": f"{LATENCY}.BEHIND"},
    ),
    "planned": (
        "the latency table",
        lambda space, _: LayoutPlanner().plan(even(space)),
        {"bare": f"{LATENCY}.KERNELS", "elu": f"{LATENCY}.BEHIND"},
    ),
    "laid out": (
        "the layout",
        lambda space, _: DensePlanner()(even(space)),
        {"bare": f"{LAYOUT}.LAID_OUT", "instance": f"{LAYOUT}.FOLDED"},
    ),
    "sliced": (
        "the slimmable network",
        lambda space, _: slimmable(space),
        {"bare": f"{SLIMMABLE}.SLICED", "instance": f"{SLIMMABLE}.NORMALISED"},
    ),
    "of open groups": (
        "the Kronecker design",
        lambda space, _: convolutions(space),
        {"bare": "groupnas.strategies.kronecker.design.OPEN"},
    ),
    "printed": (
        "the paper's table",
        printed,
        {"bare": "groupnas.landmarks.paper.counted.PRINTED"},
    ),
}  # fmt: skip
CASES = [(what, name) for what, (_, _, places) in MISSING.items() for name in places]
ROWS: dict[str, dict[str, Any]] = {
    "bare": {"name": "own", "op": "bare"},
    "elu": {"name": "own", "op": "conv3x3", "c": 12, "act": "elu"},
    "instance": {"name": "own", "op": "conv3x3", "c": 12, "norm": "instance"},
}


@pytest.mark.parametrize(("what", "name"), CASES)
def test_a_missing_rule_is_one_error(what: str, name: str, tmp_path: Path) -> None:
    space = groupnas.load_space(written(tmp_path / "rows.yaml", ROWS[name]))
    room, use, places = MISSING[what]
    kind = {"bare": "Bare", "elu": "Elu", "instance": "InstanceNorm"}[name]
    with pytest.raises(InputError) as error:
        use(space, tmp_path)
    expected = f"{room} has no rule for {name}; register one with {places[name]}.register({kind})"
    assert str(error.value) == expected
    assert isinstance(resolve_name(places[name]), Room)


def test_a_rule_is_all_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (accountant.OPERATIONS, accountant.ELEMENTWISE):
        monkeypatch.setattr(room, "_rules", dict(room._rules))
    accountant.OPERATIONS.register(Bare)(lambda layer, rules, inputs, out, pairs: 7 * out)
    accountant.ELEMENTWISE.register(Elu)(lambda rules: 2 * rules.act)
    rows = [ROWS["bare"], {**ROWS["elu"], "name": "other"}]
    space = groupnas.load_space(written(tmp_path / "rows.yaml", *rows))
    layers = accountant.flops(Allocation.even(space), "torchstat").per_layer
    assert layers["own"] == 7 * 12 * 64
    assert layers["other"] == 3 * 64 * 9 * 4 * 4 + (2 + 2) * 12 * 64  # BatchNorm's two, and ELU's


def test_what_stands_behind_is_computed_and_derived(
    randomised: Callable[..., Any], tmp_path: Path
) -> None:
    rows = [ROWS["elu"], {**ROWS["instance"], "name": "other"}, {**ROWS["bare"], "name": "bare"}]
    space = groupnas.load_space(written(tmp_path / "rows.yaml", *rows))
    net = randomised(Supernet(space, init="normal")).double().eval()
    kinds = [type(m) for m in net.modules()]
    assert kinds.count(nn.ELU) == kinds.count(nn.InstanceNorm2d) == 1
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    compared(net, groupnas.derive(net), x, 1e-10)


# -- what packages offer ---------------------------------------------------------------------------

OFFERED = """
from groupnas.accountant import ELEMENTWISE
from groupnas.spaces.behind import ACTIVATIONS, NORMALISATIONS, Activation, Normalisation
from groupnas.spaces.operations import Conv
from groupnas.spaces.rows import OPERATORS

@OPERATORS.register
class Conv1x7(Conv):
    name = spelled = pattern = "conv1x7"
    kernel = 7

    def taps(self, layer):
        return (1, layer.kernel)

@ACTIVATIONS.register
class Selu(Activation):
    name, kind = "selu", "torch.nn:SELU"

@NORMALISATIONS.register
class InstanceNorm(Normalisation):
    name, kind = "each", "torch.nn:InstanceNorm2d"

ELEMENTWISE.register(Selu)(lambda rules: 5 * rules.act)
ELEMENTWISE.register(InstanceNorm)(lambda rules: 11 * rules.norm)
"""
OWN: dict[str, dict[str, Any]] = {
    "conv1x7": {"name": "own", "op": "conv1x7", "c": 9},
    "selu": {"name": "own", "op": "conv3x3", "c": 12, "act": "selu"},
    "each": {"name": "own", "op": "conv3x3", "c": 12, "norm": "each"},
}


def command(folder: Path, package: str, *rows: dict[str, Any]) -> tuple[int, str]:
    """Return what `groupnas flops` says of rows where a package is installed, and its exit code."""
    install(folder, "others", "groupnas.operations", "others = others")
    (folder / "others.py").write_text(package)
    space = written(folder / "rows.yaml", *rows)
    line = [sys.executable, "-m", "groupnas", "flops", "--space", str(space)]
    paths = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [*line, "--convention", "torchstat", "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        cwd=Path(groupnas.__file__).parents[1],
    )
    return done.returncode, done.stdout or done.stderr


@pytest.mark.parametrize("name", OWN)
def test_the_command_line_finds_what_a_package_offers(name: str, tmp_path: Path) -> None:
    code, told = command(tmp_path, OFFERED, OWN[name])
    assert code == 0, told
    layer = json.loads(told)["layers"]["own"]
    # 8 x 8 positions; of three groups 4 channels become 3, or 4
    macs, channels = {"conv1x7": (7 * 4 * 3, 3)}.get(name, (9 * 4 * 4, 4))
    behind = {"conv1x7": 2 + 1, "selu": 2 + 5, "each": 11 * 2 + 1}[name]  # BatchNorm 2, ReLU6 1
    assert [*layer["flops"].values()] == [64 * (macs + behind * channels)] * 3


def test_a_package_that_is_broken_is_told_of_where_it_may_be_meant(tmp_path: Path) -> None:
    code, told = command(tmp_path, "import gone", {"name": "own", "op": "conv3x3", "c": 9})
    assert code == 0, told
    code, told = command(tmp_path, "import gone", OWN["conv1x7"])
    assert code == 2
    assert told.endswith(
        "operations 'others' cannot be loaded: others: No module named 'gone'\n"
    ) and told.startswith(f"groupnas: {tmp_path / 'rows.yaml'}: ")


def test_a_name_is_taken_once() -> None:
    with pytest.raises(InputError, match="'conv1x5' is the name of an operator already"):
        OPERATORS.register(Conv1x5)


def test_a_class_that_does_not_say_all() -> None:
    class Half(Channelwise):
        name = spelled = pattern = "half"

    with pytest.raises(TypeError, match="Half.* abstract methods .*dense.*step"):
        OPERATORS.register(Half)
    assert "half" not in OPERATORS


def test_a_name_that_nobody_registered(tmp_path: Path) -> None:
    space = groupnas.load_space(written(tmp_path / "rows.yaml"))
    layer = Layer(**{**vars(space.layers[0]), "op": "gone", "act": "lost"})
    with pytest.raises(InputError, match="'gone' is not an operation; there are conv, depthwise,"):
        _ = layer.mixes_channels
    with pytest.raises(InputError, match="'lost' is not an activation; there are relu, relu6, "):
        _ = layer.activation
