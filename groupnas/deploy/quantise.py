"""Networks in int8: calibrated on samples, never trained again."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groupnas.deploy.saturation import PRODUCTS, output_axis, weight_ranges
from groupnas.errors import InputError
from groupnas.formats import MODEL, check_suffix
from groupnas.onnx_tools import import_onnx, import_runtime, open_session
from groupnas.writing import atomic_path, temporary_folder

InputBatch = NDArray[np.float32]


def quantise_onnx(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    batches: Iterable[InputBatch],
) -> None:
    """Write a network in int8, by ONNX Runtime's static quantisation.

    Weights become int8, symmetric, with a scale for each output channel: folded BatchNorm makes
    channels of very different ranges. They span as much of int8 as fits the sums of every
    processor (``groupnas.deploy.saturation``), so that the file answers the same with and
    without VNNI, and on ARM. Activations become uint8, with one range a tensor, the least and the
    largest value that the batches brought about. What the last linear layers answer stays float32,
    and what is before the first convolution, since int8 would save nothing there.

    For speed, export the network with a :class:`groupnas.deploy.dense.DensePlanner`; grouped int8
    kernels are slow.

    Args:
        source: ONNX file of one float32 input, e.g. by :func:`groupnas.deploy.export.export_onnx`.
        path: Of the new file, whole or not at all; may be the source.
        batches: Samples as the network will see them, ``(N, C, H, W)`` float32; some 100 suffice.
            Never those that it is tested on.

    Raises:
        InputError: ONNX Runtime is not installed, the source cannot be read, is no such network,
            is quantised or holds weights that are not finite, there are no batches, one of another
            shape or dtype or that makes the network overflow, or the file cannot be written.
    """
    check_suffix(path, MODEL, "an ONNX file")
    onnx, _ = import_onnx(), import_runtime()
    session = open_session(source)
    ports = session.get_inputs()
    if len(ports) != 1 or ports[0].type != "tensor(float)":
        raise InputError(f"{os.fspath(source)}: expected a network of one float32 input")
    with _silence(), temporary_folder() as folder:
        # Imported here: the library greets with warnings
        quantization = import_module("onnxruntime.quantization")
        prepared = folder / "prepared.onnx"
        quantization.quant_pre_process(os.fspath(source), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        _check(graph, os.fspath(source))
        with atomic_path(path) as temporary:
            quantization.quantize_static(
                str(prepared),
                str(temporary),
                _Reader(session, batches),
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
                calibrate_method=quantization.CalibrationMethod.MinMax,
                nodes_to_exclude=_outside(graph) + _unusual(graph),
                extra_options={
                    "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],
                    "TensorQuantOverrides": weight_ranges(graph),
                },
            )
            before = {one.name for one in graph.initializer}
            made = onnx.load(temporary).graph.initializer
            if _endless(one for one in made if one.name not in before):
                raise InputError("batches: values inside the network went beyond float32")


def _check(graph: Any, name: str) -> None:
    """Refuse what no calibration could make right."""
    if any("uantizeLinear" in node.op_type for node in graph.node):
        raise InputError(f"{name}: is quantised already; give the network in float32")
    weights = {one for node in graph.node if node.op_type in PRODUCTS for one in node.input}
    if endless := _endless(one for one in graph.initializer if one.name in weights):
        raise InputError(f"{name}: {endless[0]}: expected finite weights")


def _endless(initializers: Iterable[Any]) -> list[str]:
    """The names of those that are not finite."""
    to_array = import_module("onnx.numpy_helper").to_array
    stored = {one.name: to_array(one) for one in initializers}
    return [
        name
        for name, values in stored.items()
        if values.dtype.kind == "f" and not np.isfinite(values).all()
    ]


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


def _unusual(graph: Any) -> list[str]:
    """Names of ``Gemm`` nodes that scale, or add more than a bias: the library gets them wrong."""
    shapes = {one.name: [*one.dims] for one in graph.initializer}
    found = []
    for node in graph.node:
        if node.op_type == "Gemm":
            scales = {field.f for field in node.attribute if field.name in ("alpha", "beta")}
            added = [name for name in node.input[2:] if name]
            weights = shapes.get(node.input[1], [0, 0])
            outputs = [weights[output_axis(node)]]
            if scales - {1} or any(shapes.get(name) != outputs for name in added):
                found.append(node.name)
    return found


class _Reader:
    """Hands out one checked batch after the other, as a ``CalibrationDataReader`` does."""

    def __init__(self, session: Any, batches: Iterable[InputBatch]) -> None:
        self._feeds = _feeds(session, batches)

    def get_next(self) -> dict[str, InputBatch] | None:
        return next(self._feeds, None)


def _feeds(session: Any, batches: Iterable[InputBatch]) -> Iterator[dict[str, InputBatch]]:
    (port,) = session.get_inputs()
    number = -1
    for number, batch in enumerate(batches):
        what = f"batches: number {number}: expected"
        if not isinstance(batch, np.ndarray):
            raise InputError(f"{what} a NumPy array, got {type(batch).__name__}")
        fits = batch.dtype == np.float32 and batch.ndim == len(port.shape) and batch.size
        if not fits or any(
            size != given
            for size, given in zip(port.shape, batch.shape, strict=True)
            if isinstance(size, int)
        ):
            wanted = ", ".join(map(str, port.shape))
            raise InputError(f"{what} ({wanted}) float32, got {batch.shape} {batch.dtype.name}")
        if not np.isfinite(batch).all():
            raise InputError(f"{what} finite values")
        feed = {port.name: batch}
        if not all(np.isfinite(answer).all() for answer in session.run(None, feed)):
            raise InputError(f"batches: number {number}: the network's answers are not finite")
        yield feed
    if number < 0:
        raise InputError("batches: expected at least one to calibrate on, got none")


@contextmanager
def _silence() -> Iterator[None]:
    """Without the library's advice, which goes to the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
