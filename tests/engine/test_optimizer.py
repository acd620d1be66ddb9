"""Learning rates as functions of progress."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from groupnas.engine.optimizer import make_optimizer, set_learning_rate
from groupnas.engine.strategy import Optimizer


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
