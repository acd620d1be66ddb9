"""From rows of the layer table to primitive layers and channel units."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.spaces.behind import NONE
from groupnas.spaces.layer import INPUT, Block, Layer
from groupnas.spaces.rows import OPERATORS, Draft, Each, Place, Row, Step
from groupnas.spaces.schema import SpaceFile


class Units:
    """Layer ends, united where a layer that keeps each channel to itself or an addition ties them.

    A united set is called after its earliest end.

    Attributes:
        channels: Of every end.
        joint: Ends whose channels belong to no group.
    """

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}
        self._order: dict[str, int] = {}
        self.channels: dict[str, int] = {}
        self.joint: set[str] = set()

    def new(self, end: str, channels: int, joint: bool = False) -> str:
        """Register an end of that many channels; an :class:`InputError` where its name is taken."""
        if end in self._parent:
            raise InputError(f"name: {end!r} is already the name of another layer end")
        self._parent[end] = end
        self._order[end] = len(self._order)
        self.channels[end] = channels
        if joint:
            self.joint.add(end)
        return end

    def of(self, end: str) -> str:
        """The unit that an end belongs to."""
        while self._parent[end] != end:
            end = self._parent[end]
        return end

    def tie(self, first: str, second: str) -> None:
        """Two ends share one division, or both have none."""
        for end, other in ((first, second), (second, first)):
            if end in self.joint and other not in self.joint:
                raise InputError(
                    f"joint: {end!r} is joint and {other!r}, which it is added to, is not"
                )
        first, second = sorted((self.of(first), self.of(second)), key=self._order.__getitem__)
        self._parent[second] = first

    def names(self) -> list[str]:
        """Return all units, in the order of their first ends."""
        return [end for end, parent in self._parent.items() if parent == end]


@dataclass(frozen=True, kw_only=True)
class _Signal:
    """The output of a block, or the network's input: who reads it starts here."""

    block: str
    end: str
    size: tuple[int, int]
    flat: bool = False


@dataclass
class Compiler:
    """Walks the rows once, from the input's end to the output's.

    Attributes:
        file: The checked file.
        groups: Their number.
        inputs: Input channels of all groups together.
        joint_inputs: No group owns them.
        outputs: Outputs of all groups together.
        units: The ends met so far; ``input`` and ``output`` are the network's own.
        blocks: The blocks built so far, whose layers name ends, not yet units.
    """

    file: SpaceFile
    groups: int
    inputs: int
    joint_inputs: bool
    outputs: int
    units: Units = field(default_factory=Units)
    blocks: list[Block] = field(default_factory=list)

    def __post_init__(self) -> None:
        end = self.units.new(INPUT, self.inputs, self.joint_inputs)
        self._here = _Signal(block=INPUT, end=end, size=self.file.input)
        self._signals = {INPUT: self._here}  # of each row so far
        self._ends = {INPUT: self._here}  # of each block so far
        self._read: set[str] = set()  # names of rows

    def run(self) -> tuple[Block, ...]:
        """The blocks, their layers naming channel units.

        Raises:
            InputError: rows that do not fit together; names ``layers.INDEX``.
        """
        for index, row in enumerate(self.file.layers):
            last = index == len(self.file.layers) - 1
            try:
                self._row(row, last)
            except InputError as error:
                raise InputError(f"layers.{index} ({row.name}): {error}") from error
        for index, row in enumerate(self.file.layers[:-1]):
            if row.name not in self._read:
                raise InputError(
                    f"layers.{index} ({row.name}): no row reads it; name it in a later row's from, "
                    "or take it out"
                )
        last_reader = {name: block.name for block in self.blocks for name in _reads(block)}
        return tuple(
            replace(
                block,
                layers=tuple(map(self._in_units, block.layers)),
                frees=tuple(name for name in _reads(block) if last_reader[name] == block.name),
            )
            for block in self.blocks
        )

    def _in_units(self, layer: Layer) -> Layer:
        first, last = self.units.of(layer.in_unit), self.units.of(layer.out_unit)
        joint = self.units.joint
        return replace(
            layer, in_unit=first, out_unit=last, joint_in=first in joint, joint_out=last in joint
        )

    def _row(self, row: Row, last: bool) -> None:
        if row.name == INPUT:
            raise InputError("name: 'input' is already the name of the network's input")
        operator = row.operator
        ends = operator.ends and row.c is None
        if ends and not last:
            raise InputError("c: missing; only the last row, the network's output, has none")
        if last and not ends:
            known = " or ".join(other.spelled for other in OPERATORS.values() if other.ends)
            raise InputError(f"the last row must be a {known} without c: the network's output")
        if ends and row.n > 1:
            raise InputError("n: the network's output is not repeated; leave it out")
        sources = self._sources(row, last)
        if len(sources) > 1:
            self._output(row, sources)
        else:
            (self._here,) = sources.values()
            if self._here.flat and not operator.flat:
                raise InputError(f"op: {row.op} cannot follow a linear layer")
            for index in range(row.n):
                numbered = row.n > 1 or operator.numbered
                name = f"{row.name}.block{index + 1}" if numbered else row.name
                for draft in operator.drafts(row, self._place(row, name, index == 0)):
                    self._add(draft)
        self._signals[row.name] = self._here

    def _sources(self, row: Row, last: bool) -> dict[str, _Signal]:
        """Return what a row reads, by the name of the row that it comes from."""
        names = row.reads or [next(reversed(self._signals))]
        if len(names) > 1 and not last:
            raise InputError("from: a list of rows is only for the last row, the network's output")
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"from: {name!r} stands twice")
            if any(name == other.name for other in self.file.layers) and name not in self._signals:
                raise InputError(f"from: {name!r} is not above this row; a row reads one above it")
            if name not in self._signals:
                raise InputError(f"from: no row above is {name!r}; {nearest(name, self._signals)}")
        self._read.update(names)
        return {name: self._signals[name] for name in names}

    def _output(self, row: Row, sources: dict[str, _Signal]) -> None:
        """One layer for each source: their sum is one layer of all features."""
        if row.act not in (None, NONE):
            raise InputError("act: an output that reads several rows cannot have one")
        if "norm" in row.model_fields_set and row.norm:
            raise InputError("norm: an output that reads several rows cannot have one")
        plus = None
        for source, self._here in sources.items():
            name = f"{row.name}.{source}"
            (draft,) = row.operator.drafts(row, self._place(row, name, first=True))
            if plus is not None:
                *before, last = draft.steps
                last = replace(last, out_unit=name, bias=False)
                draft = replace(draft, steps=(*before, last), plus=plus)
            self._add(draft)
            plus = name

    def _place(self, row: Row, name: str, first: bool) -> Place:
        return Place(
            name=name,
            first=first,
            stride=row.s if first else 1,
            source=self._here.block,
            channels=self.units.channels[self._here.end],
            joint=self._here.end in self.units.joint,
            size=self._here.size,
            act=self.file.act,
            outputs=self.outputs,
            width=row.c.each * self.groups if isinstance(row.c, Each) else row.c,
        )

    def _add(self, draft: Draft) -> None:
        """Append a block; its layers lead from what it reads to here."""
        self._here = start = self._here if draft.source is None else self._ends[draft.source]
        layers = tuple(map(self._layer, draft.steps))
        if draft.plus is not None:
            added = self._ends[draft.plus]
            if added.size != self._here.size:
                raise InputError(f"from: cannot add maps of {added.size} and {self._here.size}")
            self.units.tie(added.end, self._here.end)
        block = Block(name=draft.name, layers=layers, source=start.block, plus=draft.plus)
        self.blocks.append(block)
        self._here = self._ends[draft.name] = replace(self._here, block=draft.name)

    def _layer(self, step: Step) -> Layer:
        """A layer that leads on from here."""
        start, end = self._here, self._here.end
        width = self.units.channels[end]
        channels = step.out_channels or width
        if step.out_unit is not None:
            if channels < self.groups and not step.joint_out:
                raise InputError(f"c: {channels} channels cannot hold {self.groups} groups")
            end = self.units.new(step.out_unit, channels, step.joint_out)
        here = {"in_unit": start.end, "in_channels": width, "in_size": start.size}
        there = {"out_unit": end, "out_channels": channels, "out_size": start.size}
        layer = Layer(**{**vars(step), **here, **there})
        size = layer.operation.out_size(layer)
        self._here = replace(start, end=end, size=size, flat=layer.operation.flat)
        return replace(layer, out_size=size)


def _reads(block: Block) -> dict[str, None]:
    """The blocks whose outputs a block takes, each once."""
    return dict.fromkeys(name for name in (block.source, block.plus) if name is not None)
