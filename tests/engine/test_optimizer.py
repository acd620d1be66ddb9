"""Learning rates as functions of progress."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import groupnas
from groupnas.engine.optimizer import make_optimizer, plateaus, set_learning_rate
from groupnas.engine.strategy import Optimizer, load_strategy
from groupnas.errors import InputError


def rate(settings: Optimizer, progress: float) -> float:
    optimizer = make_optimizer(settings, [torch.nn.Parameter(torch.zeros(1))])
    set_learning_rate(optimizer, settings, progress)
    return float(optimizer.param_groups[0]["lr"])


def test_constant() -> None:
    settings = Optimizer(lr=0.2, end_lr=0.1)
    assert [rate(settings, p) for p in (0.0, 0.5, 1.0)] == [0.2, 0.2, 0.2]


def test_cosine() -> None:
    settings = Optimizer(lr=0.5, end_lr=0.1, schedule="cosine")
    assert rate(settings, 0) == pytest.approx(0.5)
    assert rate(settings, 0.5) == pytest.approx(0.3)
    assert rate(settings, 1) == pytest.approx(0.1)
    assert rate(settings, 1 / 3) == pytest.approx(0.1 + 0.4 * (1 + math.sqrt(1 / 4)) / 2)


def test_warmup() -> None:
    constant = Optimizer(lr=0.5, warmup=0.2)
    assert [rate(constant, p) for p in (0.0, 0.05, 0.1, 0.2, 0.9)] == pytest.approx(
        [0.0, 0.125, 0.25, 0.5, 0.5]
    )
    # a share of what the cosine is then: half of 0.1 + 0.4 (1 + cos 60 deg) / 2
    cosine = Optimizer(lr=0.5, end_lr=0.1, schedule="cosine", warmup=2 / 3)
    assert rate(cosine, 1 / 3) == pytest.approx((0.1 + 0.4 * 0.75) / 2)
    assert rate(cosine, 2 / 3) == pytest.approx(0.1 + 0.4 * 0.25)
    assert rate(cosine, 1) == pytest.approx(0.1)


def test_poly() -> None:
    straight = Optimizer(lr=0.5, end_lr=0.1, schedule="poly", power=1)
    assert [rate(straight, p) for p in (0.0, 0.25, 1.0)] == pytest.approx([0.5, 0.4, 0.1])
    square = Optimizer(lr=0.5, schedule="poly", power=2, warmup=0.5)
    assert rate(square, 0.25) == pytest.approx(0.5 * 0.75**2 / 2)
    assert rate(Optimizer(lr=1, schedule="poly"), 0.5) == pytest.approx(0.5**0.9)


def test_steps() -> None:
    """Earp et al.: a tenth from epoch 20 of 40 on, and again from 30."""
    falls = Optimizer(lr=0.001, schedule="steps", factor=0.1)
    shares = [0, 19 / 40, 20 / 40, 29 / 40, 30 / 40, 1]
    expected = [1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5]
    assert [rate(falls, share) for share in shares] == pytest.approx(expected)
    once = Optimizer(lr=1, schedule="steps", milestones=(0.2,), factor=0.5, warmup=0.1)
    assert [rate(once, share) for share in (0.05, 0.1, 0.2)] == pytest.approx([0.5, 1, 0.5])


@pytest.mark.parametrize(
    ("errors", "patience", "expected"),
    [
        ([], 0, 0),
        ([5, 4, 3], 0, 0),
        ([5, 5], 0, 1),  # as good as before is no new least value
        ([5, 6, 7, 4, 5, 6], 2, 0),
        ([5, 6, 7, 8, 4, 5, 6, 7], 2, 2),
        ([5, *[6] * 6], 2, 2),  # it begins to count again
        ([5, math.nan, math.nan, 4], 1, 1),
    ],
)
def test_plateaus_by_hand(errors: list[float], patience: int, expected: int) -> None:
    assert plateaus(errors, patience) == expected


@given(
    errors=st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0, math.nan]), max_size=30),
    patience=st.integers(0, 4),
)
def test_plateau_is_that_of_torch(errors: list[float], patience: int) -> None:
    settings = Optimizer(
        lr=0.5, end_lr=0.03, schedule="plateau", factor=0.5, patience=patience, warmup=0.1
    )
    ours = make_optimizer(settings, torch.nn.Linear(1, 1))
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        theirs, factor=0.5, patience=patience, threshold=0, min_lr=0.03, eps=0
    )
    for error in errors:
        scheduler.step(error)
    set_learning_rate(ours, settings, 0.9, errors)
    assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])


def test_rows_have_their_share_of_the_rate() -> None:
    network = groupnas.Allocation.even(groupnas.load_space("groupbench")).build()
    first, *_, last = (block.name for block in network.plan)
    settings = Optimizer(lr=0.5, schedule="poly", power=1, slow={first: 0.1, last: 0})
    optimizer = make_optimizer(settings, network)
    set_learning_rate(optimizer, settings, 0.5)
    rates = {
        id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]
    }
    expected = {
        id(weight): 0.25 * {first: 0.1, last: 0.0}.get(block.name, 1.0)
        for block, module in zip(network.plan, network.blocks.values(), strict=True)
        for weight in module.parameters()
    }
    assert rates == pytest.approx(expected)


class Rows(torch.nn.Module):
    """Rows as networks of a space hold them, and two stages that train together."""

    def __init__(self) -> None:
        super().__init__()
        names = ("trunk", "trunk-block1", "trunks", "keys-")
        stage = torch.nn.Module()
        stage.blocks = torch.nn.ModuleDict({name: torch.nn.Linear(1, 1) for name in names})
        self.first = stage
        self.second = torch.nn.Linear(1, 1)


@pytest.mark.parametrize(
    ("slow", "expected"),
    [
        ({"first": 0.5}, [0.5, 0.5, 0.5, 0.5, 1]),
        ({"first.trunk": 0.5}, [0.5, 0.5, 1, 1, 1]),
        ({"first.trunk": 0.5, "first.trunk.block1": 0.1}, [0.5, 0.1, 1, 1, 1]),
        ({"first.trunk.block1": 0.1, "first": 0.5}, [0.5, 0.1, 0.5, 0.5, 1]),
        ({"first.keys": 0, "second": 0.2}, [1, 1, 1, 0, 0.2]),
    ],
)
def test_a_name_means_all_below_it(slow: dict[str, float], expected: list[float]) -> None:
    network, settings = Rows(), Optimizer(lr=1, slow=slow)
    optimizer = make_optimizer(settings, network)
    set_learning_rate(optimizer, settings, 0.5)
    shares = {
        id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]
    }
    linear = [module for module in network.modules() if isinstance(module, torch.nn.Linear)]
    assert [shares[id(module.weight)] for module in linear] == expected
    assert [shares[id(module.bias)] for module in linear] == expected


def test_a_row_at_0_stands_still() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    before = [weight.detach().clone() for weight in network.parameters()]
    settings = Optimizer(name="sgd", lr=0.1, weight_decay=0.1, slow={"0": 0})
    optimizer = make_optimizer(settings, network)
    set_learning_rate(optimizer, settings, 0)
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    after = list(network.parameters())
    assert [torch.equal(*pair) for pair in zip(before, after, strict=True)] == [1, 1, 0, 0]


def test_a_row_that_is_not_there() -> None:
    with pytest.raises(InputError, match="slow: no row 'frist' has weights; did you mean 'first'"):
        make_optimizer(Optimizer(lr=1, slow={"frist": 0.1}), Rows())
    with pytest.raises(InputError, match="slow: no row 'fir' has weights"):
        make_optimizer(Optimizer(lr=1, slow={"fir": 0.1}), Rows())
    for wrong in ({"first": 2}, {"first": -0.1}, {"first": True}, 0.1):
        with pytest.raises(InputError, match="slow"):
            Optimizer(lr=1, slow=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schedule": "plateau"}, "schedule: plateau follows a training's validation errors"),
        ({"slow": {"first": 0.1}}, "slow: is for trainings"),
    ],
)
def test_searches_take_neither(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_optimizer(Optimizer(lr=1, **changes), Rows().parameters())
    make_optimizer(Optimizer(lr=1, **changes), Rows())  # a training does
    if "slow" not in changes:
        with pytest.raises(InputError, match="weights.schedule: plateau: expected one that says"):
            load_strategy("saliency").with_settings(weights=changes)


def test_settings_of_other_schedules_are_not_recorded() -> None:
    """Runs that began before there were these keys are the same runs."""
    plain = set(Optimizer(lr=1).model_dump())
    assert plain == {
        "name", "lr", "weight_decay", "betas", "momentum", "schedule", "end_lr", "warmup"
    }  # fmt: skip
    more = {
        "poly": {"power"},
        "plateau": {"factor", "patience"},
        "steps": {"factor", "milestones"},
        "cosine": set(),
        "constant": set(),
    }
    for schedule, keys in more.items():
        settings = Optimizer(lr=1, schedule=schedule, slow={"stem": 0.5})  # type: ignore[arg-type]
        assert set(settings.model_dump()) == plain | keys | {"slow"}
        assert Optimizer(**settings.model_dump(mode="json")) == settings


def test_setting_it_twice_is_setting_it_once() -> None:
    settings = Optimizer(lr=0.5, schedule="cosine")
    optimizer = make_optimizer(settings, [torch.nn.Parameter(torch.zeros(1))])
    for progress in (0.9, 0.1, 0.25):
        set_learning_rate(optimizer, settings, progress)
    assert optimizer.param_groups[0]["lr"] == rate(settings, 0.25)


def test_settings_reach_torch() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(1))]
    adam = make_optimizer(Optimizer(lr=0.1, betas=(0.5, 0.9), weight_decay=0.01), parameters)
    assert isinstance(adam, torch.optim.Adam)
    assert adam.defaults["betas"] == (0.5, 0.9) and adam.defaults["weight_decay"] == 0.01
    sgd = make_optimizer(Optimizer(name="sgd", lr=0.1, momentum=0.7, weight_decay=0.02), parameters)
    assert isinstance(sgd, torch.optim.SGD)
    assert sgd.defaults["momentum"] == 0.7 and sgd.defaults["weight_decay"] == 0.02


def test_sgd_with_momentum_steps_as_by_hand() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = make_optimizer(Optimizer(name="sgd", lr=0.1, momentum=0.5), [weight])
    for _ in range(2):
        weight.grad = torch.ones(1)
        optimizer.step()
    # velocity 1, then 0.5 + 1
    assert weight.item() == pytest.approx(-0.1 - 0.15)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_gradients_may_lie_in_memory_as_they_like(name: Any) -> None:
    """PyTorch's fused kernels pair weights and gradients by their place in memory (2.13, CPU)."""
    start = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    gradient = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(1))
    stepped = []
    for layout in (torch.contiguous_format, torch.channels_last):
        weight = torch.nn.Parameter(start.to(memory_format=layout, copy=True))
        optimizer = make_optimizer(Optimizer(name=name, lr=0.1), [weight])
        for sign in (1, 3):
            weight.grad = sign * gradient
            optimizer.step()
        stepped.append(weight.detach().contiguous())
    assert torch.equal(*stepped)


@pytest.mark.parametrize(("name", "plain"), [("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)])
def test_steps_are_those_of_the_plain_optimiser(name: Any, plain: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    ours = torch.nn.Parameter(torch.randn(5, 3, generator=generator))
    theirs = torch.nn.Parameter(ours.detach().clone())
    settings: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.01}
    momentum = {"momentum": 0.9} if name == "sgd" else {}
    pair = [
        make_optimizer(Optimizer(name=name, **settings), [ours]),
        plain([theirs], foreach=False, fused=False, **settings, **momentum),
    ]
    for _ in range(5):
        ours.grad = torch.randn(5, 3, generator=generator)
        theirs.grad = ours.grad.clone()
        for optimizer in pair:
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_weights_may_get_their_first_gradients_late(name: Any) -> None:
    early, late = (torch.nn.Parameter(torch.zeros(2)) for _ in range(2))
    optimizer = make_optimizer(Optimizer(name=name, lr=0.1), [early, late])
    early.grad = torch.ones(2)
    optimizer.step()
    assert late.tolist() == [0, 0]
    late.grad = torch.ones(2)
    optimizer.step()
    assert late.tolist() == pytest.approx([-0.1, -0.1])
