"""groupnas.nn.kronecker: U by hand, its cost, what it can represent, gradients, its export."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from groupnas.errors import InputError
from groupnas.nn import KroneckerConv2d, kronecker_factors
from groupnas.nn.kronecker import (
    budget_penalty,
    complexity,
    group_count,
    grouped_convolution,
    kronecker_mask,
)

WIDTHS = st.integers(1, 60)


def tensor(*gates: float) -> torch.Tensor:
    return torch.tensor(gates, dtype=torch.float64)


@pytest.mark.parametrize(
    ("out", "into", "gated", "tall", "wide"),
    [
        (8, 8, (2, 2, 2), (), ()),
        (120, 24, (2, 2, 2, 3), (5,), ()),
        (56, 120, (2, 2, 2), (7,), (3, 5)),
        (7, 9, (), (7,), (3, 3)),
        (1, 1, (), (), ()),
    ],
)
def test_factors_by_hand(
    out: int, into: int, gated: tuple[int, ...], tall: tuple[int, ...], wide: tuple[int, ...]
) -> None:
    factors = kronecker_factors(out, into)
    assert (factors.gated, factors.tall, factors.wide) == (gated, tall, wide)


@given(out=WIDTHS, into=WIDTHS)
def test_factors_multiply_to_the_widths(out: int, into: int) -> None:
    factors = kronecker_factors(out, into)
    assert factors.most_groups == math.gcd(out, into)
    assert factors.most_groups * math.prod(factors.tall) == out
    assert factors.most_groups * math.prod(factors.wide) == into


def test_no_channels() -> None:
    with pytest.raises(InputError, match="0 x 4 channels: expected at least 1 each"):
        kronecker_factors(0, 4)


def test_masks_by_hand() -> None:
    square = kronecker_factors(4, 4)
    blocks = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    strided = [[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]]
    assert kronecker_mask(square, tensor(0, 1)).tolist() == blocks
    assert kronecker_mask(square, tensor(1, 0)).tolist() == strided
    assert kronecker_mask(square, tensor(0, 0)).tolist() == torch.eye(4).tolist()
    tall = kronecker_factors(4, 2)
    assert kronecker_mask(tall, tensor(0)).tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    assert kronecker_mask(tall, tensor(1)).tolist() == [[1, 1]] * 4


@given(out=WIDTHS, into=WIDTHS, data=st.data())
def test_an_instance_is_equal_groups_whose_number_divides_both(
    out: int, into: int, data: st.DataObject
) -> None:
    factors = kronecker_factors(out, into)
    size = len(factors.gated)
    gates = data.draw(st.lists(st.sampled_from([0, 1]), min_size=size, max_size=size))
    mask = kronecker_mask(factors, tensor(*gates))
    assert mask.shape == (out, into)
    groups = group_count(factors, gates)
    rows, counts = mask.unique(dim=0, return_counts=True)
    assert (
        len(rows)
        == groups
        == math.prod(p for p, gate in zip(factors.gated, gates, strict=True) if not gate)
    )
    assert set(counts.tolist()) == {out // groups}
    assert rows.sum(dim=0).eq(1).all()  # every input in exactly one group
    assert rows.sum(dim=1).eq(into / groups).all()
    assert complexity(factors, gates) == mask.sum().item()


def test_complexity_of_powers_of_two_is_the_published_one() -> None:
    for gates in ([0, 0, 0], [1, 0, 1], [1, 1, 1]):
        assert complexity(kronecker_factors(8, 8), gates) == 2 ** (3 + sum(gates))


def test_every_divisor_can_be_had() -> None:
    factors = kronecker_factors(120, 280)  # gcd 40 = 2 2 2 5
    found = {group_count(factors, [(code >> bit) & 1 for bit in range(4)]) for code in range(16)}
    assert found == {1, 2, 4, 5, 8, 10, 20, 40}


def test_the_sign_s_gradient_is_the_identity() -> None:
    layer = KroneckerConv2d(4, 4, 1, gate_init=0.3)
    with torch.no_grad():
        layer.logits.copy_(torch.tensor([0.3, -0.3]))
    assert layer.gates().tolist() == [1.0, 0.0]
    (layer.gates() * torch.tensor([2.0, 5.0])).sum().backward()
    assert layer.logits.grad is not None and layer.logits.grad.tolist() == [1.0, 2.5]


def test_gradient_of_the_complexity_by_hand() -> None:
    gates = tensor(1, 0, 1).requires_grad_()
    complexity(kronecker_factors(12, 12), gates).backward()  # 2, 2, 3: 144 / 2 = 72 non-zeros
    assert gates.grad is not None
    expected = [72 * math.log(2), 72 * math.log(2), 72 * math.log(3)]
    assert gates.grad.tolist() == pytest.approx(expected)


def test_within_the_budget_there_is_no_penalty() -> None:
    assert budget_penalty(tensor(30.0), 20.0).item() == pytest.approx(0.5)
    cost = tensor(19.0).requires_grad_()
    budget_penalty(cost, 20.0).sum().backward()
    assert cost.grad is not None and cost.grad.item() == 0


def test_gates_start_at_random_and_small() -> None:
    torch.manual_seed(0)
    layers = [KroneckerConv2d(2**7, 2**7, 1) for _ in range(40)]
    signs = torch.cat([layer.logits for layer in layers])
    torch.testing.assert_close(signs.abs(), torch.full_like(signs, 1e-8))
    assert 0.4 < signs.gt(0).double().mean() < 0.6
    assert KroneckerConv2d(24, 24, 1, dense=True).groups == 1


def test_weights_take_the_fan_in_that_the_gates_leave() -> None:
    torch.manual_seed(0)
    layer = KroneckerConv2d(64, 256, 3)
    assert layer.groups > 1
    expected = math.sqrt(2 / (64 * 9 / layer.groups))
    assert layer.weight.std().item() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("gates", [(0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 1)])
def test_derived_computes_the_same(gates: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer = KroneckerConv2d(12, 20 * 3, 3, stride=2, padding=1).double()
    with torch.no_grad():
        layer.logits.copy_(tensor(*gates) - 0.5)
    x = torch.randn(2, 12, 9, 7, dtype=torch.float64)
    plain = layer.derive()
    torch.testing.assert_close(plain(x), layer(x))
    kept = 9 * complexity(layer.factors, gates)
    assert sum(p.numel() for p in plain.conv.parameters()) == kept


def test_leading_gates_off_are_an_ordinary_grouped_convolution() -> None:
    plain = grouped_convolution(8, 4, 1, [0, 1], bias=False)
    assert isinstance(plain.conv, nn.Conv2d) and plain.conv.groups == 2
    assert plain.in_order.tolist() == list(range(8)) and plain.out_order.tolist() == [0, 1, 2, 3]


def test_gates_learn_the_planted_number_of_groups() -> None:
    """A map of 2 strided groups; a penalty beyond its complexity tells 2 from denser ones."""
    torch.manual_seed(0)
    factors = kronecker_factors(8, 8)
    truth = torch.randn(8, 8) * kronecker_mask(factors, torch.tensor([1.0, 1.0, 0.0]))
    layer = KroneckerConv2d(8, 8, 1, bias=False, dense=True)
    optimizer = torch.optim.Adam(
        [{"params": [layer.weight], "lr": 0.05}, {"params": [layer.logits], "lr": 0.01}]
    )
    for _ in range(300):
        x = torch.randn(64, 8, 1, 1)
        error = (layer(x) - (truth @ x.flatten(1).T).T[:, :, None, None]).square().mean()
        loss = error + budget_penalty(complexity(layer.factors, layer.gates()), 32.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert layer.groups == 2
    assert layer.gates().tolist() == [1.0, 1.0, 0.0]


def test_gates_survive_numbers_that_cannot_hold_their_logits() -> None:
    torch.manual_seed(0)
    layer = KroneckerConv2d(2**6, 2**6, 1)
    before, weight = layer.chosen, layer.weight.clone()
    assert set(before) == {0, 1}
    layer.half()
    assert layer.logits.eq(0).all()  # 1e-8 is none of float16's
    assert layer.chosen == before and layer.gates().tolist() == list(before)
    x = torch.randn(1, 64, 3, 3)
    mask = kronecker_mask(layer.factors, torch.tensor(before, dtype=torch.float32))
    expected = nn.functional.conv2d(x, (weight * mask[:, :, None, None]))
    torch.testing.assert_close(layer.derive().float()(x), expected, rtol=0.01, atol=0.01)


def test_gates_that_say_nothing() -> None:
    with torch.device("meta"):
        layer = KroneckerConv2d(8, 8, (3, 1), padding=(1, 0))
    assert layer(torch.empty(1, 8, 5, 5, device="meta")).shape == (1, 8, 5, 5)
    assert repr(layer) == "KroneckerConv2d(8, 8, (3, 1), groups=unknown)"
    with pytest.raises(InputError, match="logits of the gates: is on the meta device"):
        layer.derive()
    layer.to_empty(device="cpu")
    torch.manual_seed(0)
    layer.reset_parameters()
    torch.manual_seed(0)
    assert layer.chosen == KroneckerConv2d(8, 8, (3, 1)).chosen
    nn.init.constant_(layer.logits, math.nan)
    with pytest.raises(InputError, match=r"logits of the gates: some are not a number \(NaN\)"):
        layer.derive()
    assert "groups=unknown" in repr(layer)


def test_layers_derive_where_their_weights_are() -> None:
    layer = KroneckerConv2d(8, 8, 3)
    with torch.device("meta"):
        plain = layer.derive()
    x = torch.randn(1, 8, 5, 5)
    torch.testing.assert_close(plain(x), layer(x))
