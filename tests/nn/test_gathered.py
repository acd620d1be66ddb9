"""groupnas.nn.gathered: equal to a dense convolution whose other weights are zero."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from groupnas.errors import InputError
from groupnas.nn import GatheredGroupConv2d, UnevenGroupConv2d

IN, OUT = 5, 6
X = torch.randn(2, IN, 7, 6, generator=torch.Generator().manual_seed(0)).double()


def dense_equal(inputs: Any, outputs: Any, **window: Any) -> tuple[Tensor, Tensor, Any]:
    """What the layer computes, and what a dense one with zeros outside of the groups does."""
    torch.manual_seed(0)
    dense = nn.Conv2d(IN, OUT, 3, **window).double()
    layer = GatheredGroupConv2d(inputs, outputs, IN, OUT, 3, **window).double()
    layer.inherit(dense.weight.detach(), dense.bias)
    kept = torch.zeros(OUT, IN, 1, 1, dtype=torch.float64)
    for a, b in zip(inputs, outputs, strict=True):
        for row in b:
            kept[row, list(a)] = 1
    with torch.no_grad():
        dense.weight.mul_(kept)
    return layer(X), dense(X), layer


@given(
    readers=st.lists(st.integers(0, 2), min_size=IN, max_size=IN),
    writers=st.lists(st.integers(0, 2), min_size=OUT, max_size=OUT),
)
def test_any_groups_are_a_masked_dense_convolution(readers: list[int], writers: list[int]) -> None:
    inputs = [[c for c, g in enumerate(readers) if g == group] for group in range(3)]
    outputs = [[c for c, g in enumerate(writers) if g == group] for group in range(3)]
    if not any(a and b for a, b in zip(inputs, outputs, strict=True)):
        return
    found, expected, layer = dense_equal(inputs, outputs, padding=1)
    torch.testing.assert_close(found, expected)
    weights = sum(9 * len(a) * len(b) for a, b in zip(inputs, outputs, strict=True))
    assert sum(p.numel() for p in layer.conv.parameters()) == weights


@pytest.mark.parametrize(
    "window", [{"stride": 2}, {"dilation": 2, "padding": 2}, {"bias": False}], ids=str
)
def test_windows_and_groups_that_share_an_input(window: dict[str, Any]) -> None:
    found, expected, _ = dense_equal([[0, 3], [3, 1], [4]], [[5, 0], [2], [1, 3, 4]], **window)
    torch.testing.assert_close(found, expected)


def test_equal_groups_are_one_convolution() -> None:
    even = GatheredGroupConv2d([[3, 0], [1, 2]], [[0], [1]], 4, 2, 1)
    assert isinstance(even.conv, nn.Conv2d) and even.conv.groups == 2
    assert isinstance(
        GatheredGroupConv2d([[3], [1, 2]], [[0], [1]], 4, 2, 1).conv, UnevenGroupConv2d
    )


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ([[0]], [[0], [1]], "1 groups of inputs, 2 of outputs"),
        ([[0, 5]], [[0]], r"input channel 5: must be in 0..4"),
        ([[0]], [[-1]], r"output channel -1: must be in 0..5"),
        ([[0], [1]], [[2], [2]], "output channel 2: is in more than one group"),
        ([[0], []], [[], [1]], "no group has both"),
        ([[0.5]], [[0]], r"input channel 0.5: must be in 0..4"),
        ([[2, 0, 2]], [[0]], "input channel 2: is in a group more than once"),
    ],
)
def test_wrong_groups(inputs: Any, outputs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        GatheredGroupConv2d(inputs, outputs, IN, OUT, 1)


@pytest.mark.parametrize("outputs", [[[1], [3, 0]], [[1, 2], [3, 0]]])
def test_a_sample_without_a_batch_is_that_of_a_batch(outputs: list[list[int]]) -> None:
    """nn.Conv2d takes both; rows are never taken for channels."""
    layer = GatheredGroupConv2d([[3, 0], [2, 1]], outputs, 4, 5, 3, padding=1)
    x = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x), layer(x[None])[0])


def test_weights_of_something_else_are_not_taken() -> None:
    layer = GatheredGroupConv2d([[0, 1]], [[0, 2]], IN, OUT, (3, 1), bias=False)
    with pytest.raises(
        InputError, match=r"weight: expected shape \(6, 5, 3, 1\), got \(6, 5, 1, 1\)"
    ):
        layer.inherit(torch.ones(OUT, IN, 1, 1), None)
    with pytest.raises(InputError, match="bias: the layer has none"):
        layer.inherit(torch.ones(OUT, IN, 3, 1), torch.ones(OUT))
