"""Measure what kernels take in ONNX Runtime on this machine.

A kernel is timed by what some more of its like add to a graph of one, so that neither calls nor
changes of format at a graph's ends count. All read one input, which was just written, with weights
of their own, which are no longer in the cache: as in a network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from groupnas.latency.graphs import BLOCKED, kernel_model, pass_model
from groupnas.latency.grid import kernel_grid, pass_grid, plain_layer
from groupnas.latency.kernel import Kernel, kernel_format, padded_kernel
from groupnas.latency.regimes import work_of
from groupnas.latency.table import KernelPoint, LatencyFile, LatencyTable, Pass, PassPoint
from groupnas.latency.timing import time_side_by_side
from groupnas.machine import machine
from groupnas.onnx_tools import import_onnx, import_runtime, open_session
from groupnas.spaces.space import SearchSpace
from groupnas.values import whole
from groupnas.writing import temporary_folder


def measure_table(
    spaces: SearchSpace | Sequence[SearchSpace],
    *,
    threads: int = 1,
    batch: int = 1,
    repeats: int = 60,
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
        InputError: ONNX or ONNX Runtime is missing, or a number that is no whole one from 1 on.
    """
    threads, batch = whole("threads", threads, 1), whole("batch", batch, 1)
    repeats = whole("repeats", repeats, 1)
    block = block_size()
    bench = _Bench(threads, batch, repeats)
    several = [spaces] if isinstance(spaces, SearchSpace) else list(spaces)
    kernels, passes = kernel_grid(several, block), pass_grid(block)
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
            machine=machine(),
            onnxruntime=str(import_runtime().__version__),
            threads=threads,
            batch=batch,
            block=block,
            kernels=kernel_points,
            passes=pass_points,
        ),
    )


@dataclass(frozen=True)
class _Bench:
    threads: int
    batch: int
    repeats: int

    def kernel(self, kernel: Kernel, block: int) -> KernelPoint:
        form = kernel_format(kernel, block)
        padded = padded_kernel(kernel, block)
        macs = work_of(kernel, block)[1]
        more = min(32, max(8, 2**22 // macs))  # so that quick ones add something, too
        ms = self._difference(lambda n: kernel_model(padded, form, n, self.batch), more)
        return KernelPoint.of(kernel, form, ms)

    def a_pass(self, op: Pass, pieces: int, elements: int) -> PassPoint:
        ms = self._difference(lambda n: pass_model(op, pieces, elements, n, self.batch), 8)
        return PassPoint(
            op=op, pieces=pieces, elements=elements, ms=ms / 2 if op == "reorder" else ms
        )

    def _difference(self, model: Callable[[int], bytes], more: int) -> float:
        """Milliseconds of a node for an image, by what ``more`` of them add to one."""
        work = {str(n): _call(open_session(model(n), self.threads)) for n in (1, 1 + more)}
        times = time_side_by_side(work, rounds=self.repeats, warm_up=2, least_ms=0.1)
        ms = (times[str(1 + more)].least - times["1"].least) / more / self.batch
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


def block_size() -> int:
    """Channels of a block on this machine; 0 where ONNX Runtime has no blocked kernels."""
    onnx, runtime = import_onnx(), import_runtime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    kernel = Kernel(plain_layer("conv", 1, 1, 4, kernel=1), 1, 1, 1)
    with temporary_folder() as folder:
        # Weights are padded to whole blocks when the graph is optimised
        options.optimized_model_filepath = str(folder / "probe.onnx")
        model = kernel_model(kernel, "plain", 1, 1)
        runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(options.optimized_model_filepath).graph
    blocked = any(node.domain == BLOCKED for node in graph.node)
    return max(weight.dims[0] for weight in graph.initializer) if blocked else 0
