"""Rows that read any row above: Table I of the paper, and what an output of several rows is."""

from __future__ import annotations

import io
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import some_input, space_of
from torch import Tensor, nn

from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.nn import UnevenGroupConv2d, UnevenGroupLinear
from groupnas.spaces import Block, SearchSpace, load_space
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.derive import derive
from groupnas.spaces.modules import run_blocks
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.schema import read_space_file
from groupnas.spaces.supernet import Supernet

BRANCHES = Path(__file__).parent / "small" / "branches.yaml"
GLOBAL = Path(__file__).parents[2] / "search_spaces" / "picasso_global.yaml"
Fill = Callable[..., Any]
Make = Callable[..., SearchSpace]


@pytest.fixture(scope="module")
def reduced() -> SearchSpace:
    """All layers of the global network, on faces of 32 x 32."""
    file = read_space_file(GLOBAL).model_copy(update={"input": (32, 32)})
    return SearchSpace.from_file(file, "picasso_global")


def faces(batch: int = 3) -> Tensor:
    return torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(0))


# -- Table I ------------------------------------------------------------------------------------


def test_the_global_network_is_table_1() -> None:
    space = load_space("picasso_global")
    assert space.input_size == (96, 96) and dict(space.inputs) == {"face": 3}
    last = {block.name.partition(".block")[0]: block.layers[-1] for block in space.blocks}
    assert {name: (layer.out_size[0], layer.out_channels) for name, layer in last.items()} == {
        "stem": (96, 24),
        "stage1": (48, 24),
        "stage2": (24, 32),
        "stage3": (12, 64),
        "f0": (6, 128),
        "f1": (6, 64),
        "half": (3, 128),
        "f2": (3, 128),
        "whole": (1, 128),
        "f3": (1, 256),
        "output.f1": (1, 136),
        "output.f2": (1, 136),
        "output.f3": (1, 136),
    }
    assert len(space.blocks) == 1 + 1 + 2 + 5 + 6 + 5 + 3


@pytest.mark.parametrize("points", [68, 98, 19, 29, 106])
def test_variants_of_the_global_network(points: int) -> None:
    space = load_space(f"picasso_global:{points}")
    assert dict(space.outputs) == {"face": 2 * points}


def test_its_output_is_one_layer_of_all_features(reduced: SearchSpace, randomised: Fill) -> None:
    """The three scales computed from F_0 here, concatenated, and multiplied once."""
    network = randomised(Allocation.even(reduced).build()).eval()
    blocks, seen = network.blocks, []
    blocks["f0-block6"].register_forward_hook(lambda module, args, out: seen.extend([*args, out]))
    with torch.no_grad():
        predicted = network(faces())
        f0 = seen[0] + seen[1]
        f1 = blocks["f1"](f0)
        f2 = blocks["f2"](F.avg_pool2d(f0, 2, 2))
        f3 = blocks["f3"](f0.mean(dim=(2, 3), keepdim=True))
        features = torch.cat([f1.flatten(1), f2.flatten(1), f3.flatten(1)], dim=1)
        linears = [m for m in network.modules() if isinstance(m, nn.Linear)]
        assert [linear.bias is not None for linear in linears] == [True, False, False]
        weight = torch.cat([linear.weight for linear in linears], dim=1)
        expected = F.linear(features, weight, linears[0].bias)
    torch.testing.assert_close(predicted, expected)
    assert weight.shape == (136, 64 * 4 + 128 + 256)


# -- the plan -----------------------------------------------------------------------------------


def test_who_reads_whom() -> None:
    space = load_space(BRANCHES)
    assert [(block.name, block.source, block.plus) for block in space.blocks] == [
        ("stem", "input", None),
        ("body.block1", "stem", "stem"),
        ("body.block2", "body.block1", "body.block1"),
        ("side.block1", "stem", "stem"),
        ("half", "body.block2", None),
        ("deep.block1", "half", None),
        ("deep.block2", "deep.block1", None),
        ("thin", "input", None),
        ("flat", "thin", None),
        ("output.side", "side.block1", None),
        ("output.flat", "flat", "output.side"),
        ("output.body", "body.block2", "output.flat"),
        ("output.deep", "deep.block2", "output.body"),
    ]
    assert list(space.units) == [
        "input", "stem", "body.block1.hidden", "body.block2.hidden", "thin", "flat", "output"
    ]  # fmt: skip


def test_an_output_is_dropped_behind_its_last_reader(space: SearchSpace) -> None:
    """And no sooner: nobody reads what is gone."""
    alive = {"input"}
    for block in space.blocks:
        assert {block.source, block.plus or block.source} <= alive
        alive = (alive | {block.name}) - set(block.frees)
        later = space.blocks[space.blocks.index(block) + 1 :]
        needed = {name for other in later for name in (other.source, other.plus)} - {None}
        assert alive - {space.blocks[-1].name} == {n for n in needed if n in alive}
    assert alive == {space.blocks[-1].name}


def test_it_is_dropped_indeed() -> None:
    space = load_space(BRANCHES)
    made: dict[str, weakref.ref[Tensor]] = {}
    alive: dict[str, set[str]] = {}

    def compute(block: Block, x: Tensor) -> Tensor:
        alive[block.name] = {name for name, tensor in made.items() if tensor() is not None}
        y = x.clone()
        if block.plus is None:  # else it is the sum that is kept
            made[block.name] = weakref.ref(y)
        return y

    run_blocks(space.blocks, torch.zeros(1), compute)
    assert alive["deep.block1"] == {"half"}  # stem's last reader was side
    assert alive["output.deep"] == {"deep.block2"}


def test_the_order_of_the_rows_is_free(compiled: Make, randomised: Fill) -> None:
    """Two branches written the other way round are the same network."""
    stem = {"name": "stem", "op": "conv3x3", "c": 4}
    one = {"name": "one", "from": "stem", "op": "conv1x1", "c": 5}
    two = {"name": "two", "from": "stem", "op": "maxpool2x2", "s": 2}
    output = {"name": "output", "op": "linear", "from": ["one", "two"]}
    networks = []
    for rows in ([stem, one, two, output], [stem, two, one, output]):
        space = compiled(layers=rows)
        networks.append(Allocation.even(space).build().eval())
    randomised(networks[0])
    networks[1].load_state_dict(networks[0].state_dict())
    x = torch.randn(2, 2, 8, 8)
    assert torch.equal(networks[0](x), networks[1](x))


# -- one group ----------------------------------------------------------------------------------


def test_one_group_is_a_plain_network(reduced: SearchSpace, randomised: Fill) -> None:
    net = randomised(Supernet(reduced)).eval()
    network = derive(net)
    kinds = {type(module) for module in network.modules()}
    assert not kinds & {UnevenGroupConv2d, UnevenGroupLinear}
    dense = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
    assert len(dense) == 1 + 1 + 2 * 13 + 3  # stem, projection of stage1, 13 blocks, F_1 to F_3
    with torch.no_grad():
        torch.testing.assert_close(network(faces()), net(faces()))
    assert net.grouping() == Grouping.even(reduced) == Grouping.random(reduced)


def test_one_group_can_be_trained(reduced: SearchSpace) -> None:
    network = Allocation.even(reduced).build()
    network(faces()).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.ne(0).any(), name


def test_it_can_be_exported(reduced: SearchSpace, randomised: Fill) -> None:
    network = randomised(Allocation.even(reduced).build()).eval()
    exported = torch.export.export(network, (faces(),)).module()
    torch.testing.assert_close(exported(faces()), network(faces()))


def test_branches_can_be_compiled(randomised: Fill) -> None:
    space = load_space(BRANCHES)
    network = randomised(Allocation.even(space).build()).eval()
    x = torch.randn(2, 4, 8, 8)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), network(x))


@pytest.mark.parametrize("name", [str(BRANCHES), "picasso_global"])
def test_weights_can_be_kept(name: str, randomised: Fill) -> None:
    space = load_space(name)
    grouping = Grouping.random(space, seed=1)
    network, fresh = (
        randomised(Allocation(space, grouping).build()).eval(),
        Allocation(space, grouping).build().eval(),
    )
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert isinstance(fresh, GroupedNetwork)
    x = torch.randn(1, sum(space.inputs.values()), *space.input_size)
    assert torch.equal(fresh(x), network(x))


def test_training_starts_near_0(space: SearchSpace) -> None:
    """By the same draws, outputs are a hundredth of what He's initialisation would give."""
    torch.manual_seed(0)
    network = Allocation(space, Grouping.random(space)).build().train()
    x = torch.randn(16, sum(space.inputs.values()), *space.input_size)
    outputs = network(x)
    for block, module in zip(space.blocks, network.blocks.values(), strict=True):
        if block.name.split(".")[0] == "output":
            for part in module.modules():
                if isinstance(part, nn.Linear):
                    nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
    assert 0 < outputs.std() < 0.03 * network(x).std()


# -- rows that read what they cannot ------------------------------------------------------------

STEM = {"name": "stem", "op": "conv3x3", "c": 4}
BODY = {"name": "body", "op": "conv3x3", "c": 4}
SIDE = {"name": "side", "from": "stem", "op": "conv3x3", "c": 4}


@pytest.mark.parametrize(
    ("rows", "reads", "message"),
    [
        (
            [STEM, {**BODY, "from": "stm"}],
            None,
            "layers.1 (body): from: no row above is 'stm'; did",
        ),
        (
            [STEM, {**BODY, "from": "end"}, {**SIDE, "name": "end"}],
            None,
            "layers.1 (body): from: '",
        ),
        ([STEM, {**BODY, "from": "body"}], None, "layers.1 (body): from: 'body' is not above thi"),
        ([STEM, BODY], ["stem", "body", "stem"], "layers.2 (output): from: 'stem' stands twice"),
        ([STEM, BODY], ["stem", "stem"], "layers.2 (output): from: 'stem' stands twice"),
        ([STEM, BODY], "stem", "layers.1 (body): no row reads it; name it in a later row's from"),
        ([STEM, BODY, SIDE], None, "layers.1 (body): no row reads it"),
        ([STEM, {**BODY, "from": ["stem", "input"]}], None, "layers.1 (body): from: a list of row"),
        ([STEM, BODY], [], "layers.2.from: list should have at least 1 item"),
        ([STEM, BODY], 3, "layers.2.from: input should be a valid list, got 3"),
        ([STEM, BODY], ["Stem"], "layers.2.from.0: string should match pattern"),
        ([{**STEM, "reads": "input"}], None, "layers.0.reads: unknown key"),
        (
            [STEM, {"name": "flat", "op": "linear", "c": 4}, {**BODY, "from": "flat"}],
            None,
            "layers.2 (body): op: conv3x3 cannot follow a linear layer",
        ),
        (
            [STEM, {"name": "input", "op": "maxpool2x2"}],
            None,
            "layers.1 (input): name: 'input' is already the name of the network's input",
        ),
    ],
)
def test_the_row_at_fault_is_named(
    compiled: Make, rows: list[dict[str, Any]], reads: Any, message: str
) -> None:
    output = {"name": "output", "op": "linear"} | ({} if reads is None else {"from": reads})
    with pytest.raises(InputError) as error:
        compiled(layers=[*rows, output])
    assert str(error.value).removeprefix("test: ").startswith(message), error.value


def test_an_activation_behind_several_rows_is_refused(compiled: Make) -> None:
    output = {"name": "output", "op": "linear", "act": "relu", "from": ["stem", "body"]}
    with pytest.raises(InputError, match=r"layers\.2 \(output\): act: an output that reads sev"):
        compiled(layers=[STEM, BODY, output])
    one = compiled(layers=[STEM, {**output, "from": "stem"}])
    assert one.layers[-1].act == "relu"


def test_a_normalisation_behind_several_rows_is_refused(compiled: Make) -> None:
    output = {"name": "output", "op": "conv1x1", "norm": True, "from": ["stem", "body"]}
    with pytest.raises(InputError, match=r"layers\.2 \(output\): norm: an output that reads sev"):
        compiled(layers=[STEM, BODY, output])


def test_outputs_of_several_rows_start_where_one_would(compiled: Make) -> None:
    output = {"name": "output", "op": "linear", "from": ["stem", "body"]}
    space = compiled(layers=[STEM, BODY, output])
    start = torch.arange(1.0, 1 + sum(space.outputs.values()))
    torch.manual_seed(0)
    net = Supernet(space).eval()
    net.start_near(start)
    plain = Allocation.even(space).build(start).eval()
    x = torch.randn(2, sum(space.inputs.values()), *space.input_size)
    with torch.no_grad():
        for found in (net(x), plain(x)):
            torch.testing.assert_close(found, start.expand(2, -1), atol=0.4, rtol=0)


def test_an_activation_alone_leaves_what_others_read() -> None:
    rows = [
        {"name": "stem", "op": "conv1x1", "c": 4, "act": "none", "norm": False},
        {"name": "bent", "op": "act", "act": "relu"},
        {"name": "straight", "from": "stem", "op": "avgpool"},
    ]
    output = {"name": "output", "from": ["bent", "straight"], "op": "linear"}
    space = space_of(layers=[*rows, output], input=[4, 4])
    torch.manual_seed(0)
    network, x = Allocation.even(space).build(), some_input(space, 3)
    _, found = network.features(x, ["stem", "bent", "straight"])
    assert found["stem"].lt(0).any()
    assert torch.equal(found["bent"], found["stem"].relu())
    assert torch.allclose(found["straight"], found["stem"].mean(dim=(2, 3), keepdim=True))


def test_features_are_what_rows_put_out() -> None:
    space = load_space("gregnet").resized({"stem": 4, "mix": 6})
    torch.manual_seed(0)
    network = Allocation.even(space).build().eval()
    x = torch.randn(1, *network.input_shape)
    outputs, found = network.features(x, ["stem", "res1"])
    assert torch.equal(outputs, network(x))
    assert found["stem"].shape[2:] == (112, 112) and found["res1"].shape[2:] == (56, 56)
    assert found["res1"].ge(0).all() and torch.equal(found["stem"], network.blocks["stem"](x))
    with pytest.raises(InputError, match="row 'res9': did you mean 'res"):
        network.features(x, ["res9"])
