"""Pieces that the supernet and the derived network have in common."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterable, Sequence

from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from groupnas.errors import InputError
from groupnas.nn import MaskedLinear
from groupnas.spaces.layer import INPUT, Block, Layer

# Names that nothing in a container can have; found by asking, since PyTorch adds methods.
_TAKEN = frozenset({*dir(nn.ModuleDict()), *dir(nn.Sequential())})


# What is behind a layer and neither a normalisation nor an activation
_PASSING = (nn.Identity, nn.PixelShuffle, _DropoutNd)


def module_name(name: str) -> str:
    """The name of a block, unit or stage as PyTorch takes it.

    It has no dots, is none of a container's own, and no keyword, since exported code holds it.
    Different names stay different: none of ours has a dash.
    """
    return f"{name}-" if name in _TAKEN or keyword.iskeyword(name) else name.replace(".", "-")


def plain_name(path: str) -> str:
    """The dotted name that users know of a parameter: ``blocks.stage1-block2.0.0.weight``, say,
    is ``stage1.block2.0.0.weight``, and of stages in a chain ``coarse.hidden.0.0.weight``.
    """
    parts = [part.removesuffix("-").replace("-", ".") for part in path.split(".")]
    return ".".join(part for part in parts if part not in ("blocks", "networks"))


def run_blocks(
    blocks: Sequence[Block],
    x: Tensor,
    compute: Callable[[Block, Tensor], Tensor],
    seen: Callable[[Block, Tensor], None] = lambda block, output: None,
) -> Tensor:
    """The last block's output; each is dropped once its last reader has run.

    Args:
        blocks: Of a space, in its order.
        x: The network's input.
        compute: The layers of a block.
        seen: Told of each block's output.
    """
    outputs = {INPUT: x}
    for block in blocks:
        x = compute(block, outputs[block.source])
        if block.plus is not None:
            x = x + outputs[block.plus]
        outputs[block.name] = x
        seen(block, x)
        for name in block.frees:
            del outputs[name]
    return x


def tail(layer: Layer) -> list[nn.Module]:
    """What is behind a layer's operator: normalisation and activation, where it has them."""
    norm, operation = layer.normalisation, layer.operation
    norms = [] if norm is None else [norm.build(layer.out_channels * operation.numbers(layer))]
    return [*norms, *activation(layer), *operation.finish(layer)]


def activation(layer: Layer) -> list[nn.Module]:
    """The activation behind a layer, if it has one."""
    if layer.activation is None:
        return []
    if layer.operation.passes:  # others may read what it reads
        return [layer.activation.build(layer.out_channels, inplace=False)]
    return [layer.activation.build(layer.out_channels)]


def norm_behind(layer: Layer, modules: Iterable[nn.Module]) -> nn.Module | None:
    """The normalisation behind a layer, if it has one.

    Args:
        layer: What the space says.
        modules: Those behind the operator, which somebody may have replaced.

    Raises:
        InputError: they compute something else than the space says, so that what is made of the
            layer would, too.
    """
    found = [module for module in modules if not isinstance(module, _PASSING)]
    norm, wanted = layer.normalisation, layer.behind
    if len(found) != len(wanted) or not all(
        each.accepts(module) for each, module in zip(wanted, found, strict=True)
    ):
        there, here = (
            " and ".join(names) or "nothing"
            for names in (
                [each.kind.rpartition(":")[2].strip("_") for each in wanted],
                [type(module).__name__ for module in found],
            )
        )
        raise InputError(
            f"{layer.name}: the space has {there} behind it, the network {here}, which cannot be "
            "carried over; change the space instead"
        )
    if norm is None:
        return None
    if (fault := norm.fault(found[0])) is not None:
        raise InputError(f"{layer.name}: {fault}")
    return found[0]


class FlatLinear(MaskedLinear):
    """A :class:`groupnas.nn.MaskedLinear` that flattens ``(N, C, H, W)`` itself."""

    def forward(self, x: Tensor, in_mask: Tensor, out_mask: Tensor) -> Tensor:
        """Map it to ``(N, C_out)``."""
        return super().forward(x.flatten(1), in_mask, out_mask)
