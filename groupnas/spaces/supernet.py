"""The supernet: every grouping of a space in one network of dense, masked layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from torch import Tensor, nn

from groupnas.grouping import Grouping
from groupnas.nn import ChannelMask
from groupnas.nn.channel_mask import MaskInit, one_hot
from groupnas.nn.indices import KeepsIndices
from groupnas.spaces.layer import Block, Layer
from groupnas.spaces.modules import module_name, run_blocks, tail
from groupnas.spaces.space import SearchSpace
from groupnas.values import instance, number, text


class Supernet(KeepsIndices):
    """A network whose grouping is learned: one :class:`ChannelMask` for each free channel unit.

    All layers that touch a unit use one draw of its mask per forward pass, so that a group's
    outputs depend on that group's inputs alone, whatever the masks say (paper 000, eq. 6:
    M_out of layer k is M_in of layer k + 1).

    Args:
        space: The space to build.
        relaxation: A name in :data:`groupnas.nn.RELAXATIONS`.
        init: Of the masks' logits: ``"ones"``, ``"normal"`` or ``"even"``.
        confidence: Of the even init; see :class:`ChannelMask`.

    Raises:
        InputError: no space, or an option that there is not.
    """

    def __init__(
        self,
        space: SearchSpace,
        relaxation: str = "gumbel_hard",
        init: MaskInit = "ones",
        confidence: float = 0.9,
    ) -> None:
        super().__init__()
        instance("space", space, SearchSpace)
        relaxation, confidence = text("relaxation", relaxation), number("confidence", confidence)
        text("init", init)
        self.space = space
        groups = len(space.groups)
        self.masks = nn.ModuleDict(
            {
                module_name(unit): ChannelMask(channels, groups, relaxation, init, confidence)
                for unit, channels in space.free_units.items()
            }
        )
        for unit, assignment in space.fixed.items():
            self.keep(_fixed(unit), assignment)
        self.blocks = nn.ModuleDict(
            {
                module_name(block.name): nn.ModuleList(
                    MaskedLayer(layer, groups) for layer in block.layers
                )
                for block in space.blocks
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C_in, H, W)`` to ``(N, outputs)``, part after part in the groups' order."""
        masks = self._draw(x)

        def compute(block: Block, x: Tensor) -> Tensor:
            modules = cast(nn.ModuleList, self.blocks[module_name(block.name)])
            for layer, module in zip(block.layers, modules, strict=True):
                x = module(x, masks[layer.in_unit], masks[layer.out_unit])
            return x

        return run_blocks(self.space.blocks, x, compute)

    def layers_by_block(self) -> Iterator[tuple[Block, list[MaskedLayer]]]:
        """Every block of the space with the modules of its layers."""
        for block, modules in zip(self.space.blocks, self.blocks.values(), strict=True):
            yield block, list(cast(nn.ModuleList, modules))  # type: ignore[arg-type]

    def channel_masks(self) -> dict[str, ChannelMask]:
        """The mask of every free unit, in network order."""
        return dict(zip(self.space.free_units, self.masks.values(), strict=True))  # type: ignore[arg-type]

    def set_grouping(self, grouping: Grouping) -> None:
        """Pin a grouping: training and evaluation use it until :meth:`release`.

        Raises:
            InputError: the grouping does not fit the space.
        """
        grouping.check_fits(self.space)
        for unit, mask in self.channel_masks().items():
            mask.pin(grouping.assignments[unit])

    def release(self) -> None:
        """Go back to the masks' own logits."""
        for mask in self.channel_masks().values():
            mask.release()

    def grouping(self) -> Grouping:
        """The pinned grouping, or the masks' likeliest one, repaired so that no group is empty.

        Raises:
            InputError: masks that are not pinned are NaN, or on the meta device.
        """
        units = {unit: mask.chosen for unit, mask in self.channel_masks().items()}
        return Grouping(self.space.name, self.space.groups, units)

    def probabilities(self) -> dict[str, Tensor]:
        """Membership of every free unit's channels, ``(C, G)``: what expected costs are made of."""
        return {unit: mask.probabilities() for unit, mask in self.channel_masks().items()}

    def set_temperature(self, temperature: float) -> None:
        """Set the relaxations' temperature (> 0) in all masks."""
        for mask in self.channel_masks().values():
            mask.temperature = temperature

    def weight_parameters(self) -> Iterator[nn.Parameter]:
        """Yield all parameters but the masks' logits."""
        return self.blocks.parameters()

    def arch_parameters(self) -> Iterator[nn.Parameter]:
        """The masks' logits."""
        return self.masks.parameters()

    def _draw(self, x: Tensor) -> Mapping[str, Tensor]:
        masks = {unit: mask() for unit, mask in self.channel_masks().items()}
        like = next(iter(masks.values()), x)  # replicas of nn.DataParallel have no parameters
        for unit in self.space.fixed:
            owners = self.kept(_fixed(unit), like.device)
            masks[unit] = one_hot(owners, len(self.space.groups), like.dtype)
        return masks


class MaskedLayer(nn.Module):
    """One primitive layer with its BatchNorm and activation; masks reach only where they apply."""

    def __init__(self, layer: Layer, groups: int) -> None:
        super().__init__()
        self.mixes = layer.mixes_channels
        self.op = layer.operation.masked(layer, groups)
        self.tail = nn.Sequential(*tail(layer))

    def forward(self, x: Tensor, in_mask: Tensor, out_mask: Tensor) -> Tensor:
        x = self.op(x, in_mask, out_mask) if self.mixes else self.op(x)
        return self.tail(x)


def _fixed(unit: str) -> str:
    """The attribute that holds the groups of a unit which the task fixes."""
    return f"fixed_{unit}"
