"""Pooling: windows without weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from groupnas.errors import InputError
from groupnas.spaces.layer import Channelwise, Layer
from groupnas.spaces.rows import OPERATORS, Place, Row, Step

if TYPE_CHECKING:
    from torch import nn


class Pooling(Channelwise):
    """The base of poolings."""

    allowed = frozenset({"s"})
    weighted = False

    def step(self, row: Row, place: Place) -> Step:
        """Return the layer; one without a kernel sees its whole input, which must be square."""
        kernel, width = row.kernel or place.size[0], row.kernel or place.size[1]
        if kernel != width:
            raise InputError("op: a global pooling needs a square input; give its kernel")
        return Step(name=place.name, op=self.name, kernel=kernel, stride=place.stride)


@OPERATORS.register
class AveragePool(Pooling):
    """The mean of a window."""

    name, spelled = "avgpool", "avgpool (global), avgpoolKxK"
    pattern = r"avgpool(?:([1-9])x\1)?"

    def dense(self, layer: Layer, inputs: int, outputs: int, **options: Any) -> nn.Module:
        """Return an ``nn.AvgPool2d``."""
        from torch import nn

        return nn.AvgPool2d(layer.kernel, layer.stride)


@OPERATORS.register
class MaxPool(Pooling):
    """The largest value of a window."""

    name, spelled, pattern = "maxpool", "maxpoolKxK", r"maxpool([1-9])x\1"

    def dense(self, layer: Layer, inputs: int, outputs: int, **options: Any) -> nn.Module:
        """Return an ``nn.MaxPool2d``."""
        from torch import nn

        return nn.MaxPool2d(layer.kernel, layer.stride, layer.padding)


@OPERATORS.register
class SameMaxPool(MaxPool):
    """The largest value of a window that may reach beyond the input, where nothing counts.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, Table 1.
    """

    name, spelled, pattern = "maxpool_same", "maxpoolKxK_same", r"maxpool([1-9])x\1_same"
    odd = True

    def padding(self, layer: Layer) -> tuple[int, int]:
        """Return half of the window, on either side."""
        return layer.kernel // 2, layer.kernel // 2
