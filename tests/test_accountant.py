"""groupnas.accountant: to the operation what other tools count, and what was worked out by hand.

The tools count the derived network. Where their rules differ from plain multiply-accumulates:

- fvcore adds two operations per element behind a BatchNorm in evaluation mode. It has no rule for
  ``aten::avg_pool2d`` (only for adaptive pooling), nor for max pooling and activations: zero.
- thop adds four per element of a BatchNorm and one per output element of an average pooling.
- torch counts two per multiply-accumulate, and nothing else.
- thop counts all taps of a transposed convolution at each of its outputs, stride x stride times too
  many.
- torchstat does not run on current PyTorch. Its rules are applied by hooks below; it knows ReLU and
  ReLU6, and counts 0 for a Hardswish and a transposed convolution.

None counts the bias of a linear layer, or a residual addition.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import SMALL_SPACES, UNPLANNED_SPACES, space_of
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from groupnas.accountant import CONVENTIONS, expected_flops, flops
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.spaces import SearchSpace, load_space
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.supernet import Supernet

SPACES: dict[str, str | Path] = {path.stem: path for path in [*SMALL_SPACES, *UNPLANNED_SPACES]}
SPACES |= {name: name for name in ("picasso_local", "picasso_global")}
SEVERAL_GROUPS = [name for name in SPACES if name != "picasso_global"]
every_space = pytest.mark.parametrize("name", SPACES)


space_by_hand = partial(space_of, input=[4, 4], outputs={"a": 1, "b": 2})


# -- other tools --------------------------------------------------------------------------------


def by_fvcore(network: nn.Module, x: Tensor, only_macs: bool) -> float:
    from fvcore.nn import FlopCountAnalysis

    counter = FlopCountAnalysis(network, x)
    counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return counter.total() - only_macs * counter.by_operator()["batch_norm"]


def by_thop(network: nn.Module, x: Tensor, only_macs: bool) -> float:
    import thop

    nothing = {kind: lambda *_: None for kind in (nn.BatchNorm2d, nn.AvgPool2d)}
    operations, _ = thop.profile(
        copy.deepcopy(network),  # thop leaves buffers behind
        inputs=(x,),
        custom_ops=nothing if only_macs else None,
        verbose=False,
    )
    return operations


def by_torch(network: nn.Module, x: Tensor, only_macs: bool) -> float:
    with FlopCounterMode(display=False) as counter:
        network(x)
    return counter.get_total_flops() / (2 if only_macs else 1)


def by_torchstat(network: nn.Module, x: Tensor, only_macs: bool) -> float:
    """torchstat's rules (compute_flops.py), applied by hooks."""
    total = 0

    def count(module: nn.Module, args: Any, out: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            per_output = math.prod(module.kernel_size) * module.in_channels // module.groups
            total += out.numel() * (per_output + (module.bias is not None and not only_macs))
        elif isinstance(module, nn.Linear):
            total += module.in_features * module.out_features
        elif only_macs:
            return
        elif isinstance(module, nn.BatchNorm2d):
            total += 2 * out.numel()
        elif isinstance(module, (nn.ReLU, nn.ReLU6)):
            total += out.numel()
        elif isinstance(module, (nn.AvgPool2d, nn.MaxPool2d)):
            total += args[0].numel()

    network = copy.deepcopy(network)
    for module in network.modules():
        module.register_forward_hook(count)
    network(x)
    return total


TOOLS: dict[str, Callable[[nn.Module, Tensor, bool], float]] = {
    "fvcore": by_fvcore,
    "thop": by_thop,
    "torch": by_torch,
    "torchstat": by_torchstat,
}


@pytest.mark.parametrize("tool", TOOLS)
@every_space
def test_tools_count_the_same_on_the_derived_network(name: str, tool: str) -> None:
    space = load_space(SPACES[name])
    x = torch.zeros(1, sum(space.inputs.values()), *space.input_size)
    for grouping in {Grouping.even(space), *(Grouping.random(space, seed) for seed in (1, 2))}:
        network = Allocation(space, grouping).build().eval()
        with torch.no_grad():
            if CONVENTIONS[tool].deconv == "input" or not any(
                layer.op == "deconv" for layer in space.layers
            ):
                assert flops(Allocation(space, grouping)).total == TOOLS[tool](network, x, True)
            assert flops(Allocation(space, grouping), tool).total == TOOLS[tool](network, x, False)


def test_every_convention_is_compared_with_its_tool() -> None:
    assert set(CONVENTIONS) == {*TOOLS, "mac"}


# -- by hand ------------------------------------------------------------------------------------

# 4 x 4 in, 2 x 2 behind the stem.
HAND = space_by_hand(
    {"name": "stem", "op": "conv3x3", "c": 5, "s": 2},
    {"name": "block", "op": "irb", "t": 2, "c": 5},
    {"name": "pool", "op": "avgpool"},
)
BY_HAND = Allocation.from_counts(
    HAND, {"stem": {"a": 2, "b": 3}, "block.block1.hidden": {"a": 6, "b": 4}}
)


def test_macs_by_hand() -> None:
    table = flops(BY_HAND)
    assert {layer.name: layer.flops for layer in table.layers} == {
        "stem": (4 * 9 * 1 * 2, 4 * 9 * 1 * 3),
        "block.block1.expand": (4 * 2 * 6, 4 * 3 * 4),
        "block.block1.depthwise": (4 * 9 * 6, 4 * 9 * 4),
        "block.block1.project": (4 * 6 * 2, 4 * 4 * 3),
        "pool": (0, 0),
        "output": (2 * 1, 3 * 2),
    }
    assert table.per_group == {"a": 386, "b": 354}
    assert table.per_layer["stem"] == 180
    assert table.total == 740


def test_parameters_by_hand() -> None:
    table = flops(BY_HAND)
    assert [layer.params for layer in table.layers] == [
        (9 * 2 + 2 * 2, 9 * 3 + 2 * 3),
        (12 + 2 * 6, 12 + 2 * 4),
        (9 * 6 + 2 * 6, 9 * 4 + 2 * 4),
        (12 + 2 * 2, 12 + 2 * 3),
        (0, 0),
        (2 + 1, 6 + 2),
    ]
    assert table.params_per_group == {"a": 131, "b": 123}
    assert table.total_params == 254


def test_torchstat_by_hand() -> None:
    """MACs + 2 per normalised element + 1 per activated element + 1 per pooled element."""
    table = flops(BY_HAND, "torchstat")
    assert [layer.flops for layer in table.layers] == [
        (72 + 16 + 8, 108 + 24 + 12),
        (48 + 48 + 24, 48 + 32 + 16),
        (216 + 48 + 24, 144 + 32 + 16),
        (48 + 16, 48 + 24),  # no activation behind the projection
        (8, 12),
        (2, 6),
    ]


def test_thop_fvcore_and_torch_by_hand() -> None:
    """a: 8 + 24 + 24 + 8 = 64 normalised elements, 2 averages; b: 12 + 16 + 16 + 12 = 56, 3."""
    assert flops(BY_HAND, "thop").per_group == {
        "a": 386 + 4 * 64 + 2,
        "b": 354 + 4 * 56 + 3,
    }
    assert flops(BY_HAND, "fvcore").per_group == {
        "a": 386 + 2 * 64,
        "b": 354 + 2 * 56,
    }
    assert flops(BY_HAND, "torch").per_group == {"a": 2 * 386, "b": 2 * 354}


def test_the_local_network_of_the_paper() -> None:
    """Figures of our reading of Table II, worked out outside this project."""
    space = load_space("picasso_local")
    even = Grouping.even(space)
    assert flops(Allocation(space, even)).total / 1e6 == pytest.approx(9.26, abs=0.005)
    assert flops(Allocation(space, even), "torchstat").total / 1e6 == pytest.approx(
        11.28, abs=0.005
    )


def test_the_global_network_of_the_paper_by_hand() -> None:
    """Table I, row by row; BatchNorm has two parameters a channel, the output alone a bias."""
    macs, params = 96**2 * 9 * 3 * 24, 9 * 3 * 24 + 2 * 24  # stem
    size, channels = 96, 24
    for t, c, n, s in ((1, 24, 1, 2), (5, 32, 2, 2), (5, 64, 5, 2), (5, 128, 6, 2)):
        for stride in [s] + [1] * (n - 1):
            hidden = t * channels
            if t > 1:
                macs += size**2 * channels * hidden
                params += channels * hidden + 2 * hidden
            size //= stride
            macs += size**2 * (9 * hidden + hidden * c)
            params += 9 * hidden + 2 * hidden + hidden * c + 2 * c
            channels = c
    for side, c in ((6, 64), (3, 128), (1, 256)):
        macs += side**2 * (128 * c + c * 136)
        params += 128 * c + 2 * c + side**2 * c * 136
    space = load_space("picasso_global")
    even = Grouping.even(space)
    assert flops(Allocation(space, even)).total == macs == 89_912_064
    assert flops(Allocation(space, even)).total_params == params + 136 == 1_712_016
    # What the paper prints is 0.097 G; thop's convention alone rounds to that
    totals = {
        name: flops(Allocation(space, even), name).total / 1e6 for name in ("torchstat", "thop")
    }
    assert totals == {
        "torchstat": pytest.approx(95.0, abs=0.05),
        "thop": pytest.approx(96.9, abs=0.05),
    }


@every_space
def test_parameters_are_those_of_the_network(name: str) -> None:
    space = load_space(SPACES[name])
    grouping = Grouping.random(space, seed=3)
    table = flops(Allocation(space, grouping))
    assert table.total_params == sum(
        p.numel() for p in Allocation(space, grouping).build().parameters()
    )
    assert sum(table.params_per_group.values()) == table.total_params


@pytest.mark.parametrize("name", SEVERAL_GROUPS)
def test_moving_a_channel_moves_its_cost(name: str) -> None:
    """Only groups whose channels change pay another price."""
    space = load_space(SPACES[name])
    before = Grouping.even(space)
    unit = max(space.free_units, key=space.free_units.__getitem__)
    channels = list(before.assignments[unit])
    channels[0] = 1
    after = Grouping(space.name, space.groups, {**before.assignments, unit: channels})
    old, new = flops(Allocation(space, before)).per_group, flops(Allocation(space, after)).per_group
    first, second, *others = space.groups
    assert new[first] < old[first] and new[second] > old[second]
    assert all(new[group] == old[group] for group in others)


# -- in expectation -----------------------------------------------------------------------------


def one_hot(grouping: Grouping) -> dict[str, Tensor]:
    groups = len(grouping.groups)
    return {
        unit: torch.nn.functional.one_hot(grouping[unit], groups).double()
        for unit in grouping.units
    }


def some_probabilities(space: SearchSpace, scale: float = 1.0) -> dict[str, Tensor]:
    torch.manual_seed(0)
    groups = len(space.groups)
    return {
        unit: torch.softmax(scale * torch.randn(channels, groups, dtype=torch.float64), dim=1)
        for unit, channels in space.free_units.items()
    }


@pytest.mark.parametrize("convention", CONVENTIONS)
@every_space
def test_certain_memberships_cost_what_their_grouping_costs(name: str, convention: str) -> None:
    space = load_space(SPACES[name])
    grouping = Grouping.random(space, seed=4)
    exact = [layer.flops for layer in flops(Allocation(space, grouping), convention).layers]
    expected = expected_flops(space, one_hot(grouping), convention)
    assert expected.tolist() == [list(row[: len(space.groups)]) for row in exact]


def test_a_unit_that_meets_itself_by_enumeration() -> None:
    """All 2^3 divisions of one unit, which a convolution leads from into itself."""
    space = space_by_hand(
        {"name": "stem", "op": "conv3x3", "c": 3}, {"name": "block", "op": "irb", "t": 1, "c": 3}
    )
    assert list(space.free_units) == ["stem"]
    p = torch.tensor([[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]], dtype=torch.float64)
    mean = torch.zeros(len(space.layers), 2, dtype=torch.float64)
    for division in itertools.product(range(2), repeat=3):
        chance = math.prod(p[channel, group].item() for channel, group in enumerate(division))
        a = [division.count(0), division.count(1)]
        costs = [
            [16 * 9 * a[0], 16 * 9 * a[1]],
            [16 * 9 * a[0], 16 * 9 * a[1]],
            [16 * a[0] ** 2, 16 * a[1] ** 2],
            [16 * a[0] * 1, 16 * a[1] * 2],
        ]
        mean += chance * torch.tensor(costs, dtype=torch.float64)
    torch.testing.assert_close(expected_flops(space, {"stem": p}), mean)


@pytest.mark.parametrize("name", ["ties", "pools", "tied_input"])
def test_it_is_the_mean_over_draws(name: str) -> None:
    """Within four standard errors of 500 draws, layer by layer and group by group."""
    space = load_space(SPACES[name])
    p = some_probabilities(space)
    costs = []
    for _ in range(500):
        drawn = {
            unit: torch.nn.functional.one_hot(q.multinomial(1)[:, 0], q.shape[1]).double()
            for unit, q in p.items()
        }
        costs.append(expected_flops(space, drawn, "torchstat"))
    sample = torch.stack(costs)
    error = sample.std(dim=0) / math.sqrt(len(costs))
    difference = (sample.mean(dim=0) - expected_flops(space, p, "torchstat")).abs()
    assert (difference <= 4 * error + 1e-9).all()


@pytest.mark.parametrize("name", ["ties", "pools"])
def test_its_gradient_by_finite_differences(name: str) -> None:
    space = load_space(SPACES[name])
    units = list(space.free_units)

    def cost(*probabilities: Tensor) -> Tensor:
        return expected_flops(space, dict(zip(units, probabilities, strict=True))) / 1e3

    inputs = [p.requires_grad_() for p in some_probabilities(space).values()]
    assert torch.autograd.gradcheck(cost, inputs)


def test_it_takes_what_the_supernet_gives() -> None:
    space = load_space("picasso_local")
    net = Supernet(space)
    cost = expected_flops(space, net.probabilities())
    assert cost.shape == (len(space.layers), 4) and cost.dtype == torch.float32
    cost.sum().backward()
    for logits in net.arch_parameters():
        assert logits.grad is not None and logits.grad.isfinite().all()
    grouping = Grouping.random(space, seed=1)
    net.set_grouping(grouping)
    assert (
        expected_flops(space, net.probabilities()).sum() == flops(Allocation(space, grouping)).total
    )


# -- the table ----------------------------------------------------------------------------------


def test_the_dictionary_holds_everything_and_is_json() -> None:
    data = json.loads(json.dumps(flops(BY_HAND).to_dict()))
    assert data["space"] == "test" and data["convention"] == "mac"
    assert data["total"] == 740 and data["per_group"] == {"a": 386, "b": 354}
    assert data["total_params"] == 254 and data["params_per_group"] == {"a": 131, "b": 123}
    assert data["layers"]["stem"] == {
        "op": "conv",
        "flops": {"a": 72, "b": 108},
        "params": {"a": 22, "b": 33},
    }


def test_the_markdown_table() -> None:
    lines = flops(BY_HAND).to_markdown().splitlines()
    assert lines[:3] == [
        "| layer (mac) | a | b | all |",
        "| --- | ---: | ---: | ---: |",
        "| stem | 72 | 108 | 180 |",
    ]
    assert lines[-3:] == [
        "| total | 386 | 354 | 740 |",
        "| share | 52.2 % | 47.8 % | 100 % |",
        "| parameters | 131 | 123 | 254 |",
    ]


def test_a_single_group_is_counted_once() -> None:
    table = flops(Allocation.even(load_space("picasso_global")))
    rows = table.rows()
    assert rows[0] == ["layer (mac)", "face"] and {len(row) for row in rows} == {2}
    assert rows[-2:] == [["total", "89,912,064"], ["parameters", "1,712,016"]]
    assert table.per_group == {"face": table.total}


def test_what_cannot_be_counted_is_named() -> None:
    with pytest.raises(InputError, match="convention 'macs': did you mean 'mac'?"):
        flops(BY_HAND, "macs")
    with pytest.raises(InputError, match="units of the grouping for test: missing"):
        flops(Allocation(HAND, Grouping("test", ["a", "b"], {"stem": [0, 1, 0, 1, 0]})))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sixteen_bits_are_no_dtype_to_count_in(dtype: torch.dtype) -> None:
    space = load_space("picasso_local")
    grouping = Grouping.random(space, 0)
    net = Supernet(space).to(dtype)
    net.set_grouping(grouping)
    counted = expected_flops(space, net.probabilities())
    assert counted.dtype == torch.float32
    assert counted.sum().item() == pytest.approx(flops(Allocation(space, grouping)).total, rel=1e-6)
