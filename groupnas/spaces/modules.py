"""Pieces that the supernet and the derived network have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from groupnas.errors import InputError
from groupnas.nn.activation import ReLU6
from groupnas.spaces.layer import INPUT, Block, Layer

_ACTIVATIONS = {
    "relu": nn.ReLU,
    "relu6": ReLU6,
    "hardswish": nn.Hardswish,
}
_SAME = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hardswish": nn.Hardswish}  # whoever made it

# Names that no part of a container can have; found by asking, since PyTorch adds methods.
_TAKEN = frozenset({*dir(nn.ModuleDict()), *dir(nn.Sequential())})


def module_name(name: str) -> str:
    """The name of a block or unit as PyTorch takes it: without dots, none of a container's own.

    Different names stay different: none of ours has a dash.
    """
    return f"{name}-" if name in _TAKEN else name.replace(".", "-")


def run_blocks(
    blocks: Sequence[Block], x: Tensor, compute: Callable[[Block, Tensor], Tensor]
) -> Tensor:
    """The last block's output; each is dropped once its last reader has run.

    Args:
        blocks: Of a space, in its order.
        x: The network's input.
        compute: The layers of a block.
    """
    outputs = {INPUT: x}
    for block in blocks:
        x = compute(block, outputs[block.source])
        if block.plus is not None:
            x = x + outputs[block.plus]
        outputs[block.name] = x
        for name in block.frees:
            del outputs[name]
    return x


def channelwise(layer: Layer) -> nn.Module:
    """The module of a layer that keeps each channel to itself: depthwise or pooling."""
    if layer.op == "depthwise":
        return nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            groups=layer.in_channels,
            bias=layer.bias,
            **layer.window,
        )
    pooling = nn.AvgPool2d if layer.op == "avgpool" else nn.MaxPool2d
    return pooling(layer.kernel, layer.stride)


def tail(layer: Layer) -> list[nn.Module]:
    """BatchNorm and activation behind a layer, where it has them."""
    norm: list[nn.Module] = [nn.BatchNorm2d(layer.out_channels)] if layer.norm else []
    return norm + activation(layer)


def activation(layer: Layer) -> list[nn.Module]:
    """The activation behind a layer, if it has one."""
    # Fresh outputs of the layer before it: nobody else reads them
    return [] if layer.act == "none" else [_ACTIVATIONS[layer.act](inplace=True)]


def norm_behind(layer: Layer, parts: Iterable[nn.Module]) -> _BatchNorm | None:
    """The BatchNorm behind a layer, if it has one; ``nn.SyncBatchNorm`` is one, too.

    Args:
        layer: What the space says.
        parts: The modules behind the operator, which somebody may have replaced.

    Raises:
        InputError: they compute something else than the space says, so that what is made of the
            layer would, too.
    """
    found = [part for part in parts if not isinstance(part, (nn.Identity, _DropoutNd))]
    kinds = ([_BatchNorm] if layer.norm else []) + (
        [_SAME[layer.act]] if layer.act in _SAME else []
    )
    if len(found) != len(kinds) or not all(map(isinstance, found, kinds)):
        wanted, got = (
            " and ".join(names) or "nothing"
            for names in (
                [kind.__name__.strip("_") for kind in kinds],
                [type(part).__name__ for part in found],
            )
        )
        raise InputError(
            f"{layer.name}: the space has {wanted} behind it, the network {got}, which cannot be "
            "carried over; change the space instead"
        )
    norm = found[0] if layer.norm else None
    if norm is not None and norm.running_mean is None:
        raise InputError(
            f"{layer.name}: its BatchNorm keeps no running statistics; expected "
            "track_running_stats=True"
        )
    return norm  # type: ignore[return-value]


def init_plain(module: nn.Module) -> None:
    """MSRA initialisation of plain layers, whose fan-in is their own."""
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
