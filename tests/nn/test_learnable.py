"""groupnas.nn.learnable: layers for any network, equal to plain ones with an explicit mask."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers import through_state_dict
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from groupnas.errors import InputError
from groupnas.nn import (
    ChannelMask,
    LearnableGroupConv2d,
    LearnableGroupLinear,
    MaskedConv2d,
    MaskedLinear,
)

IN, OUT, GROUPS = 8, 12, 4
# In float64, so that a different order of additions does not show.
X = torch.randn(2, IN, 9, 7, generator=torch.Generator().manual_seed(0)).double()
CONVS: dict[str, dict[str, Any]] = {
    "1x1": {"kernel_size": 1},
    "3x3 padded": {"kernel_size": 3, "padding": 1},
    "strided": {"kernel_size": 3, "stride": 2, "padding": 1},
    "dilated": {"kernel_size": 3, "padding": 2, "dilation": 2},
    "no bias": {"kernel_size": 5, "bias": False},
    "pairs": {"kernel_size": (3, 1), "stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)},
}
LAYERS: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "conv": (lambda: LearnableGroupConv2d(IN, OUT, 3, GROUPS, padding=1), X.float()),
    "linear": (
        lambda: LearnableGroupLinear(IN * 63, OUT, GROUPS, positions=63),
        X.float().flatten(1),
    ),
}
every_layer = pytest.mark.parametrize(("make", "x"), LAYERS.values(), ids=LAYERS)


def seeded(make: Callable[[], nn.Module]) -> Any:
    torch.manual_seed(0)
    layer: Any = make()
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name == "bias" or "logits" in name:
                parameter.normal_()
    return layer.eval()


def same_group(layer: Any) -> Tensor:
    """``(C_out, C_in)``: whether output and input are in one group, channel by channel."""
    ins, outs = layer.in_mask.discrete().tolist(), layer.out_mask.discrete().tolist()
    return torch.tensor([[float(o == i) for i in ins] for o in outs], dtype=torch.float64)


# -- what is computed ---------------------------------------------------------------------------


@pytest.mark.parametrize("options", CONVS.values(), ids=CONVS)
def test_a_conv_is_a_plain_one_with_masked_weight(options: dict[str, Any]) -> None:
    layer = seeded(lambda: LearnableGroupConv2d(IN, OUT, groups=GROUPS, **options)).double()
    plain = nn.Conv2d(IN, OUT, **options).double()
    with torch.no_grad():
        plain.weight.copy_(layer.weight * same_group(layer)[:, :, None, None])
        if plain.bias is not None:
            plain.bias.copy_(layer.bias)
    assert 0 < same_group(layer).sum() < IN * OUT
    torch.testing.assert_close(layer(X), plain(X))


@pytest.mark.parametrize("options", CONVS.values(), ids=CONVS)
def test_even_blocks_are_a_grouped_conv(options: dict[str, Any]) -> None:
    layer = seeded(lambda: LearnableGroupConv2d(IN, OUT, groups=GROUPS, **options)).double()
    layer.in_mask.pin(torch.arange(IN) * GROUPS // IN)
    layer.out_mask.pin(torch.arange(OUT) * GROUPS // OUT)
    grouped = nn.Conv2d(IN, OUT, groups=GROUPS, **options).double()
    a, b = IN // GROUPS, OUT // GROUPS
    blocks = [layer.weight[g * b : (g + 1) * b, g * a : (g + 1) * a] for g in range(GROUPS)]
    with torch.no_grad():
        grouped.weight.copy_(torch.cat(blocks))
        if grouped.bias is not None:
            grouped.bias.copy_(layer.bias)
    torch.testing.assert_close(layer(X), grouped(X))


@pytest.mark.parametrize(("positions", "bias"), [(1, True), (6, True), (6, False)])
def test_a_linear_is_a_plain_one_with_masked_weight(positions: int, bias: bool) -> None:
    features = IN * positions
    layer = seeded(
        lambda: LearnableGroupLinear(features, OUT, GROUPS, positions=positions, bias=bias)
    ).double()
    plain = nn.Linear(features, OUT, bias=bias).double()
    with torch.no_grad():
        plain.weight.copy_(layer.weight * same_group(layer).repeat_interleave(positions, dim=1))
        if bias:
            plain.bias.copy_(layer.bias)
    x = torch.randn(3, 5, features, dtype=torch.float64)
    torch.testing.assert_close(layer(x), plain(x))


def test_soft_masks_weigh_by_how_much_is_shared() -> None:
    """eq. 6 with mixtures, one weight by hand: 2 x (0.75 x 0.5 + 0.25 x 0.5) = 1."""
    layer = MaskedConv2d(2, 2, 1, groups=2, bias=False)
    nn.init.constant_(layer.weight, 2.0)
    out_mask = torch.tensor([[0.75, 0.25], [0.0, 1.0]])
    in_mask = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    x = torch.tensor([[[[1.0]], [[0.0]]]])
    assert layer(x, in_mask, out_mask).flatten().tolist() == [1.0, 1.0]
    assert layer(1 - x, in_mask, out_mask).flatten().tolist() == [1.5, 0.0]


def test_given_masks_are_used_and_shared() -> None:
    between = ChannelMask(OUT, GROUPS)
    first = LearnableGroupConv2d(IN, OUT, 1, GROUPS, out_mask=between)
    second = LearnableGroupConv2d(OUT, IN, 1, GROUPS, in_mask=between)
    assert first.out_mask is second.in_mask is between
    between.pin(torch.arange(OUT) % GROUPS)
    first.in_mask.pin(torch.arange(IN) % GROUPS)
    second.out_mask.pin(torch.arange(IN) % GROUPS)
    x = torch.randn(1, IN, 1, 1, requires_grad=True)
    second(first(x))[:, 0].sum().backward()
    assert x.grad is not None
    assert x.grad.flatten().ne(0).tolist() == [True, False, False, False] * 2


@every_layer
def test_gradients_reach_weights_and_masks(make: Callable[[], nn.Module], x: Tensor) -> None:
    layer = seeded(make).train()
    layer(x).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.ne(0).any(), name


def test_masks_of_other_channels_or_groups_are_refused() -> None:
    one = ChannelMask(1, 1)
    with pytest.raises(InputError, match="in_mask: expected 8 channels in 1 groups, got 1 in 1"):
        LearnableGroupConv2d(IN, OUT, 1, 1, in_mask=one)
    with pytest.raises(InputError, match="out_mask: expected 12 channels in 4 groups, got 12 in 2"):
        LearnableGroupLinear(IN, OUT, GROUPS, out_mask=ChannelMask(OUT, 2))
    rows = torch.ones(OUT, 1)
    with pytest.raises(InputError, match="in_mask: expected 8 channels, got 1"):
        MaskedConv2d(IN, OUT, 1, groups=1)(torch.ones(1, IN, 2, 2), one(), rows)
    with pytest.raises(InputError, match="in_mask: expected 8 channels, got 1"):
        MaskedLinear(IN, OUT, groups=1)(torch.ones(1, IN), one(), rows)


# -- initialisation -----------------------------------------------------------------------------


@pytest.mark.parametrize(("kernel", "groups"), [(1, 4), (3, 4), (3, 2), (5, 1)])
def test_msra_takes_the_fan_in_of_an_even_group(kernel: int, groups: int) -> None:
    torch.manual_seed(0)
    layer = LearnableGroupConv2d(64, 256, kernel, groups)
    expected = math.sqrt(2 / (64 / groups * kernel**2))
    assert layer.weight.std().item() == pytest.approx(expected, rel=0.02)
    assert layer.weight.mean().item() == pytest.approx(0, abs=0.02 * expected)
    assert layer.bias is not None and layer.bias.eq(0).all()


def test_msra_of_a_linear_counts_positions() -> None:
    torch.manual_seed(0)
    layer = LearnableGroupLinear(64 * 9, 256, 4, positions=9)
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / (16 * 9)), rel=0.02)


@pytest.mark.parametrize("groups", [1, 4])
def test_a_deep_stack_keeps_the_scale(groups: int) -> None:
    """With the dense fan-in, 20 layers of 4 groups would shrink activations by 4^10."""
    torch.manual_seed(0)
    layers = [LearnableGroupLinear(256, 256, groups) for _ in range(20)]
    x = start = torch.randn(64, 256)
    for layer in layers:
        x = layer.eval()(x).relu()
    ratio = x.square().mean() / start.square().mean()
    assert 0.2 < ratio.item() < 5


# -- in the company of PyTorch ------------------------------------------------------------------


@every_layer
def test_copies_compute_the_same(make: Callable[[], nn.Module], x: Tensor) -> None:
    layer = seeded(make)
    for twin in (
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
        through_state_dict(layer, make()).eval(),
    ):
        assert torch.equal(twin(x), layer(x))


@every_layer
def test_they_train_under_autocast(make: Callable[[], nn.Module], x: Tensor) -> None:
    layer = seeded(make)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = layer(x)
        layer.train()(x).float().square().sum().backward()
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), layer.eval()(x), rtol=0.05, atol=0.1)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


@every_layer
def test_they_compile_without_a_break(make: Callable[[], nn.Module], x: Tensor) -> None:
    layer = seeded(make)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), layer(x))


@every_layer
def test_they_export(make: Callable[[], nn.Module], x: Tensor) -> None:
    layer = seeded(make)
    exported = torch.export.export(layer, (x,)).module()
    torch.testing.assert_close(exported(x), layer(x))


@every_layer
def test_gradients_of_each_sample(make: Callable[[], nn.Module], x: Tensor) -> None:
    layer = seeded(make)
    weights = {name: value.detach() for name, value in layer.named_parameters()}

    def loss(weights: dict[str, Tensor], one: Tensor) -> Tensor:
        return functional_call(layer, weights, (one[None],)).square().sum()

    each = vmap(grad(loss), in_dims=(None, 0))(weights, x)
    for index, one in enumerate(x):
        layer.zero_grad()
        layer(one[None]).square().sum().backward()
        for name, parameter in layer.named_parameters():
            expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(each[name][index], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@every_layer
def test_they_run_on_cuda(make: Callable[[], nn.Module], x: Tensor) -> None:
    layer = seeded(make)
    expected = layer(x)
    layer.cuda()
    torch.testing.assert_close(layer(x.cuda()).cpu(), expected, rtol=1e-2, atol=1e-2)
    layer.train()(x.cuda()).square().sum().backward()
    assert all(p.grad is not None and p.grad.is_cuda for p in layer.parameters())


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (
            MaskedConv2d(8, 12, 3, 4, stride=2),
            "MaskedConv2d(8, 12, kernel_size=(3, 3), stride=(2, 2), groups=4, bias=True)",
        ),
        (
            MaskedLinear(8, 12, 4, positions=2, bias=False),
            "MaskedLinear(8, 12, groups=4, positions=2, bias=False)",
        ),
    ],
    ids=["conv", "linear"],
)
def test_the_text_says_what_it_is(layer: nn.Module, text: str) -> None:
    assert repr(layer) == text
