"""Layers of all features: positions are flattened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from groupnas.spaces.behind import NONE
from groupnas.spaces.layer import Layer, Operation
from groupnas.spaces.rows import OPERATORS, Place, Row, Step

if TYPE_CHECKING:
    from torch import nn


@OPERATORS.register
class Linear(Operation):
    """A matrix product; without ``c``, the network's output."""

    name = spelled = pattern = "linear"
    allowed = frozenset({"c", "act", "bias", "joint"})
    flat = ends = True
    grouped = False

    def step(self, row: Row, place: Place) -> Step:
        """Return the layer; the network's output has no activation of its own accord."""
        return Step(
            name=place.name,
            op=self.name,
            out_unit="output" if row.c is None else place.name,
            out_channels=place.width or place.outputs,
            act=row.act or (NONE if row.c is None else place.act),
            bias=row.bias is not False,
            joint_out=row.joint,
        )

    def taps(self, layer: Layer) -> tuple[int, ...]:
        """Return the number of the input's positions."""
        return (layer.in_size[0] * layer.in_size[1],)

    def out_size(self, layer: Layer) -> tuple[int, int]:
        """Return 1 and 1."""
        return 1, 1

    def dense(self, layer: Layer, inputs: int, outputs: int, **options: Any) -> nn.Module:
        """Return an ``nn.Linear``."""
        from torch import nn

        (positions,) = self.taps(layer)
        return nn.Linear(inputs * positions, outputs, **{"bias": layer.bias, **options})

    def masked(self, layer: Layer, groups: int) -> nn.Module:
        """Return a :class:`groupnas.nn.MaskedLinear` that flattens."""
        from groupnas.spaces.modules import FlatLinear

        (positions,) = self.taps(layer)
        features = layer.in_channels * positions
        return FlatLinear(
            features, layer.out_channels, groups, positions=positions, bias=layer.bias
        )

    def derived(
        self, layer: Layer, inputs: Sequence[int], outputs: Sequence[int]
    ) -> list[nn.Module]:
        """Return ``nn.Flatten`` and ``nn.Linear``, or one that flattens, where there are groups."""
        from torch import nn

        from groupnas.nn import UnevenGroupLinear

        if len(inputs) == 1:
            return [nn.Flatten(), self.dense(layer, *inputs, *outputs)]
        (positions,) = self.taps(layer)
        features = [channels * positions for channels in inputs]
        return [UnevenGroupLinear(features, outputs, bias=layer.bias)]
