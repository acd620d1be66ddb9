"""groupnas.nn.uneven: groups of any size, each a plain layer over its own channels."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from groupnas.errors import InputError
from groupnas.nn import UnevenGroupConv2d, UnevenGroupLinear

X = torch.randn(2, 7, 9, 8, generator=torch.Generator().manual_seed(0)).double()
INS, OUTS = (1, 4, 2), (3, 1, 5)
CONVS: dict[str, dict[str, Any]] = {
    "1x1": {"kernel_size": 1},
    "strided": {"kernel_size": 3, "stride": 2, "padding": 1},
    "dilated": {"kernel_size": 3, "padding": 2, "dilation": 2},
    "no bias": {"kernel_size": 3, "bias": False},
}


def block_diagonal(weights: list[torch.Tensor]) -> torch.Tensor:
    """The dense weight: each group's on the diagonal, exact zeros elsewhere."""
    dense = weights[0].new_zeros(sum(OUTS), sum(INS), *weights[0].shape[2:])
    row = column = 0
    for weight in weights:
        dense[row : row + weight.shape[0], column : column + weight.shape[1]] = weight
        row, column = row + weight.shape[0], column + weight.shape[1]
    return dense


@pytest.mark.parametrize("options", CONVS.values(), ids=CONVS)
def test_a_conv_is_block_diagonal(options: dict[str, Any]) -> None:
    layer: Any = UnevenGroupConv2d(INS, OUTS, **options).double()
    dense = nn.Conv2d(sum(INS), sum(OUTS), **options).double()
    with torch.no_grad():
        dense.weight.copy_(block_diagonal([part.weight for part in layer.parts]))
        if dense.bias is not None:
            dense.bias.copy_(torch.cat([part.bias for part in layer.parts]))
    torch.testing.assert_close(layer(X), dense(X))


@pytest.mark.parametrize("options", CONVS.values(), ids=CONVS)
def test_a_conv_is_the_same_in_either_form(options: dict[str, Any]) -> None:
    layer: Any = UnevenGroupConv2d(INS, OUTS, **options).double()
    x = X.clone().requires_grad_()
    results = []
    for layer.dense in (True, False):
        y = layer(x)
        results.append([y, *torch.autograd.grad(y.cos().sum(), [x, *layer.parameters()])])
    for dense, split in zip(*results, strict=True):
        torch.testing.assert_close(dense, split)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(9, 8), (1, 1), (1, 5)])
def test_a_conv_takes_any_memory_format(
    dense: bool, layout: torch.memory_format, size: tuple[int, int]
) -> None:
    layer: Any = UnevenGroupConv2d(INS, OUTS, 1).double()
    layer.dense = dense
    x = X[:, :, : size[0], : size[1]]
    expected = torch.cat(
        [part(piece) for part, piece in zip(layer.parts, x.split(INS, dim=1), strict=True)], dim=1
    )
    torch.testing.assert_close(layer(x.contiguous(memory_format=layout)), expected)


def test_in_evaluation_every_group_is_called() -> None:
    layer: Any = UnevenGroupConv2d(INS, OUTS, 1).double()
    seen: list[int] = []
    for part in layer.parts:
        part.register_forward_hook(lambda part, x, y: seen.append(part.in_channels))
    trained = layer(X)
    assert seen == []
    torch.testing.assert_close(layer.eval()(X), trained)
    assert seen == list(INS)


def test_products_keep_channels_last() -> None:
    layer = UnevenGroupConv2d(INS, OUTS, 1).double()
    layer.dense = False
    assert layer(X.to(memory_format=torch.channels_last)).is_contiguous(
        memory_format=torch.channels_last
    )


@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel", "dense"),
    [
        # picasso_local's first and last expansion; multiply-adds that a dense weight wastes:
        ([6, 6, 5, 7], [30, 30, 25, 35], 1, True),  # 24 x 120 - 730 = 2150 < 4 x 800
        ([26, 26, 20, 32], [130, 130, 100, 160], 1, False),  # 54,080 - 13,880 > 4 x 800
        ([6, 6, 5, 7], [6, 6, 5, 7], 3, True),  # 9 x (576 - 146) = 3870 < 4 x 1500
        ([16, 16, 12, 20], [16, 16, 12, 20], 3, False),  # 9 x (4096 - 1056) > 4 x 1500
    ],
)
def test_narrow_convs_are_computed_at_once(
    inputs: list[int], outputs: list[int], kernel: int, dense: bool
) -> None:
    assert UnevenGroupConv2d(inputs, outputs, kernel).dense is dense


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_is_block_diagonal(bias: bool) -> None:
    layer: Any = UnevenGroupLinear(INS, OUTS, bias=bias).double()
    dense = nn.Linear(sum(INS), sum(OUTS), bias=bias).double()
    with torch.no_grad():
        dense.weight.copy_(block_diagonal([part.weight for part in layer.parts]))
        if bias:
            dense.bias.copy_(torch.cat([part.bias for part in layer.parts]))
    torch.testing.assert_close(layer(X[:, :, 0, 0]), dense(X[:, :, 0, 0]))


def test_a_linear_flattens_channel_first() -> None:
    layer = UnevenGroupLinear([72, 432], [2, 3]).double()
    torch.testing.assert_close(layer(X), layer(X.flatten(1)))
    first = layer.parts[0](X[:, 0].flatten(1))
    torch.testing.assert_close(layer(X)[:, :2], first)


def test_only_what_is_needed_is_stored() -> None:
    layer = UnevenGroupConv2d(INS, OUTS, 3)
    assert sum(p.numel() for p in layer.parameters()) == 9 * (1 * 3 + 4 * 1 + 2 * 5) + 9


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dense", [True, False])
def test_a_sample_without_a_batch_is_that_of_a_batch(
    kernel: int, training: bool, dense: bool
) -> None:
    layer = UnevenGroupConv2d(INS, OUTS, kernel).train(training)
    layer.dense = dense
    torch.testing.assert_close(layer(X[0].float()), layer(X[:1].float())[0])


@pytest.mark.parametrize("make", [lambda i, o: UnevenGroupConv2d(i, o, 1), UnevenGroupLinear])
def test_as_many_inputs_as_outputs(make: Any) -> None:
    with pytest.raises(InputError, match="3 groups of inputs, 2 of outputs; give as many"):
        make([1, 2, 3], [4, 5])
    with pytest.raises(InputError, match="input size of group 1: expected an integer, got 2.5"):
        make([1, 2.5], [4, 5])


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (UnevenGroupConv2d(INS, OUTS, 3, padding=1), X.float()),
        (UnevenGroupConv2d([20, 40], [60, 60], 1), torch.randn(2, 60, 3, 3)),
        (UnevenGroupConv2d([20, 40], [60, 60], 3), torch.randn(2, 60, 3, 3)),
        (UnevenGroupLinear(INS, OUTS), X[:, :, 0, 0].float()),
    ],
    ids=["dense", "products", "convs", "linear"],
)
@pytest.mark.parametrize("training", [True, False])
def test_they_copy_compile_export_and_autocast(
    layer: nn.Module, x: torch.Tensor, training: bool
) -> None:
    layer.train(training)
    expected = layer(x)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    for other in (
        copy.deepcopy(layer),
        compiled,
        torch.export.export(layer, (x,)).module(),
    ):
        torch.testing.assert_close(other(x), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(layer(x).float(), expected, rtol=0.05, atol=0.1)
