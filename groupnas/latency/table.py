"""Measured latency as a cost: what kernels take in ONNX Runtime, measured once, and fitted.

A kernel that was measured costs what it took; every other one what its regime's model says
(:mod:`groupnas.latency.regimes`), so that any space, size and grouping has a cost. Figures are of
the machine, the ONNX Runtime, the threads and the batch that the file names, and of kernels whose
input is in the cache, as it is where another kernel has just written it, and whose weights are not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from groupnas.errors import InputError
from groupnas.files import read_text
from groupnas.formats import TABLE, check_suffix
from groupnas.latency.kernel import Format, Kernel, behind_kernel, kernel_format
from groupnas.latency.regimes import WORK, Fit, regime_of, smooth_work, work_of
from groupnas.machine import lacks_avx512, machine
from groupnas.saved import parse_saved
from groupnas.schema import Settings, validate
from groupnas.spaces.behind import ActivationName
from groupnas.spaces.layer import INPUT, Layer, operation
from groupnas.spaces.measure import Measure
from groupnas.writing import write_text

SHIPPED = "x86_avx512"
_AVX512_BLOCK = 16  # channels; others have 8 at most

Milliseconds = Annotated[float, Field(gt=0)]
KernelCount = Annotated[int, Field(ge=1, le=2**31, strict=True)]
Pass = Literal["reorder", "pieces", "hardswish", "sum"]
PASSES: tuple[Pass, ...] = get_args(Pass)


def _operation(name: str) -> str:
    try:
        return operation(name).name
    except InputError as error:
        raise PydanticCustomError("operation", str(error)) from None


class KernelPoint(Settings):
    """A kernel, and the milliseconds that it took for an image.

    Attributes:
        op: As :class:`groupnas.spaces.layer.Layer` has it, like the sizes.
        window: Kernel size, stride and dilation.
        groups: As :class:`groupnas.latency.Kernel` has it, like inputs and outputs.
        act: What is computed with it; a hardswish is a pass of its own.
        format: The format it was measured in.
    """

    op: Annotated[str, AfterValidator(_operation)]
    window: tuple[Annotated[int, Field(ge=0, le=2**31, strict=True)], KernelCount, KernelCount]
    in_size: tuple[KernelCount, KernelCount]
    out_size: tuple[KernelCount, KernelCount]
    groups: KernelCount
    inputs: KernelCount
    outputs: KernelCount
    act: ActivationName
    format: Format
    ms: Milliseconds

    @classmethod
    def of(cls, kernel: Kernel, form: Format, ms: float) -> KernelPoint:
        """What was measured of a kernel."""
        names = ("op", "window", "in_size", "out_size", "groups", "inputs", "outputs", "act")
        return cls(**dict(zip(names, kernel.shape, strict=True)), format=form, ms=ms)

    @property
    def kernel(self) -> Kernel:
        """The kernel that was measured."""
        layer = Layer(
            name="measured",
            op=self.op,
            in_unit="in",
            out_unit="out",
            in_channels=self.groups * self.inputs,
            out_channels=self.groups * self.outputs,
            in_size=self.in_size,
            out_size=self.out_size,
            kernel=self.window[0],
            stride=self.window[1],
            dilation=self.window[2],
            act=self.act,
        )
        return Kernel(layer, self.groups, self.inputs, self.outputs)


class PassPoint(Settings):
    """What one pass over so many elements took, in milliseconds for an image.

    Attributes:
        op: A change of format; a cut into pieces with their joining; an activation that is a node
            of its own; a sum of two tensors.
        pieces: How many; 1 of the others.
        elements: In all.
    """

    op: Pass
    pieces: KernelCount
    elements: KernelCount
    ms: Milliseconds


class LatencyFile(Settings):
    """A table's file: what was measured, and on what."""

    format: Literal[2] = 2
    kind: Literal["latency"] = "latency"
    machine: str
    onnxruntime: str
    threads: KernelCount
    batch: KernelCount
    block: Annotated[int, Field(ge=0, strict=True)]
    kernels: Annotated[list[KernelPoint], Field(min_length=1, repr=False)]
    passes: Annotated[list[PassPoint], Field(repr=False)]


@dataclass(frozen=True)
class LatencyTable(Measure):
    """Milliseconds of kernels and networks, for an image.

    Attributes:
        name: Where it was loaded from; ``latency`` where it was just measured.
        file: What was measured, and on what.
    """

    name: str
    file: LatencyFile
    unit: str = "ms"

    def __hash__(self) -> int:
        return hash(self.name)  # what was measured has none

    @property
    def block(self) -> int:
        """Channels of a block on the machine: see :func:`groupnas.latency.kernel_format`."""
        return self.file.block

    def caveat(self) -> str | None:
        """Why its times are not those of this machine, in words; ``None`` where they are."""
        here = machine()
        if self.block == _AVX512_BLOCK and lacks_avx512():
            here += " without AVX-512"
        if here == self.file.machine:
            return None
        return (
            f"{self.name}: was measured on {self.file.machine}, and this is {here}: times are "
            "others here, and so may be what is fastest; measure this machine with: groupnas "
            "bench --table FILE --space NAME"
        )

    # -- what a planner asks ----------------------------------------------------------------------

    def kernel(self, kernel: Kernel) -> float:
        """What a node takes in the format that ONNX Runtime chooses for it, with its activation.

        A hardswish behind a blocked kernel is computed in plain format: both changes are counted.

        Raises:
            InputError: nothing was measured that is computed like it.
        """
        single = kernel
        if kernel.layer.operation.flat:
            single = Kernel(kernel.layer, 1, kernel.inputs, kernel.outputs)
        ms = self._exact.get(single.shape)
        if ms is None:
            fit = self._fit(regime_of(single, self.block), kernel.layer)
            ms = float(fit(work_of(single, self.block)))
        if kernel.layer.operation.flat:
            ms *= kernel.groups
        if alone := _alone(kernel.layer):
            ms += self._pass(alone, 1, kernel.out_elements)
            if kernel_format(kernel, self.block) == "blocked":
                ms += 2 * self.reorder(kernel.out_elements)
        return ms

    def reorder(self, elements: int) -> float:
        """What a change of format takes; nothing where there is only one."""
        return self._pass("reorder", 1, elements) if self.block else 0.0

    def pieces(self, count: int, elements: int) -> float:
        """What cutting a tensor of so many elements into pieces and joining as many takes."""
        return self._pass("pieces", count, elements)

    def addition(self, elements: int) -> float:
        """What the sum of two plain tensors takes; blocked kernels add to another's output."""
        return self._pass("sum", 1, elements)

    # -- what a search asks -----------------------------------------------------------------------

    def of_layer(self, layer: Layer, a: Any, b: Any) -> Any:
        """What one group with ``a`` input and ``b`` output channels adds, in milliseconds.

        Of a grouped kernel in blocked format, without what padding to whole blocks costs: linear in
        each of the two, and never falling.

        Args:
            layer: Its shape; its own numbers of channels do not matter.
            a: A number, or a tensor of any shape.
            b: Likewise; not looked at where each channel is kept to itself.

        Raises:
            InputError: nothing was measured that is computed like the layer.
        """
        _, *work = smooth_work(layer, a, b, self.block)
        ms = self._fit(self._regime(layer), layer)((0, *work))
        if alone := _alone(layer):
            elements = (b if layer.mixes_channels else a) * layer.out_size[0] * layer.out_size[1]
            ms = ms + self._passes[alone]((0, 0, elements))
        return ms

    def fixed(self, layer: Layer) -> float:
        """What a layer takes however few its channels; its groups share it."""
        ms = self._fit(self._regime(layer), layer).rates[0]
        if alone := _alone(layer):
            ms += self._pass(alone, 1, 0)
        return ms

    # -- the file ---------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table as JSON, one measured point a line, whole or not at all.

        Raises:
            InputError: the file's name does not end in ``.json``, or it cannot be written.
        """
        check_suffix(path, TABLE, "a latency table")
        head = json.dumps(self.file.model_dump(mode="json", exclude={"kernels", "passes"}))
        kernels, passes = _lines(self.file.kernels), _lines(self.file.passes)
        write_text(path, f'{head[:-1]},\n"kernels": [\n{kernels}\n],\n"passes": [\n{passes}\n]}}\n')

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LatencyTable:
        """Read a table.

        Raises:
            InputError: it cannot be read, is not JSON, or is no latency table of this format.
        """
        return cls._parsed(read_text(path), os.fspath(path))

    @classmethod
    def shipped(cls) -> LatencyTable:
        """The table that comes with groupnas: one thread, batch 1; its file says what machine."""
        file = resources.files("groupnas.latency") / f"{SHIPPED}.json"
        return cls._parsed(file.read_text(encoding="utf-8"), SHIPPED)

    @classmethod
    def _parsed(cls, text: str, name: str) -> LatencyTable:
        data = parse_saved(text, name)
        if isinstance(data, dict) and data.get("format") == 1:
            raise InputError(
                f"{name}: format: 1 holds times of PyTorch; measure a new table with "
                "groupnas.latency.measure_table"
            )
        table = cls(name, validate(LatencyFile, data, name))
        _ = table._regimes, table._exact  # fitted now: what cannot be is told before it is used
        for op in PASSES:
            if op not in table._passes and (table.block or op != "reorder"):
                raise InputError(f"{name}: passes: no {op} among them; expected at least one")
        return table

    def to_markdown(self) -> str:
        """How well the models fit what was measured, and their rates, as a Markdown table."""
        rows = [["computed as", "points", "median error", "worst", "nanoseconds"]]
        rows.append(["---", "---:", "---:", "---:", "---"])
        kinds = [(self._regimes, WORK), (self._passes, ("node", "piece", "element"))]
        rows += [
            [name, str(fit.points), f"{fit.median:.1%}", f"{fit.worst:+.0%}", fit.formula(work)]
            for fits, work in kinds
            for name, fit in sorted(fits.items())
        ]
        return "".join(f"| {' | '.join(row)} |\n" for row in rows)

    # -- inside -----------------------------------------------------------------------------------

    @cached_property
    def _exact(self) -> dict[tuple[Any, ...], float]:
        return {point.kernel.shape: point.ms for point in self.file.kernels}

    @cached_property
    def _regimes(self) -> dict[str, Fit]:
        kernels = [(point.kernel, point.ms) for point in self.file.kernels]
        return _fits((regime_of(k, self.block), work_of(k, self.block), ms) for k, ms in kernels)

    @cached_property
    def _passes(self) -> dict[str, Fit]:
        return _fits((p.op, (1, p.pieces, p.elements), p.ms) for p in self.file.passes)

    def _pass(self, op: Pass, pieces: int, elements: int) -> float:
        return float(self._passes[op]((1, pieces, elements)))

    def _regime(self, layer: Layer) -> str:
        """What a layer of grouped whole blocks would be; the input is narrower than a block."""
        block = max(self.block, 1)
        if not layer.mixes_channels:
            return regime_of(Kernel(layer, 4 * block, 1, 1), self.block)
        if layer.in_unit == INPUT:
            return regime_of(Kernel(layer, 1, 1, block), self.block)
        return regime_of(Kernel(layer, 2, 4 * block, 4 * block), self.block)

    def _fit(self, regime: str, layer: Layer) -> Fit:
        if regime not in self._regimes:
            (height, width), window = layer.in_size, "x".join(map(str, layer.taps))
            raise InputError(
                f"{self.name}: {layer.name}: no kernel like it ({regime}, {layer.op} {window} on "
                f"{height}x{width}) was measured; measure a table of this space with "
                "groupnas.latency.measure_table"
            )
        return self._regimes[regime]


def _fits(points: Iterable[tuple[str, tuple[int, ...], float]]) -> dict[str, Fit]:
    """A fit for each kind of point, from work to milliseconds."""
    found: dict[str, list[tuple[tuple[int, ...], float]]] = {}
    for kind, work, ms in points:
        found.setdefault(kind, []).append((work, ms))
    return {kind: Fit.to(*map(list, zip(*rows, strict=True))) for kind, rows in found.items()}


def _alone(layer: Layer) -> Pass | None:
    """The pass that a layer's activation is, unless kernels compute it as well."""
    behind = behind_kernel(layer)
    return None if behind is None else cast("Pass | None", behind.alone)


def _lines(points: Iterable[BaseModel]) -> str:
    return ",\n".join(json.dumps(point.model_dump(mode="json")) for point in points)
