"""Convolutions that keep positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from groupnas.errors import InputError
from groupnas.spaces.behind import NONE
from groupnas.spaces.layer import Channelwise, Layer, Operation
from groupnas.spaces.rows import OPERATORS, Place, Row, Step

if TYPE_CHECKING:
    from torch import nn


class Convolution(Operation):
    """The base of convolutions: zeros around the input, so that positions stay."""

    allowed = frozenset({"n", "s", "d", "act", "norm", "bias"})
    odd = True

    def step(self, row: Row, place: Place) -> Step:
        """Return the layer; without ``bias``, it has one where nothing normalises.

        The network's output has no normalisation and no activation of its own accord.
        """
        ends = self.ends and row.c is None
        norm = False if ends and "norm" not in row.model_fields_set else row.norm
        return Step(
            name=place.name,
            op=self.name,
            out_unit=("output" if ends else place.name) if self.mixes else None,
            out_channels=(place.width or place.outputs) if self.mixes else None,
            kernel=row.kernel or 1,
            stride=place.stride,
            dilation=row.d,
            norm=norm,
            act=row.act or (NONE if ends else place.act),
            bias=not norm if row.bias is None else row.bias,
            joint_out=row.joint,
        )

    def padding(self, layer: Layer) -> tuple[int, int]:
        """Return half of the window's reach, on either side."""
        height, width = self.taps(layer)
        return layer.dilation * (height - 1) // 2, layer.dilation * (width - 1) // 2

    def dense(self, layer: Layer, inputs: int, outputs: int, **options: Any) -> nn.Module:
        """Return an ``nn.Conv2d``."""
        from torch import nn

        return nn.Conv2d(inputs, outputs, **{"bias": layer.bias, **layer.window, **options})


@OPERATORS.register
class Conv(Convolution):
    """A convolution; in a grouped network, of every group by itself.

    Without ``c``, it is the network's output, a map for each.
    """

    name, spelled, pattern = "conv", "convKxK", r"conv([1-9])x\1"
    allowed = Convolution.allowed | {"c", "joint"}
    ends = True

    def masked(self, layer: Layer, groups: int) -> nn.Module:
        """Return a :class:`groupnas.nn.MaskedConv2d`."""
        from groupnas.nn import MaskedConv2d

        channels = layer.in_channels, layer.out_channels
        return MaskedConv2d(*channels, groups=groups, bias=layer.bias, **layer.window)

    def derived(
        self, layer: Layer, inputs: Sequence[int], outputs: Sequence[int]
    ) -> list[nn.Module]:
        """Return an ``nn.Conv2d`` of equal groups, or one that takes uneven ones."""
        from groupnas.nn import UnevenGroupConv2d

        if len(set(inputs)) == len(set(outputs)) == 1:
            return [self.dense(layer, sum(inputs), sum(outputs), groups=len(inputs))]
        return [UnevenGroupConv2d(inputs, outputs, bias=layer.bias, **layer.window)]


@OPERATORS.register
class Depthwise(Channelwise, Convolution):
    """A convolution of each channel by itself."""

    name, spelled, pattern = "depthwise", "dwconvKxK", r"dwconv([1-9])x\1"

    def dense(self, layer: Layer, inputs: int, outputs: int, **options: Any) -> nn.Module:
        """Return an ``nn.Conv2d`` whose channels are its groups."""
        return super().dense(layer, inputs, outputs, **{**options, "groups": inputs})


@OPERATORS.register
class GlobalDepthwise(Depthwise):
    """A convolution of each channel by itself whose window is its whole input: 1 x 1 remains."""

    name, spelled, pattern = "global_depthwise", "dwconv (whole map)", "dwconv"
    allowed = frozenset({"act", "norm", "bias"})
    odd = False

    def step(self, row: Row, place: Place) -> Step:
        """Return the layer; raises :class:`InputError` where the input is not square."""
        height, width = place.size
        if height != width:
            raise InputError("op: dwconv without a kernel needs a square input; give its kernel")
        return replace(super().step(row, place), kernel=height)

    def padding(self, layer: Layer) -> tuple[int, int]:
        """Return no padding."""
        return (0, 0)
