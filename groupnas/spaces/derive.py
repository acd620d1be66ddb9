"""The derived network: a grouping as a plain module, with no masks left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from groupnas.grouping import Grouping
from groupnas.nn import MaskedConv2d, MaskedLinear, UnevenGroupConv2d, UnevenGroupLinear
from groupnas.spaces.layer import Block, Layer
from groupnas.spaces.modules import channelwise, init_plain, module_name, run_blocks, tail
from groupnas.spaces.space import SearchSpace
from groupnas.spaces.supernet import MaskedLayer, Supernet


class GroupedNetwork(nn.Module):
    """Blocks of plain layers, each of which reads an earlier one.

    Args:
        plan: The space's blocks: who reads whom.
        modules: The layers of each, in the same order.
    """

    def __init__(self, plan: Sequence[Block], modules: Iterable[nn.Module]) -> None:
        super().__init__()
        self.plan = tuple(plan)
        names = (module_name(block.name) for block in self.plan)
        self.blocks = nn.ModuleDict(dict(zip(names, modules, strict=True)))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C_in, H, W)`` to ``(N, outputs)``."""
        return run_blocks(self.plan, x, self._compute)

    def initialise(self, start: Tensor | None = None) -> None:
        """Draw fresh weights (MSRA), the output's a hundredth of that, with biases ``start``.

        Training then begins from outputs near ``start`` ``(outputs,)``, 0 by default.
        """
        init_plain(self)
        for block, module in zip(self.plan, self.blocks.values(), strict=True):
            if block.layers[-1].out_unit != "output":
                continue
            for parameter in module.parameters():
                parameter.data.mul_(0.01)
            biases = [value for name, value in module.named_parameters() if name.endswith("bias")]
            if start is not None and biases:
                for bias, values in zip(biases, start.split(list(map(len, biases))), strict=True):
                    bias.data.copy_(values)

    def _compute(self, block: Block, x: Tensor) -> Tensor:
        return cast(Tensor, self.blocks[module_name(block.name)](x))


def build(space: SearchSpace, grouping: Grouping, start: Tensor | None = None) -> GroupedNetwork:
    """The plain network of a grouping with fresh weights (MSRA, each group's own fan-in).

    The output layer's weights are a hundredth of that, and its biases are ``start`` ``(outputs,)``,
    0 by default: training starts from outputs near there.
    Channels are ordered by group inside each unit, so that groups are contiguous; inputs and
    outputs keep their order. Maps ``(N, C_in, H, W)`` to ``(N, outputs)``.

    Raises:
        InputError: the grouping does not fit the space.
    """
    grouping.check_fits(space)
    members = _members(space, grouping)
    network = GroupedNetwork(
        space.blocks,
        [
            nn.Sequential(*(_plain_layer(layer, members) for layer in block.layers))
            for block in space.blocks
        ],
    )
    network.initialise(start)
    return network


@torch.no_grad()
def derive(net: Supernet) -> GroupedNetwork:
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
    plain = network.blocks.values()
    for (block, sources), targets in zip(net.layers_by_block(), plain, strict=True):
        triples = zip(block.layers, sources, cast(nn.Sequential, targets), strict=True)
        for layer, source, target in triples:
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
        if len(features) == 1:
            linear = nn.Linear(features[0], outputs[0], bias=layer.bias)
            return nn.Sequential(nn.Flatten(), linear, *tail(layer))
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
    plain, *plain_tail = (part for part in target if not isinstance(part, nn.Flatten))
    if isinstance(source.op, (MaskedConv2d, MaskedLinear, nn.Conv2d)):  # pooling has no weights
        weight, bias = source.op.weight, source.op.bias
        if layer.op == "linear":
            weight = weight.view(layer.out_channels, layer.in_channels, layer.positions)
        weights = [
            weight[rows][:, columns] if layer.mixes_channels else weight[rows]
            for rows, columns in zip(outputs, inputs, strict=True)
        ]
        if isinstance(plain, (UnevenGroupConv2d, UnevenGroupLinear)):
            pieces: list[Any] = list(zip(plain.parts, weights, outputs, strict=True))
        else:
            pieces = [(plain, torch.cat(weights), order)]
        for part, value, rows in pieces:
            part.weight.copy_(value.reshape(part.weight.shape))
            if bias is not None:
                part.bias.copy_(bias[rows])
    for norm, plain_norm in zip(source.tail, plain_tail, strict=True):
        if isinstance(norm, nn.BatchNorm2d):
            state = norm.state_dict()
            plain_norm.load_state_dict({k: v[order] if v.dim() else v for k, v in state.items()})
