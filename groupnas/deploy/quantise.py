"""Networks in int8: calibrated on samples, never trained again."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groupnas.errors import InputError
from groupnas.files import atomic_path
from groupnas.onnx_tools import import_onnx, import_runtime, open_session

Batch = NDArray[np.float32]
PRODUCTS = ("Conv", "Gemm", "MatMul")


def quantise_onnx(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    batches: Iterable[Batch],
) -> None:
    """Write a network in int8, by ONNX Runtime's static quantisation.

    Weights become int8, symmetric, with a scale for each output channel: folded BatchNorm makes
    channels of very different ranges. Activations become uint8, with one range a tensor, the least
    and the largest value that the batches brought about. What the last linear layers answer stays
    float32, and what is before the first convolution, since int8 would save nothing there.

    For speed, export the network with a :class:`groupnas.deploy.dense.DensePlanner`; grouped int8
    kernels are slow. The kernels are exact on CPUs with VNNI and on ARM; on older x86 their sums
    can overflow, unless the session sets ``session.x64quantprecision`` to ``"1"``.

    Args:
        source: ONNX file of one float32 input, e.g. by :func:`groupnas.deploy.export.export_onnx`.
        path: Of the new file, whole or not at all; may be the source.
        batches: Samples as the network will see them, ``(N, C, H, W)`` float32; some 100 suffice.
            Never those that it is tested on.

    Raises:
        InputError: ONNX Runtime is not installed, the source cannot be read or is no such network,
            there are no batches, one of another shape or dtype, or the file cannot be written.
    """
    import_onnx(), import_runtime()
    ports = open_session(source).get_inputs()
    if len(ports) != 1 or ports[0].type != "tensor(float)":
        raise InputError(f"{os.fspath(source)}: expected a network of one float32 input")
    with _silence(), tempfile.TemporaryDirectory() as folder:
        # Imported here: the library greets with warnings
        quantization = import_module("onnxruntime.quantization")
        prepared = Path(folder) / "prepared.onnx"
        quantization.quant_pre_process(os.fspath(source), str(prepared), skip_symbolic_shape=True)
        with atomic_path(path) as temporary:
            quantization.quantize_static(
                str(prepared),
                str(temporary),
                _Reader(ports[0].name, ports[0].shape, batches),
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
                calibrate_method=quantization.CalibrationMethod.MinMax,
                nodes_to_exclude=_outside(import_onnx().load(prepared).graph),
                extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
            )


def _outside(graph: Any) -> list[str]:
    """Names of the nodes before a graph's first products and behind its last ones."""
    reached = {value.name for value in (*graph.input, *graph.initializer)}
    needed = {value.name for value in graph.output}
    found = []
    others = [node for node in graph.node if node.op_type not in PRODUCTS]
    for node in others:  # each after those that it reads
        if reached.issuperset(filter(None, node.input)):
            reached.update(node.output)
            found.append(node.name)
    for node in reversed(others):
        if needed.intersection(node.output):
            needed.update(node.input)
            found.append(node.name)
    return found


class _Reader:
    """Hands out one checked batch after the other, as a ``CalibrationDataReader`` does."""

    def __init__(self, name: str, shape: Sequence[int | str], batches: Iterable[Batch]) -> None:
        self.name, self.shape = name, shape
        self.batches, self.count = iter(batches), 0

    def get_next(self) -> dict[str, Batch] | None:
        batch = next(self.batches, None)
        if batch is None:
            if not self.count:
                raise InputError("batches: expected at least one to calibrate on, got none")
            return None
        self._check(batch)
        self.count += 1
        return {self.name: batch}

    def _check(self, batch: Batch) -> None:
        fits = batch.dtype == np.float32 and batch.ndim == len(self.shape) and batch.size
        if not fits or any(
            size != given
            for size, given in zip(self.shape, batch.shape, strict=True)
            if isinstance(size, int)
        ):
            wanted = ", ".join(map(str, self.shape))
            raise InputError(
                f"batches: number {self.count}: expected ({wanted}) float32, "
                f"got {batch.shape} {batch.dtype.name}"
            )
        if not np.isfinite(batch).all():
            raise InputError(f"batches: number {self.count}: expected finite values")


@contextmanager
def _silence() -> Iterator[None]:
    """Without the library's advice, which goes to the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
