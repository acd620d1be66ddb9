"""Layers that enlarge a map: transposed convolutions and pixel shuffle.

Source: Earp et al., "Sub-pixel face landmarks using heatmaps and a bag of tricks", 2021, section
4.2; pixel shuffle is Shi et al., CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from groupnas.errors import InputError
from groupnas.spaces.layer import Layer, Operation
from groupnas.spaces.rows import OPERATORS, Place, Row, Step

if TYPE_CHECKING:
    from torch import Tensor, nn

_MOST = 16  # times; a slip must not take all memory


class Upsampling(Operation):
    """The base of layers whose output is ``s`` times as high and wide as their input."""

    required = frozenset({"c", "s"})
    allowed = frozenset({"act", "norm", "bias", "joint"})
    grouped = False

    def step(self, row: Row, place: Place) -> Step:
        """Return the layer; without ``bias``, it has one where nothing normalises."""
        if not 2 <= row.s <= _MOST:
            raise InputError(f"s: expected 2 to {_MOST}, by which {row.op} enlarges; got {row.s}")
        return Step(
            name=place.name,
            op=self.name,
            out_unit=place.name,
            out_channels=place.width,
            kernel=row.kernel or 1,
            stride=row.s,
            norm=row.norm,
            act=row.act or place.act,
            bias=not row.norm if row.bias is None else row.bias,
            joint_out=row.joint,
        )

    def out_size(self, layer: Layer) -> tuple[int, int]:
        """Return the input's height and width times the stride."""
        height, width = layer.in_size
        return height * layer.stride, width * layer.stride


@OPERATORS.register
class Deconvolution(Upsampling):
    """A transposed convolution."""

    name, spelled, pattern = "deconv", "deconvKxK", r"deconv([1-9])x\1"

    def step(self, row: Row, place: Place) -> Step:
        """Return the layer; raises :class:`InputError` where no padding gives that size."""
        step, kernel = super().step(row, place), row.kernel or 1
        if kernel < row.s or (kernel - row.s) % 2:
            raise InputError(
                f"op: {row.op} cannot enlarge {row.s} times; its kernel must be {row.s}, or larger "
                "by an even number"
            )
        return step

    def padding(self, layer: Layer) -> tuple[int, int]:
        """Return what is cut off each side, so that the size is the stride's multiple."""
        cut = (layer.kernel - layer.stride) // 2
        return cut, cut

    def dense(self, layer: Layer, inputs: int, outputs: int, **options: Any) -> nn.Module:
        """Return an ``nn.ConvTranspose2d``."""
        from torch import nn

        return nn.ConvTranspose2d(
            inputs, outputs, **{"bias": layer.bias, **layer.window, **options}
        )

    def masked(self, layer: Layer, groups: int) -> nn.Module:
        """Return a :class:`groupnas.nn.MaskedConvTranspose2d`."""
        from groupnas.nn import MaskedConvTranspose2d

        channels = layer.in_channels, layer.out_channels
        return MaskedConvTranspose2d(*channels, groups=groups, bias=layer.bias, **layer.window)

    def derived(
        self, layer: Layer, inputs: Sequence[int], outputs: Sequence[int]
    ) -> list[nn.Module]:
        """Return an ``nn.ConvTranspose2d``, or one for each group."""
        from groupnas.nn import UnevenGroups

        parts = [self.dense(layer, a, b) for a, b in zip(inputs, outputs, strict=True)]
        return parts if len(parts) == 1 else [UnevenGroups(inputs, parts)]

    def weight(self, layer: Layer, module: Any) -> Tensor:
        """Return a view ``(outputs, inputs, k, k)``; PyTorch has inputs first."""
        weight: Tensor = module.weight
        return weight.transpose(0, 1)


@OPERATORS.register
class Subpixel(Upsampling):
    """A convolution to s x s numbers for each output channel, which become s x s positions.

    Normalisation and activation are before that, of every one of these numbers by itself; only
    then are they shuffled.
    """

    name, spelled, pattern = "subpixel", "subpixelKxK", r"subpixel([1-9])x\1"
    odd = True

    def taps(self, layer: Layer) -> tuple[int, ...]:
        """Return how many numbers a channel has, and the window of each."""
        return (layer.stride**2, layer.kernel, layer.kernel)

    def numbers(self, layer: Layer) -> int:
        """Return s x s."""
        return layer.stride**2

    def finish(self, layer: Layer) -> list[nn.Module]:
        """Return an ``nn.PixelShuffle``."""
        from torch import nn

        return [nn.PixelShuffle(layer.stride)]

    def dense(self, layer: Layer, inputs: int, outputs: int, **options: Any) -> nn.Module:
        """Return an ``nn.Conv2d``."""
        from torch import nn

        wide = outputs * self.numbers(layer)
        return nn.Conv2d(inputs, wide, layer.kernel, **{**self._window(layer), **options})

    def masked(self, layer: Layer, groups: int) -> nn.Module:
        """Return a :class:`groupnas.nn.MaskedConv2d` with several outputs for each channel."""
        from groupnas.nn import MaskedConv2d

        return MaskedConv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel,
            groups,
            numbers=self.numbers(layer),
            **self._window(layer),
        )

    def derived(
        self, layer: Layer, inputs: Sequence[int], outputs: Sequence[int]
    ) -> list[nn.Module]:
        """Return an ``nn.Conv2d``, or one that takes uneven groups."""
        from groupnas.nn import UnevenGroupConv2d

        if len(inputs) == 1:
            return [self.dense(layer, *inputs, *outputs)]
        wide = [channels * self.numbers(layer) for channels in outputs]
        return [UnevenGroupConv2d(inputs, wide, layer.kernel, **self._window(layer))]

    def weight(self, layer: Layer, module: Any) -> Tensor:
        """Return a view ``(outputs, inputs, s s, k, k)``."""
        weight: Tensor = module.weight
        return weight.unflatten(0, (-1, self.numbers(layer))).transpose(1, 2)

    def _window(self, layer: Layer) -> dict[str, Any]:
        return {"padding": layer.kernel // 2, "bias": layer.bias}
