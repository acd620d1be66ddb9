"""Fully learnable group convolution: which inputs each group of filters sees, layer by layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from groupnas.nn.gathered import GatheredGroupConv2d
from groupnas.nn.indices import check_readable
from groupnas.nn.learnable import MaskedConv2d
from groupnas.nn.relaxation import RELAXATIONS
from groupnas.nn.window import Size, Steps


class FLGConv2d(MaskedConv2d):
    """A convolution with weight W * (B(T) B(S)^T), where B takes the largest entry of every row.

    ``S`` (C_in, G) and ``T`` (C_out, G) start as N(0, 1) and belong to this layer alone: what one
    layer writes as a group need not be what the next one reads as a group, so groups mix from
    layer to layer. Masks are the same in training and evaluation: there is no draw and no
    temperature. The gradient enters at each row's largest entry j* only:
    dL/dS_ij = g_ij* p_ij* (delta_jj* - p_ij), with p = softmax(S).

    Nothing keeps a group alive: one may lose all inputs or all outputs (:attr:`dead`). Outputs of
    a group without inputs are their bias. :class:`groupnas.nn.LearnableGroupConv2d` is the kind
    that repairs this, and whose masks neighbours can share.

    Source: Wang et al. 2019, "Fully Learnable Group Convolution for Acceleration of Deep Neural
    Networks", section 3. Weight initialisation is MSRA for an even group's fan-in.

    Args:
        in_channels: C_in, as of ``nn.Conv2d``.
        out_channels: C_out.
        kernel_size: As of ``nn.Conv2d``, and so are stride, padding, dilation and bias.
        groups: G >= 1; need not divide anything.

    Raises:
        InputError: as :class:`groupnas.nn.MaskedConv2d`.
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
        super().__init__(in_channels, out_channels, kernel_size, groups, bias=bias, **steps)
        self.S = nn.Parameter(torch.empty(in_channels, groups))
        self.T = nn.Parameter(torch.empty(out_channels, groups))
        self._reset_masks()

    def reset_parameters(self) -> None:
        """Draw new weights and new masks; the bias becomes zero."""
        super().reset_parameters()
        self._reset_masks()

    def _reset_masks(self) -> None:
        nn.init.normal_(self.S)
        nn.init.normal_(self.T)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Convolve ``(N, C_in, H, W)`` to ``(N, C_out, H', W')``."""
        masks = (RELAXATIONS["flgc"](logits, 1.0) for logits in (self.S, self.T))
        return super().forward(x, *masks)

    @property
    def inputs(self) -> list[list[int]]:
        """The input channels that each group reads, in order."""
        return _members(self.S, "S")

    @property
    def outputs(self) -> list[list[int]]:
        """The output channels that each group writes, in order."""
        return _members(self.T, "T")

    @property
    def dead(self) -> list[int]:
        """Groups without an input or without an output: they compute nothing."""
        both = zip(self.inputs, self.outputs, strict=True)
        return [group for group, (a, b) in enumerate(both) if not (a and b)]

    def derive(self) -> GatheredGroupConv2d:
        """The same function as plain grouped convolutions, with copies of the weights.

        Raises:
            InputError: every group is dead, or masks that are NaN or on the meta device.
        """
        return GatheredGroupConv2d.of(self, self.inputs, self.outputs)


def _members(logits: Tensor, name: str) -> list[list[int]]:
    check_readable(logits, name)
    owners = logits.detach().argmax(dim=1).tolist()
    return [[c for c, owner in enumerate(owners) if owner == g] for g in range(logits.shape[1])]
