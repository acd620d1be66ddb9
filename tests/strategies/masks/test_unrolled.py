"""The second-order gradient against exact differentiation, and what its passes leave alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

import groupnas
from groupnas.strategies.masks.job import BilevelSearch
from groupnas.strategies.masks.unrolled import unrolled_gradient

RATE = 0.3


def draw(*size: int, seed: int) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, Y = draw(20, 4, seed=0), draw(20, 2, seed=1)


class Net:
    """Two layers whose hidden units are weighed by a softmax over logits; smooth everywhere."""

    def __init__(self) -> None:
        self.weights = [draw(4, 5, seed=2).requires_grad_(), draw(5, 2, seed=3).requires_grad_()]
        self.logits = [draw(5, 3, seed=4).requires_grad_()]

    def loss(self, weights: Sequence[Tensor], rows: slice) -> Tensor:
        hidden = (X[rows] @ weights[0]).tanh() * self.logits[0].softmax(dim=1)[:, 0]
        return (hidden @ weights[1] - Y[rows]).square().mean()

    def train(self, weights: Sequence[Tensor]) -> Tensor:
        return self.loss(weights, slice(0, 10))

    def validation(self, weights: Sequence[Tensor]) -> Tensor:
        return self.loss(weights, slice(10, 20))

    def exact(self) -> tuple[Tensor, Tensor]:
        """By differentiating through the step."""
        slopes = torch.autograd.grad(self.train(self.weights), self.weights, create_graph=True)
        ahead = [w - RATE * slope for w, slope in zip(self.weights, slopes, strict=True)]
        loss = self.validation(ahead)
        return torch.autograd.grad(loss, self.logits)[0], loss


def test_it_is_the_derivative_through_the_step() -> None:
    net = Net()
    exact, loss = net.exact()
    before = [w.detach().clone() for w in net.weights]
    (found,), found_loss = unrolled_gradient(
        net.train, net.validation, net.weights, net.logits, RATE
    )
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(found_loss, loss.detach())
    assert all(torch.equal(a, b) for a, b in zip(before, net.weights, strict=True))
    assert net.weights[0].grad is None and net.logits[0].grad is None
    # the part that first order leaves out is not small here
    (first,) = torch.autograd.grad(net.validation(net.weights), net.logits)
    assert (first - exact).norm() > 0.1 * exact.norm()


def test_without_a_step_it_is_first_order() -> None:
    net = Net()
    (found,), _ = unrolled_gradient(net.train, net.validation, net.weights, net.logits, 0.0)
    (first,) = torch.autograd.grad(net.validation(net.weights), net.logits)
    torch.testing.assert_close(found, first)


def test_where_the_validation_loss_is_flat_no_difference_is_taken() -> None:
    net = Net()

    def flat(weights: Sequence[Tensor]) -> Tensor:
        return net.logits[0].sum() + 0 * (weights[0].sum() + weights[1].sum())

    (found,), _ = unrolled_gradient(net.train, flat, net.weights, net.logits, RATE)
    assert found.eq(1).all()


class Listening:
    """A task that calls back before each loss."""

    def __init__(self, task: Any, tell: Callable[[], None]) -> None:
        self._task, self._tell = task, tell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        self._tell()
        return self._task.loss(predicted, target)


def buffers(search: BilevelSearch) -> list[Tensor]:
    return [buffer.clone() for buffer in search.net.buffers()]


def test_a_look_ahead_is_one_draw_and_leaves_buffers_and_weights_alone(
    make_search: Callable[..., BilevelSearch], shapes: Any
) -> None:
    states: list[Tensor] = []
    task = Listening(shapes, lambda: states.append(torch.get_rng_state()))
    search = make_search(task, order=2)
    search.run_epoch()  # warm-up, or the look-ahead's direction would be that of chance
    search.net.train()
    batches = [search._next_batch(s) for s in (search.train_stream, search.validation_stream)]
    start, kept = torch.get_rng_state(), buffers(search)
    weights = [w.detach().clone() for w in search.net.weight_parameters()]
    states.clear()
    from groupnas.engine.job import Means

    gradients, loss = search._look_ahead(batches[0], batches[1], Means())
    # Four passes, each from the same state to the same state.
    assert len(states) == 4 and all(torch.equal(states[0], state) for state in states)
    assert not torch.equal(start, states[0]) and torch.equal(torch.get_rng_state(), states[0])
    assert all(torch.equal(a, b) for a, b in zip(kept, buffers(search), strict=True))
    assert all(
        torch.equal(a, b) for a, b in zip(weights, search.net.weight_parameters(), strict=True)
    )
    assert all(g.isfinite().all() and g.ne(0).any() for g in gradients)
    assert loss.isfinite()


def test_with_a_soft_mask_the_supernet_s_gradient_is_exact(
    make_search: Callable[..., BilevelSearch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against differentiating through the step, at a step small enough for its kinks."""
    from groupnas.engine.job import Means
    from groupnas.strategies.masks import unrolled

    monkeypatch.setattr(unrolled, "REACH", 1e-5)
    search = make_search(order=2, masks={"relaxation": "gumbel_soft"})
    net = search.net.double().train()
    search._weight_optimizer.param_groups[0]["lr"] = rate = 1e-2
    train, validation = (
        ((batch := search._next_batch(s))[0].double(), batch[1].double())
        for s in (search.train_stream, search.validation_stream)
    )
    state = torch.get_rng_state()
    gradients, loss = search._look_ahead(train, validation, Means())

    names = [f"blocks.{name}" for name, _ in net.blocks.named_parameters()]
    weights, logits = list(net.weight_parameters()), list(net.arch_parameters())

    def loss_at(batch: Any, weights: Sequence[Tensor]) -> Tensor:
        torch.set_rng_state(state)
        changes = dict(zip(names, weights, strict=True))
        return search.task.loss(torch.func.functional_call(net, changes, batch[0]), batch[1])

    slopes = torch.autograd.grad(loss_at(train, weights), weights, create_graph=True)
    ahead = [w - rate * slope for w, slope in zip(weights, slopes, strict=True)]
    exact_loss = loss_at(validation, ahead)
    exact = torch.autograd.grad(exact_loss, logits)
    torch.testing.assert_close(loss, exact_loss.detach())
    for found, expected in zip(gradients, exact, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def test_orders_differ_and_see_the_same_number_of_batches(
    make_search: Callable[..., BilevelSearch],
) -> None:
    def searched(order: int) -> BilevelSearch:
        search = make_search(order=order, mask_every=2)
        while len(search.history) < search.total_epochs:
            search.run_epoch()
        return search

    first, second = searched(1), searched(2)
    assert [r["steps"] for r in first.history] == [r["steps"] for r in second.history] == [3, 5, 5]
    assert first.history[0] == second.history[0]  # the warm-up knows no order
    assert first.history[1] != second.history[1]
    assert isinstance(second.allocation(), groupnas.Allocation)
