"""The derived network: a grouping as a plain module, with no masks left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar, cast, overload

import torch
from torch import Tensor, nn

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.grouping import Grouping
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.initial import init_plain
from groupnas.spaces.layer import Block, Layer
from groupnas.spaces.modules import module_name, run_blocks
from groupnas.spaces.pieces import Piece, plain_layer, read_norm, read_pieces, write_pieces
from groupnas.spaces.space import SearchSpace
from groupnas.spaces.supernet import MaskedLayer, Supernet
from groupnas.values import instance, names

Network = TypeVar("Network", bound=nn.Module)

# What a convolution or a pooling does, beside its weights
_WINDOW = ("kernel_size", "stride", "padding", "dilation", "padding_mode", "ceil_mode")


class GroupedNetwork(nn.Module):
    """Blocks of plain layers, each of which reads an earlier one.

    Args:
        plan: The space's blocks: who reads whom.
        modules: The layers of each, in the same order.
        groups: Names of the groups that do not see each other; empty where parts share channels.
        sizes: ``{unit: (channels of each group, ...)}``, all units; likewise.
    """

    def __init__(
        self,
        plan: Sequence[Block],
        modules: Iterable[nn.Module],
        groups: Sequence[str] = (),
        sizes: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        self.plan = tuple(plan)
        self.groups = tuple(groups)
        self.sizes = {unit: tuple(channels) for unit, channels in (sizes or {}).items()}
        names = (module_name(block.name) for block in self.plan)
        self.blocks = nn.ModuleDict(dict(zip(names, modules, strict=True)))

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an input."""
        first = self.plan[0].layers[0]
        return (first.in_channels, *first.in_size)

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

    def layers(self) -> list[tuple[Layer, nn.Sequential]]:
        """Every layer with its module, input to output."""
        modules = (cast(nn.Sequential, block) for block in self.blocks.values())
        return [
            (layer, cast(nn.Sequential, module))
            for block, made in zip(self.plan, modules, strict=True)
            for layer, module in zip(block.layers, made, strict=True)
        ]

    def only(self, parts: Sequence[str]) -> GroupedNetwork:
        """Some groups alone, with copies of their weights: inputs and outputs are theirs only.

        Args:
            parts: Names; the result has them in this network's order.

        Raises:
            InputError: no part, one that is not a group, or a network whose parts share channels.
        """
        if not self.groups:
            raise InputError("parts: the network's parts share channels; none can be taken alone")
        parts = names("parts", parts)
        for part in parts:
            if part not in self.groups:
                raise InputError(f"parts: {part!r}: {nearest(part, self.groups)}")
        if not parts:
            raise InputError(f"parts: expected at least one of {', '.join(self.groups)}")
        kept = [index for index, group in enumerate(self.groups) if group in parts]
        sizes = {unit: [row[index] for index in kept] for unit, row in self.sizes.items()}
        weight = next(self.parameters())
        with weight.device:
            network = _assemble(self.plan, [self.groups[index] for index in kept], sizes)
        network.to(weight.dtype).train(self.training)
        for (layer, source), (_, target) in zip(self.layers(), network.layers(), strict=True):
            pieces = read_pieces(layer, source, self.sizes[layer.out_unit])
            write_pieces(layer, target, [pieces[index] for index in kept])
        return network

    def _compute(self, block: Block, x: Tensor) -> Tensor:
        return cast(Tensor, self.blocks[module_name(block.name)](x))


def build(allocation: Allocation, start: Tensor | None = None) -> GroupedNetwork:
    """The plain network of an allocation with fresh weights (MSRA, each group's own fan-in).

    The output layer's weights are a hundredth of that, and its biases are ``start`` ``(outputs,)``,
    0 by default: training starts from outputs near there.
    Channels are ordered by group inside each unit, so that groups are contiguous; inputs and
    outputs keep their order. Maps ``(N, C_in, H, W)`` to ``(N, outputs)``.
    """
    instance("allocation", allocation, Allocation)
    space = allocation.space
    members = _members(space, allocation.grouping)
    sizes = {unit: list(map(len, groups)) for unit, groups in members.items()}
    network = _assemble(space.blocks, space.groups, sizes)
    network.initialise(start)
    return network


@overload
def derive(net: Supernet, *, parts: Sequence[str] | None = None) -> GroupedNetwork: ...


@overload
def derive(
    net: Supernet,
    *,
    parts: Sequence[str] | None = None,
    planner: Callable[[GroupedNetwork], Network],
) -> Network: ...


def derive(
    net: Supernet,
    *,
    parts: Sequence[str] | None = None,
    planner: Callable[[GroupedNetwork], nn.Module] | None = None,
) -> nn.Module:
    """The supernet's grouping as a plain network with inherited weights.

    Its outputs equal the supernet's in evaluation mode. The supernet is not changed; the result
    has its mode, device and dtype.

    Args:
        net: A supernet; what its masks say, or what is pinned, becomes the grouping.
        parts: Derive these groups alone; see :meth:`GroupedNetwork.only`.
        planner: Lays the result out for speed, such as
            :class:`groupnas.deploy.planner.LayoutPlanner`. Without one it can be trained on.

    Raises:
        InputError: no supernet, a part that is not one of the groups, or masks that say nothing, as
            they are NaN or on the meta device.
    """
    instance("net", net, Supernet)
    network = _inherited(net)
    if parts is not None:
        network = network.only(parts)
    return network if planner is None else planner(network)


@torch.no_grad()
def _inherited(net: Supernet) -> GroupedNetwork:
    grouping = net.grouping()
    weight = next(net.weight_parameters())
    device = weight.device
    # The fresh weights are overwritten; nobody's draws should shift
    with torch.random.fork_rng(), device:
        network = build(Allocation(net.space, grouping)).to(weight.dtype)
    members = {
        unit: [torch.tensor(channels, device=device) for channels in groups]
        for unit, groups in _members(net.space, grouping).items()
    }
    sources = [module for _, modules in net.layers_by_block() for module in modules]
    for source, (layer, target) in zip(sources, network.layers(), strict=True):
        _check_operator(layer, source.op, len(net.space.groups))
        write_pieces(layer, target, _pieces(layer, source, members))
    return network.train(net.training)


def _assemble(
    blocks: Sequence[Block], groups: Sequence[str], sizes: Mapping[str, Sequence[int]]
) -> GroupedNetwork:
    """The network of some sizes; the layers that it keeps are as wide as these."""
    fitted = [
        replace(
            block,
            layers=tuple(
                replace(
                    layer,
                    in_channels=sum(sizes[layer.in_unit]),
                    out_channels=sum(sizes[layer.out_unit]),
                )
                for layer in block.layers
            ),
        )
        for block in blocks
    ]
    modules = [
        nn.Sequential(
            *(plain_layer(layer, sizes[layer.in_unit], sizes[layer.out_unit]) for layer in b.layers)
        )
        for b in fitted
    ]
    return GroupedNetwork(fitted, modules, groups, sizes)


def _members(space: SearchSpace, grouping: Grouping) -> dict[str, list[list[int]]]:
    """The channels of every group in every unit: ``{unit: [[channel, ...], ...]}``."""
    return {
        unit: [
            [channel for channel, owner in enumerate(assignment) if owner == group]
            for group in range(len(space.groups))
        ]
        for unit, assignment in {**space.fixed, **grouping.assignments}.items()
    }


def _check_operator(layer: Layer, found: nn.Module, groups: int) -> None:
    """Raise :class:`InputError` where a layer has another operator than the space gave it."""
    with torch.device("meta"):
        made = layer.operation.masked(layer, groups)
    same = [getattr(found, name, None) == getattr(made, name, None) for name in _WINDOW]
    same.append((getattr(found, "bias", None) is None) == (getattr(made, "bias", None) is None))
    if not isinstance(found, type(made)) or not all(same):
        raise InputError(
            f"{layer.name}: the space has {made}, the network {found}, which cannot be carried "
            "over; change the space instead"
        )


def _pieces(layer: Layer, source: MaskedLayer, members: dict[str, list[Tensor]]) -> list[Piece]:
    """What each group owns of a masked layer: its rows of its columns."""
    inputs, outputs = members[layer.in_unit], members[layer.out_unit]
    state, settings = read_norm(layer, source.tail)
    pieces = []
    for rows, columns in zip(outputs, inputs, strict=True):
        weight = bias = None
        if layer.operation.weighted:
            weight = layer.operation.weight(layer, source.op)[rows]
            if layer.mixes_channels:
                weight = weight[:, columns]
            if source.op.bias is not None:
                bias = cast(Tensor, source.op.bias)[rows]
        norms = {name: value[rows] if value.dim() else value for name, value in state.items()}
        pieces.append(Piece(weight, bias, norms, settings))
    return pieces
