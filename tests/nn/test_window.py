"""groupnas.nn.window: what nn.Conv2d takes, layers take and derive to; else none is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from groupnas.errors import InputError
from groupnas.nn import (
    FLGConv2d,
    GatheredGroupConv2d,
    KroneckerConv2d,
    LearnableGroupConv2d,
    MaskedConv2d,
    MaskedLinear,
    UnevenGroupConv2d,
    UnevenGroupLinear,
)
from groupnas.nn.kronecker import kronecker_mask
from groupnas.nn.window import Window

IN, OUT = 6, 8
X = torch.randn(2, IN, 11, 9, generator=torch.Generator().manual_seed(0)).double()
SIZES = st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3))
STEPS = st.integers(1, 2) | st.tuples(st.integers(1, 2), st.integers(1, 2))
MARGINS = st.integers(0, 2) | st.tuples(st.integers(0, 2), st.integers(0, 2))
WINDOWS = st.fixed_dictionaries(
    {
        "kernel_size": SIZES,
        "stride": STEPS,
        "padding": MARGINS | st.sampled_from(["same", "valid"]),
        "dilation": STEPS,
        "bias": st.booleans(),
    }
)


def learnable(**window: Any) -> tuple[Any, Any, Tensor]:
    layer = LearnableGroupConv2d(IN, OUT, groups=2, init="normal", **window).eval()
    return layer, layer, layer.out_mask() @ layer.in_mask().T


def flgc(**window: Any) -> tuple[Any, Any, Tensor]:
    layer = FLGConv2d(IN, OUT, groups=2, **window)
    with torch.no_grad():  # no group is dead
        layer.S[:2] = layer.T[:2] = 9 * torch.eye(2)
    rows = [F.one_hot(logits.argmax(dim=1), 2).double() for logits in (layer.T, layer.S)]
    return layer, layer.derive(), rows[0] @ rows[1].T


def kronecker(**window: Any) -> tuple[Any, Any, Tensor]:
    layer = KroneckerConv2d(IN, OUT, **window)
    return layer, layer.derive(), kronecker_mask(layer.factors, layer.gates().detach())


def uneven(**window: Any) -> tuple[Any, Any, Tensor]:
    layer = UnevenGroupConv2d([2, 4], [5, 3], **window)
    layer.dense = not layer.pointwise
    kept = torch.block_diag(torch.ones(5, 2), torch.ones(3, 4))
    return layer, layer, kept


def dense_weight(layer: Any) -> Tensor:
    """The weight of a dense convolution, zeros included or not."""
    if isinstance(layer, UnevenGroupConv2d):
        blocks = torch.block_diag(*(part.weight.flatten(1) for part in layer.parts))
        return blocks.unflatten(1, (IN, -1)).unflatten(2, layer.parts[0].kernel_size)
    return layer.weight


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize("make", [learnable, flgc, kronecker, uneven])
@given(window=WINDOWS)
def test_a_layer_and_what_it_becomes_are_a_masked_conv2d(
    make: Callable[..., tuple[Any, Any, Tensor]], window: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    try:
        plain = nn.Conv2d(IN, OUT, **window).double()
    except ValueError:  # "same" with a stride
        with pytest.raises(InputError, match="padding 'same': goes with stride 1 only"):
            make(**window)
        return
    layer, derived, kept = make(**window)
    layer.double(), derived.double()
    with torch.no_grad():
        plain.weight.copy_(dense_weight(layer) * kept[:, :, None, None])
        if plain.bias is not None:
            plain.bias.zero_()
            for part in layer.parts if isinstance(layer, UnevenGroupConv2d) else [layer]:
                part.bias.zero_()
        expected = plain(X)
        for one in (layer, derived, derived.eval()):
            torch.testing.assert_close(one(X), expected)


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@given(window=WINDOWS)
def test_any_channels_take_any_window(window: dict[str, Any]) -> None:
    torch.manual_seed(0)
    inputs, outputs = [[0, 2], [1, 3, 4]], [[1], [5, 4, 2]]
    if window["padding"] == "same":
        window = {**window, "stride": 1}
    plain = nn.Conv2d(IN, OUT, **window).double()
    layer = GatheredGroupConv2d(inputs, outputs, IN, OUT, **window).double()
    layer.inherit(plain.weight.detach(), plain.bias)
    kept = torch.zeros(OUT, IN, 1, 1)
    for a, b in zip(inputs, outputs, strict=True):
        kept[np.ix_(b, a)] = 1
    with torch.no_grad():
        plain.weight.mul_(kept)
        torch.testing.assert_close(layer(X), plain(X))


def test_an_attribute_that_is_changed_later_is_carried_over() -> None:
    layer = FLGConv2d(4, 4, (1, 3), 2).double()
    layer.padding, layer.stride = (2, 1), (2, 3)
    torch.testing.assert_close(layer.derive()(X[:, :4]), layer(X[:, :4]))


def test_windows_by_hand() -> None:
    assert Window.of(3, 1, "same", 2) == ((3, 3), (1, 1), (2, 2), (2, 2))
    assert Window.of((2, 3), 1, "same", 1).padding == "same"  # more on one side
    assert Window.of([1, 3], 2, "valid", 1) == ((1, 3), (2, 2), (0, 0), (1, 1))
    assert Window.of(np.int64(3), 1, np.int32(1), 1).padding == (1, 1)
    assert Window.of(1, 1, "same", 1).pointwise and Window.of((1, 1), [1, 1], 0, 2).pointwise
    assert not Window.of((1, 2), 1, 0, 1).pointwise and not Window.of(1, (1, 2), 0, 1).pointwise


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ({"kernel_size": 0}, "kernel_size: expected at least 1, got 0"),
        ({"kernel_size": 2.0}, "kernel_size: expected an integer, got 2.0"),
        ({"kernel_size": "3"}, "kernel_size: expected an integer, got '3'"),
        ({"kernel_size": (3,)}, "kernel_size: expected one number or two, got 1"),
        ({"kernel_size": 3, "stride": (1, 0)}, "stride: expected at least 1, got 0"),
        ({"kernel_size": 3, "dilation": 0}, "dilation: expected at least 1, got 0"),
        ({"kernel_size": 3, "padding": -1}, "padding: expected at least 0, got -1"),
        ({"kernel_size": 3, "padding": "full"}, "padding 'full': expected 'same', 'valid', or"),
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda **window: MaskedConv2d(4, 4, groups=2, **window),
        lambda **window: FLGConv2d(4, 4, groups=2, **window),
        lambda **window: KroneckerConv2d(4, 4, **window),
        lambda **window: UnevenGroupConv2d([2, 2], [2, 2], **window),
        lambda **window: GatheredGroupConv2d([[0], [1]], [[1], [0]], 4, 4, **window),
    ],
    ids=["masked", "flgc", "kronecker", "uneven", "gathered"],
)
def test_what_conv2d_could_not_do_is_refused_when_made(
    make: Callable[..., nn.Module], window: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make(**window)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaskedConv2d(0, 4, 1, 1), "in_channels: expected at least 1, got 0"),
        (lambda: MaskedConv2d(4, 4, 1, 0), "groups: expected at least 1, got 0"),
        (lambda: FLGConv2d(4, 2.5, 1, 2), "out_channels: expected an integer, got 2.5"),  # type: ignore[arg-type]
        (lambda: MaskedLinear(7, 4, 2, positions=2), "in_features 7: no multiple of 2 positions"),
        (lambda: UnevenGroupConv2d([2, 0], [1, 1], 1), "input size of group 1: expected at least"),
        (lambda: UnevenGroupLinear([2, 1], [1, -1]), "output size of group 1: expected at least"),
        (lambda: UnevenGroupLinear([], []), "0 groups of inputs, 0 of outputs; give as many"),
    ],
)
def test_numbers_of_channels_are_checked_too(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
