"""What is added to the masks' loss: by hand, and that descending it gives what it asks for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

import groupnas
from groupnas.budget import Budget
from groupnas.errors import InputError
from groupnas.spaces.measure import measure
from groupnas.strategies.masks.job import BilevelSearch
from groupnas.strategies.masks.penalty import Penalty


@pytest.fixture
def net(shapes_space: groupnas.SearchSpace) -> groupnas.Supernet:
    torch.manual_seed(0)
    return groupnas.Supernet(shapes_space, init="even", confidence=0.8)


def test_nothing_to_penalise(shapes_space: groupnas.SearchSpace) -> None:
    assert not Penalty(shapes_space, 0.0, 0.0, None)
    assert not Penalty(shapes_space, 0.0, 0.0, Budget())
    assert Penalty(shapes_space, 0.1, 0.0, None)
    with pytest.raises(InputError, match="penalty: needs a budget"):
        Penalty(shapes_space, 0.0, 1.0, None)


def test_entropy_by_hand(net: groupnas.Supernet) -> None:
    undecided = (0.8 * math.log(1 / 0.8) + 0.2 * math.log(1 / 0.1)) / math.log(3)
    assert Penalty(net.space, 2.0, 0.0, None)(net).item() == pytest.approx(2 * undecided, rel=1e-5)


@pytest.mark.parametrize("name", ["mac", "params"])
def test_costs_of_decided_masks_are_the_grouping_s(net: groupnas.Supernet, name: str) -> None:
    grouping = groupnas.Grouping.random(net.space, seed=1)
    net.set_grouping(grouping)
    budget = Budget(measure=name, total=1.0, groups={"ring": 1.5})
    found = Penalty(net.space, 0.0, 3.0, budget)(net)
    costs = groupnas.Allocation(net.space, grouping).costs(measure(name))
    even = groupnas.Allocation.even(net.space).costs(measure(name))
    rest = sum(even.values()) - 1.5 * even["ring"]
    expected = math.log(costs["ring"] / (1.5 * even["ring"])) ** 2
    expected += math.log((costs["disc"] + costs["square"]) / rest) ** 2
    assert found.item() == pytest.approx(3 * expected, rel=1e-4)


@pytest.mark.parametrize("share", [0.6, 1.6])
@pytest.mark.parametrize("name", ["mac", "params"])
def test_descending_it_moves_a_part_to_its_budget(
    net: groupnas.Supernet, name: str, share: float
) -> None:
    budget = Budget(measure=name, total=None, groups={"ring": share})
    penalty = Penalty(net.space, 0.0, 1.0, budget)
    optimizer = torch.optim.Adam(net.arch_parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        penalty(net).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.arch_parameters())
        optimizer.step()
    even = groupnas.Allocation.even(net.space).costs(measure(name))
    cost = penalty.expected_costs(net.probabilities())["ring"].item()
    assert cost == pytest.approx(share * even["ring"], rel=0.01)


def searched(search: BilevelSearch) -> BilevelSearch:
    while len(search.history) < search.total_epochs:
        search.run_epoch()
    return search


@pytest.mark.parametrize("levels", [1, 2])
def test_a_search_spends_a_part_s_budget(
    make_search: Callable[..., BilevelSearch], levels: int
) -> None:
    fast: dict[str, Any] = {"name": "adam", "lr": 0.8}
    settings: dict[str, Any] = {"levels": levels, "penalty": 10.0}
    masks: dict[str, Any] = {"init": "even", "confidence": 0.8, "optimizer": fast}
    if levels == 1:
        masks["optimizer"], settings["weights"] = None, fast
    budget = {"total": None, "parts": {"ring": 1.6}, "tolerance": 0.05}
    search = searched(make_search(masks=masks, budget=budget, **settings))
    penalties = [record["penalty"] for record in search.history]
    assert penalties[0] is None and penalties[2] < penalties[1]
    even = groupnas.Allocation(search.space, search.initial).costs()
    assert search.allocation().costs()["ring"] > 1.2 * even["ring"]
    # what the penalty only nears, the design meets
    design = search.design()
    assert design.costs()["ring"] == pytest.approx(1.6 * even["ring"], rel=0.05)


def test_entropy_decides(make_search: Callable[..., BilevelSearch]) -> None:
    def entropy(weight: float) -> float:
        masks = {"init": "normal", "entropy": weight, "optimizer": {"lr": 0.3}}
        return float(searched(make_search(masks=masks)).history[-1]["entropy"])

    assert entropy(1.0) < 0.9 * entropy(0.0)
