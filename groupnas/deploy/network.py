"""The network that a plan lays out: plain convolutions, BatchNorm in their weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from groupnas.deploy.plan import LayerPlan, LayoutPlan
from groupnas.spaces.behind import BatchNorm
from groupnas.spaces.layer import Block, Layer
from groupnas.spaces.modules import activation, module_name, run_blocks
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.operations import ActivationAlone, Convolution, Linear, Pooling
from groupnas.spaces.pieces import GroupWeights, read_pieces
from groupnas.spaces.rooms import Room

# The modules of a layer as a plan has it, of what each group owns
LAID_OUT: Room[Callable[[LayerPlan, list[GroupWeights]], list[nn.Module]]] = Room(
    "the layout", f"{__name__}.LAID_OUT"
)
# What a group owns of a layer, with the normalisation behind it in weight and bias
FOLDED: Room[Callable[[GroupWeights], GroupWeights]] = Room("the layout", f"{__name__}.FOLDED")


class DeployedNetwork(nn.Module):
    """A derived network as it is deployed; to be evaluated, not trained.

    Args:
        network: What it computes; its weights are copied.
        plan: How; of this network.
    """

    def __init__(self, network: GroupedNetwork, plan: LayoutPlan) -> None:
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
def _folded(
    layer: Layer, module: nn.Sequential, sizes: dict[str, tuple[int, ...]]
) -> list[GroupWeights]:
    """Return what each group owns of a layer, with its BatchNorm folded into weight and bias."""
    pieces = read_pieces(layer, module, sizes[layer.out_unit])
    norm = layer.normalisation
    return pieces if norm is None else list(map(FOLDED[norm], pieces))


@FOLDED.register(BatchNorm)
def _fold(piece: GroupWeights) -> GroupWeights:
    """In double precision: what is lost, is lost once, by rounding the result."""
    norm = {name: value.double() for name, value in piece.norm.items()}
    assert piece.weight is not None
    scale = norm.get("weight", 1.0) / (norm["running_var"] + piece.settings["eps"]).sqrt()
    weight = piece.weight.double() * scale.view(-1, *[1] * (piece.weight.dim() - 1))
    bias = 0.0 if piece.bias is None else piece.bias.double()
    bias = norm.get("bias", 0.0) + (bias - norm["running_mean"]) * scale
    return GroupWeights(weight.to(piece.weight.dtype), bias.to(piece.weight.dtype))


def _module(plan: LayerPlan, pieces: list[GroupWeights]) -> nn.Sequential:
    return nn.Sequential(*LAID_OUT[plan.layer.operation](plan, pieces))


@LAID_OUT.register(ActivationAlone, Pooling)
def _as_it_is(plan: LayerPlan, _pieces: list[GroupWeights]) -> list[nn.Module]:
    layer = plan.layer
    return [layer.operation.dense(layer, 0, 0), *activation(layer)]


@LAID_OUT.register(Convolution, Linear)
def _weighted(plan: LayerPlan, pieces: list[GroupWeights]) -> list[nn.Module]:
    layer = plan.layer
    flat = [nn.Flatten()] if layer.operation.flat else []
    if plan.form == "split":
        return [*flat, _split(plan, pieces)]
    return [*flat, _joint(plan, pieces), *activation(layer)]


@torch.no_grad()
def _zeros(layer: Layer, inputs: int, outputs: int, groups: int, like: GroupWeights) -> nn.Module:
    """A layer's operator of another size, its weights all 0."""
    assert like.weight is not None
    some: dict[str, Any] = {
        "bias": like.bias is not None,
        "dtype": like.weight.dtype,
        "device": like.weight.device,
    }
    if layer.operation.grouped:
        some["groups"] = groups
    operator = layer.operation.dense(layer, inputs, outputs, **some)
    for parameter in operator.parameters():
        parameter.zero_()
    return operator


@torch.no_grad()
def _write(layer: Layer, operator: nn.Module, piece: GroupWeights, row: int, column: int) -> None:
    """Put a group's weights where its channels are."""
    assert piece.weight is not None
    rows = slice(row, row + len(piece.weight))
    weight = layer.operation.weight(layer, operator)
    weight[rows, column : column + piece.weight.shape[1]] = piece.weight
    if piece.bias is not None:
        cast(Tensor, operator.bias)[rows] = piece.bias


def _joint(plan: LayerPlan, pieces: list[GroupWeights]) -> nn.Module:
    """One operator for all groups: each group's weights where its channels are."""
    ends = plan.inputs.channels, plan.outputs.channels
    operator = _zeros(plan.layer, *ends, plan.groups, pieces[0])
    for group, piece in enumerate(pieces):
        column = 0
        if plan.form != "channelwise":
            column = plan.inputs.places[group].start
            if plan.groups > 1:  # a convolution's weights count from its group's first channel
                column -= plan.inputs.bucket_start(group)
        _write(plan.layer, operator, piece, plan.outputs.places[group].start, column)
    return operator


def _split(plan: LayerPlan, pieces: list[GroupWeights]) -> SplitLayer:
    """Each group's own layer; padding belongs to the group before it."""
    layer, inputs, outputs = plan.layer, plan.inputs, plan.outputs
    layers = []
    for group, channels in zip(inputs.order, inputs.slots, strict=True):
        slot = outputs.slots[outputs.order.index(group)]
        own = _zeros(layer, channels, slot, 1, pieces[group])
        _write(layer, own, pieces[group], 0, 0)
        # Each with its own activation, which runtimes compute together with it
        layers.append(nn.Sequential(own, *activation(layer)))
    order = [inputs.order.index(group) for group in outputs.order]
    each = math.prod(layer.taps) if layer.operation.flat else 1
    return SplitLayer([channels * each for channels in inputs.slots], layers, order)


class SplitLayer(nn.Module):
    """A layer for each group: the input in pieces, the outputs joined in another order.

    Args:
        sizes: Channels of each piece of the input, or features where it is flattened.
        layers: The layer of each piece.
        order: The layers' indices in the order of their outputs.
    """

    def __init__(self, sizes: Sequence[int], layers: Sequence[nn.Module], order: Sequence[int]):
        super().__init__()
        self.sizes, self.order = list(sizes), list(order)
        self.parts = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, sum(sizes), H, W)`` or ``(N, sum(sizes))`` to all outputs."""
        pieces = zip(self.parts, x.split(self.sizes, dim=1), strict=True)
        outputs = [layer(piece) for layer, piece in pieces]
        return torch.cat([outputs[index] for index in self.order], dim=1)
