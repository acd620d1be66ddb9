"""A grouped convolution over any channels: what an untied or interleaved grouping deploys as."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from numbers import Integral
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from groupnas.errors import InputError
from groupnas.nn.indices import KeepsIndices
from groupnas.nn.uneven import UnevenGroupConv2d
from groupnas.nn.window import Size, Steps, Window, check_channels

Channels = Sequence[Sequence[int]]  # of each group


class GatheredGroupConv2d(KeepsIndices):
    """Each group reads its own input channels, wherever they are, and writes its own outputs.

    The inputs are reordered so that groups are contiguous, convolved (by one ``nn.Conv2d`` where
    all groups are of one size), and the outputs put where they belong. Outputs of a group without
    inputs, or of no group, are their bias alone, or 0; inputs that no group reads cost nothing.

    Args:
        inputs: Input channels that each group reads; a channel may be in several groups or none.
        outputs: Output channels that each group writes, each in at most one group.
        in_channels: C_in.
        out_channels: C_out.
        kernel_size: As of ``nn.Conv2d``, and so are stride, padding, dilation and bias.

    Raises:
        InputError: not as many lists of outputs as of inputs, a channel that does not exist, an
            input twice in one group, an output in two groups, or no group with inputs and outputs
            at all; a window that is no ``nn.Conv2d``'s.
    """

    def __init__(
        self,
        inputs: Channels,
        outputs: Channels,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        *,
        bias: bool = True,
        **steps: Unpack[Steps],
    ) -> None:
        super().__init__()
        check_channels(in_channels=in_channels, out_channels=out_channels)
        _check(inputs, outputs, in_channels, out_channels)
        self.groups = [
            (tuple(a), tuple(b)) for a, b in zip(inputs, outputs, strict=True) if a and b
        ]
        sizes = [len(a) for a, _ in self.groups], [len(b) for _, b in self.groups]
        written = list(chain.from_iterable(b for _, b in self.groups))
        unwritten = [channel for channel in range(out_channels) if channel not in set(written)]
        kernel, *_ = window = Window.of(kernel_size, **steps)
        self._dense_shape = (out_channels, in_channels, *kernel)
        own: dict[str, Any] = {**window.steps, "bias": False}
        if len(set(sizes[0])) == len(set(sizes[1])) == 1:
            self.conv: nn.Module = nn.Conv2d(
                sum(sizes[0]), len(written), kernel, groups=len(self.groups), **own
            )
        else:
            self.conv = UnevenGroupConv2d(*sizes, kernel, **own)
        # The bias is per output channel, in the outputs' own order: also of those that are cut off.
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.cut_off = len(unwritten)
        read = list(chain.from_iterable(a for a, _ in self.groups))
        self._moves_inputs = read != list(range(in_channels))
        self._moves_outputs = written + unwritten != list(range(out_channels))
        self.keep("in_order", read)
        places = {channel: place for place, channel in enumerate(written + unwritten)}
        self.keep("out_order", (places[channel] for channel in range(out_channels)))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(N, C_in, H, W)`` to ``(N, C_out, H', W')``, or either without N."""
        y = self.conv(x[..., self.kept("in_order", x.device), :, :] if self._moves_inputs else x)
        if self.cut_off:
            y = F.pad(y, (0, 0, 0, 0, 0, self.cut_off))
        y = y[..., self.kept("out_order", y.device), :, :] if self._moves_outputs else y
        return y if self.bias is None else y + self.bias[:, None, None]

    @classmethod
    def of(cls, layer: Any, inputs: Channels, outputs: Channels) -> GatheredGroupConv2d:
        """The same function as a layer that keeps, of a dense weight, what these groups do.

        Args:
            layer: Has the attributes of ``nn.Conv2d``; its weights are copied.
            inputs: As of the class.
            outputs: As of the class.
        """
        with layer.weight.device:
            plain = cls(
                inputs,
                outputs,
                layer.in_channels,
                layer.out_channels,
                layer.kernel_size,
                bias=layer.bias is not None,
                stride=layer.stride,
                padding=layer.padding,
                dilation=layer.dilation,
            )
        plain = plain.to(layer.weight.dtype)
        plain.inherit(layer.weight, layer.bias)
        return plain.train(layer.training)

    @torch.no_grad()
    def inherit(self, weight: Tensor, bias: Tensor | None) -> None:
        """Take the weights of a dense convolution, ``(C_out, C_in, k_h, k_w)``, that groups keep.

        Raises:
            InputError: a weight of another shape, or a bias where the layer has none, or none where
                it has one.
        """
        if weight.shape != self._dense_shape:
            raise InputError(
                f"weight: expected shape {self._dense_shape}, got {tuple(weight.shape)}"
            )
        if (bias is None) != (self.bias is None):
            raise InputError(f"bias: the layer has {'none' if self.bias is None else 'one'}")
        blocks = [weight[list(b)][:, list(a)] for a, b in self.groups]
        if isinstance(self.conv, UnevenGroupConv2d):
            for conv, block in zip(self.conv.parts, blocks, strict=True):
                conv.weight.copy_(block)  # type: ignore[operator]
        else:
            self.conv.weight.copy_(torch.cat(blocks))  # type: ignore[operator]
        if self.bias is not None:
            self.bias.copy_(cast(Tensor, bias))


def _check(inputs: Channels, outputs: Channels, in_channels: int, out_channels: int) -> None:
    if len(inputs) != len(outputs):
        raise InputError(f"{len(inputs)} groups of inputs, {len(outputs)} of outputs; give as many")
    for what, groups, channels in (
        ("input", inputs, in_channels),
        ("output", outputs, out_channels),
    ):
        for channel in chain.from_iterable(groups):
            if not isinstance(channel, Integral) or not 0 <= channel < channels:
                raise InputError(f"{what} channel {channel}: must be in 0..{channels - 1}")
    for group in inputs:
        if len(set(group)) < len(group):  # the weights of a dense convolution would count twice
            twice = next(channel for channel in group if list(group).count(channel) > 1)
            raise InputError(f"input channel {twice}: is in a group more than once")
    written = list(chain.from_iterable(outputs))
    if len(set(written)) < len(written):
        twice = next(channel for channel in written if written.count(channel) > 1)
        raise InputError(f"output channel {twice}: is in more than one group")
    if not any(a and b for a, b in zip(inputs, outputs, strict=True)):
        raise InputError("no group has both inputs and outputs; nothing is left to convolve")
