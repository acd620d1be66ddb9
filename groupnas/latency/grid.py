"""Which kernels and passes a latency table is measured of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from groupnas.latency.kernel import Kernel, whole_blocks
from groupnas.latency.table import PASSES, Pass
from groupnas.spaces.layer import INPUT, Layer, operation
from groupnas.spaces.space import SearchSpace


def kernel_grid(spaces: Iterable[SearchSpace], block: int) -> list[Kernel]:
    """The kernels of spaces' layers, and some of every kind; none twice.

    Layers that mix channels with one, two and all groups, others with the unit's channels: of the
    space's size, in whole blocks, and of about half the size.
    """
    layers = [(layer, len(space.groups)) for space in spaces for layer in space.layers]
    layers += [(layer, 4) for layer in _every_kind()]
    kernels = (kernel for layer, groups in layers for kernel in _sizes(layer, groups, block or 8))
    return list({kernel.shape: kernel for kernel in kernels}.values())


def _every_kind() -> Iterator[Layer]:
    """A few layers of each kind, so that a table has a model for what its spaces do without."""
    for side, channels in ((32, 24), (8, 64)):
        first = plain_layer("conv", 4, channels, side, kernel=3, in_unit=INPUT)
        yield from (first, replace(first, kernel=5))
        for kernel in (1, 3):
            yield plain_layer("conv", channels, 2 * channels, side, kernel=kernel)
        yield plain_layer("depthwise", channels, channels, side, kernel=3)
        yield plain_layer("depthwise", channels, channels, side, kernel=5, stride=2)
        yield plain_layer("avgpool", channels, channels, side, kernel=2, stride=2)
        yield plain_layer("maxpool", channels, channels, side, kernel=2, stride=2)
    yield plain_layer("linear", 64, 32, 8)


def plain_layer(
    op: str, a: int, b: int, side: int, *, kernel: int = 0, stride: int = 1, in_unit: str = "a"
) -> Layer:
    """A layer with neither BatchNorm nor activation; a window keeps the input's positions."""
    out = 1 if operation(op).flat else side // stride
    return Layer(
        name="layer",
        op=op,
        in_unit=in_unit,
        out_unit="b",
        in_channels=a,
        out_channels=b,
        in_size=(side, side),
        out_size=(out, out),
        kernel=kernel,
        stride=stride,
    )


def _sizes(layer: Layer, groups: int, block: int) -> Iterator[Kernel]:
    """A layer's kernels, of both formats."""
    a, b = layer.in_channels, layer.out_channels
    if not layer.mixes_channels:
        for channels in {
            whole_blocks(a, 4),
            whole_blocks(a, block),
            whole_blocks(a // 2, block),
            whole_blocks(3 * a // 2, 4),
        }:
            yield Kernel(layer, channels, 1, 1)
        yield Kernel(layer, whole_blocks(a, 4) + 2, 1, 1)  # plain
        return
    for count in sorted({1, 2, groups}):
        ins, outs = -(-a // count), -(-b // count)
        if layer.operation.flat:
            if layer.in_unit != INPUT or count == 1:
                yield Kernel(layer, 1, ins, outs)
            continue
        yield Kernel(layer, count, ins, outs)
        if layer.in_unit == INPUT:
            for other in (-(-outs // 2), 2 * outs, whole_blocks(outs, block)):
                yield Kernel(layer, count, ins, other)
            continue
        yield Kernel(layer, count, whole_blocks(ins, block), whole_blocks(outs, block))
        yield Kernel(layer, count, whole_blocks(ins // 2, block), whole_blocks(outs // 2, block))
        if count > 1:
            yield Kernel(layer, count, max(1, ins // 2), max(1, outs // 2))


def pass_grid(block: int) -> list[tuple[Pass, int, int]]:
    """Return passes to measure, ``(op, pieces, elements)``, as in a table's ``PassPoint``."""
    sizes = (1920, 7680, 30720, 122880)  # 120 times a square
    return [
        (op, count, size)
        for op in PASSES
        if block or op != "reorder"
        for count in ((2, 4, 8) if op == "pieces" else (1,))
        for size in sizes
    ]
