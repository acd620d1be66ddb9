"""Networks whose layers have numbers of groups of their own, and their costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from groupnas.nn.kronecker import (
    KroneckerFactors,
    group_count,
    grouped_convolution,
    kronecker_factors,
)
from groupnas.spaces.layer import Layer
from groupnas.spaces.measure import Measure, measure
from groupnas.spaces.modules import tail
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.operations import ActivationAlone, Conv, Depthwise, Linear, Pooling
from groupnas.spaces.rooms import Room
from groupnas.spaces.space import SearchSpace

Gates = Mapping[str, tuple[int, ...]]

# Whether an operation's number of groups is open
OPEN: Room[bool] = Room("the Kronecker design", f"{__name__}.OPEN")
OPEN.register(Conv)(True)
OPEN.register(ActivationAlone, Depthwise, Linear, Pooling)(False)


@dataclass(frozen=True)
class KroneckerDesign:
    """A network in which every convolution has a number of groups of its own.

    Attributes:
        space: Gives layers and widths; its groups share all channels between input and output.
        gates: 0 or 1 for every square factor of every convolution, by the layer's name; see
            :mod:`groupnas.nn.kronecker`.
        grouping: None: channels belong to none of the space's groups.
    """

    space: SearchSpace
    gates: Gates
    grouping: None = None

    def groups(self) -> dict[str, int]:
        """Return the number of groups of every convolution that mixes channels."""
        return {
            layer.name: group_count(factors(layer), self.gates[layer.name])
            for layer in convolutions(self.space)
        }

    def costs(self, by: str | Measure = "mac") -> dict[str, float]:
        """Return the whole network's cost, under the name ``all``."""
        return {"all": network_cost(self.space, self.groups(), measure(by))}

    def build(self, start: Tensor | None = None) -> nn.Module:
        """Build it of plain grouped convolutions with fresh weights; see :class:`Design`."""
        network = network_of(
            self.space,
            lambda layer: grouped_convolution(
                layer.in_channels, layer.out_channels, gates=self.gates[layer.name], **window(layer)
            ),
        )
        network.initialise(start)
        return network


def convolutions(space: SearchSpace) -> list[Layer]:
    """Return the layers whose number of groups is open."""
    return [layer for layer in space.layers if OPEN[layer.operation]]


def factors(layer: Layer) -> KroneckerFactors:
    """Return the factors of a convolution's two widths."""
    return kronecker_factors(layer.out_channels, layer.in_channels)


def window(layer: Layer) -> dict[str, Any]:
    """Return keyword arguments of a convolution that learns, or has, a number of groups."""
    return {**layer.window, "bias": layer.bias}


def network_of(space: SearchSpace, convolution: Callable[[Layer], nn.Module]) -> GroupedNetwork:
    """Return the space's ungrouped network, its mixing convolutions made by ``convolution``."""

    def module(layer: Layer) -> nn.Module:
        if OPEN[layer.operation]:
            return nn.Sequential(convolution(layer), *tail(layer))
        op = layer.operation.dense(layer, layer.in_channels, layer.out_channels)
        if layer.operation.flat:
            op = nn.Sequential(nn.Flatten(), op)
        return nn.Sequential(op, *tail(layer))

    blocks = (nn.Sequential(*map(module, block.layers)) for block in space.blocks)
    return GroupedNetwork(space.blocks, blocks)


def network_cost(space: SearchSpace, groups: Mapping[str, Any], by: Measure) -> Any:
    """Return the network's cost with so many groups a convolution: numbers, or tensors."""
    return sum(
        by.fixed(layer)
        + groups.get(layer.name, 1)
        * by.of_layer(
            layer,
            layer.in_channels / groups.get(layer.name, 1),
            layer.out_channels / groups.get(layer.name, 1),
        )
        for layer in space.layers
    )
