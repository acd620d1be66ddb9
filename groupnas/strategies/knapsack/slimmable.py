"""A network whose every group runs at every size: weights are shared, sizes chosen per pass.

A layer holds its weights at the widest size, and a pass uses the first channels of every unit
(Yu et al., "Slimmable Neural Networks", ICLR 2019). Groups never mix, so that each takes sizes of
its own: one pass of the network is an independent sample of every group. BatchNorm uses the batch's
statistics; networks that are to be evaluated are taken out with :meth:`SlimmableNetwork.plain`,
and their statistics are collected at their own sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groupnas.spaces.allocation import Allocation
from groupnas.spaces.behind import BatchNorm
from groupnas.spaces.layer import Block, Layer
from groupnas.spaces.modules import activation, module_name, run_blocks
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.operations import (
    ActivationAlone,
    AveragePool,
    Convolution,
    Linear,
    MaxPool,
)
from groupnas.spaces.pieces import GroupWeights, write_pieces
from groupnas.spaces.rooms import Room
from groupnas.spaces.space import SearchSpace

Widths = Mapping[str, int]

# A layer's output from its input, with the weight and bias of a size
SLICED: Room[Callable[[Layer, Tensor, Any, Tensor | None], Tensor]] = Room(
    "the slimmable network", f"{__name__}.SLICED"
)

# A normalisation's output from its input, with the scale and shift of a size
NORMALISED: Room[Callable[[Tensor, Tensor, Tensor], Tensor]] = Room(
    "the slimmable network", f"{__name__}.NORMALISED"
)


@NORMALISED.register(BatchNorm)
def _batch_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, scale, shift, training=True)


@SLICED.register(Convolution)
def _convolution(layer: Layer, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if layer.mixes_channels and math.prod(layer.taps) == layer.stride == 1:
        # A convolution is set up anew for every size: measured, twice the time of a pass.
        return F.linear(x.movedim(1, -1), weight.flatten(1), bias).movedim(-1, 1)
    groups = 1 if layer.mixes_channels else x.shape[1]
    return F.conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation, groups)


@SLICED.register(Linear)
def _linear(_layer: Layer, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.linear(x.flatten(1), weight.flatten(1), bias)


@SLICED.register(ActivationAlone)
def _nothing(_layer: Layer, x: Tensor, _weight: None, _bias: Tensor | None) -> Tensor:
    return x


@SLICED.register(AveragePool)
def _average(layer: Layer, x: Tensor, _weight: None, _bias: Tensor | None) -> Tensor:
    return F.avg_pool2d(x, layer.kernel, layer.stride)


@SLICED.register(MaxPool)
def _largest(layer: Layer, x: Tensor, _weight: None, _bias: Tensor | None) -> Tensor:
    return F.max_pool2d(x, layer.kernel, layer.stride, layer.padding)


class SlimmableLayer(nn.Module):
    """One primitive layer with BatchNorm and activation, at any size up to its own.

    Args:
        layer: Its shape, at the widest.
        usual: Input channels that it mostly has: what the MSRA initialisation goes by.
    """

    def __init__(self, layer: Layer, usual: float) -> None:
        super().__init__()
        self.layer = layer
        self.activation = nn.Sequential(*activation(layer))
        self.weight: Tensor | None = None
        self.bias: Tensor | None = None
        if layer.operation.weighted:
            inputs = layer.in_channels if layer.mixes_channels else 1
            fan_in = math.prod(layer.taps) * (usual if layer.mixes_channels else 1)
            weight = torch.randn(layer.out_channels, inputs, *layer.taps) * math.sqrt(2 / fan_in)
            self.weight = nn.Parameter(weight)
            if layer.bias:
                self.bias = nn.Parameter(torch.zeros(layer.out_channels))
        self.scale = nn.Parameter(torch.ones(layer.out_channels)) if layer.norm else None
        self.shift = nn.Parameter(torch.zeros(layer.out_channels)) if layer.norm else None

    def forward(self, x: Tensor, inputs: int, outputs: int) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H', W')``, or ``(N, outputs)`` if linear."""
        x = SLICED[self.layer.operation](self.layer, x, *self.cut(inputs, outputs))
        if self.scale is not None and self.shift is not None:
            scale, shift = self.scale[:outputs], self.shift[:outputs]
            x = NORMALISED[self.layer.normalisation](x, scale, shift)
        return cast(Tensor, self.activation(x))

    def cut(self, inputs: int, outputs: int) -> tuple[Tensor | None, Tensor | None]:
        """Return the weight ``(outputs, inputs, *taps)`` and bias of a size."""
        weight = self.weight
        if weight is not None:
            weight = weight[:outputs, :inputs] if self.layer.mixes_channels else weight[:outputs]
        return weight, None if self.bias is None else self.bias[:outputs]


class SlimmablePart(nn.Module):
    """One group of a space, alone, at any size.

    Args:
        space: The space.
        group: One of its groups.
        widest: The most channels that the group may have in each free unit.
    """

    def __init__(self, space: SearchSpace, group: str, widest: Widths) -> None:
        super().__init__()
        usual = {unit: channels / len(space.groups) for unit, channels in space.free_units.items()}
        self.space = space.only([group]).resized(widest)
        self._ends = {unit: len(channels) for unit, channels in self.space.fixed.items()}
        usual.update(self._ends)
        self.blocks = nn.ModuleDict(
            {
                module_name(block.name): nn.ModuleList(
                    SlimmableLayer(layer, min(usual[layer.in_unit], layer.in_channels))
                    for layer in block.layers
                )
                for block in self.space.blocks
            }
        )

    def forward(self, x: Tensor, widths: Widths) -> Tensor:
        """Map the group's ``(N, C_in, H, W)`` to its ``(N, outputs)``.

        Args:
            x: The group's channels of the network's input.
            widths: Channels of every free unit, at least 1 and at most the widest.
        """
        sizes = {**self._ends, **widths}

        def compute(block: Block, x: Tensor) -> Tensor:
            for module in self.layers_of(block):
                layer = module.layer
                x = module(x, sizes[layer.in_unit], sizes[layer.out_unit])
            return x

        return run_blocks(self.space.blocks, x, compute)

    def layers_of(self, block: Block) -> list[SlimmableLayer]:
        """Return the layers of a block, first to last."""
        modules = cast(nn.ModuleList, self.blocks[module_name(block.name)])
        return list(modules)  # type: ignore[arg-type]

    @torch.no_grad()
    def start_from(self, values: Tensor | None) -> None:
        """Make the output layer's weights small, and its biases ``values`` ``(outputs,)``."""
        for block in self.space.blocks:
            last = self.layers_of(block)[-1]
            if last.layer.puts_out and last.weight is not None:
                last.weight.mul_(0.01)
                if last.bias is not None and values is not None:
                    last.bias.copy_(values)


class SlimmableNetwork(nn.Module):
    """All groups of a space side by side, each at a size of its own.

    Args:
        space: The space.
        widest: The most channels that a group may have in each free unit.
        start: Where outputs start, ``(outputs,)``; 0 by default.
    """

    def __init__(self, space: SearchSpace, widest: Widths, start: Tensor | None = None) -> None:
        super().__init__()
        self.space = space
        self.parts = nn.ModuleList(SlimmablePart(space, group, widest) for group in space.groups)
        outputs = list(space.outputs.values())
        starts = [None] * len(outputs) if start is None else start.split(outputs)
        for group, values in zip(self._groups(), starts, strict=True):
            group.start_from(values)

    def forward(self, x: Tensor, sizes: Mapping[str, Widths]) -> Tensor:
        """Map ``(N, C_in, H, W)`` to ``(N, outputs)``.

        Args:
            x: The network's input.
            sizes: ``{group: {unit: channels}}``.
        """
        pieces = x.split(list(self.space.inputs.values()), dim=1)
        triples = zip(self.space.groups, self._groups(), pieces, strict=True)
        return torch.cat([module(piece, sizes[group]) for group, module, piece in triples], dim=1)

    @torch.no_grad()
    def plain(self, allocation: Allocation) -> GroupedNetwork:
        """Return an allocation's derived network with these weights, their device and dtype.

        In training mode its outputs are the slimmable network's at the same sizes, as long as no
        group is wider than the widest. BatchNorm's running statistics are fresh: collect them
        before it is evaluated.
        """
        space, counts = allocation.space, allocation.grouping.counts()
        with torch.random.fork_rng():  # the fresh weights are overwritten
            network = allocation.build()
        some = next(self.parameters())
        network.to(some.device, some.dtype)
        rows = [
            [layer for block in space.blocks for layer in group.layers_of(block)]
            for group in self._groups()
        ]
        for (layer, target), *sources in zip(network.layers(), *rows, strict=True):
            pieces = []
            for group, source in zip(self.space.groups, sources, strict=True):
                outputs = self._width(counts, group, layer.out_unit)
                weight, bias = source.cut(self._width(counts, group, layer.in_unit), outputs)
                norm = {}
                if layer.norm:
                    norm = {"weight": source.scale[:outputs], "bias": source.shift[:outputs]}
                pieces.append(GroupWeights(weight, bias, norm))
            write_pieces(layer, target, pieces)
        return network

    def _width(self, counts: Mapping[str, Widths], group: str, unit: str) -> int:
        if unit in counts:
            return counts[unit][group]
        return self.space.fixed[unit].count(self.space.groups.index(group))

    def _groups(self) -> list[SlimmablePart]:
        return list(self.parts)  # type: ignore[arg-type]
