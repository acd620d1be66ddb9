"""From rows of the layer table to primitive layers and channel units."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from groupnas.errors import InputError
from groupnas.spaces.layer import Activation, Block, Layer, LayerOp
from groupnas.spaces.schema import Row, SpaceFile


class Units:
    """Layer ends, united where a depthwise convolution or a residual addition ties them.

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
        self._end = self.units.new("input", self.inputs)
        self._size = self.file.input

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
        return tuple(
            replace(
                block,
                layers=tuple(
                    replace(
                        layer,
                        in_unit=self.units.of(layer.in_unit),
                        out_unit=self.units.of(layer.out_unit),
                    )
                    for layer in block.layers
                ),
            )
            for block in self.blocks
        )

    def _row(self, row: Row, last: bool) -> None:
        if (row.kind == "linear" and row.c is None) != last:
            raise InputError(
                "the last row, and only it, must be a linear without c: the network's output"
            )
        if row.kind != "linear" and self._is_flat():
            raise InputError(f"op: {row.op} cannot follow a linear layer")
        for index in range(row.n):
            name = row.name if row.n == 1 and row.kind != "irb" else f"{row.name}.block{index + 1}"
            stride = row.s if index == 0 else 1
            if row.kind == "irb":
                self._inverted_residual(row, name, stride, first=index == 0)
            else:
                self.blocks.append(Block(name=name, layers=(self._simple(row, name, stride),)))

    def _is_flat(self) -> bool:
        return bool(self.blocks) and self.blocks[-1].layers[-1].op == "linear"

    def _simple(self, row: Row, name: str, stride: int) -> Layer:
        kernel, act = row.kernel, row.act or self.file.act
        if row.kind == "linear":
            end = "output" if row.c is None else name
            act = row.act or ("none" if row.c is None else self.file.act)
            bias = True if row.bias is None else row.bias
            return self._layer(name, "linear", end, row.c or self.outputs, act=act, bias=bias)
        if row.kind in ("avgpool", "maxpool"):
            op: LayerOp = "avgpool" if row.kind == "avgpool" else "maxpool"
            if kernel is None:
                if self._size[0] != self._size[1]:
                    raise InputError("op: a global pooling needs a square input; give its kernel")
                kernel = self._size[0]
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
        start = self._end
        act = row.act or self.file.act
        layers = []
        assert row.t is not None and row.c is not None and row.kernel is not None
        if row.t > 1:
            width = row.t * self.units.channels[start]
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
        residual = stride == 1 and self.units.channels[start] == row.c
        if residual:
            self.units.tie(start, trunk)
        self.blocks.append(Block(name=name, layers=tuple(layers), residual=residual))

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
        """Append a layer behind the current end; no ``out_end`` keeps the channels' unit."""
        in_end, in_size = self._end, self._size
        width = self.units.channels[in_end]
        if out_end is not None and channels is not None:
            if channels < len(self.file.groups):
                raise InputError(
                    f"c: {channels} channels cannot hold {len(self.file.groups)} groups"
                )
            self._end = self.units.new(out_end, channels)
        layer = Layer(
            name=name,
            op=op,
            in_unit=in_end,
            out_unit=self._end,
            in_channels=width,
            out_channels=channels or width,
            in_size=in_size,
            out_size=in_size,
            kernel=kernel,
            stride=stride,
            dilation=dilation,
            norm=norm,
            act=act,
            bias=bias,
        )
        self._size = (1, 1) if op == "linear" else _windows(layer)
        return replace(layer, out_size=self._size)


def _windows(layer: Layer) -> tuple[int, int]:
    """Output size of a sliding window, as PyTorch floors it."""
    reach = layer.dilation * (layer.kernel - 1) + 1
    height, width = (
        (size + 2 * layer.padding - reach) // layer.stride + 1 for size in layer.in_size
    )
    if min(height, width) < 1:
        raise InputError(f"a {reach} x {reach} window does not fit its {layer.in_size} input")
    return height, width
