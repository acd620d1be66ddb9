"""The layers of a derived network: how they are made, and each group's weights in them."""

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

    A joint layer has one share, of all its channels; a group that reads joint channels reads all.

    Attributes:
        weight: ``(b, a, *taps)``, with :attr:`Layer.taps`, ``(b, 1, *taps)`` where each channel is
            kept to itself; ``None`` where there are no weights.
        bias: ``(b,)``, if there is one; ``(b, n)`` where a channel has n numbers, which
            :meth:`groupnas.spaces.layer.Operation.numbers` says.
        norm: What is known of the normalisation behind it, by its state's names; likewise each.
        settings: Likewise, its attributes that are not in its state.
    """

    weight: Tensor | None = None
    bias: Tensor | None = None
    norm: dict[str, Tensor] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    def cut(self, layer: Layer, inputs: Sequence[int], outputs: Sequence[int]) -> GroupWeights:
        """The share of some of its inputs and outputs alone; their order is the given one."""
        rows, columns = list(outputs), list(inputs)
        weight = None if self.weight is None else self.weight[rows]
        if weight is not None and layer.mixes_channels:
            weight = weight[:, columns]
        bias = None if self.bias is None else self.bias[rows]
        norm = {name: value[rows] if value.dim() else value for name, value in self.norm.items()}
        return GroupWeights(weight, bias, norm, self.settings)


def plain_layer(layer: Layer, inputs: Sequence[int], outputs: Sequence[int]) -> nn.Sequential:
    """The module of a layer whose groups are contiguous and do not see each other.

    Args:
        layer: Its shape; BatchNorm and activation among it.
        inputs: Input channels of each group, or of the one share of a joint end.
        outputs: Output channels, likewise; the inputs' where each channel is kept to itself.
    """
    if layer.joint:
        inputs, outputs = [sum(inputs)], [sum(outputs)]
    return nn.Sequential(*layer.operation.derived(layer, inputs, outputs), *tail(layer))


def of_channels(layer: Layer, values: Tensor) -> Tensor:
    """A view of a bias, or of a normalisation's state, with a row for each output channel."""
    numbers = layer.operation.numbers(layer)
    return values if numbers == 1 else values.unflatten(0, (-1, numbers))


def read_norm(
    layer: Layer, modules: Iterable[nn.Module]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State and settings of the normalisation behind a layer, both empty where there is none.

    Raises:
        InputError: as :func:`groupnas.spaces.modules.norm_behind`.
    """
    norm = norm_behind(layer, modules)
    if norm is None or layer.normalisation is None:
        return {}, {}
    return norm.state_dict(), {name: getattr(norm, name) for name in layer.normalisation.settings}


def read_pieces(layer: Layer, module: nn.Sequential, outputs: Sequence[int]) -> list[GroupWeights]:
    """Return each share of a module that :func:`plain_layer` made; views, no copies.

    Args:
        layer: Its shape.
        module: Of the layer.
        outputs: Output channels of each share.

    Raises:
        InputError: somebody replaced something in it.
    """
    operator, *behind = _modules(module)
    state, settings = read_norm(layer, behind)
    count = len(outputs)
    weights: Sequence[Tensor | None] = [None] * count
    biases: Sequence[Tensor | None] = [None] * count
    if layer.operation.weighted:
        holders = _holders(operator)
        with torch.device("meta"):
            plain = type(layer.operation.dense(layer, 1, 1))
        if len(holders) not in (1, count) or not all(isinstance(one, plain) for one in holders):
            raise InputError(f"{layer.name}: weights of a {type(operator).__name__} cannot be read")
        held = [layer.operation.weight(layer, one) for one in holders]
        weights = held if len(held) == count else held[0].split(list(outputs))
        if holders[0].bias is not None:
            held = [of_channels(layer, cast(Tensor, one.bias)) for one in holders]
            biases = held if len(held) == count else held[0].split(list(outputs))
    norms: list[dict[str, Tensor]] = [{} for _ in outputs]
    for name, value in state.items():
        values = of_channels(layer, value).split(list(outputs)) if value.dim() else [value] * count
        for norm, own in zip(norms, values, strict=True):
            norm[name] = own
    return [GroupWeights(*piece, settings) for piece in zip(weights, biases, norms, strict=True)]


@torch.no_grad()
def write_pieces(layer: Layer, module: nn.Sequential, pieces: Sequence[GroupWeights]) -> None:
    """Copy what each group owns into a module that :func:`plain_layer` made of the layer."""
    operator, *behind = _modules(module)
    holders = _holders(operator)
    weights = [piece.weight for piece in pieces if piece.weight is not None]
    if weights:
        _fill([layer.operation.weight(layer, one) for one in holders], weights)
    biases = [piece.bias for piece in pieces if piece.bias is not None]
    if biases:
        _fill([of_channels(layer, cast(Tensor, one.bias)) for one in holders], biases)
    if layer.normalisation is not None:
        norm = next(each for each in behind if layer.normalisation.accepts(each))
        state = norm.state_dict()
        for name in pieces[0].norm:
            owned = [piece.norm[name] for piece in pieces]
            if state[name].dim():
                _fill([of_channels(layer, state[name])], owned)
            else:
                state[name].copy_(owned[0])
        vars(norm).update(pieces[0].settings)


def _holders(operator: nn.Module) -> list[nn.Module]:
    """The modules that hold an operator's weights: each group's, or itself."""
    parts = getattr(operator, "parts", None)
    return list(parts) if isinstance(parts, nn.ModuleList) else [operator]


def _modules(module: nn.Sequential) -> list[nn.Module]:
    """The operator, and what is behind it."""
    return [each for each in module if not isinstance(each, nn.Flatten)]


def _fill(targets: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Copy one value to each target, or all of them, group after group, to the only one."""
    pieces = values if len(targets) == len(values) else [torch.cat(list(values))]
    for target, piece in zip(targets, pieces, strict=True):
        target.copy_(piece)
