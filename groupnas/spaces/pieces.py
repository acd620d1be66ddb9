"""The plain layers of a derived network, and the weights of each group in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from groupnas.errors import InputError
from groupnas.spaces.layer import Layer
from groupnas.spaces.modules import norm_behind, tail


@dataclass(frozen=True)
class GroupWeights:
    """One group's share of a layer, with a inputs and b outputs of its own.

    Attributes:
        weight: ``(b, a, *taps)``, with :attr:`Layer.taps`, ``(b, 1, *taps)`` where each channel is
            kept to itself; ``None`` where there are no weights.
        bias: ``(b,)``, if there is one.
        norm: What is known of the normalisation behind it, by its state's names, ``(b,)`` each.
        settings: Likewise, its attributes that are not in its state.
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
    return nn.Sequential(*layer.operation.derived(layer, inputs, outputs), *tail(layer))


def read_norm(layer: Layer, parts: Iterable[nn.Module]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State and settings of the normalisation behind a layer, both empty where there is none.

    Raises:
        InputError: as :func:`groupnas.spaces.modules.norm_behind`.
    """
    norm = norm_behind(layer, parts)
    if norm is None or layer.normalisation is None:
        return {}, {}
    return norm.state_dict(), {name: getattr(norm, name) for name in layer.normalisation.settings}


def read_pieces(layer: Layer, module: nn.Sequential, outputs: Sequence[int]) -> list[GroupWeights]:
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
    if layer.operation.weighted:
        parts = _holders(operator)
        with torch.device("meta"):
            plain = type(layer.operation.dense(layer, 1, 1))
        if len(parts) not in (1, count) or not all(isinstance(part, plain) for part in parts):
            raise InputError(f"{layer.name}: weights of a {type(operator).__name__} cannot be read")
        held = [layer.operation.weight(layer, part) for part in parts]
        weights = held if len(held) == count else held[0].split(list(outputs))
        if parts[0].bias is not None:
            held = [cast(Tensor, part.bias) for part in parts]
            biases = held if len(held) == count else held[0].split(list(outputs))
    norms: list[dict[str, Tensor]] = [{} for _ in outputs]
    for name, value in state.items():
        values = value.split(list(outputs)) if value.dim() else [value] * count
        for norm, own in zip(norms, values, strict=True):
            norm[name] = own
    return [GroupWeights(*piece, settings) for piece in zip(weights, biases, norms, strict=True)]


@torch.no_grad()
def write_pieces(layer: Layer, module: nn.Sequential, pieces: Sequence[GroupWeights]) -> None:
    """Copy what each group owns into a module that :func:`plain_layer` made of the layer."""
    operator, *behind = _parts(module)
    parts = _holders(operator)
    weights = [piece.weight for piece in pieces if piece.weight is not None]
    if weights:
        _fill([layer.operation.weight(layer, part) for part in parts], weights)
    biases = [piece.bias for piece in pieces if piece.bias is not None]
    if biases:
        _fill([cast(Tensor, part.bias) for part in parts], biases)
    if layer.normalisation is not None:
        norm = next(part for part in behind if layer.normalisation.accepts(part))
        state = norm.state_dict()
        for name in pieces[0].norm:
            owned = [piece.norm[name] for piece in pieces]
            _fill([state[name]], owned if state[name].dim() else owned[:1])
        vars(norm).update(pieces[0].settings)


def _holders(operator: nn.Module) -> list[nn.Module]:
    """The modules that hold an operator's weights: each group's, or itself."""
    parts = getattr(operator, "parts", None)
    return list(parts) if isinstance(parts, nn.ModuleList) else [operator]


def _parts(module: nn.Sequential) -> list[nn.Module]:
    """The operator, and what is behind it."""
    return [part for part in module if not isinstance(part, nn.Flatten)]


def _fill(targets: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Copy one value to each target, or all of them, group after group, to the only one."""
    pieces = values if len(targets) == len(values) else [torch.cat(list(values))]
    for target, piece in zip(targets, pieces, strict=True):
        target.copy_(piece)
