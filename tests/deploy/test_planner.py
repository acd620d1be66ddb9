"""LayoutPlanner: the same function in every form, the cheapest one, and what it says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import SMALL, some_input

import groupnas as gn
from groupnas.deploy.layout import Form
from groupnas.deploy.planner import LayoutPlanner
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.latency.table import LatencyTable
from groupnas.spaces import SearchSpace, load_space
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.supernet import Supernet

PLANNER = LayoutPlanner()
FORMS: list[tuple[Form, ...]] = [
    ("native", "padded", "bucketed", "dense"),
    ("bucketed", "dense"),
    ("dense",),
    ("split",),
]

Groupings = Callable[[SearchSpace], list[Grouping]]
Fill = Callable[..., Any]


@pytest.mark.parametrize("forms", FORMS, ids="-".join)
def test_outputs_are_the_supernets(
    forms: tuple[Form, ...], space: SearchSpace, groupings: Groupings, randomised: Fill
) -> None:
    """In float64, where only a mistake is left to see."""
    planner = LayoutPlanner(PLANNER.table, forms)
    net = randomised(Supernet(space)).double().eval()
    x = some_input(space).double()
    for grouping in groupings(space)[::2]:
        net.set_grouping(grouping)
        deployed = gn.derive(net, planner=planner)
        assert {plan.form for plan in deployed.plan.layers} <= {*forms, "channelwise"}
        with torch.no_grad():
            expected = net(x)
            assert (deployed(x) - expected).abs().max() < 1e-9 * expected.abs().max().clamp(min=1)


def test_nothing_but_plain_layers_and_no_norm_is_left(space: SearchSpace) -> None:
    deployed = PLANNER(gn.Allocation(space, Grouping.random(space)).build().eval())
    kinds = {type(module).__name__ for module in deployed.modules()}
    assert kinds <= {
        "DeployedNetwork", "ModuleDict", "ModuleList", "Sequential", "Conv2d", "Linear", "Flatten",
        "SplitLayer", "ReLU", "ReLU6", "Hardswish", "Identity", "AvgPool2d", "MaxPool2d",
    }  # fmt: skip
    assert not any(parameter.requires_grad for parameter in deployed.parameters())
    assert not deployed.training


def test_the_network_is_not_changed(randomised: Fill) -> None:
    space = load_space(SMALL / "ties.yaml")
    network = randomised(gn.Allocation(space, Grouping.random(space)).build())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    deployed = PLANNER(network)
    for parameter in deployed.parameters():
        parameter.zero_()
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("groups", [["b"], ["a", "c"], ["c", "a"]])
def test_groups_alone(groups: list[str], randomised: Fill) -> None:
    space = load_space(SMALL / "ties.yaml")
    net = randomised(Supernet(space, init="normal")).double().eval()
    x = some_input(space).double()
    columns = [c for c, g in enumerate(space.fixed["input"]) if space.groups[g] in groups]
    rows = [c for c, g in enumerate(space.fixed["output"]) if space.groups[g] in groups]
    alone = gn.derive(net, groups=groups)
    assert alone.groups == tuple(sorted(groups))
    with torch.no_grad():
        expected = net(x)[:, rows]
        for network in (alone, gn.derive(net, groups=groups, planner=PLANNER)):
            assert network.input_shape == (len(columns), *space.input_size)
            assert (network(x[:, columns]) - expected).abs().max() < 1e-9


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["d"], "groups: 'd': choose from: a, b, c"),
        ([], "groups: expected at least one of a, b, c"),
    ],
)
def test_groups_that_there_are_not(groups: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        gn.derive(Supernet(load_space(SMALL / "ties.yaml")), groups=groups)


def test_groups_that_share_channels_cannot_be_taken_alone_or_laid_out() -> None:
    space = load_space(SMALL / "plain.yaml")
    made = gn.Allocation.even(space).build()
    shared = GroupedNetwork(made.plan, made.blocks.values())
    with pytest.raises(InputError, match="groups share channels; none can be taken alone"):
        shared.only(["a"])
    with pytest.raises(InputError, match="groups share channels: it cannot be laid out"):
        PLANNER(shared)


class Counting:
    """A cost model that a hand can follow: a microsecond a node, and what ``node`` adds."""

    name, block = "counting", 16

    def __init__(self, **costs: float) -> None:
        self.costs = {"reorder": 0.0, "pieces": 100.0, "addition": 0.0, "mac": 0.0, **costs}

    def kernel(self, kernel: Any) -> float:
        return 1.0 + self.costs["mac"] * kernel.groups * kernel.inputs * kernel.outputs

    def __getattr__(self, name: str) -> Callable[..., float]:
        return lambda *_: self.costs[name]


def planned(model: Counting, grouping: Grouping, space: SearchSpace) -> list[Form]:
    planner = LayoutPlanner(model)  # type: ignore[arg-type]
    return [plan.form for plan in planner.plan(gn.Allocation(space, grouping).build()).layers]


def test_the_cheapest_form_is_chosen() -> None:
    space = load_space(SMALL / "plain.yaml")  # widths 4, 8, 12, 12, all convolutions, 4 groups
    even = Grouping.even(space)
    counts = {unit: {"a": 3, "b": 1, "c": 1, "d": 3} for unit in even.units}
    counts.update({u: {"a": 5, "b": 1, "c": 1, "d": 5} for u, n in space.units.items() if n == 12})
    skewed = Grouping.from_counts(space, counts)
    assert planned(Counting(mac=1.0), even, space)[:3] == ["native"] * 3
    # Padded: 4 x (1x3 + 3x5 + 5x5) = 172; a with b and c with d: 2 x (2x4 + 4x6 + 6x6) = 136
    assert planned(Counting(mac=1.0), skewed, space)[:3] == ["bucketed"] * 3
    # Joining is dear, so that the output is dense; paid for, and it is a layer for each group
    assert planned(Counting(), even, space)[-1] == "dense"
    assert set(planned(Counting(pieces=-9.0), even, space)) == {"split"}


def test_forms_that_do_not_fit() -> None:
    space = load_space(SMALL / "ties.yaml")  # its input's groups differ: no padding there
    planner = LayoutPlanner(PLANNER.table, ("padded",))
    with pytest.raises(InputError, match="no layout goes with all layers; allow more forms"):
        planner(gn.Allocation.even(space).build())


def test_the_sum_of_two_plain_units_counts() -> None:
    """Dear sums drive the trunk into the blocked format, where they are free."""
    space = load_space(SMALL / "ties.yaml")
    planner = LayoutPlanner(Counting(addition=50.0))  # type: ignore[arg-type]
    assert planner.plan(gn.Allocation.even(space).build()).ms < 50


def test_what_a_plan_says() -> None:
    space = load_space("picasso_local")
    plan = PLANNER.plan(gn.Allocation.even(space).build())
    assert plan.table == LatencyTable.shipped().name
    lines = str(plan).splitlines()
    assert len(lines) == 2 + len(space.layers) + 1
    assert lines[2].startswith("| stem | 4 → 24 | 4 →")
    total = sum(layer.ms for layer in plan.layers)
    assert lines[-1] == f"| all | | | | | {1000 * total:.1f} |"
    # No restriction can be cheaper than the choice among all forms
    for forms in FORMS:
        network = gn.Allocation.even(space).build()
        assert LayoutPlanner(PLANNER.table, forms).plan(network).ms >= plan.ms - 1e-9


def test_many_groups(tmp_path: Path, randomised: Fill) -> None:
    names = [f"g{i}" for i in range(9)]
    rows = "".join(f"  - {{name: {n}, op: conv3x3, c: 27, s: 2}}\n" for n in ("one", "two"))
    ones = ", ".join(f"{name}: 1" for name in names)
    (tmp_path / "nine.yaml").write_text(
        f"format: 1\ntitle: nine\ninput: [8, 8]\ngroups: [{', '.join(names)}]\n"
        f"inputs: {{{ones}}}\noutputs: {{{ones}}}\nact: relu\nlayers:\n{rows}"
        "  - {name: output, op: linear}\n"
    )
    space = load_space(tmp_path / "nine.yaml")
    network = randomised(gn.Allocation(space, Grouping.random(space, 1)).build()).double().eval()
    x = some_input(space).double()
    with torch.no_grad():
        assert (PLANNER(network)(x) - network(x)).abs().max() < 1e-9


def test_a_table_is_loaded_by_its_name(tmp_path: Path) -> None:
    LatencyTable.shipped().save(tmp_path / "mine.json")
    assert LayoutPlanner(tmp_path / "mine.json").table.name.endswith("mine.json")
    with pytest.raises(InputError, match="none.json"):
        LayoutPlanner(tmp_path / "none.json")
