"""Measure kernels in ONNX Runtime: each in a short and in a long graph of its like.

The difference of the two is free of what a call costs and of changes of format at the ends. Kernels
that keep the resolution form a chain, there and back where they change the number of channels;
others all read one input: blocked ones are summed, which is a part of the kernel, plain ones write
an output each.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from groupnas.latency.kernel import Format, Kernel, kernel_format, padded_kernel, whole_blocks
from groupnas.latency.onnx_tools import import_onnx, import_runtime, open_session
from groupnas.latency.table import PASSES, KernelPoint, LatencyFile, LatencyTable, Pass, PassPoint
from groupnas.latency.timing import time_side_by_side
from groupnas.spaces.layer import INPUT, Layer
from groupnas.spaces.space import SearchSpace

BLOCKED = "com.microsoft.nchwc"
_FUSED: dict[str, dict[str, Any]] = {
    "relu": {"activation": "Relu"},
    "relu6": {"activation": "Clip", "activation_params": [0.0, 6.0]},
    "hardswish": {},
    "none": {},
}
CACHE = 2**18  # weights of a graph, at most where three kernels have fewer: networks' stay in cache


def measure_table(
    spaces: SearchSpace | Sequence[SearchSpace],
    *,
    threads: int = 1,
    batch: int = 1,
    repeats: int = 20,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> LatencyTable:
    """Time the kernels of some spaces on this machine; takes a minute or two.

    Args:
        spaces: Their layers give the shapes; the spaces' own widths and groups what is measured.
        threads: Of ONNX Runtime.
        batch: Images at a time; figures are per image.
        repeats: How often each graph is timed; the least counts, since other work on the machine
            only ever adds time.
        progress: Called with the number of points measured and of all.

    Raises:
        InputError: ONNX or ONNX Runtime is missing.
    """
    block = block_size()
    bench = _Bench(threads, batch, repeats)
    several = [spaces] if isinstance(spaces, SearchSpace) else list(spaces)
    kernels, passes = kernel_grid(several, block), pass_grid()
    total = len(kernels) + len(passes)
    kernel_points, pass_points = [], []
    for kernel in kernels:
        kernel_points.append(bench.kernel(kernel, block))
        progress(len(kernel_points), total)
    for op, pieces, elements in passes:
        pass_points.append(bench.a_pass(op, pieces, elements))
        progress(len(kernel_points) + len(pass_points), total)
    return LatencyTable(
        "latency",
        LatencyFile(
            machine=f"{platform.system()} {platform.machine()} {_processor()}".strip(),
            onnxruntime=str(import_runtime().__version__),
            threads=threads,
            batch=batch,
            block=block,
            kernels=kernel_points,
            passes=pass_points,
        ),
    )


# -- what is measured -------------------------------------------------------------------------


def kernel_grid(spaces: Iterable[SearchSpace], block: int) -> list[Kernel]:
    """The kernels of spaces' layers, and of each kind of layer: see :func:`_sizes`."""
    layers = [(layer, len(space.groups)) for space in spaces for layer in space.layers]
    layers += [(layer, 4) for layer in _every_kind()]
    kernels = (kernel for layer, groups in layers for kernel in _sizes(layer, groups, block or 8))
    return list({kernel.shape: kernel for kernel in kernels}.values())


def _every_kind() -> Iterable[Layer]:
    """A few layers of each kind, so that a table has a model for what its spaces do without."""
    for side, channels in ((32, 24), (8, 64)):
        first = _layer("conv", 4, channels, side, kernel=3, in_unit=INPUT)
        yield from (first, replace(first, kernel=5))
        for kernel in (1, 3):
            yield _layer("conv", channels, 2 * channels, side, kernel=kernel)
        yield _layer("depthwise", channels, channels, side, kernel=3)
        yield _layer("depthwise", channels, channels, side, kernel=5, stride=2)
        for op in ("avgpool", "maxpool"):
            yield _layer(op, channels, channels, side, kernel=2, stride=2)
    yield _layer("linear", 64, 32, 8)


def _layer(
    op: Any, a: int, b: int, side: int, *, kernel: int = 0, stride: int = 1, in_unit: str = "a"
) -> Layer:
    out = 1 if op == "linear" else side // stride
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


def _sizes(layer: Layer, groups: int, block: int) -> Iterable[Kernel]:
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
        if layer.op == "linear":
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


def pass_grid() -> list[tuple[Pass, int, int]]:
    """Passes over elements: changes of format, cuts into pieces and joints, activations, sums."""
    sizes = (1024, 4096, 16384, 65536)
    return [
        (op, count, size)
        for op in PASSES
        for count in ((2, 4, 8) if op == "pieces" else (1,))
        for size in sizes
    ]


# -- how --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Bench:
    threads: int
    batch: int
    repeats: int

    def kernel(self, kernel: Kernel, block: int) -> KernelPoint:
        form = kernel_format(kernel, block)
        padded = padded_kernel(kernel, block)
        weights = padded.groups * padded.inputs * padded.outputs
        weights *= max(kernel.layer.kernel**2, kernel.layer.positions)
        copies = min(9, max(3, CACHE // weights))
        ms = self._difference(lambda n: _fan(padded, form, n, self.batch), copies)
        return KernelPoint.of(kernel, form, ms)

    def a_pass(self, op: Pass, pieces: int, elements: int) -> PassPoint:
        ms = self._difference(lambda n: _passes(op, pieces, elements, n, self.batch), 9)
        return PassPoint(
            op=op, pieces=pieces, elements=elements, ms=ms / 2 if op == "reorder" else ms
        )

    def _difference(self, model: Callable[[int], bytes], copies: int) -> float:
        """Milliseconds per image of one step more."""
        work = {str(n): _call(open_session(model(n), self.threads)) for n in (1, copies)}
        times = time_side_by_side(work, rounds=self.repeats, warm_up=2, least_ms=1.0)
        ms = (times[str(copies)].least - times["1"].least) / (copies - 1) / self.batch
        return float(f"{max(ms, 1e-5):.4g}")


def _call(session: Any) -> Callable[[], None]:
    """A call whose input is in place already; all outputs are written to one place."""
    runtime = import_runtime()
    binding = session.io_binding()
    generator = np.random.default_rng(0)
    for value in session.get_inputs():
        array = generator.standard_normal(value.shape, dtype=np.float32)
        binding.bind_ortvalue_input(value.name, runtime.OrtValue.ortvalue_from_numpy(array))
    shape = session.get_outputs()[0].shape
    place = runtime.OrtValue.ortvalue_from_shape_and_type(shape, np.float32)
    for value in session.get_outputs():
        binding.bind_ortvalue_output(value.name, place)
    return lambda: session.run_with_iobinding(binding)


class _Graph:
    """A model under construction; values are known by their names."""

    def __init__(self) -> None:
        self._helper = import_onnx().helper
        self._numpy = import_onnx().numpy_helper
        self._generator = np.random.default_rng(0)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def node(self, op: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> Any:
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(self._helper.make_node(op, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, array: Any) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(self._numpy.from_array(np.asarray(array), name))
        return name

    def random(self, shape: Sequence[int]) -> str:
        return self.constant(self._generator.standard_normal(shape, dtype=np.float32))

    def zeros(self, count: int) -> str:
        return self.constant(np.zeros(count, np.float32))

    def kernel(self, kernel: Kernel, form: Format, x: str) -> str:
        """A kernel whose channels are whole blocks where it is blocked."""
        layer, a, b = kernel.layer, kernel.inputs, kernel.outputs
        domain = BLOCKED if form == "blocked" else ""
        if layer.op == "linear":
            weight = self.random((b, a * layer.positions))
            return self._activated(self.node("Gemm", [x, weight, self.zeros(b)], transB=1), layer)
        window: dict[str, Any] = {"kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2}
        if layer.op in ("avgpool", "maxpool"):
            op = "AveragePool" if layer.op == "avgpool" else "MaxPool"
            return self.node(op, [x], domain=domain, **window)
        weight = self.random((kernel.groups * b, a, layer.kernel, layer.kernel))
        window |= {"pads": [layer.padding] * 4, "dilations": [layer.dilation] * 2}
        window |= {"group": kernel.groups}
        inputs = [x, weight, self.zeros(kernel.groups * b)]
        if not domain:
            return self._activated(self.node("Conv", inputs, **window), layer)
        # The order of a blocked kernel's weights is of no consequence here: they are random
        return self.node("Conv", inputs, domain=domain, **window, **_FUSED[layer.act])

    def _activated(self, x: str, layer: Layer) -> str:
        if layer.act == "relu":
            return self.node("Relu", [x])
        if layer.act == "relu6":
            return self.node("Clip", [x, *(self.constant(np.float32(end)) for end in (0, 6))])
        return x

    def model(self, inputs: Sequence[int], outputs: dict[str, Sequence[int]]) -> bytes:
        h, kind = self._helper, import_onnx().TensorProto.FLOAT
        graph = h.make_graph(
            self.nodes,
            "chain",
            [h.make_tensor_value_info("x", kind, inputs)],
            [h.make_tensor_value_info(name, kind, shape) for name, shape in outputs.items()],
            self.weights,
        )
        opsets = [h.make_opsetid("", 17), h.make_opsetid(BLOCKED, 1)]
        return h.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def _fan(kernel: Kernel, form: Format, count: int, batch: int) -> bytes:
    graph = _Graph()
    outputs = [graph.kernel(kernel, form, "x") for _ in range(count)]
    shape = _shape(kernel, batch, inputs=False)
    return graph.model(_shape(kernel, batch, inputs=True), dict.fromkeys(outputs, shape))


def _passes(op: str, pieces: int, elements: int, count: int, batch: int) -> bytes:
    graph, x = _Graph(), "x"
    channels, side = 64, round((elements / 64) ** 0.5)
    other = graph.random((batch, channels, side, side))
    for _ in range(count):
        if op == "hardswish":
            x = graph.node("HardSwish", [x])
        elif op == "sum":
            x = graph.node("Add", [x, other])
        elif op == "pieces":
            cut = graph.node(
                "Split", [x, graph.constant(np.full(pieces, channels // pieces))], pieces, axis=1
            )
            x = graph.node("Concat", cut[::-1], axis=1)
        else:
            x = graph.node("ReorderInput", [x], domain=BLOCKED)
            x = graph.node("ReorderOutput", [x], domain=BLOCKED, channels=channels)
    shape = (batch, channels, side, side)
    return graph.model(shape, {x: shape})


def _shape(kernel: Kernel, batch: int, *, inputs: bool) -> tuple[int, ...]:
    layer = kernel.layer
    channels = kernel.groups * (kernel.inputs if inputs else kernel.outputs)
    if layer.op == "linear":
        return (batch, channels * (layer.positions if inputs else 1))
    return (batch, channels, *(layer.in_size if inputs else layer.out_size))


def block_size() -> int:
    """Channels of a block on this machine; 0 where ONNX Runtime has no blocked kernels."""
    onnx, runtime = import_onnx(), import_runtime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        # Weights are padded to whole blocks when the graph is optimised
        options.optimized_model_filepath = os.path.join(folder, "probe.onnx")
        model = _fan(Kernel(_layer("conv", 1, 1, 4, kernel=1), 1, 1, 1), "plain", 1, 1)
        runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(options.optimized_model_filepath).graph
    blocked = any(node.domain == BLOCKED for node in graph.node)
    return max(weight.dims[0] for weight in graph.initializer) if blocked else 0


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(
                line.split(":")[1].strip() for line in lines if line.startswith("model name")
            )
    except (OSError, StopIteration):
        return platform.processor()
