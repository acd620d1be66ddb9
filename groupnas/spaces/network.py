"""The plain network of an allocation: layers whose groups do not see each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import cast

import torch
from torch import Tensor, nn

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.spaces.initial import init_plain
from groupnas.spaces.layer import Block, Layer
from groupnas.spaces.modules import module_name, run_blocks
from groupnas.spaces.pieces import plain_layer, read_pieces, write_pieces
from groupnas.values import names


class GroupedNetwork(nn.Module):
    """Blocks of plain layers, each of which reads an earlier one.

    Args:
        plan: The space's blocks: who reads whom.
        modules: The layers of each, in the same order.
        groups: Names of the groups that do not see each other; empty where they share channels.
        sizes: ``{unit: (channels of each group, ...)}``, all units, of joint ones their one number;
            likewise.
    """

    def __init__(
        self,
        plan: Sequence[Block],
        modules: Iterable[nn.Module],
        groups: Sequence[str] = (),
        sizes: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        self.plan = tuple(plan)
        self.groups = tuple(groups)
        self.sizes = {unit: tuple(channels) for unit, channels in (sizes or {}).items()}
        names = (module_name(block.name) for block in self.plan)
        self.blocks = nn.ModuleDict(dict(zip(names, modules, strict=True)))

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an input."""
        first = self.plan[0].layers[0]
        return (first.in_channels, *first.in_size)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C_in, H, W)`` to ``(N, outputs)``."""
        return run_blocks(self.plan, x, self._compute)

    def features(self, x: Tensor, rows: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """Map as :meth:`forward` does, and return what some rows put out on the way, too.

        Args:
            x: ``(N, C_in, H, W)``.
            rows: Names in the space file; of a repeated row it is the last repetition.

        Returns:
            The outputs, and ``(N, C, H', W')`` of each row.

        Raises:
            InputError: there is no such row.
        """
        last = {block.name.split(".")[0]: block.name for block in self.plan}
        for row in rows:
            if row not in last:
                raise InputError(f"row {row!r}: {nearest(row, last)}")
        wanted, found = {last[row]: row for row in rows}, dict[str, Tensor]()

        def seen(block: Block, output: Tensor) -> None:
            if block.name in wanted:
                found[wanted[block.name]] = output

        outputs = run_blocks(self.plan, x, self._compute, seen)
        return outputs, found

    def initialise(self, start: Tensor | None = None) -> None:
        """Draw fresh weights (MSRA), the output's a hundredth of that, with biases ``start``.

        Training then begins from outputs near ``start`` ``(outputs,)``, 0 by default.
        """
        init_plain(self)
        for block, module in zip(self.plan, self.blocks.values(), strict=True):
            if not block.layers[-1].puts_out:
                continue
            for parameter in module.parameters():
                parameter.data.mul_(0.01)
            biases = [value for name, value in module.named_parameters() if name.endswith("bias")]
            if start is not None and biases:
                if len(biases[-1]) == len(start):  # a normalisation's, which comes last
                    biases = biases[-1:]
                for bias, values in zip(biases, start.split(list(map(len, biases))), strict=True):
                    bias.data.copy_(values)

    @property
    def joint(self) -> set[str]:
        """The units whose channels belong to no group."""
        layers = [layer for block in self.plan for layer in block.layers]
        return {layer.in_unit for layer in layers if layer.joint_in} | {
            layer.out_unit for layer in layers if layer.joint_out
        }

    @property
    def isolated(self) -> bool:
        """True where groups share nothing: neither channels nor weights."""
        return bool(self.groups) and not self.joint

    def layers(self) -> list[tuple[Layer, nn.Sequential]]:
        """Every layer with its module, input to output."""
        modules = (cast(nn.Sequential, block) for block in self.blocks.values())
        return [
            (layer, cast(nn.Sequential, module))
            for block, made in zip(self.plan, modules, strict=True)
            for layer, module in zip(block.layers, made, strict=True)
        ]

    def only(self, groups: Sequence[str]) -> GroupedNetwork:
        """Some groups alone, with copies of their weights: inputs and outputs are theirs only.

        What they read of joint channels stays as it is.

        Args:
            groups: Names; the result has them in this network's order.

        Raises:
            InputError: no group, one that there is not, or a network whose groups share channels
                or whose joint channels read theirs.
        """
        layers = [layer for layer, _ in self.layers()]
        if not self.groups or any(layer.joint_out and not layer.joint_in for layer in layers):
            raise InputError("groups: the network's groups share channels; none can be taken alone")
        groups = names("groups", groups)
        for group in groups:
            if group not in self.groups:
                raise InputError(f"groups: {group!r}: {nearest(group, self.groups)}")
        if not groups:
            raise InputError(f"groups: expected at least one of {', '.join(self.groups)}")
        kept = [index for index, group in enumerate(self.groups) if group in groups]
        sizes = {
            unit: row if unit in self.joint else [row[index] for index in kept]
            for unit, row in self.sizes.items()
        }
        weight = next(self.parameters())
        with weight.device:
            network = assemble(self.plan, [self.groups[index] for index in kept], sizes)
        network.to(weight.dtype).train(self.training)
        for (layer, source), (_, target) in zip(self.layers(), network.layers(), strict=True):
            pieces = read_pieces(layer, source, self.sizes[layer.out_unit])
            if not layer.joint_out:
                pieces = [pieces[index] for index in kept]
            write_pieces(layer, target, pieces)
        return network

    def take(self, groups: Sequence[str], other: GroupedNetwork) -> None:
        """Copy some groups' weights from a network of the same layers and sizes.

        Raises:
            InputError: as :meth:`only`, or a network with joint channels.
        """
        if not self.isolated:
            raise InputError("groups: the network's groups share channels; none can be taken alone")
        for (layer, mine), (_, theirs) in zip(self.layers(), other.layers(), strict=True):
            outputs = self.sizes[layer.out_unit]
            both = zip(
                self.groups,
                read_pieces(layer, mine, outputs),
                read_pieces(layer, theirs, outputs),
                strict=True,
            )
            pieces = [new if group in groups else old for group, old, new in both]
            write_pieces(layer, mine, pieces)

    def narrowed(self, kept: Mapping[str, Sequence[Sequence[int]]]) -> GroupedNetwork:
        """The same network without some channels, with copies of the weights of the others.

        Args:
            kept: For each unit that loses any, what each group keeps, at least one: places among
                the group's channels, in the order that they get.

        Raises:
            InputError: a unit that there is not, or a network whose groups share channels.
        """
        if not self.groups:
            raise InputError("kept: the network's groups share channels; none is one group's own")
        for unit in kept:
            if unit not in self.sizes:
                raise InputError(f"kept: {unit!r}: {nearest(unit, self.sizes)}")
        whole = {unit: [list(range(n)) for n in row] for unit, row in self.sizes.items()}
        places = {**whole, **kept}
        sizes = {unit: list(map(len, groups)) for unit, groups in places.items()}
        weight = next(self.parameters())
        with torch.random.fork_rng(), weight.device:  # the fresh weights are overwritten
            network = assemble(self.plan, self.groups, sizes)
        network.to(weight.dtype).train(self.training)
        for (layer, source), (_, target) in zip(self.layers(), network.layers(), strict=True):
            pieces = read_pieces(layer, source, self.sizes[layer.out_unit])
            inputs = places[layer.in_unit]
            if layer.joint:  # whose inputs are counted group after group
                starts = accumulate(self.sizes[layer.in_unit], initial=0)
                read = [start + n for start, row in zip(starts, inputs, strict=False) for n in row]
                inputs = [read] * len(pieces)
            ends = zip(pieces, inputs, places[layer.out_unit], strict=True)
            write_pieces(
                layer,
                target,
                [piece.cut(layer, columns, rows) for piece, columns, rows in ends],
            )
        return network

    def _compute(self, block: Block, x: Tensor) -> Tensor:
        return cast(Tensor, self.blocks[module_name(block.name)](x))


def assemble(
    blocks: Sequence[Block], groups: Sequence[str], sizes: Mapping[str, Sequence[int]]
) -> GroupedNetwork:
    """The network of some sizes; the layers that it keeps are as wide as these."""
    widths = {unit: sum(channels) for unit, channels in sizes.items()}
    fitted = [block.resized(widths) for block in blocks]
    modules = [
        nn.Sequential(
            *(plain_layer(layer, sizes[layer.in_unit], sizes[layer.out_unit]) for layer in b.layers)
        )
        for b in fitted
    ]
    return GroupedNetwork(fitted, modules, groups, sizes)
