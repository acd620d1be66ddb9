"""The derived network: a grouping as a plain module, with no masks left."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from groupnas.grouping import Grouping
from groupnas.nn import MaskedConv2d, MaskedLinear, UnevenGroupConv2d, UnevenGroupLinear
from groupnas.spaces.layer import Layer
from groupnas.spaces.modules import channelwise, init_plain, module_name, tail
from groupnas.spaces.space import SearchSpace
from groupnas.spaces.supernet import MaskedLayer, Supernet


class GroupedBlock(nn.Sequential):
    """Layers in sequence; with ``residual``, the input is added to the output."""

    def __init__(self, *layers: nn.Module, residual: bool) -> None:
        super().__init__(*layers)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return x + y if self.residual else y


def build(space: SearchSpace, grouping: Grouping) -> nn.Sequential:
    """The plain network of a grouping with fresh weights (MSRA, each group's own fan-in).

    Channels are ordered by group inside each unit, so that groups are contiguous; inputs and
    outputs keep their order. Maps ``(N, C_in, H, W)`` to ``(N, outputs)``.

    Raises:
        InputError: the grouping does not fit the space.
    """
    grouping.check_fits(space)
    members = _members(space, grouping)
    network = nn.Sequential()
    for block in space.blocks:
        layers = [_plain_layer(layer, members) for layer in block.layers]
        network.add_module(module_name(block.name), GroupedBlock(*layers, residual=block.residual))
    init_plain(network)
    return network


@torch.no_grad()
def derive(net: Supernet) -> nn.Sequential:
    """The supernet's grouping as a plain network with inherited weights.

    Its outputs equal the supernet's in evaluation mode. The supernet is not changed; the result
    has its mode, device and dtype.
    """
    grouping = net.grouping()
    weight = next(net.weight_parameters())
    device = weight.device
    with torch.random.fork_rng():  # the fresh weights are overwritten; nobody's draws should shift
        network = build(net.space, grouping).to(device, weight.dtype)
    members = {
        unit: [torch.tensor(channels, device=device) for channels in groups]
        for unit, groups in _members(net.space, grouping).items()
    }
    for (block, masked), plain in zip(net.layers_by_block(), network, strict=True):
        for layer, source, target in zip(
            block.layers, masked, cast(GroupedBlock, plain), strict=True
        ):
            _inherit(layer, source, cast(nn.Sequential, target), members)
    return network.train(net.training)


def _members(space: SearchSpace, grouping: Grouping) -> dict[str, list[list[int]]]:
    """The channels of every group in every unit: ``{unit: [[channel, ...], ...]}``."""
    return {
        unit: [
            [channel for channel, owner in enumerate(assignment) if owner == group]
            for group in range(len(space.groups))
        ]
        for unit, assignment in {**space.fixed, **grouping.assignments}.items()
    }


def _plain_layer(layer: Layer, members: dict[str, list[list[int]]]) -> nn.Sequential:
    if not layer.mixes_channels:
        return nn.Sequential(channelwise(layer), *tail(layer))
    inputs = [len(channels) for channels in members[layer.in_unit]]
    outputs = [len(channels) for channels in members[layer.out_unit]]
    if layer.op == "linear":
        features = [channels * layer.positions for channels in inputs]
        return nn.Sequential(UnevenGroupLinear(features, outputs, bias=layer.bias), *tail(layer))
    if len(set(inputs)) == len(set(outputs)) == 1:
        conv: nn.Module = nn.Conv2d(
            sum(inputs), sum(outputs), groups=len(inputs), bias=layer.bias, **layer.window
        )
    else:
        conv = UnevenGroupConv2d(inputs, outputs, bias=layer.bias, **layer.window)
    return nn.Sequential(conv, *tail(layer))


def _inherit(
    layer: Layer, source: MaskedLayer, target: nn.Sequential, members: dict[str, list[Tensor]]
) -> None:
    """Copy one layer's weights: channels in the order of their groups, none across groups."""
    inputs, outputs = members[layer.in_unit], members[layer.out_unit]
    order = torch.cat(outputs)
    if isinstance(source.op, (MaskedConv2d, MaskedLinear, nn.Conv2d)):  # pooling has no weights
        weight, bias = source.op.weight, source.op.bias
        if layer.op == "linear":
            weight = weight.view(layer.out_channels, layer.in_channels, layer.positions)
        weights = [
            weight[rows][:, columns] if layer.mixes_channels else weight[rows]
            for rows, columns in zip(outputs, inputs, strict=True)
        ]
        plain = target[0]
        if isinstance(plain, (UnevenGroupConv2d, UnevenGroupLinear)):
            pieces: list[Any] = list(zip(plain.parts, weights, outputs, strict=True))
        else:
            pieces = [(plain, torch.cat(weights), order)]
        for part, value, rows in pieces:
            part.weight.copy_(value.reshape(part.weight.shape))
            if bias is not None:
                part.bias.copy_(bias[rows])
    for norm, plain_norm in zip(source.tail, list(target)[1:], strict=True):
        if isinstance(norm, nn.BatchNorm2d):
            state = norm.state_dict()
            plain_norm.load_state_dict({k: v[order] if v.dim() else v for k, v in state.items()})
