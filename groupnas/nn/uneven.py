"""Grouped layers whose groups differ in size: what a searched grouping becomes once it is fixed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from groupnas.errors import InputError
from groupnas.nn.window import Size, Steps, Window, check_channels

# What a group's own operators cost in a training step, beside its arithmetic, in multiply-adds of
# one dense convolution at each output position. Measured on a CPU with AVX-512, one thread, batch
# 32, 4 to 68 groups (benchmarks/training_speed.py --only layers): narrow layers are faster as one.
_POINTWISE_SLICE = 800
_WINDOW_SLICE = 1500


class UnevenGroupConv2d(nn.Module):
    """A grouped convolution over contiguous groups of any sizes; each holds a plain ``nn.Conv2d``.

    In training mode it is computed group by group, or at once by a dense weight that is zero
    between groups: by which one is expected to train faster, for the sizes of the groups. Pointwise
    groups are matrix products, which read their channels where they are (no copy of a
    ``channels_last`` input). In evaluation mode the groups' convolutions are called one by one, so
    that tools which count operations see what the grouping costs. Outputs and gradients are the
    same up to rounding.

    Args:
        in_sizes: Input channels of each group.
        out_sizes: Output channels of each group.
        kernel_size: As of ``nn.Conv2d``, and so are stride, padding, dilation and bias.

    Raises:
        InputError: not as many sizes of inputs as of outputs, a size below 1, or a window that is
            no ``nn.Conv2d``'s.

    Attributes:
        parts: The convolution of each group.
        dense: Train all groups at once; may be changed at any time.
    """

    def __init__(
        self,
        in_sizes: Sequence[int],
        out_sizes: Sequence[int],
        kernel_size: Size,
        *,
        bias: bool = True,
        **steps: Unpack[Steps],
    ) -> None:
        super().__init__()
        _check_sizes(in_sizes, out_sizes)
        self.in_sizes = tuple(in_sizes)
        window = Window.of(kernel_size, **steps)
        _, self.stride, self.padding, self.dilation = window
        self.pointwise = window.pointwise
        self.parts = nn.ModuleList(
            nn.Conv2d(a, b, window.kernel_size, **window.steps, bias=bias)
            for a, b in zip(in_sizes, out_sizes, strict=True)
        )
        kept = sum(a * b for a, b in zip(in_sizes, out_sizes, strict=True))
        zeros = (sum(in_sizes) * sum(out_sizes) - kept) * math.prod(window.kernel_size)
        slice_cost = _POINTWISE_SLICE if self.pointwise else _WINDOW_SLICE
        self.dense = zeros < slice_cost * len(self.in_sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(N, sum(in_sizes), H, W)`` to ``(N, sum(out_sizes), H', W')``, N or not."""
        if self.training and self.dense:
            weight, bias = self._block_diagonal()
            return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation)
        if self.training and self.pointwise and x.dim() == 4:
            return self._products(x)
        pieces = x.split(self.in_sizes, dim=-3)
        return torch.cat(
            [conv(piece) for conv, piece in zip(self.parts, pieces, strict=True)], dim=-3
        )

    def _block_diagonal(self) -> tuple[Tensor, Tensor | None]:
        """The weight ``(C_out, C_in, k_h, k_w)`` and the bias of all groups at once."""
        convs = self._convs()
        weight = torch.block_diag(*(conv.weight.flatten(1) for conv in convs))
        biases = [conv.bias for conv in convs if conv.bias is not None]
        window = convs[0].kernel_size
        return weight.unflatten(1, (-1, *window)), torch.cat(biases) if biases else None

    def _products(self, x: Tensor) -> Tensor:
        """A matrix product for each group, on the columns of ``(N H W, C_in)`` that are its own."""
        rows = x.permute(0, 2, 3, 1)
        products = [
            F.linear(piece, conv.weight.flatten(1), conv.bias)
            for conv, piece in zip(
                self._convs(),
                rows.flatten(0, 2).split(self.in_sizes, dim=1),
                strict=True,
            )
        ]
        return torch.cat(products, dim=1).unflatten(0, rows.shape[:3]).permute(0, 3, 1, 2)

    def _convs(self) -> list[nn.Conv2d]:
        return cast(list[nn.Conv2d], list(self.parts))


class UnevenGroupLinear(nn.Module):
    """A linear layer over contiguous groups of any sizes; each group a plain ``nn.Linear``.

    Args:
        in_sizes: Input features of each group.
        out_sizes: Outputs of each group.
        bias: Add a bias.

    Raises:
        InputError: not as many sizes of inputs as of outputs, or a size below 1.
    """

    def __init__(
        self, in_sizes: Sequence[int], out_sizes: Sequence[int], *, bias: bool = True
    ) -> None:
        super().__init__()
        _check_sizes(in_sizes, out_sizes)
        self.in_sizes = tuple(in_sizes)
        self.parts = nn.ModuleList(
            nn.Linear(a, b, bias=bias) for a, b in zip(in_sizes, out_sizes, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, sum(in_sizes))``, or what flattens to it, to ``(N, sum(out_sizes))``."""
        pieces = x.flatten(1).split(self.in_sizes, dim=1)
        return torch.cat(
            [linear(piece) for linear, piece in zip(self.parts, pieces, strict=True)], dim=1
        )


class UnevenGroups(nn.Module):
    """Operators side by side, each on channels of its own; a layer's groups are its parts.

    Args:
        in_sizes: Input channels of each part.
        parts: Map ``(N, in_size, H, W)`` to maps of one size.

    Raises:
        InputError: not as many sizes as parts, or a size below 1.
    """

    def __init__(self, in_sizes: Sequence[int], parts: Sequence[nn.Module]) -> None:
        super().__init__()
        _check_sizes(in_sizes, [1] * len(parts))
        self.in_sizes = tuple(in_sizes)
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, sum(in_sizes), H, W)`` to the parts' outputs, one after the other."""
        pieces = zip(self.parts, x.split(self.in_sizes, dim=1), strict=True)
        return torch.cat([part(piece) for part, piece in pieces], dim=1)


def _check_sizes(in_sizes: Sequence[int], out_sizes: Sequence[int]) -> None:
    if len(in_sizes) != len(out_sizes) or not in_sizes:
        raise InputError(
            f"{len(in_sizes)} groups of inputs, {len(out_sizes)} of outputs; give as many, and one "
            "at least"
        )
    for what, sizes in (("input", in_sizes), ("output", out_sizes)):
        for group, size in enumerate(sizes):
            check_channels(**{f"{what} size of group {group}": size})
