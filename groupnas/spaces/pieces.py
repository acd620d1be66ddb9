"""The plain layers of a derived network, and the weights of each group in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from groupnas.errors import InputError
from groupnas.nn import UnevenGroupConv2d, UnevenGroupLinear
from groupnas.spaces.layer import Layer
from groupnas.spaces.modules import channelwise, norm_behind, tail


@dataclass(frozen=True)
class Piece:
    """One group's share of a layer, with a inputs and b outputs of its own.

    Attributes:
        weight: ``(b, a, k, k)``, ``(b, 1, k, k)`` where each channel is kept to itself,
            ``(b, a P)`` of a linear layer that sees P positions; ``None`` of a pooling.
        bias: ``(b,)``, if there is one.
        norm: What is known of the BatchNorm behind it, by its state's names, ``(b,)`` each.
        settings: Likewise, its ``eps`` and ``momentum``.
    """

    weight: Tensor | None = None
    bias: Tensor | None = None
    norm: dict[str, Tensor] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


def plain_layer(layer: Layer, inputs: Sequence[int], outputs: Sequence[int]) -> nn.Sequential:
    """The module of a layer whose groups are contiguous and do not see each other.

    Args:
        layer: Its shape; BatchNorm and activation are part of it.
        inputs: Input channels of each group.
        outputs: Output channels of each group; the inputs' where each channel is kept to itself.
    """
    if not layer.mixes_channels:
        return nn.Sequential(channelwise(layer), *tail(layer))
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


def read_norm(layer: Layer, parts: Iterable[nn.Module]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State and settings of the BatchNorm behind a layer, both empty where there is none.

    Raises:
        InputError: as :func:`groupnas.spaces.modules.norm_behind`.
    """
    norm = norm_behind(layer, parts)
    if norm is None:
        return {}, {}
    return norm.state_dict(), {"eps": norm.eps, "momentum": norm.momentum}


def read_pieces(layer: Layer, module: nn.Sequential, outputs: Sequence[int]) -> list[Piece]:
    """What each group owns of a module that :func:`plain_layer` made; views, no copies.

    Args:
        layer: Its shape.
        module: Of the layer.
        outputs: Output channels of each group.

    Raises:
        InputError: somebody replaced a part of it by something else.
    """
    operator, *behind = _parts(module)
    state, settings = read_norm(layer, behind)
    count = len(outputs)
    weights: Sequence[Tensor | None] = [None] * count
    biases: Sequence[Tensor | None] = [None] * count
    if isinstance(operator, (UnevenGroupConv2d, UnevenGroupLinear)):
        weights = [part.weight for part in operator.parts]  # type: ignore[misc]
        biases = [part.bias for part in operator.parts]  # type: ignore[misc]
    elif isinstance(operator, (nn.Conv2d, nn.Linear)):
        weights = operator.weight.split(list(outputs))
        if operator.bias is not None:
            biases = operator.bias.split(list(outputs))
    elif layer.op not in ("avgpool", "maxpool"):
        raise InputError(f"{layer.name}: weights of a {type(operator).__name__} cannot be read")
    norms: list[dict[str, Tensor]] = [{} for _ in outputs]
    for name, value in state.items():
        values = value.split(list(outputs)) if value.dim() else [value] * count
        for norm, own in zip(norms, values, strict=True):
            norm[name] = own
    return [Piece(*piece, settings) for piece in zip(weights, biases, norms, strict=True)]


@torch.no_grad()
def write_pieces(module: nn.Sequential, pieces: Sequence[Piece]) -> None:
    """Copy what each group owns into a module that :func:`plain_layer` made."""
    operator, *behind = _parts(module)
    norm = next((part for part in behind if isinstance(part, nn.BatchNorm2d)), None)
    parts = [operator]
    if isinstance(operator, (UnevenGroupConv2d, UnevenGroupLinear)):
        parts = list(operator.parts)
    for name in ("weight", "bias"):
        values = [getattr(piece, name) for piece in pieces]
        present = [value for value in values if value is not None]
        if present:
            _fill([getattr(part, name) for part in parts], present)
    if norm is not None:
        state = norm.state_dict()
        for name in pieces[0].norm:
            owned = [piece.norm[name] for piece in pieces]
            _fill([state[name]], owned if state[name].dim() else owned[:1])
        vars(norm).update(pieces[0].settings)


def _parts(module: nn.Sequential) -> list[nn.Module]:
    """The operator, and what is behind it."""
    return [part for part in module if not isinstance(part, nn.Flatten)]


def _fill(targets: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Copy one value to each target, or all of them, group after group, to the only one."""
    pieces = values if len(targets) == len(values) else [torch.cat(list(values))]
    for target, piece in zip(targets, pieces, strict=True):
        target.copy_(piece.reshape(target.shape))
