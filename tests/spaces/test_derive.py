"""groupnas.derive and build: plain networks that equal the supernet, and hold nothing else."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers import SMALL, some_input
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.utils.checkpoint import checkpoint

from groupnas.accountant import flops
from groupnas.deploy.planner import LayoutPlanner
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.nn import MaskedConv2d, UnevenGroupConv2d
from groupnas.spaces import SearchSpace, load_space
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.derive import derive
from groupnas.spaces.supernet import MaskedLayer, Supernet

PLAIN = {
    nn.Sequential, nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.AvgPool2d, nn.MaxPool2d, nn.ReLU,
    nn.ReLU6, nn.Hardswish, nn.Identity, nn.ModuleList, nn.ModuleDict, nn.Flatten,
}  # fmt: skip

Groupings = Callable[[SearchSpace], list[Grouping]]
Fill = Callable[..., Any]


def difference(a: Tensor, b: Tensor) -> float:
    """Largest absolute difference; relative to the outputs' scale where that is above 1."""
    return ((a - b).abs().max() / b.abs().max().clamp(min=1)).item()


def test_outputs_are_the_supernets(
    space: SearchSpace, groupings: Groupings, randomised: Fill
) -> None:
    """In float64: how far float32 is off depends on the kernels of the processor."""
    net = randomised(Supernet(space)).double().eval()
    x = some_input(space).double()
    for grouping in groupings(space):
        net.set_grouping(grouping)
        with torch.no_grad():
            assert difference(derive(net)(x), net(x)) < 1e-10


@settings(max_examples=10)
@given(grouping_seed=st.integers(0, 10**6), weight_seed=st.integers(0, 10**6))
@pytest.mark.parametrize("name", ["ties", "pools", "plain", "tied_input"])
def test_any_grouping_and_weights(name: str, grouping_seed: int, weight_seed: int) -> None:
    """In float64, where only a mistake is left to see."""
    space = load_space(SMALL / f"{name}.yaml")
    torch.manual_seed(weight_seed)
    net = Supernet(space).double().eval()
    with torch.no_grad():
        for parameter in net.weight_parameters():
            parameter.normal_(0, 0.5)
    net.set_grouping(Grouping.random(space, grouping_seed))
    x = some_input(space).double()
    derived = derive(net)
    assert next(derived.parameters()).dtype == torch.float64
    assert difference(derived(x), net(x)) < 1e-12


def test_what_was_learned_is_derived_too(space: SearchSpace, randomised: Fill) -> None:
    torch.manual_seed(4)
    net = randomised(Supernet(space, init="normal")).double().eval()
    x = some_input(space).double()
    with torch.no_grad():
        assert difference(derive(net)(x), net(x)) < 1e-10


def test_no_group_reaches_another(
    space: SearchSpace, groupings: Groupings, reach: Callable[..., Tensor], randomised: Fill
) -> None:
    for grouping in groupings(space):
        reached = reach(randomised(Allocation(space, grouping).build()).eval(), space)
        own = torch.eye(len(reached), dtype=torch.bool)
        assert reached[~own].eq(0).all()
        assert reached[own].gt(0).all()


@pytest.mark.parametrize("training", [True, False])
def test_the_supernet_is_not_changed(training: bool, randomised: Fill) -> None:
    net = randomised(Supernet(load_space(SMALL / "ties.yaml"), init="normal")).train(training)
    before = copy.deepcopy(net.state_dict())
    derived = derive(net)
    assert derived.training == net.training == training
    with torch.no_grad():
        for parameter in derived.parameters():
            parameter.zero_()  # the weights are copies
    after = net.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_nothing_is_left_of_the_masks(space: SearchSpace) -> None:
    network = Allocation(space, Grouping.random(space)).build()
    kinds = {type(module) for module in network.modules()}
    assert {kind.__name__ for kind in kinds - PLAIN} <= {
        "GroupedNetwork",
        "UnevenGroupConv2d",
        "UnevenGroupLinear",
        "ReLU6",
    }
    assert len(network.blocks) == len(space.blocks)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_as_many_parameters_as_are_counted(space: SearchSpace, groupings: Groupings) -> None:
    for grouping in groupings(space):
        network = Allocation(space, grouping).build()
        counted = flops(Allocation(space, grouping)).total_params
        assert sum(p.numel() for p in network.parameters()) == counted


def test_equal_sizes_become_a_native_grouped_conv() -> None:
    space = load_space(SMALL / "plain.yaml")  # widths 4, 8, 12, 12 in 4 groups
    network = Allocation.even(space).build()
    convs = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert [conv.groups for conv in convs] == [4, 4, 4]
    uneven = Allocation(space, Grouping.manual(space, {"a": 2.0})).build()
    assert any(isinstance(module, UnevenGroupConv2d) for module in uneven.modules())


def test_fresh_weights_have_the_variance_of_their_own_fan_in() -> None:
    """Group a of ``second.block1`` sees 5 of 8 channels, the others one each."""
    space = load_space(SMALL / "plain.yaml")
    counts = {
        unit: {"a": size - 3, "b": 1, "c": 1, "d": 1} for unit, size in space.free_units.items()
    }
    grouping = Grouping.from_counts(space, counts)
    torch.manual_seed(0)
    wide, narrow = [], []
    for _ in range(50):
        parts = Allocation(space, grouping).build().get_submodule("blocks.second-block1.0.0.parts")
        wide.append(parts[0].weight.flatten())  # type: ignore[index]
        narrow.append(parts[1].weight.flatten())  # type: ignore[index]
    assert torch.cat(wide).std().item() == pytest.approx(math.sqrt(2 / (5 * 9)), rel=0.05)
    assert torch.cat(narrow).std().item() == pytest.approx(math.sqrt(2 / 9), rel=0.1)


def test_a_grouping_that_does_not_fit_is_refused() -> None:
    space = load_space(SMALL / "plain.yaml")
    other = Grouping("plain", space.groups, {"first": [0, 1, 2, 3]})
    with pytest.raises(InputError, match="units of the grouping for plain"):
        Allocation(space, other).build()


def test_it_compiles_exports_and_autocasts(randomised: Fill) -> None:
    space = load_space(SMALL / "pools.yaml")
    network: nn.Module = randomised(Allocation(space, Grouping.random(space)).build()).eval()
    x = some_input(space)
    expected = network(x)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), expected)
    torch.testing.assert_close(torch.export.export(network, (x,)).module()(x), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = network(x).float()
    assert (low - expected).abs().max() < 0.05 * expected.abs().max()


def test_it_can_be_trained(randomised: Fill) -> None:
    """In-place activations must not spoil what the backward pass needs."""
    space = load_space(SMALL / "pools.yaml")
    net = randomised(Supernet(space).double()).eval()
    net.set_grouping(Grouping.random(space, seed=3))
    network, x = derive(net), some_input(space).double()
    net(x).square().sum().backward()
    network(x).square().sum().backward()
    theirs = sum(p.grad.square().sum() for p in net.weight_parameters())
    ours = sum(p.grad.square().sum() for p in network.parameters() if p.grad is not None)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_it_stays_where_the_supernet_is(space: SearchSpace) -> None:
    net = Supernet(space, init="normal").cuda().eval()
    network = derive(net)
    assert all(parameter.is_cuda for parameter in network.parameters())
    x = some_input(space).cuda()
    with torch.no_grad():
        torch.testing.assert_close(network(x), net(x), rtol=1e-2, atol=1e-2)


# -- in the company of PyTorch ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ties", "pools", "branches"])
def test_gradients_of_each_sample(name: str, randomised: Fill) -> None:
    space = load_space(SMALL / f"{name}.yaml")
    net = randomised(Allocation(space, Grouping.random(space, 2)).build()).double().eval()
    weights = {name: value.detach() for name, value in net.named_parameters()}
    buffers, x = dict(net.named_buffers()), some_input(space, batch=3).double()

    def loss(weights: dict[str, Tensor], one: Tensor) -> Tensor:
        return functional_call(net, (weights, buffers), (one[None],)).square().sum()

    each = vmap(grad(loss), in_dims=(None, 0))(weights, x)
    for index, one in enumerate(x):
        net.zero_grad()
        net(one[None]).square().sum().backward()
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None
            assert difference(each[name][index], parameter.grad) < 1e-9, name


def test_it_is_derived_and_built_in_the_default_dtype(
    default_dtype: torch.dtype, randomised: Fill
) -> None:
    space = load_space(SMALL / "ties.yaml")
    x = some_input(space).to(default_dtype)
    net = randomised(Supernet(space)).eval()
    for module in (derive(net), Allocation(space, Grouping.random(space)).build().eval()):
        assert module(x).dtype == default_dtype
    assert difference(derive(net)(x).float(), net(x).float()) < 0.02
    assert derive(net.float())(x.float()).dtype == torch.float32


def test_it_is_derived_where_the_weights_are(space: SearchSpace) -> None:
    net, grouping = Supernet(space).double().eval(), Grouping.random(space, 1)
    net.set_grouping(grouping)
    x = some_input(space).double()
    with torch.device("meta"):  # whatever the surroundings
        network = derive(net)
        alone = network.only(space.groups[:1])
    assert difference(network(x), net(x)) < 1e-10
    assert not any(p.is_meta for p in alone.parameters())
    assert all(p.is_meta for p in derive(net.to("meta")).parameters())
    net.release()
    with pytest.raises(InputError, match="is on the meta device and has no values; fill it first"):
        derive(net)


def test_masks_that_are_not_numbers_are_not_derived() -> None:
    net = Supernet(load_space(SMALL / "ties.yaml"))
    for logits in net.arch_parameters():
        nn.init.constant_(logits, math.nan)
    with pytest.raises(InputError, match=r"logits of a mask: some are not a number \(NaN\)"):
        derive(net)


def test_a_derived_network_trains_distributed_and_under_checkpointing(
    process_group: None, randomised: Fill
) -> None:
    space = load_space(SMALL / "ties.yaml")
    net = randomised(Allocation(space, Grouping.random(space, 2)).build())
    parallel, gradients = nn.parallel.DistributedDataParallel(net), []
    x = some_input(space)
    for answer in (parallel(x), parallel(x), checkpoint(net, x, use_reentrant=False)):
        net.zero_grad()
        answer.square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    for other in gradients[1:]:
        assert difference(other, gradients[0]) < 1e-5


def _replace(net: nn.Module, kind: Any, make: Callable[[Any], nn.Module]) -> None:
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, kind):
                setattr(module, name, make(child))


def _synchronised(net: nn.Module) -> None:
    nn.SyncBatchNorm.convert_sync_batchnorm(net)


def _large_eps(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps, module.momentum = 0.5, 0.03


def _not_affine(net: nn.Module) -> None:
    def plain(norm: nn.BatchNorm2d) -> nn.Module:
        made = nn.BatchNorm2d(norm.num_features, affine=False)
        made.load_state_dict(
            {k: v for k, v in norm.state_dict().items() if k not in ("weight", "bias")}
        )
        return made

    _replace(net, nn.BatchNorm2d, plain)


def _with_dropout(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, MaskedLayer):
            module.tail.append(nn.Dropout(0.5))


@pytest.mark.parametrize("change", [_synchronised, _large_eps, _not_affine, _with_dropout])
def test_whatever_batchnorm_became_is_carried_over(
    change: Callable[[nn.Module], None], randomised: Fill
) -> None:
    space = load_space(SMALL / "ties.yaml")
    net = randomised(Supernet(space)).eval()
    x = some_input(space)
    before = net(x)
    change(net.eval())
    net.eval()
    derived = derive(net)
    assert difference(derived(x), net(x)) < 1e-5
    assert (difference(before, net(x)) > 1e-3) == (change in (_large_eps, _not_affine))
    if change is _large_eps:
        norms = [m for m in derived.modules() if isinstance(m, nn.BatchNorm2d)]
        assert norms and {(norm.eps, norm.momentum) for norm in norms} == {(0.5, 0.03)}
    if change is not _with_dropout:
        change(derived)
    group, inputs = space.groups[0], space.inputs[space.groups[0]]
    alone = derived.eval().only([group])(x[:, :inputs])
    assert difference(alone, net(x)[:, : space.outputs[group]]) < 1e-5
    assert difference(LayoutPlanner()(derived)(x), net(x)) < 1e-4


def _dilate(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, MaskedConv2d):
            module.padding = module.dilation = (3, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda net: _replace(
                net, nn.BatchNorm2d, lambda norm: nn.GroupNorm(1, norm.num_features)
            ),
            "the space has BatchNorm",
        ),
        (
            lambda net: _replace(
                net,
                nn.BatchNorm2d,
                lambda norm: nn.BatchNorm2d(norm.num_features, track_running_stats=False),
            ),
            "keeps no running statistics",
        ),
        (
            lambda net: _replace(net, (nn.ReLU, nn.ReLU6, nn.Hardswish), lambda _: nn.GELU()),
            "the network .*GELU, which cannot be carried over",
        ),
        (_dilate, "the space has MaskedConv2d.* which cannot be carried over"),
    ],
    ids=["norm", "statistics", "activation", "window"],
)
def test_what_the_space_does_not_say_is_not_dropped_in_silence(
    change: Callable[[nn.Module], None], message: str
) -> None:
    space = load_space(SMALL / "ties.yaml")
    net = Supernet(space).eval()
    derived = derive(net)
    change(net)
    with pytest.raises(InputError, match=message):
        derive(net)
    if change is not _dilate:
        change(derived)
        for read in (lambda: derived.only(space.groups[:1]), lambda: LayoutPlanner()(derived)):
            with pytest.raises(InputError, match=message):
                read()
