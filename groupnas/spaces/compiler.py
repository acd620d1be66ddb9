"""From rows of the layer table to primitive layers and channel units."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.spaces.layer import INPUT, Activation, Block, Layer, LayerOp
from groupnas.spaces.schema import Row, SpaceFile


class Units:
    """Layer ends, united where a depthwise convolution or an addition ties them.

    A united set is called after its earliest end.
    """

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}
        self._order: dict[str, int] = {}
        self.channels: dict[str, int] = {}

    def new(self, end: str, channels: int) -> str:
        """Register an end of that many channels; an :class:`InputError` where its name is taken."""
        if end in self._parent:
            raise InputError(f"name: {end!r} is already the name of another layer end")
        self._parent[end] = end
        self._order[end] = len(self._order)
        self.channels[end] = channels
        return end

    def of(self, end: str) -> str:
        """The unit that an end belongs to."""
        while self._parent[end] != end:
            end = self._parent[end]
        return end

    def tie(self, first: str, second: str) -> None:
        """Two ends share one division."""
        first, second = sorted((self.of(first), self.of(second)), key=self._order.__getitem__)
        self._parent[second] = first

    def names(self) -> list[str]:
        """All units, in the order of their first ends."""
        return [end for end, parent in self._parent.items() if parent == end]


@dataclass(frozen=True, kw_only=True)
class _Signal:
    """What flows out of a block (or of the network's input): who reads it starts here."""

    block: str
    end: str
    size: tuple[int, int]
    flat: bool = False


@dataclass
class Compiler:
    """Walks the rows once, from the input's end to the output's.

    Attributes:
        file: The checked file.
        inputs: Input channels of all groups together.
        outputs: Outputs of all groups together.
        units: The ends met so far; ``input`` and ``output`` are the network's own.
        blocks: The blocks built so far, whose layers name ends, not yet units.
    """

    file: SpaceFile
    inputs: int
    outputs: int
    units: Units = field(default_factory=Units)
    blocks: list[Block] = field(default_factory=list)

    def __post_init__(self) -> None:
        end = self.units.new(INPUT, self.inputs)
        self._here = _Signal(block=INPUT, end=end, size=self.file.input)
        self._signals = {INPUT: self._here}  # of each row so far
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
        of = self.units.of
        return replace(layer, in_unit=of(layer.in_unit), out_unit=of(layer.out_unit))

    def _row(self, row: Row, last: bool) -> None:
        if row.name == INPUT:
            raise InputError("name: 'input' is already the name of the network's input")
        if (row.kind == "linear" and row.c is None) != last:
            raise InputError(
                "the last row, and only it, must be a linear without c: the network's output"
            )
        sources = self._sources(row, last)
        self._here = next(iter(sources.values()))
        if row.kind == "linear":
            self._linear(row, sources)
        else:
            self._spatial(row)
        self._signals[row.name] = self._here

    def _sources(self, row: Row, last: bool) -> dict[str, _Signal]:
        """What a row reads, by the name of the row that it comes from."""
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

    def _spatial(self, row: Row) -> None:
        if self._here.flat:
            raise InputError(f"op: {row.op} cannot follow a linear layer")
        for index in range(row.n):
            name = row.name if row.n == 1 and row.kind != "irb" else f"{row.name}.block{index + 1}"
            stride = row.s if index == 0 else 1
            if row.kind == "irb":
                self._inverted_residual(row, name, stride, first=index == 0)
            else:
                self._add(name, self._here, self._simple(row, name, stride))

    def _add(self, name: str, start: _Signal, *layers: Layer, plus: str | None = None) -> None:
        """Append a block that reads ``start``; its layers lead from there to here."""
        self.blocks.append(Block(name=name, layers=layers, source=start.block, plus=plus))
        self._here = replace(self._here, block=name)

    def _linear(self, row: Row, sources: dict[str, _Signal]) -> None:
        """One layer for each source: their sum is one layer of all features."""
        act = row.act or ("none" if row.c is None else self.file.act)
        if len(sources) > 1 and act != "none":
            raise InputError("act: an output that reads several rows cannot have one")
        plus = None
        for source, start in sources.items():
            self._here = start
            name = row.name if len(sources) == 1 else f"{row.name}.{source}"
            end = "output" if row.c is None and plus is None else name
            bias = row.bias is not False and plus is None
            layer = self._layer(name, "linear", end, row.c or self.outputs, act=act, bias=bias)
            if plus is not None:
                self.units.tie("output", end)
            self._add(name, start, layer, plus=plus)
            plus = name

    def _simple(self, row: Row, name: str, stride: int) -> Layer:
        kernel, act = row.kernel, row.act or self.file.act
        if row.kind in ("avgpool", "maxpool"):
            op: LayerOp = "avgpool" if row.kind == "avgpool" else "maxpool"
            if kernel is None:
                kernel, width = self._here.size
                if kernel != width:
                    raise InputError("op: a global pooling needs a square input; give its kernel")
            return self._layer(name, op, None, kernel=kernel, stride=stride)
        bias = not row.norm if row.bias is None else row.bias
        depthwise = row.kind == "dwconv"
        return self._layer(
            name,
            "depthwise" if depthwise else "conv",
            None if depthwise else name,
            row.c,
            kernel=kernel or 1,
            stride=stride,
            dilation=row.d,
            norm=row.norm,
            act=act,
            bias=bias,
        )

    def _inverted_residual(self, row: Row, name: str, stride: int, first: bool) -> None:
        """MobileNetV2's block: expand by t, depthwise, project; added to its input if it fits."""
        start = self._here
        act = row.act or self.file.act
        layers = []
        assert row.t is not None and row.c is not None and row.kernel is not None
        if row.t > 1:
            width = row.t * self.units.channels[start.end]
            layers.append(
                self._layer(
                    f"{name}.expand", "conv", f"{name}.hidden", width, kernel=1, norm=True, act=act
                )
            )
        layers.append(
            self._layer(
                f"{name}.depthwise",
                "depthwise",
                None,
                kernel=row.kernel,
                stride=stride,
                dilation=row.d,
                norm=True,
                act=act,
            )
        )
        trunk = f"{row.name}.trunk" if first else f"{name}.trunk"
        layers.append(self._layer(f"{name}.project", "conv", trunk, row.c, kernel=1, norm=True))
        residual = stride == 1 and self.units.channels[start.end] == row.c
        if residual:
            self.units.tie(start.end, trunk)
        self._add(name, start, *layers, plus=start.block if residual else None)

    def _layer(
        self,
        name: str,
        op: LayerOp,
        out_end: str | None,
        channels: int | None = None,
        *,
        kernel: int = 0,
        stride: int = 1,
        dilation: int = 1,
        norm: bool = False,
        act: Activation = "none",
        bias: bool = False,
    ) -> Layer:
        """A layer that leads on from here; no ``out_end`` keeps the channels' unit."""
        start, end = self._here, self._here.end
        width = self.units.channels[end]
        if out_end is not None and channels is not None:
            if channels < len(self.file.groups):
                raise InputError(
                    f"c: {channels} channels cannot hold {len(self.file.groups)} groups"
                )
            end = self.units.new(out_end, channels)
        layer = Layer(
            name=name,
            op=op,
            in_unit=start.end,
            out_unit=end,
            in_channels=width,
            out_channels=channels or width,
            in_size=start.size,
            out_size=start.size,
            kernel=kernel,
            stride=stride,
            dilation=dilation,
            norm=norm,
            act=act,
            bias=bias,
        )
        size = (1, 1) if op == "linear" else _windows(layer)
        self._here = replace(start, end=end, size=size, flat=op == "linear")
        return replace(layer, out_size=size)


def _reads(block: Block) -> dict[str, None]:
    """The blocks whose outputs a block takes, each once."""
    return dict.fromkeys(name for name in (block.source, block.plus) if name is not None)


def _windows(layer: Layer) -> tuple[int, int]:
    """Output size of a sliding window, as PyTorch floors it."""
    reach = layer.dilation * (layer.kernel - 1) + 1
    height, width = (
        (size + 2 * layer.padding - reach) // layer.stride + 1 for size in layer.in_size
    )
    if min(height, width) < 1:
        raise InputError(f"a {reach} x {reach} window does not fit its {layer.in_size} input")
    return height, width
