"""Measured latency as a cost: a table of milliseconds for each kind of layer, by channels.

Every layer of a space is timed for one group of ``a`` input and ``b`` output channels over a grid,
with its BatchNorm and activation, in PyTorch eager mode on one thread, for one image. Between the
grid's points costs are interpolated, so that a search can descend them.

What a sum of such figures leaves out: additions of two layers, the splitting and joining of uneven
groups, and that a fused or compiled network, or one ``nn.Conv2d`` of even groups, takes less time
than its groups one by one. Figures are of the machine and the PyTorch that the file names. Where a
larger layer was measured faster than a smaller one, it counts as much as the smaller one: budgets
are met by scaling sizes, and need costs that never fall.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from groupnas.errors import InputError
from groupnas.files import read_text, write_text
from groupnas.schema import validate
from groupnas.spaces.layer import Layer
from groupnas.spaces.space import SearchSpace

if TYPE_CHECKING:
    from torch import nn

SHARES = (0.0, 0.125, 0.25, 0.5, 1.0)
_SHAPE = ("op", "in_size", "out_size", "kernel", "stride", "dilation", "norm", "act", "bias")

Channels = list[Annotated[int, Field(ge=1, strict=True)]]
Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class LayerLatency(BaseModel):
    """What one kind of layer takes.

    Attributes:
        layer: Its shape without channels: what :class:`groupnas.spaces.layer.Layer` calls so.
        inputs: Input channels that were measured, ascending.
        outputs: Output channels, likewise; only one, 0, where each channel is kept to itself.
        ms: ``(inputs, outputs)`` milliseconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layer: dict[str, Any]
    inputs: Channels
    outputs: Channels | list[Literal[0]]
    ms: list[list[Milliseconds]]

    @model_validator(mode="after")
    def _is_a_table(self) -> LayerLatency:
        for key, grid in (("inputs", self.inputs), ("outputs", self.outputs)):
            if not grid or sorted(set(grid)) != list(grid):
                raise ValueError(f"{key}: expected ascending numbers of channels")
        if len(self.ms) != len(self.inputs) or {len(row) for row in self.ms} != {len(self.outputs)}:
            raise ValueError(f"ms: expected {len(self.inputs)} rows of {len(self.outputs)} numbers")
        return self

    @cached_property
    def table(self) -> Any:
        """``(inputs, outputs)`` milliseconds, float64, that never fall as channels are added."""
        return np.maximum.accumulate(np.maximum.accumulate(np.array(self.ms), axis=0), axis=1)


class LatencyFile(BaseModel):
    """A table's file: what was measured, and on what; threads of the layers, images of a batch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    kind: Literal["latency"] = "latency"
    space: str
    machine: str
    torch: str
    threads: int
    batch: int
    layers: list[LayerLatency]


@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds for each kind of layer; a :class:`groupnas.costs.Measure`.

    Attributes:
        name: Where it was loaded from; ``latency`` where it was just measured.
        file: What was measured, and on what.
    """

    name: str
    file: LatencyFile
    unit: str = "ms"

    @cached_property
    def _by_shape(self) -> dict[str, LayerLatency]:
        return {_key(entry.layer): entry for entry in self.file.layers}

    def of_layer(self, layer: Layer, a: Any, b: Any) -> Any:
        """What one group with ``a`` input and ``b`` output channels takes, in milliseconds.

        Bilinear between the grid's points, and on along the outermost cells beyond them.

        Args:
            layer: Its shape; its own numbers of channels do not matter.
            a: A number, or a tensor of any shape.
            b: Likewise; not looked at where each channel is kept to itself.

        Raises:
            InputError: a layer of a shape that was not measured.
        """
        entry = self._by_shape.get(_key(_shape(layer)))
        if entry is None:
            height, width = layer.in_size
            raise InputError(
                f"{self.name}: {layer.name}: no layer like it ({layer.op} {layer.kernel}x"
                f"{layer.kernel} on {height}x{width}) was measured with {self.file.space}; measure "
                "this space with LatencyTable.measure"
            )
        return _interpolated(entry, a, b if layer.mixes_channels else 0)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table as JSON, one layer a line, whole or not at all."""
        head = json.dumps(self.file.model_dump(mode="json", exclude={"layers"}))
        layers = ",\n".join(json.dumps(e.model_dump(mode="json")) for e in self.file.layers)
        write_text(path, f'{head[:-1]}, "layers": [\n{layers}\n]}}\n')

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LatencyTable:
        """Read a table.

        Raises:
            InputError: it cannot be read, is not JSON, or is no latency table.
        """
        try:
            data = json.loads(read_text(path))
        except (ValueError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: is not JSON: {error}") from error
        return cls(os.fspath(path), validate(LatencyFile, data, str(path)))

    @classmethod
    def measure(
        cls, space: SearchSpace, shares: Sequence[float] = SHARES, *, repeats: int = 5
    ) -> LatencyTable:
        """Time every kind of layer of a space on this machine; takes seconds to minutes.

        Each figure is the least of ``repeats`` means over about 2 ms: other work on the machine
        only ever adds time.

        Args:
            space: Its layers give the shapes, and the widest layer of each shape the grid.
            shares: The grid, as shares in [0, 1] of that width; at least one channel.
            repeats: How often each point is timed.

        Raises:
            InputError: fewer than two shares, or one out of range.
        """
        if len(set(shares)) < 2 or not all(0 <= share <= 1 for share in shares):
            raise InputError(f"shares: expected at least two from 0 to 1, got {list(shares)}")
        import torch

        kinds: dict[str, list[Layer]] = {}
        for layer in space.layers:
            kinds.setdefault(_key(_shape(layer)), []).append(layer)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            layers = [_measure(same, shares, repeats) for same in kinds.values()]
        finally:
            torch.set_num_threads(threads)
        return cls(
            "latency",
            LatencyFile(
                space=space.name,
                machine=f"{platform.system()} {platform.machine()} {_processor()}".strip(),
                torch=str(torch.__version__),
                threads=1,
                batch=1,
                layers=layers,
            ),
        )


def _shape(layer: Layer) -> dict[str, Any]:
    return {key: getattr(layer, key) for key in _SHAPE}


def _key(shape: dict[str, Any]) -> str:
    return json.dumps(shape, sort_keys=True, default=list)


def _interpolated(entry: LayerLatency, a: Any, b: Any) -> Any:
    """Bilinear; numbers and tensors alike, so that there is one formula."""
    low, s = _place(a, entry.inputs)
    left, t = _place(b, entry.outputs)
    right = min(1, len(entry.outputs) - 1)
    corner = _lookup(entry.table, (low, s), (left, t))
    upper = corner(0, 0) * (1 - t) + corner(0, right) * t
    lower = corner(1, 0) * (1 - t) + corner(1, right) * t
    return upper * (1 - s) + lower * s


def _place(x: Any, grid: Sequence[int]) -> tuple[Any, Any]:
    """The cell of a number or of a tensor's numbers, and the place in it (0 to 1 inside)."""
    if len(grid) == 1:
        return 0, 0.0
    if not hasattr(x, "detach"):
        cell = min(max(bisect_right(grid, x) - 1, 0), len(grid) - 2)
        return cell, (x - grid[cell]) / (grid[cell + 1] - grid[cell])
    import torch

    points = torch.tensor(grid, dtype=x.dtype, device=x.device)
    cells = torch.bucketize(x.detach(), points, right=True).sub(1).clamp(0, len(grid) - 2)
    return cells, (x - points[cells]) / (points[cells + 1] - points[cells])


def _lookup(table: Any, row: tuple[Any, Any], column: tuple[Any, Any]) -> Any:
    """Entries of the table beside a place: floats, or tensors like the place's."""
    tensor = next((t for _, t in (row, column) if hasattr(t, "detach")), None)
    if tensor is None:
        return lambda i, j: float(table[row[0] + i, column[0] + j])
    import torch

    values = torch.tensor(table, dtype=tensor.dtype, device=tensor.device)
    return lambda i, j: values[row[0] + i, column[0] + j]


def _measure(same: Sequence[Layer], shares: Sequence[float], repeats: int) -> LayerLatency:
    """Time a kind of layer up to the widest of ``same``."""
    layer = same[0]
    inputs = _grid(max(one.in_channels for one in same), shares)
    outputs = _grid(max(one.out_channels for one in same), shares) if layer.mixes_channels else [0]
    ms = [[round(_time(layer, a, b or a, repeats), 6) for b in outputs] for a in inputs]
    return LayerLatency(
        layer=json.loads(_key(_shape(layer))), inputs=inputs, outputs=outputs, ms=ms
    )


def _grid(widest: int, shares: Sequence[float]) -> list[int]:
    """At least two numbers of channels, so that there is a slope."""
    return sorted({max(1, round(share * widest)) for share in shares} | {1, max(2, widest)})


def _time(layer: Layer, a: int, b: int, repeats: int) -> float:
    """Milliseconds of a layer with its tail, one image, evaluation mode."""
    import torch

    module = _module(layer, a, b).eval()
    x = torch.zeros(1, a, *layer.in_size)
    with torch.inference_mode():

        def mean(runs: int) -> float:
            start = time.perf_counter()
            for _ in range(runs):
                module(x)
            return 1e3 * (time.perf_counter() - start) / runs

        rough = statistics.median(mean(1) for _ in range(3))
        runs = max(1, min(100, int(2 / max(rough, 1e-3))))
        return min(mean(runs) for _ in range(repeats))


def _module(layer: Layer, a: int, b: int) -> nn.Module:
    from torch import nn

    from groupnas.spaces.modules import channelwise, tail

    layer = replace(layer, in_channels=a, out_channels=b)
    if layer.op == "conv":
        op: nn.Module = nn.Conv2d(a, b, bias=layer.bias, **layer.window)
    elif layer.op == "linear":
        op = nn.Sequential(nn.Flatten(), nn.Linear(a * layer.positions, b, bias=layer.bias))
    else:
        op = channelwise(layer)
    return nn.Sequential(op, *tail(layer))


def _processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = read_text("/proc/cpuinfo").splitlines()
    except InputError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
