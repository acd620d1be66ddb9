"""Grouped layers whose groups differ in size: what a searched grouping becomes once it is fixed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class UnevenGroupConv2d(nn.Module):
    """A grouped convolution over contiguous groups of any sizes; each group a plain ``nn.Conv2d``.

    Args:
        in_sizes: Input channels of each group.
        out_sizes: Output channels of each group.
        kernel_size: As of ``nn.Conv2d``, and so are stride, padding, dilation and bias.
    """

    def __init__(
        self,
        in_sizes: Sequence[int],
        out_sizes: Sequence[int],
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.in_sizes = tuple(in_sizes)
        self.parts = nn.ModuleList(
            nn.Conv2d(a, b, kernel_size, stride, padding, dilation, bias=bias)
            for a, b in zip(in_sizes, out_sizes, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(N, sum(in_sizes), H, W)`` to ``(N, sum(out_sizes), H', W')``."""
        pieces = x.split(self.in_sizes, dim=1)
        return torch.cat(
            [part(piece) for part, piece in zip(self.parts, pieces, strict=True)], dim=1
        )


class UnevenGroupLinear(nn.Module):
    """A linear layer over contiguous groups of any sizes; each group a plain ``nn.Linear``.

    Args:
        in_sizes: Input features of each group.
        out_sizes: Outputs of each group.
        bias: Add a bias.
    """

    def __init__(
        self, in_sizes: Sequence[int], out_sizes: Sequence[int], *, bias: bool = True
    ) -> None:
        super().__init__()
        self.in_sizes = tuple(in_sizes)
        self.parts = nn.ModuleList(
            nn.Linear(a, b, bias=bias) for a, b in zip(in_sizes, out_sizes, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, sum(in_sizes))``, or what flattens to it, to ``(N, sum(out_sizes))``."""
        pieces = x.flatten(1).split(self.in_sizes, dim=1)
        return torch.cat(
            [part(piece) for part, piece in zip(self.parts, pieces, strict=True)], dim=1
        )
