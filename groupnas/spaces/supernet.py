"""The supernet: every grouping of a space in one network of dense, masked layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.func import functional_call

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.grouping import Grouping
from groupnas.nn import ChannelMask
from groupnas.nn.channel_mask import MaskInit, one_hot
from groupnas.nn.indices import KeepsIndices
from groupnas.spaces.layer import Block, Layer
from groupnas.spaces.modules import module_name, run_blocks, tail
from groupnas.spaces.space import SearchSpace
from groupnas.values import instance, number, text

MaskPlace = Literal["before", "behind"]


class Supernet(KeepsIndices):
    """A network whose grouping is learned: one :class:`ChannelMask` for each free channel unit.

    All layers that touch a unit use one draw of its mask per forward pass, so that a group's
    outputs depend on that group's inputs alone, whatever the masks say (paper 000, eq. 6:
    M_out of layer k is M_in of layer k + 1).

    With hard masks both places compute the same, that of the derived network; what differs is the
    masks' gradient (docs/mask_search.md). ``before``: a layer's weights are multiplied by both
    masks, M_out before BatchNorm, which hides its scale. ``behind``: each group runs through all
    channels by itself, and its column of a unit's mask multiplies what its layers read. The
    derivative by an entry is then what the group gains or loses by the whole of that channel,
    computed from the group's own inputs; G times as many operations where masks learn.

    Args:
        space: The space to build.
        relaxation: A name in :data:`groupnas.nn.RELAXATIONS`.
        init: Of the masks' logits: ``"ones"``, ``"normal"`` or ``"even"``.
        confidence: Of the even init; see :class:`ChannelMask`.
        place: Of a unit's mask: ``"before"`` or ``"behind"`` BatchNorm and activation.

    Raises:
        InputError: no space, or an option that there is not.
    """

    def __init__(
        self,
        space: SearchSpace,
        relaxation: str = "gumbel_hard",
        init: MaskInit = "ones",
        confidence: float = 0.9,
        place: MaskPlace = "before",
    ) -> None:
        super().__init__()
        instance("space", space, SearchSpace)
        relaxation, confidence = text("relaxation", relaxation), number("confidence", confidence)
        text("init", init)
        if place not in get_args(MaskPlace):
            raise InputError(f"place {place!r}: {nearest(str(place), get_args(MaskPlace))}")
        self.space, self.place = space, place
        self._soft = relaxation == "gumbel_soft"
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

    def forward(self, x: Tensor, for_weights: bool = False) -> Tensor:
        """Map ``(N, C_in, H, W)`` to ``(N, outputs)``, group after group in the space's order.

        ``for_weights``: only weights shall learn from it. Hard masks need no place of their own
        then, which is as cheap as ``before``.
        """
        masks = self._draw(x)
        return self.under(masks, x, apart=self._soft or not for_weights)

    def under(self, masks: Mapping[str, Tensor], x: Tensor, apart: bool = True) -> Tensor:
        """:meth:`forward` under given masks ``(C, G)`` of all units, the fixed ones among them."""
        apart = apart and self.place == "behind" and self.training
        groups = len(self.space.groups)

        def compute(block: Block, x: Tensor) -> Tensor:
            modules = self.blocks[module_name(block.name)]
            for layer, module in zip(block.layers, cast(list[MaskedLayer], modules), strict=True):
                of_layer = module.apart if apart else module
                x = of_layer(x, masks[layer.in_unit], masks[layer.out_unit])
            return x

        if not apart:
            return run_blocks(self.space.blocks, x, compute)
        layers = self.space.layers
        if not layers[0].joint_in:
            x = torch.cat([x] * groups)
        outputs = run_blocks(self.space.blocks, x, compute)
        if layers[-1].joint_out:
            return outputs
        exit_ = layers[-1].out_unit
        return _gated(outputs, masks[exit_]).unflatten(0, (groups, -1)).sum(dim=0)

    @torch.no_grad()
    def start_near(self, outputs: Tensor | None) -> None:
        """Make the output layer's weights a hundredth, and its bias ``(outputs,)`` if given.

        So do plain networks start; see :meth:`groupnas.spaces.network.GroupedNetwork.initialise`.
        """
        for block, layers in self.layers_by_block():
            if not block.layers[-1].puts_out:
                continue
            biases = []
            for name, parameter in layers[-1].named_parameters():
                parameter.mul_(0.01)
                if name.endswith("bias"):
                    biases.append(parameter)
            if outputs is not None and biases:  # a normalisation's comes last
                biases[-1].copy_(outputs)

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
        for unit, channels in self.space.joint.items():
            masks[unit] = like.new_ones(channels, 1)
        return masks


class MaskedLayer(nn.Module):
    """One primitive layer with its BatchNorm and activation; masks reach only where they apply."""

    def __init__(self, layer: Layer, groups: int) -> None:
        super().__init__()
        self.mixes = layer.mixes_channels
        self.joint_in, self.joint_out = layer.joint_in, layer.joint_out
        self.op = layer.operation.masked(layer, 1 if layer.joint else groups)
        self.tail = nn.Sequential(*tail(layer))

    def forward(self, x: Tensor, in_mask: Tensor, out_mask: Tensor) -> Tensor:
        if self.joint_in or self.joint_out:
            in_mask, out_mask = _every(in_mask), _every(out_mask)
        x = self.op(x, in_mask, out_mask) if self.mixes else self.op(x)
        return self.tail(x)

    def apart(self, x: Tensor, in_mask: Tensor, out_mask: Tensor) -> Tensor:
        """Compute all channels for each group by itself: ``(G N, ...)``, group after group.

        A group reads the input through its column of ``in_mask``. Normalisation has the statistics
        of each group; those that it keeps of a channel are its own group's, as ``out_mask`` says.
        Joint channels are computed once: ``(N, ...)``.
        """
        if self.joint_in or self.joint_out:
            if not self.joint_in:
                x = _gated(x, in_mask).unflatten(0, (in_mask.shape[1], -1)).sum(dim=0)
            x = self.forward(x, in_mask, out_mask)
            return x if self.joint_out else torch.cat([x] * out_mask.shape[1])
        if self.mixes:
            x = self.op(_gated(x, in_mask), _every(in_mask), _every(out_mask))
        else:
            x = self.op(x)
        buffers = dict(self.tail.named_buffers())
        if not buffers:
            return self.tail(x)
        shares, found = out_mask.detach().T, []
        kept: list[dict[str, Tensor]] = []
        for own in x.chunk(len(shares)):
            kept.append({name: buffer.clone() for name, buffer in buffers.items()})
            found.append(functional_call(self.tail, kept[-1], (own,)))
        for name, buffer in buffers.items():
            rows = torch.stack([one[name] for one in kept])
            if not buffer.dim():
                buffer.copy_(rows[0])
                continue
            numbers = len(buffer) // shares.shape[1]  # of each channel
            buffer.copy_((rows * shares.repeat_interleave(numbers, dim=1)).sum(dim=0))
        return torch.cat(found)


def _every(mask: Tensor) -> Tensor:
    """The mask of as many channels that are all in one group."""
    return mask.new_ones(len(mask), 1)


def _gated(x: Tensor, mask: Tensor) -> Tensor:
    """Multiply ``(G N, C, ...)``, group after group, by each group's column of ``(C, G)``."""
    gates = mask.T.repeat_interleave(len(x) // mask.shape[1], dim=0)
    return x * gates.reshape(*gates.shape, *[1] * (x.dim() - 2))


def _fixed(unit: str) -> str:
    """The attribute that holds the groups of a unit which the task fixes."""
    return f"fixed_{unit}"
