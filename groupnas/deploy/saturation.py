"""The largest int8 weights with which no processor's sums saturate.

x86 without VNNI multiplies uint8 activations by int8 weights with ``vpmaddubsw``, which adds the
products of two neighbours in 16 bits and cuts the sum off there; twice 255 * 127 is far beyond. The
layer's answers are wrong then, and nothing says so. Which weights are neighbours is the kernel's
own affair, and a file may run anywhere. So the weights are made to fit, whatever the activations
are and whoever stands beside whom: 255 * (a + b) is within 16 bits for any two weights a, b of an
output where a + b is from -128 to 128.

ONNX Runtime has an option for it, too, ``session.x64quantprecision``: then sums are exact for any
weights, and int8 is as slow as float32, also on processors that have VNNI (docs/deploy.md).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

PRODUCTS = ("Conv", "Gemm", "MatMul")
BIAS_STEPS = 1e-3  # of an output that is its bias alone: the step of its weights, over 127


def weight_ranges(graph: Any) -> dict[str, list[dict[str, Any]]]:
    """The ranges that int8 shall span, for the weights of all products of a graph.

    The largest sum of two weights of one sign becomes 127: rounding adds 1 at most. An output with
    one large weight keeps its 8 bits, one with two as large keeps 7. A depthwise convolution has
    them all, since kernels that hold channels side by side multiply each on its own.

    Args:
        graph: An ``onnx.GraphProto`` in float32, its BatchNorm folded.

    Returns:
        By weights, a range for each output, in the form of ONNX Runtime's
        ``TensorQuantOverrides``.
    """
    to_array = import_module("onnx.numpy_helper").to_array
    stored = {one.name: to_array(one) for one in graph.initializer}
    found = {}
    for node in graph.node:
        if node.op_type in PRODUCTS and (weights := stored.get(node.input[1])) is not None:
            # Matrices of other dimensions share one scale
            axis = None if node.op_type == "MatMul" and weights.ndim != 2 else output_axis(node)
            rows = weights.reshape(1, -1) if axis is None else np.moveaxis(weights, axis, 0)
            rows = rows.reshape(len(rows), -1).astype(np.float64)
            ranges = _largest(rows, 1 if _is_depthwise(node, weights) else 2)
            bias = stored.get(node.input[2]) if len(node.input) > 2 else None
            if bias is not None and bias.shape == ranges.shape:
                # Without weights an output is its bias, stored in steps of their scale
                ranges = np.where(ranges > 0, ranges, BIAS_STEPS * np.abs(bias))
            where = {} if axis is None else {"axis": axis}
            found[node.input[1]] = [
                {**where, "rmin": -float(one), "rmax": float(one)} for one in ranges
            ]
    return found


def _largest(rows: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return each row's largest sum of so many of one sign, ``(rows,)``."""
    ends = np.sort(np.stack([rows, -rows]).clip(min=0), axis=-1)[..., -count:]
    largest: NDArray[np.float64] = ends.sum(axis=-1).max(axis=0)
    return largest


def output_axis(node: Any) -> int:
    """Return the axis of a product's weights that its outputs are on."""
    transposed = any(field.name == "transB" and field.i for field in node.attribute)
    return 0 if node.op_type == "Conv" or transposed else 1


def _is_depthwise(node: Any, weights: NDArray[Any]) -> bool:
    groups = {field.name: field.i for field in node.attribute}.get("group", 1)
    return node.op_type == "Conv" and groups == len(weights) > 1 and weights.shape[1] == 1
