"""A saved state against the state of the same job before it began: what fits, what does not."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from groupnas.engine.optimizer import make_optimizer
from groupnas.engine.state import (
    StateError,
    check_history,
    check_like,
    load_generator,
    load_optimizer,
)
from groupnas.engine.strategy import Optimizer
from groupnas.runs.records import Epoch

FRESH: dict[str, Any] = {
    "net": {"weight": torch.zeros(2, 3), "count": torch.tensor(0)},
    "optimizer": {"state": {}, "param_groups": [{"lr": 0.1, "params": [0]}]},
    "stream": {"order": torch.zeros(0, dtype=torch.int64)},
    "notes": {},
    "sizes": [1, 2],
    "name": "a",
    "flag": True,
}


def grown() -> dict[str, Any]:
    """What the same job saves later."""
    state = copy.deepcopy(FRESH)
    state["net"]["weight"] += 1
    state["optimizer"]["state"] = {0: {"step": torch.tensor(3.0)}}
    state["stream"]["order"] = torch.arange(5)
    state["notes"] = {3: {"x": 1}}
    state["sizes"] = [4, 5, 6]
    return state


def test_what_has_grown_fits() -> None:
    check_like(grown(), FRESH)
    with pytest.raises(StateError, match="notes: expected a mapping"):
        check_like({**grown(), "notes": [3]}, FRESH)


@pytest.mark.parametrize(
    ("found", "other", "fresh"),
    [
        ({7: "b"}, ["b"], {0: "a"}),  # by number: of what has been done
        (0.5, None, 0),
        ("b", 1, "a"),
        ([], {}, [1]),
    ],
)
def test_of_the_same_kind(found: Any, other: Any, fresh: Any) -> None:
    check_like({"it": found}, {"it": fresh})
    check_like({"it": other}, {"it": None})  # anything has come since
    with pytest.raises(StateError, match="^it: expected"):
        check_like({"it": other}, {"it": fresh})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("name"), "the state: 'name' is missing"),
        (lambda s: s.update(more=1), "the state: 'more' is not of it"),
        (lambda s: s.update(net=[1]), "net: expected a mapping, got a list of 1"),
        (lambda s: s["net"].pop("count"), "net: 'count' is missing"),
        (
            lambda s: s["net"].update(weight=torch.zeros(3, 2)),
            r"net.weight: expected float32 \(2, 3\), got float32 \(3, 2\)",
        ),
        (
            lambda s: s["net"].update(weight=torch.zeros(2, 3).double()),
            r"net.weight: expected float32 \(2, 3\), got float64 \(2, 3\)",
        ),
        (lambda s: s["net"].update(weight=torch.zeros(2, 3).to_sparse()), "net.weight: expected"),
        (lambda s: s["net"].update(weight=[[0.0] * 3] * 2), "net.weight: .*, got a list of 2"),
        (lambda s: s["stream"].update(order=torch.zeros(5)), "stream.order: expected int64"),
        (lambda s: s["stream"].update(order=torch.zeros(2, 2).long()), "stream.order: expected"),
        (lambda s: s["optimizer"].update(state=[]), "optimizer.state: expected a mapping"),
        (lambda s: s.update(sizes=[1, "2"]), r"sizes\[1\]: expected a value like 1, got '2'"),
        (lambda s: s.update(sizes=[True]), r"sizes\[0\]: expected a value like 1, got True"),
        (lambda s: s.update(sizes={"a": 1}), "sizes: expected a list"),
        (lambda s: s.update(name=3), "name: expected a value like 'a', got 3"),
        (lambda s: s.update(flag=1), "flag: expected a value like True, got 1"),
    ],
)
def test_what_differs_is_named(change: Callable[[Any], Any], message: str) -> None:
    state = grown()
    change(state)
    with pytest.raises(StateError, match=f"^{message}"):
        check_like(state, FRESH)


# -- histories ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ("two epochs", "history: expected a list of epochs, got 'two epochs'"),
        ([1], "history, epoch 1: file: input should be a valid dictionary"),
        ([{}], "history, epoch 1: epoch: missing"),
        ([{"epoch": True}], "history, epoch 1: epoch: input should be a valid integer, got True"),
        ([{"epoch": -1}], "history, epoch 1: epoch: input should be greater than or equal to 1"),
        ([{"epoch": 2}], "history, epoch 1: is called epoch 2"),
        ([{"epoch": 1}, {"epoch": 1}], "history, epoch 2: is called epoch 1"),
        ([{"epoch": n} for n in range(1, 5)], "history: holds 4 epochs, the run has 3"),
        ([{"epoch": 10**400}], "history, epoch 1: a whole number is too large"),
        ([{"epoch": 1, "loss": "\ud800"}], r"history, epoch 1: '\\ud800' is no text"),
    ],
)
def test_a_history_that_is_none(history: Any, message: str) -> None:
    with pytest.raises(StateError, match=f"^{message}"):
        check_history(history, Epoch, 3)


def test_a_history() -> None:
    history = [{"epoch": 1, "loss": math.nan}, {"epoch": 2, "more": [1, {"a": None}]}]
    assert check_history(history, Epoch, 3) is history


# -- optimisers and generators ------------------------------------------------------------------


def stepped(name: str, lr: float = 0.1) -> tuple[nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    optimizer = make_optimizer(Optimizer(name=name, lr=lr), net.parameters())  # type: ignore[arg-type]
    for _ in range(2):
        net(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()
    return net, optimizer


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_an_optimizer_goes_on(name: str) -> None:
    net, optimizer = stepped(name)
    other = copy.deepcopy(net)
    again = make_optimizer(Optimizer(name=name, lr=0.1), other.parameters())  # type: ignore[arg-type]
    load_optimizer(again, copy.deepcopy(optimizer.state_dict()), "optimizer")
    for module, one in ((net, optimizer), (other, again)):
        one.zero_grad()
        module(torch.ones(1, 3)).square().sum().backward()
        one.step()
    assert torch.equal(net.weight, other.weight) and torch.equal(net.bias, other.bias)


def test_its_settings_stay_its_own() -> None:
    """A damaged decay rate in the file changes nothing; one that is missing breaks nothing."""
    _, optimizer = stepped("adam")
    state = optimizer.state_dict()
    again = make_optimizer(Optimizer(lr=0.3), nn.Linear(3, 2).parameters())
    for group in ({**state["param_groups"][0], "betas": "x", "lr": -1}, {}):
        load_optimizer(again, {"state": state["state"], "param_groups": [group]}, "o")
        found = again.param_groups[0]
        assert (found["lr"], tuple(found["betas"])) == (0.3, (0.9, 0.999))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update({9: s[0]}), "o.state: expected numbers of 2 parameters, got 9"),
        (lambda s: s.update({"0": s[0]}), "o.state: expected numbers of 2 parameters, got '0'"),
        (lambda s: s.update({0: 5}), r"o.state\[0\]: expected a mapping, got 5"),
        (lambda s: s[0].pop("step"), r"o.state\[0\]: expected step, exp_avg, exp_avg_sq"),
        (lambda s: s[0].update(exp_avg=torch.zeros(2)), r"o.state\[0\].exp_avg: expected float32"),
        (lambda s: s[0].update(step=3), r"o.state\[0\].step: expected float32 \(\), got 3"),
        (lambda s: s[0].update(step=torch.tensor(math.nan)), r"o.state\[0\].step: .* got nan"),
        (lambda s: s[0].update(step=torch.tensor(-1.0)), r"o.state\[0\].step: .* got -1"),
    ],
)
def test_what_another_optimizer_gathered(change: Callable[[Any], Any], message: str) -> None:
    state = copy.deepcopy(stepped("adam")[1].state_dict())
    change(state["state"])
    again = make_optimizer(Optimizer(lr=0.1), nn.Linear(3, 2).parameters())
    with pytest.raises(StateError, match=f"^{message}"):
        load_optimizer(again, state, "o")


def test_generators() -> None:
    generator = torch.Generator().manual_seed(5)
    state, drawn = generator.get_state(), torch.rand(3, generator=generator)
    other = torch.Generator()
    load_generator(other, state, "rng")
    assert torch.equal(torch.rand(3, generator=other), drawn)
    for wrong in (torch.zeros_like(state), state[:-1], state.float()):
        with pytest.raises(StateError, match="rng: is no state of a random generator"):
            load_generator(other, wrong, "rng")
