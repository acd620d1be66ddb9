"""The derived network: a grouping as a plain module, with no masks left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, cast, overload

import torch
from torch import Tensor, nn

from groupnas.errors import InputError
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.layer import Layer
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.pieces import GroupWeights, of_channels, read_norm, write_pieces
from groupnas.spaces.supernet import MaskedLayer, Supernet
from groupnas.values import instance

NetworkT = TypeVar("NetworkT", bound=nn.Module)

# What a convolution or a pooling does, beside its weights
_WINDOW = ("kernel_size", "stride", "padding", "dilation", "padding_mode", "ceil_mode")


@overload
def derive(net: Supernet, *, groups: Sequence[str] | None = None) -> GroupedNetwork: ...


@overload
def derive(
    net: Supernet,
    *,
    groups: Sequence[str] | None = None,
    planner: Callable[[GroupedNetwork], NetworkT],
) -> NetworkT: ...


def derive(
    net: Supernet,
    *,
    groups: Sequence[str] | None = None,
    planner: Callable[[GroupedNetwork], nn.Module] | None = None,
) -> nn.Module:
    """The supernet's grouping as a plain network with inherited weights.

    Its outputs equal the supernet's in evaluation mode. The supernet is not changed; the result
    has its mode, device and dtype.

    Args:
        net: A supernet; what its masks say, or what is pinned, becomes the grouping.
        groups: Derive these groups alone; see :meth:`GroupedNetwork.only`.
        planner: Lays the result out for speed, such as
            :class:`groupnas.deploy.planner.LayoutPlanner`. Without one it can be trained on.

    Raises:
        InputError: no supernet, a group that is not one of its own, or masks that say nothing, as
            they are NaN or on the meta device.
    """
    instance("net", net, Supernet)
    network = _inherited(net)
    if groups is not None:
        network = network.only(groups)
    return network if planner is None else planner(network)


@torch.no_grad()
def _inherited(net: Supernet) -> GroupedNetwork:
    found = Allocation(net.space, net.grouping())
    weight = next(net.weight_parameters())
    device = weight.device
    # The fresh weights are overwritten; nobody's draws should shift
    with torch.random.fork_rng(), device:
        network = found.build().to(weight.dtype)
    members = {
        unit: [torch.tensor(channels, device=device) for channels in groups]
        for unit, groups in found.members().items()
    }
    sources = [module for _, modules in net.layers_by_block() for module in modules]
    for source, (layer, target) in zip(sources, network.layers(), strict=True):
        _check_operator(layer, source.op, 1 if layer.joint else len(net.space.groups))
        write_pieces(layer, target, _pieces(layer, source, members))
    return network.train(net.training)


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


def _pieces(
    layer: Layer, source: MaskedLayer, members: dict[str, list[Tensor]]
) -> list[GroupWeights]:
    """Return each share of a masked layer: its rows of the columns that it reads."""
    inputs, outputs = members[layer.in_unit], members[layer.out_unit]
    if layer.joint:
        inputs = [torch.cat(inputs)] * len(outputs)
    state, settings = read_norm(layer, source.tail)
    pieces = []
    for rows, columns in zip(outputs, inputs, strict=True):
        weight = bias = None
        if layer.operation.weighted:
            weight = layer.operation.weight(layer, source.op)[rows]
            if layer.mixes_channels:
                weight = weight[:, columns]
            if source.op.bias is not None:
                bias = of_channels(layer, cast(Tensor, source.op.bias))[rows]
        norms = {
            name: of_channels(layer, value)[rows] if value.dim() else value
            for name, value in state.items()
        }
        pieces.append(GroupWeights(weight, bias, norms, settings))
    return pieces
