"""groupnas.nn.activation: ReLU6 that keeps its output alone."""

from __future__ import annotations

import copy

import torch
import torch.autograd.forward_ad as forward_ad
from torch import nn
from torch.func import grad, hessian, jvp, vmap

from groupnas.nn.activation import ReLU6

# Inside, outside on either side, and the ends themselves.
X = torch.tensor([-1.0, 0.0, 0.5, 3.0, 6.0, 7.0, float("nan"), float("inf")])


def test_gradients_of_both_orders_are_pytorchs_to_the_bit() -> None:
    results = []
    for activation in (nn.ReLU6(inplace=True), ReLU6(inplace=True)):
        x = X.clone().requires_grad_()
        y = activation(x * 1)
        (first,) = torch.autograd.grad((y**3).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad((first**2).sum(), x)
        results.append((y, first, second))
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def test_by_hand() -> None:
    x = X.clone().requires_grad_()
    y = ReLU6(inplace=True)(2 * x)
    assert y[:6].tolist() == [0, 0, 1, 6, 6, 6]
    y[:6].sum().backward()
    assert x.grad is not None and x.grad[:6].tolist() == [0, 0, 2, 0, 0, 0]


def test_nothing_but_the_output_is_kept() -> None:
    def kept(activation: nn.Module) -> set[int]:
        storages = set()

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storages.add(tensor.untyped_storage().data_ptr())
            return tensor

        x = X.clone().requires_grad_() + 0
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            y = activation(x)
        assert y.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
        return storages - {y.untyped_storage().data_ptr()}

    assert kept(ReLU6(inplace=True)) == set()
    assert len(kept(nn.ReLU6(inplace=True))) == 1


def test_it_works_without_gradients_and_under_the_tools() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), ReLU6(inplace=True)).eval()
    x = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * 9
    expected = nn.functional.relu6(net[:2](x))
    assert expected.max() > 1
    others = (
        net,
        copy.deepcopy(net),
        torch.compile(net, backend="aot_eager", fullgraph=True),
        torch.export.export(net, (x,)).module(),
        torch.jit.trace(net, x),
    )
    for other in others:
        torch.testing.assert_close(other(x), expected)
        with torch.no_grad():
            torch.testing.assert_close(other(x), expected)


def test_it_is_transformed_as_pytorchs_is() -> None:
    x, direction = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0)) * 6

    def results(activation: nn.Module) -> list[torch.Tensor]:
        def curved(one: torch.Tensor) -> torch.Tensor:
            return (activation(2 * one) ** 3).sum()

        with forward_ad.dual_level():
            dual = activation(2 * forward_ad.make_dual(x, direction))
            forward = forward_ad.unpack_dual(dual).tangent
        return [
            vmap(activation)(x),
            vmap(grad(curved))(x),
            vmap(hessian(curved))(x),
            jvp(curved, (x,), (direction,))[1],
            forward,
        ]

    for found, expected in zip(results(ReLU6(inplace=True)), results(nn.ReLU6()), strict=True):
        torch.testing.assert_close(found, expected)


def test_forward_gradients_of_what_is_trained() -> None:
    x = X[:6].clone().requires_grad_()
    with forward_ad.dual_level():
        y = ReLU6(inplace=True)(2 * forward_ad.make_dual(x, torch.ones(6)))
        assert forward_ad.unpack_dual(y).tangent.tolist() == [0, 0, 2, 0, 0, 0]


def test_it_is_a_relu6_that_may_leave_its_input() -> None:
    x = X.clone().requires_grad_() + 0
    y = ReLU6()(x)
    torch.testing.assert_close(x, X, equal_nan=True)
    torch.testing.assert_close(y, nn.functional.relu6(X), equal_nan=True)
    assert isinstance(ReLU6(), nn.ReLU6) and not ReLU6().state_dict()
