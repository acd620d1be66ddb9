"""A search space: which networks there are to choose from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

import yaml

from groupnas.errors import InputError, shown
from groupnas.files import find_shipped, nearest, split_choice
from groupnas.spaces.compiler import Compiler
from groupnas.spaces.layer import Block, Layer
from groupnas.spaces.schema import (
    SHARED,
    Published,
    SpaceFile,
    group_names,
    of_each,
    read_space_file,
)
from groupnas.values import as_whole, instance, names, text, whole
from groupnas.values import path as path_of
from groupnas.writing import write_text

SPACE = "space.yaml"  # in the folder of a run: what is searched there
_MOST_CHANNELS = 2**20  # of a unit; a grouping lists every one


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The space of all groupings of one layer table.

    Attributes:
        name: The file's name, with ``:variant`` where it has variants.
        title: One line for people.
        groups: Group names.
        inputs: Input channels of each group; the network's input has them in this order. Those that
            all groups read are called ``shared``.
        outputs: Outputs of each group, likewise.
        input_size: Height and width of the input.
        blocks: The network, input to output.
        units: Channels of every channel unit, in network order.
        fixed: Units that the task decides (input, output, and what is tied to them), with the
            group index of each channel.
        joint: Channels of the units that belong to no group, in network order.
        file: What the space was compiled from.
        variant: Which of the file's variants it is.
        published: Figures of others, to print beside ours.
    """

    name: str
    title: str
    groups: tuple[str, ...]
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    input_size: tuple[int, int]
    blocks: tuple[Block, ...] = field(repr=False)
    units: Mapping[str, int] = field(repr=False)
    fixed: Mapping[str, tuple[int, ...]] = field(repr=False)
    joint: Mapping[str, int] = field(repr=False)
    file: SpaceFile = field(repr=False, compare=False)  # runs keep their own variant alone
    variant: str | None = None
    published: tuple[Published, ...] = field(default=(), repr=False)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The primitive layers, input to output."""
        return tuple(layer for block in self.blocks for layer in block.layers)

    @cached_property
    def free_units(self) -> Mapping[str, int]:
        """Channels of every unit that a grouping divides, in network order."""
        others = self.fixed.keys() | self.joint
        return {unit: size for unit, size in self.units.items() if unit not in others}

    @property
    def output_size(self) -> tuple[int, ...]:
        """Height and width of each output; nothing where outputs are numbers."""
        last = self.layers[-1]
        return () if last.operation.flat else last.out_size

    def ends(self, group: str) -> dict[str, int]:
        """The channels that a group reads or owns in every unit which no grouping divides."""
        index = self.groups.index(group)
        return {**{unit: owners.count(index) for unit, owners in self.fixed.items()}, **self.joint}

    def fingerprint(self) -> str:
        """A hash of layers and groups: other spaces, and changed ones, have others."""
        said = (self.blocks, self.groups, *([tuple(self.joint)] if self.joint else []))
        return hashlib.sha256(repr(said).encode()).hexdigest()

    def resized(self, widths: Mapping[str, int]) -> SearchSpace:
        """The same layers with other numbers of channels in the named free units.

        Raises:
            InputError: a unit that is not free, or one too narrow to hold every group.
        """
        instance("widths", widths, Mapping)
        widths = {unit: whole(f"unit {unit!r}", channels) for unit, channels in widths.items()}
        for unit, channels in widths.items():
            if unit not in self.free_units:
                raise InputError(f"unit {unit!r}: {nearest(str(unit), self.free_units)}")
            if channels > _MOST_CHANNELS:
                raise InputError(
                    f"{unit}: {shown(channels)} channels; expected {_MOST_CHANNELS:,} at most"
                )
            if channels < len(self.groups):
                raise InputError(
                    f"{unit}: {channels} channels cannot hold {len(self.groups)} groups"
                )
        if all(self.units[unit] == channels for unit, channels in widths.items()):
            return self
        return self._with(self.groups, self.inputs, self.outputs, widths)

    def only(self, groups: Sequence[str]) -> SearchSpace:
        """Some groups alone, in the space's order; the units stay as wide as they are.

        What no group owns stays, too.

        Raises:
            InputError: no group, or one that is not the space's.
        """
        groups = names("groups", groups)
        for group in groups:
            if group not in self.groups:
                raise InputError(f"group {group!r}: {nearest(group, self.groups)}")
        if not groups:
            raise InputError("groups: expected at least one")
        kept = [group for group in self.groups if group in groups]
        own = {group: size for group, size in self.inputs.items() if group in kept}
        inputs = self.inputs if self.layers[0].joint_in else own
        return self._with(kept, inputs, {group: self.outputs[group] for group in kept})

    def ungrouped(self) -> SearchSpace:
        """The same layers without groups: a single one, ``all``, that mixes all channels."""
        own = {"all": sum(self.inputs.values())}
        inputs = self.inputs if self.layers[0].joint_in else own
        return self._with(["all"], inputs, {"all": sum(self.outputs.values())})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file that the space was compiled from, with its own variant alone.

        :func:`load_space` compiles it again; not what :meth:`resized`, :meth:`only` and
        :meth:`ungrouped` changed since.
        """
        data = self.file.to_dict()
        if self.variant is not None:
            data["variants"] = {self.variant: data["variants"][self.variant]}
        write_text(path, yaml.safe_dump(data, sort_keys=False, default_flow_style=None))

    def _with(
        self,
        groups: Sequence[str],
        inputs: Mapping[str, int],
        outputs: Mapping[str, int],
        widths: Mapping[str, int] = MappingProxyType({}),
    ) -> SearchSpace:
        """The same layers with other groups, and other numbers of channels in some units."""
        tables = {self.layers[0].in_unit: inputs, self.layers[-1].out_unit: outputs}
        ends = {unit: sum(table.values()) for unit, table in tables.items()}
        units = {unit: widths.get(unit, ends.get(unit, n)) for unit, n in self.units.items()}
        return replace(
            self,
            groups=tuple(groups),
            inputs=dict(inputs),
            outputs=dict(outputs),
            blocks=tuple(block.resized(units) for block in self.blocks),
            units=units,
            fixed={unit: _in_order(groups, tables[unit]) for unit in self.fixed},
            joint={unit: units[unit] for unit in self.joint},
            published=(),
        )

    @classmethod
    def from_file(cls, file: SpaceFile, name: str, variant: str | None = None) -> SearchSpace:
        """Compile a checked file.

        Raises:
            InputError: an unknown variant, missing inputs or outputs, or rows that do not fit
                together.
        """
        if variant is None and file.variants:
            variant = next(iter(file.variants))
        if variant is not None and variant not in file.variants:
            raise InputError(f"variant {variant!r}: {nearest(variant, file.variants)}")
        chosen = file.variants.get(variant or "")
        inputs = (chosen.inputs if chosen else None) or file.inputs
        outputs = (chosen.outputs if chosen else None) or file.outputs
        if inputs is None or outputs is None:
            key = "inputs" if inputs is None else "outputs"
            raise InputError(f"{key}: missing; give every group's number of {key}")
        groups = group_names((chosen.groups if chosen else None) or file.groups)
        published = file.published
        if chosen and (chosen.published or chosen.groups):  # the file's are of its own groups
            published = chosen.published
        joint_inputs = isinstance(inputs, int)
        inputs, outputs = of_each(inputs, groups), of_each(outputs, groups)
        compiler = Compiler(
            file=file.model_copy(update={"layers": file.rows(variant)}),
            groups=len(groups),
            inputs=sum(inputs.values()),
            joint_inputs=joint_inputs,
            outputs=sum(outputs.values()),
        )
        blocks = compiler.run()
        units = compiler.units
        widths = {unit: units.channels[unit] for unit in units.names()}
        for unit, channels in widths.items():
            if channels > _MOST_CHANNELS:
                raise InputError(
                    f"{unit}: {channels:,} channels; expected {_MOST_CHANNELS:,} at most"
                )
        joint = {unit: channels for unit, channels in widths.items() if unit in units.joint}
        ends = {units.of("input"): inputs, units.of("output"): outputs}
        if joint and SHARED in groups:
            raise InputError(
                f"groups: {SHARED} is what belongs to no group is called; take another name"
            )
        if units.of("input") == units.of("output"):
            raise InputError("layers: input and output are one channel unit; nothing to divide")
        space = cls(
            name=f"{name}:{variant}" if variant else name,
            title=file.title,
            groups=groups,
            inputs=inputs,
            outputs=outputs,
            input_size=file.input,
            blocks=blocks,
            units=widths,
            fixed={
                unit: _in_order(groups, table) for unit, table in ends.items() if unit not in joint
            },
            joint=joint,
            file=file,
            variant=variant,
            published=tuple(published),
        )
        _check_divisions(space)
        return space


def load_space(space: str | os.PathLike[str], variant: str | None = None) -> SearchSpace:
    """The search space that a name or a path means.

    Args:
        space: A name (``picasso_local``), a name with its variant (``picasso_local:98``), or a
            path to a YAML file. Names are looked up in ``./search_spaces`` first.
        variant: The variant, where it is not part of the name; the file's first by default.

    Raises:
        InputError: no such space or variant, or a file that is wrong (names the key at fault).
    """
    name = path_of("space", space)
    if variant is None:
        name, variant = split_choice("search_spaces", name)
    elif as_whole(variant) is not None:  # 98, as names of variants often are
        variant = str(as_whole(variant))
    variant = None if variant is None else text("variant", variant)
    path = find_shipped("search_spaces", name)
    try:
        return SearchSpace.from_file(read_space_file(path), path.stem, variant)
    except InputError as error:
        message = str(error)
        raise InputError(
            message if message.startswith(str(path)) else f"{path}: {message}"
        ) from error


def variant_names(name: str) -> list[str]:
    """The variants of a space's file, for lists; the first is the default."""
    return list(read_space_file(find_shipped("search_spaces", name)).variants)


def _check_divisions(space: SearchSpace) -> None:
    """Raise :class:`InputError` unless there are units to divide, and it makes a difference."""
    if not space.free_units:
        raise InputError(
            "layers: every channel unit is the input's, the output's or joint; nothing to divide"
        )
    for unit in space.free_units:
        ends = [layer for layer in space.layers if unit in (layer.in_unit, layer.out_unit)]
        if space.joint and all(layer.joint for layer in ends if layer.mixes_channels):
            raise InputError(
                f"layers: {unit} has joint channels on both sides, so that it makes no "
                "difference whose its channels are; make it joint, too"
            )


def _in_order(groups: Sequence[str], sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(index for index, group in enumerate(groups) for _ in range(sizes[group]))
