"""Convolution and linear layers under learnable grouping: W * (M_out M_in^T) (paper 000, eq. 6).

``Masked*`` layers are given the masks of their input and output, so that layers can share one
draw; ``Learnable*`` layers own both masks and can replace ``nn.Conv2d`` and ``nn.Linear``.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Unpack

from groupnas.errors import InputError
from groupnas.nn.channel_mask import ChannelMask, MaskInit
from groupnas.nn.window import Size, Steps, Window, check_channels


class MaskedConv2d(nn.Module):
    """A convolution whose weight is kept only where input and output share a group.

    Weights are drawn by MSRA initialisation (He et al. 2015) for the fan-in that an even group
    has, C_in / G x k x k: with the fan-in of the dense layer, activations would shrink by sqrt(G)
    in every layer.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        kernel_size: As of ``nn.Conv2d``, and so are stride, padding, dilation and bias.
        groups: G, the columns of the masks.
        numbers: Outputs of each channel, which lie side by side and share its mask.

    Raises:
        InputError: a number that is none, or too small, or padding "same" with a stride.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        groups: int,
        *,
        bias: bool = True,
        numbers: int = 1,
        **steps: Unpack[Steps],
    ) -> None:
        super().__init__()
        check_channels(
            in_channels=in_channels, out_channels=out_channels, groups=groups, numbers=numbers
        )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.numbers = numbers
        window = Window.of(kernel_size, **steps)
        self.kernel_size, self.stride, self.padding, self.dilation = window
        outputs = out_channels * numbers
        self.weight = nn.Parameter(torch.empty(outputs, in_channels, *self.kernel_size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        MaskedConv2d.reset_parameters(self)  # a subclass has yet to make the rest of its own

    def reset_parameters(self) -> None:
        """Draw new weights; the bias becomes zero."""
        _msra_(self.weight, self.in_channels / self.groups * math.prod(self.kernel_size))
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, in_mask: Tensor, out_mask: Tensor) -> Tensor:
        """Convolve ``(N, C_in, H, W)`` under masks ``(C_in, G)`` and ``(C_out, G)``.

        Raises:
            InputError: a mask of other channels.
        """
        kept = _shared(in_mask, self.in_channels, out_mask, self.out_channels)
        kept = kept.repeat_interleave(self.numbers, dim=0) if self.numbers > 1 else kept
        weight = self.weight * kept[:, :, None, None]
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation)

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, groups={self.groups}, bias={self.bias is not None}"
        )


class MaskedConvTranspose2d(nn.Module):
    """A transposed convolution whose weight is kept only where input and output share a group.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        kernel_size: As of ``nn.ConvTranspose2d``, and so are stride, padding, dilation and bias.
        groups: G, the columns of the masks.

    Raises:
        InputError: a number that is none, or too small.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        groups: int,
        *,
        bias: bool = True,
        **steps: Unpack[Steps],
    ) -> None:
        super().__init__()
        check_channels(in_channels=in_channels, out_channels=out_channels, groups=groups)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        window = Window.of(kernel_size, **steps)
        if isinstance(window.padding, str):
            raise InputError("padding 'same': no transposed convolution has it; give numbers")
        self.kernel_size, self.stride, self.dilation = window[0], window[1], window[3]
        self.padding: tuple[int, int] = window.padding
        self.weight = nn.Parameter(torch.empty(in_channels, out_channels, *self.kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights (MSRA); an output position sees one of stride x stride taps only."""
        seen = math.prod(self.kernel_size) / math.prod(self.stride)
        _msra_(self.weight, self.in_channels / self.groups * seen)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, in_mask: Tensor, out_mask: Tensor) -> Tensor:
        """Convolve ``(N, C_in, H, W)`` under masks ``(C_in, G)`` and ``(C_out, G)``.

        Raises:
            InputError: a mask of other channels.
        """
        kept = _shared(in_mask, self.in_channels, out_mask, self.out_channels)
        weight = self.weight * kept.T[:, :, None, None]
        return F.conv_transpose2d(
            x, weight, self.bias, self.stride, self.padding, dilation=self.dilation
        )


class MaskedLinear(nn.Module):
    """A linear layer whose weight is kept only where input and output share a group.

    Args:
        in_features: Columns of the weight: channels x ``positions``.
        out_features: Rows of the weight.
        groups: G, the columns of the masks.
        positions: Features that each input channel is flattened into (H x W, channel first).
        bias: Add a bias.

    Raises:
        InputError: a number below 1, or features that are no multiple of the positions.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        groups: int,
        *,
        positions: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_channels(
            in_features=in_features, out_features=out_features, groups=groups, positions=positions
        )
        if in_features % positions:
            raise InputError(f"in_features {in_features}: no multiple of {positions} positions")
        self.in_features, self.out_features = in_features, out_features
        self.groups, self.positions = groups, positions
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights (MSRA, the fan-in of an even group); the bias becomes zero."""
        _msra_(self.weight, self.in_features / self.groups)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, in_mask: Tensor, out_mask: Tensor) -> Tensor:
        """Map ``(..., in_features)`` under masks ``(C, G)`` and ``(out_features, G)``.

        Raises:
            InputError: a mask of other channels.
        """
        channels = self.in_features // self.positions
        kept = _shared(in_mask, channels, out_mask, self.out_features)
        # (out, C, positions): one mask entry covers all positions of its channel
        weight = self.weight.view(self.out_features, -1, self.positions) * kept[:, :, None]
        return F.linear(x, weight.flatten(1), self.bias)

    def extra_repr(self) -> str:
        return (
            f"{self.in_features}, {self.out_features}, groups={self.groups}, "
            f"positions={self.positions}, bias={self.bias is not None}"
        )


class LearnableGroupConv2d(MaskedConv2d):
    """``nn.Conv2d`` that learns which group each input and output channel belongs to.

    Each call in training mode draws new masks. To tie the masks of neighbouring layers, as one
    must where groups may not mix, use :class:`MaskedConv2d` and hand both layers one draw.

    Args:
        in_channels: C_in, as of ``nn.Conv2d``; so are the sizes and the bias.
        out_channels: C_out.
        kernel_size: k, or (k_h, k_w).
        groups: G.
        in_mask: Membership of the input channels; a new :class:`ChannelMask` where not given.
        out_mask: Membership of the output channels, likewise.
        relaxation: Of new masks.
        init: Of new masks.

    Raises:
        InputError: a mask of other channels or groups, or fewer channels than groups.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        groups: int,
        *,
        bias: bool = True,
        in_mask: ChannelMask | None = None,
        out_mask: ChannelMask | None = None,
        relaxation: str = "gumbel_hard",
        init: MaskInit = "ones",
        **steps: Unpack[Steps],
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, groups, bias=bias, **steps)
        self.in_mask = _mask("in_mask", in_mask, in_channels, groups, relaxation, init)
        self.out_mask = _mask("out_mask", out_mask, out_channels, groups, relaxation, init)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Convolve ``(N, C_in, H, W)`` under the layer's own masks."""
        return super().forward(x, self.in_mask(), self.out_mask())


class LearnableGroupLinear(MaskedLinear):
    """``nn.Linear`` that learns which group each input channel and output belongs to.

    Args:
        in_features: Channels x ``positions``.
        out_features: Outputs.
        groups: G.
        positions: Features per input channel.
        bias: Add a bias.
        in_mask: Membership of the input channels; a new :class:`ChannelMask` where not given.
        out_mask: Membership of the outputs, likewise.
        relaxation: Of new masks.
        init: Of new masks.

    Raises:
        InputError: a mask of other channels or groups, or fewer channels than groups.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        groups: int,
        *,
        positions: int = 1,
        bias: bool = True,
        in_mask: ChannelMask | None = None,
        out_mask: ChannelMask | None = None,
        relaxation: str = "gumbel_hard",
        init: MaskInit = "ones",
    ) -> None:
        super().__init__(in_features, out_features, groups, positions=positions, bias=bias)
        channels = in_features // positions
        self.in_mask = _mask("in_mask", in_mask, channels, groups, relaxation, init)
        self.out_mask = _mask("out_mask", out_mask, out_features, groups, relaxation, init)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Map ``(..., in_features)`` under the layer's own masks."""
        return super().forward(x, self.in_mask(), self.out_mask())


def _shared(in_mask: Tensor, inputs: int, out_mask: Tensor, outputs: int) -> Tensor:
    """Return the share of groups that each output has with each input, ``(outputs, inputs)``."""
    for name, mask, channels in (("in_mask", in_mask, inputs), ("out_mask", out_mask, outputs)):
        if len(mask) != channels:  # a single row would be taken for all of them, without a word
            raise InputError(f"{name}: expected {channels} channels, got {len(mask)}")
    return out_mask @ in_mask.T


def _mask(
    name: str,
    given: ChannelMask | None,
    channels: int,
    groups: int,
    relaxation: str,
    init: MaskInit,
) -> ChannelMask:
    """The given mask or a new one; :class:`InputError` if it is of other channels or groups."""
    mask = given or ChannelMask(channels, groups, relaxation, init)
    if mask.logits.shape != (channels, groups):
        raise InputError(
            f"{name}: expected {channels} channels in {groups} groups, got "
            f"{mask.logits.shape[0]} in {mask.logits.shape[1]}"
        )
    return mask


def _msra_(weight: Tensor, fan_in: float) -> None:
    nn.init.normal_(weight, std=math.sqrt(2.0 / fan_in))
