"""The network that a plan lays out: plain convolutions, BatchNorm in their weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from groupnas.deploy.plan import LayerPlan, Plan
from groupnas.spaces.derive import GroupedNetwork
from groupnas.spaces.layer import Block, Layer
from groupnas.spaces.modules import activation, channelwise, module_name, run_blocks
from groupnas.spaces.pieces import Piece, read_pieces

Operator = nn.Conv2d | nn.Linear


class DeployedNetwork(nn.Module):
    """A derived network as it is deployed; to be evaluated, not trained.

    Args:
        network: What it computes; its weights are copied.
        plan: How; of this network.
    """

    def __init__(self, network: GroupedNetwork, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.input_shape = network.input_shape
        self._blocks = network.plan
        layers = iter(zip(plan.layers, network.layers(), strict=True))
        self.blocks = nn.ModuleDict(
            {
                module_name(block.name): nn.Sequential(
                    *(
                        _module(one, _folded(one.layer, module, network.sizes))
                        for one, (_, module) in (next(layers) for _ in block.layers)
                    )
                )
                for block in network.plan
            }
        )
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C_in, H, W)`` to ``(N, outputs)``."""
        return run_blocks(self._blocks, x, self._compute)

    def _compute(self, block: Block, x: Tensor) -> Tensor:
        return cast(Tensor, self.blocks[module_name(block.name)](x))


@torch.no_grad()
def _folded(layer: Layer, module: nn.Sequential, sizes: dict[str, tuple[int, ...]]) -> list[Piece]:
    """What each group owns of a layer, with the BatchNorm behind it in weight and bias."""
    pieces = read_pieces(layer, module, sizes[layer.out_unit])
    return [_fold(piece) for piece in pieces] if layer.norm else pieces


def _fold(piece: Piece) -> Piece:
    """In double precision: what is lost, is lost once, by rounding the result."""
    norm = {name: value.double() for name, value in piece.norm.items()}
    assert piece.weight is not None
    scale = norm.get("weight", 1.0) / (norm["running_var"] + piece.settings["eps"]).sqrt()
    weight = piece.weight.double() * scale.view(-1, *[1] * (piece.weight.dim() - 1))
    bias = 0.0 if piece.bias is None else piece.bias.double()
    bias = norm.get("bias", 0.0) + (bias - norm["running_mean"]) * scale
    return Piece(weight.to(piece.weight.dtype), bias.to(piece.weight.dtype))


def _module(plan: LayerPlan, pieces: list[Piece]) -> nn.Sequential:
    layer = plan.layer
    if layer.op in ("avgpool", "maxpool"):
        return nn.Sequential(channelwise(layer), *activation(layer))
    flat = [nn.Flatten()] if layer.op == "linear" else []
    if plan.form == "split":
        return nn.Sequential(*flat, _split(plan, pieces))
    return nn.Sequential(*flat, _joint(plan, pieces), *activation(layer))


@torch.no_grad()
def _zeros(layer: Layer, inputs: int, outputs: int, groups: int, like: Piece) -> Operator:
    """A layer's operator of another size, its weights all 0."""
    assert like.weight is not None
    some: dict[str, Any] = {
        "bias": like.bias is not None,
        "dtype": like.weight.dtype,
        "device": like.weight.device,
    }
    operator: Operator
    if layer.op == "linear":
        operator = nn.Linear(inputs * layer.positions, outputs, **some)
    else:
        operator = nn.Conv2d(inputs, outputs, groups=groups, **some, **layer.window)
    for parameter in operator.parameters():
        parameter.zero_()
    return operator


@torch.no_grad()
def _write(operator: Operator, piece: Piece, row: int, column: int) -> None:
    """Put a group's weights where its channels are."""
    assert piece.weight is not None
    rows = slice(row, row + len(piece.weight))
    operator.weight[rows, column : column + piece.weight.shape[1]] = piece.weight
    if operator.bias is not None:
        operator.bias[rows] = cast(Tensor, piece.bias)


def _joint(plan: LayerPlan, pieces: list[Piece]) -> Operator:
    """One operator for all groups: each group's weights where its channels are."""
    ends = plan.inputs.channels, plan.outputs.channels
    operator = _zeros(plan.layer, *ends, plan.groups, pieces[0])
    for group, piece in enumerate(pieces):
        column = 0
        if plan.form != "channelwise":
            column = plan.inputs.places[group].start
            if plan.groups > 1:  # a convolution's weights count from its group's first channel
                column -= plan.inputs.bucket_start(group)
        _write(operator, piece, plan.outputs.places[group].start, column * plan.layer.positions)
    return operator


def _split(plan: LayerPlan, pieces: list[Piece]) -> SplitLayer:
    """Each group's own layer; padding belongs to the group before it."""
    layer, inputs, outputs = plan.layer, plan.inputs, plan.outputs
    parts = []
    for group, channels in zip(inputs.order, inputs.slots, strict=True):
        slot = outputs.slots[outputs.order.index(group)]
        part = _zeros(layer, channels, slot, 1, pieces[group])
        _write(part, pieces[group], 0, 0)
        # Each with its own activation, which runtimes compute together with it
        parts.append(nn.Sequential(part, *activation(layer)))
    order = [inputs.order.index(group) for group in outputs.order]
    return SplitLayer([channels * layer.positions for channels in inputs.slots], parts, order)


class SplitLayer(nn.Module):
    """A layer for each group: the input in pieces, the outputs joined in another order.

    Args:
        sizes: Channels of each piece of the input, or features where it is flattened.
        parts: The layer of each piece.
        order: The parts' indices in the order of their outputs.
    """

    def __init__(self, sizes: Sequence[int], parts: Sequence[nn.Module], order: Sequence[int]):
        super().__init__()
        self.sizes, self.order = list(sizes), list(order)
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, sum(sizes), H, W)`` or ``(N, sum(sizes))`` to all outputs."""
        pieces = zip(self.parts, x.split(self.sizes, dim=1), strict=True)
        outputs = [part(piece) for part, piece in pieces]
        return torch.cat([outputs[index] for index in self.order], dim=1)
