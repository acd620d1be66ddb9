"""Joint rows: channels that belong to no group, which all read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from helpers import UNPLANNED_SPACES, some_input, space_of
from torch import Tensor

import groupnas as gn
from groupnas.accountant import flops
from groupnas.deploy.planner import LayoutPlanner
from groupnas.engine.split import split_by_source
from groupnas.engine.training import Trainer
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.spaces import SearchSpace, load_space
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.derive import derive
from groupnas.spaces.supernet import Supernet

HEADS, MIXED = ("tests/spaces/unplanned/heads.yaml", "tests/spaces/unplanned/mixed.yaml")
STEM = {"name": "stem", "op": "conv3x3", "c": 6, "joint": True}
HEAD = {"name": "head", "op": "conv3x3", "c": 7}


@pytest.fixture(params=UNPLANNED_SPACES, ids=lambda path: path.stem)
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return load_space(request.param)


def heads() -> SearchSpace:
    return space_of(STEM, HEAD, input=[4, 4], inputs=3, outputs={"a": 1, "b": 2})


# -- what a file says ------------------------------------------------------------------------------


def test_joint_units_are_neither_free_nor_fixed() -> None:
    space = heads()
    assert space.joint == {"input": 3, "stem": 6}
    assert [*space.free_units] == ["head"]
    assert [*space.fixed] == ["output"]
    assert space.inputs == {"shared": 3}
    assert space.ends("b") == {"output": space.outputs["b"], "input": 3, "stem": 6}


def test_a_number_of_each_group() -> None:
    head = {"name": "head", "op": "linear", "c": {"each": 4}}
    space = space_of(head, input=[5, 5], groups=7, inputs={"each": 3}, outputs={"each": 2})
    assert space.groups == ("g0", "g1", "g2", "g3", "g4", "g5", "g6")
    assert space.units == {"input": 21, "head": 28, "output": 14}
    assert set(space.inputs.values()) == {3} and set(space.outputs.values()) == {2}


def test_the_fingerprint_says_what_is_joint() -> None:
    last = {"name": "output", "op": "linear"}
    apart, joint = (space_of(layers=[HEAD, {**last, "joint": mixed}]) for mixed in (False, True))
    assert apart.fingerprint() != joint.fingerprint()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([STEM, {"name": "x", "op": "dwconv3x3", "joint": True}, HEAD], "joint: op dwconv3x3 does"),
        (
            [STEM, HEAD, {"name": "mix", "op": "conv1x1", "c": 4, "joint": True}],
            "head has jo",
        ),
        ([{**STEM, "joint": 2}, HEAD], "layers.0.joint: expected true or false, got 2"),
        ([STEM, {**HEAD, "c": {"all": 4}}], "layers.1.c.each: missing"),
        ([STEM, {**HEAD, "c": {"each": 0}}], "layers.1.c.each: input should be greater"),
        ([STEM, {**HEAD, "c": "wide"}], "layers.1.c: input should be a valid integer"),
        (
            [STEM, {**HEAD, "op": "subpixel3x3", "s": 17}],
            "s: expected 2 to 16, by which subpixel3x",
        ),
        ([STEM, {**HEAD, "op": "deconv4x4", "s": 1}], "s: expected 2 to 16"),
        ([STEM, {**HEAD, "op": "deconv4x4", "s": 3}], "its kernel must be 3, or larger by an even"),
    ],
)
def test_rows_that_cannot_be(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        space_of(*rows, input=[4, 4], inputs=3)


def test_a_group_cannot_have_the_name_of_what_is_shared() -> None:
    alike = {"groups": ["a", "shared"], "outputs": {"each": 1}, "input": [4, 4]}
    assert space_of(HEAD, **alike, inputs={"each": 1}).inputs == {"a": 1, "shared": 1}
    with pytest.raises(InputError, match="groups: shared is what belongs to no group is called"):
        space_of(STEM, HEAD, **alike, inputs=2)


def test_a_residual_block_adds_no_joint_channels_to_those_of_groups() -> None:
    own = {"name": "own", "op": "irb", "t": 2, "c": 6}
    space = space_of(STEM, own, input=[4, 4], inputs=3)
    assert [block.plus for block in space.blocks] == [None, None, None]
    assert space.joint == {"input": 3, "stem": 6}


# -- networks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["before", "behind"])
def test_the_derived_network_is_the_supernet(space: SearchSpace, place: Any) -> None:
    """In float64, where only a mistake is left to see."""
    torch.manual_seed(0)
    net = Supernet(space, init="normal", place=place).double()
    x = some_input(space, 4).double()
    for seed in range(3):
        net.set_grouping(Grouping.random(space, seed))
        net.train()(x)  # so that normalisations have met something
        net.eval()
        assert torch.allclose(derive(net)(x), net(x), rtol=1e-10, atol=1e-10)


def test_places_of_hard_masks_differ_in_their_gradient_alone(space: SearchSpace) -> None:
    torch.manual_seed(0)
    before = Supernet(space, place="before").double()
    behind = Supernet(space, place="behind").double()
    behind.load_state_dict(before.state_dict())
    x = some_input(space, 4).double()
    for net in (before, behind):
        net.set_grouping(Grouping.random(space, 1))
    assert torch.allclose(before(x), behind(x), rtol=1e-10, atol=1e-10)
    statistics = zip(before.named_buffers(), behind.buffers(), strict=True)
    assert all(torch.allclose(a, b, rtol=1e-10, atol=1e-10) for (_, a), b in statistics)


def test_a_plain_module_takes_options_that_its_layer_has_otherwise() -> None:
    space = load_space("tests/spaces/unplanned/enlarged.yaml")
    layers = [layer for layer in space.layers if layer.op in ("deconv", "subpixel")]
    for layer in layers:
        module = layer.operation.dense(layer, 2, 3, bias=not layer.bias)
        assert (module.bias is None) == layer.bias
    assert {layer.bias for layer in layers} == {False, True}


@pytest.mark.parametrize("name", [HEADS, MIXED])
def test_masks_learn_beside_joint_rows(name: str) -> None:
    torch.manual_seed(0)
    space = load_space(name)
    for place in ("before", "behind"):
        net = Supernet(space, place=place)
        net(some_input(space, 4)).square().mean().backward()
        for unit, mask in net.channel_masks().items():
            assert mask.logits.grad is not None and mask.logits.grad.abs().sum() > 0, unit


def test_parts_reach_the_trunk_and_no_head_of_others() -> None:
    torch.manual_seed(0)
    space = load_space(HEADS)
    found = Allocation(space, Grouping.random(space, 1))
    network, x = found.build().double(), some_input(space, 4).double()
    layers = {layer.name: module for layer, module in network.layers()}
    held: dict[str, Tensor] = {}
    for name in ("stem", "up1", "own.block1.project", "up2"):
        layers[name].register_forward_hook(
            lambda module, args, out, name=name: held.__setitem__(name, out)
        )
    for group, outputs in enumerate(network(x).split([*space.outputs.values()], dim=1)):
        gradients = torch.autograd.grad(
            (outputs * torch.randn_like(outputs)).sum(), [*held.values()], retain_graph=True
        )
        sums = {k: g.abs().sum(dim=(0, 2, 3)) for k, g in zip(held, gradients, strict=True)}
        assert sums.pop("stem").gt(0).all()
        for name, per_channel in sums.items():
            sizes = network.sizes["up1" if name.startswith("own") else name]
            for other, channels in enumerate(per_channel.split(list(sizes))):
                assert bool(channels.eq(0).all()) == (other != group), (name, group, other)


def test_a_part_alone_keeps_the_trunk() -> None:
    torch.manual_seed(0)
    space = load_space(HEADS)
    network = Allocation(space, Grouping.random(space, 1)).build().double().eval()
    x = some_input(space, 2).double()
    alone = network.only(["c", "a"])
    a, _, c = network(x).split([*space.outputs.values()], dim=1)
    assert torch.allclose(alone(x), torch.cat([a, c], dim=1))
    assert alone.groups == ("a", "c") and alone.joint == network.joint


def test_what_mixes_groups_cannot_be_taken_apart() -> None:
    space = load_space(MIXED)
    network = Allocation.even(space).build()
    assert not network.isolated
    with pytest.raises(InputError, match="groups share channels"):
        network.only(["a"])
    with pytest.raises(InputError, match="groups share channels"):
        network.take(["a"], network)
    with pytest.raises(InputError, match="cannot be laid out; export it without"):
        LayoutPlanner()(network)
    with pytest.raises(InputError, match="keep: groups: takes a network whose groups share no"):
        kept = gn.Training(epochs=1, batch_size=4, weights={"lr": 0.01}, keep="groups")
        Trainer(network, _Drawn(space), kept, split_by_source(_Drawn(space).sources, 0.3, 0))
    with pytest.raises(InputError, match="knapsack takes each group by itself"):
        gn.search(space, _Drawn(space), "knapsack", "never")


@pytest.mark.parametrize("bias", [True, False])
def test_maps_start_near_what_is_asked_for_behind_a_normalisation(bias: bool) -> None:
    last = {"name": "output", "op": "conv1x1", "norm": True, "bias": bias}
    space = space_of(layers=[STEM, HEAD, last], input=[4, 4], inputs=3, outputs={"a": 1, "b": 2})
    start = torch.tensor([1.0, -2.0, 3.0])
    net = Supernet(space)
    net.start_near(start)
    for network in (net, Allocation.even(space).build(start)):
        means = network(some_input(space, 8)).mean(dim=(0, 2, 3))
        assert torch.allclose(means, start, atol=0.1)


# -- costs -----------------------------------------------------------------------------------------


def test_costs_by_hand() -> None:
    """4 x 4 positions; a and b have 2 and 5 of the head's 7 channels, 1 and 2 outputs."""
    space = heads()
    found = Allocation.from_counts(space, {"head": {"a": 2, "b": 5}})
    table = flops(found)
    stem, head = 16 * 9 * 3 * 6, 16 * 9 * 6
    assert table.per_group == {
        "a": head * 2 + 16 * 2 * 1,
        "b": head * 5 + 16 * 5 * 2,
        "shared": stem,
    }
    assert found.costs() == {"a": table.per_group["a"], "b": table.per_group["b"]}
    assert table.params_per_group["shared"] == 9 * 3 * 6 + 2 * 6


def test_weights_that_joint_channels_have_for_a_group_are_the_groups() -> None:
    space = load_space(MIXED)
    found = Allocation.even(space)
    table = flops(found, "fvcore")
    mix = next(layer for layer in table.layers if layer.name == "mix")
    assert mix.flops == (36 * 3 * 5, 36 * 3 * 5, 36 * 5 * 2)  # and two for each normalised element
    assert sum(mix.params) == 6 * 5 + 2 * 5
    assert {**found.costs(), "shared": flops(found).per_group["shared"]} == flops(found).per_group
    assert found.costs("params") == {
        group: params for group, params in table.params_per_group.items() if group != "shared"
    }


def test_many_groups_are_told_in_few_columns() -> None:
    space = load_space("lrefnet:98")
    counts = {"hidden": dict.fromkeys(space.groups, 4) | {"g0": 1, "g5": 9}}
    table = flops(Allocation.from_counts(space, counts))
    header, hidden, *_, total, _, _ = table.rows()
    assert header == ["layer (mac)", "least of 98", "median", "most", "shared", "all"]
    assert hidden[1:4] == [f"{25 * 64 * n:,}" for n in (1, 4, 9)]
    assert total[3] == f"{25 * 64 * 9 + 9 * 98 * 2:,}"


def test_a_part_may_be_called_shared_where_nothing_is() -> None:
    space = space_of(
        HEAD, input=[4, 4], groups=["shared", "b"], inputs={"each": 1}, outputs={"each": 2}
    )
    table = flops(Allocation.from_counts(space, {"head": {"shared": 2, "b": 5}}))
    header, head, *_ = table.rows()
    assert header[1:] == ["shared", "b", "all"]
    assert head[1:] == [f"{16 * 9 * n:,}" for n in (2, 5, 7)]


# -- searches --------------------------------------------------------------------------------------


class _Drawn:
    """Noise whose outputs are means of what is seen: something to learn for every part."""

    name, error_unit = "drawn", "error"

    def __init__(self, space: SearchSpace) -> None:
        self.inputs: Mapping[str, int] = space.inputs
        self.outputs: Mapping[str, int] = space.outputs
        self.output_size = space.output_size
        self.sources: Sequence[str] = [f"source{index}" for index in range(24)]
        draw = torch.Generator().manual_seed(0)
        self._x = torch.randn(24, sum(self.inputs.values()), *space.input_size, generator=draw)
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(1)
            self._y = Allocation.even(space).build().eval()(self._x)

    def batch(self, indices: Tensor, generator: Any = None) -> tuple[Tensor, Tensor]:
        return self._x[indices].clone(), self._y[indices].clone()

    def mean_output(self) -> None:
        return None

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        return (predicted - target).square().mean()

    def errors(self, predicted: Tensor, target: Tensor) -> Tensor:
        parts = (predicted - target).abs().split([*self.outputs.values()], dim=1)
        return torch.stack([part.flatten(1).mean(dim=1) for part in parts], dim=1)

    def to(self, target: Tensor, device: torch.device) -> Tensor:
        return target.to(device)

    def fingerprint(self) -> str:
        return "drawn"


@pytest.mark.parametrize(
    "settings",
    [
        {"algorithm": "masks", "epochs": 1, "warmup_epochs": 1, "batch_size": 4},
        {"algorithm": "masks", "epochs": 1, "batch_size": 4, "masks": {"place": "before"}},
        {
            "algorithm": "saliency",
            "epochs": 1,
            "prune_epochs": 1,
            "tune_epochs": 1,
            "batch_size": 4,
        },
        {"algorithm": "random"},
    ],
    ids=lambda settings: settings["algorithm"],
)
@pytest.mark.parametrize("name", [HEADS, MIXED])
def test_strategies_divide_what_groups_own(tmp_path: Any, name: str, settings: Any) -> None:
    space = load_space(name)
    base = {"masks": "gumbel", "saliency": "saliency", "random": "random"}[settings["algorithm"]]
    strategy = gn.load_strategy(base).with_settings(
        **settings, budget={"total": 0.7, "tolerance": 0.1}
    )
    run = gn.search(space, _Drawn(space), strategy, tmp_path / "run", seed=0, quiet=True)
    even = sum(Allocation.even(space).costs().values())
    assert sum(run.allocation.costs().values()) / even == pytest.approx(0.7, abs=0.15)
    x = some_input(space, 2)
    assert run.allocation.build()(x).shape[:2] == (2, sum(space.outputs.values()))
    again = gn.search(space, _Drawn(space), strategy, tmp_path / "run", resume=True, quiet=True)
    assert again.allocation == run.allocation
