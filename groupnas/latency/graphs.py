"""ONNX models of one kernel or pass several times over, as they are measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from groupnas.latency.kernel import KERNELS, BehindRule, Format, Kernel, behind_kernel
from groupnas.latency.table import Pass
from groupnas.onnx_tools import import_onnx

BLOCKED = "com.microsoft.nchwc"  # the domain of ONNX Runtime's blocked operators
FLOOD = 2**20  # numbers that displace what a core's cache holds


def kernel_model(kernel: Kernel, form: Format, count: int, batch: int) -> bytes:
    """A model of one kernel several times over, beside each other, behind what floods the cache.

    Args:
        kernel: Whole blocks of channels if it is blocked: :func:`padded_kernel`.
        form: The format to compute it in. No format is ever changed: the numbers are random.
        count: How many kernels read the one input; each writes an output.
        batch: Images at a time.
    """
    graph = _Graph()
    shape = _shape(kernel, batch, inputs=True)
    flood = [1] * (len(shape) - 1) + [FLOOD]
    x = graph.node("Add", ["x", graph.node("ReduceMax", ["flood"])])
    outputs = [graph.kernel(kernel, form, x) for _ in range(count)]
    inputs = {"x": shape, "flood": flood}
    return graph.model(inputs, dict.fromkeys(outputs, _shape(kernel, batch, inputs=False)))


def pass_model(op: Pass, pieces: int, elements: int, count: int, batch: int) -> bytes:
    """A model of one pass several times over, one after the other.

    A change of format is one there and one back: two. ``elements`` are 120 times a square, so that
    channels are no whole blocks, as they seldom are where formats change.
    """
    graph, x = _Graph(), "x"
    channels, side = 120, round((elements / 120) ** 0.5)
    other = graph.random((batch, channels, side, side))
    for _ in range(count):
        if op == "hardswish":
            x = graph.node("HardSwish", [x])
        elif op == "sum":
            x = graph.node("Add", [x, other])
        elif op == "pieces":
            sizes = graph.constant(np.full(pieces, channels // pieces))
            cut = graph.node("Split", [x, sizes], pieces, axis=1)
            x = graph.node("Concat", cut[::-1], axis=1)
        else:
            x = graph.node("ReorderInput", [x], domain=BLOCKED)
            x = graph.node("ReorderOutput", [x], domain=BLOCKED, channels=channels)
    shape = (batch, channels, side, side)
    return graph.model({"x": shape}, {x: shape})


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
        op, behind = KERNELS[layer.operation].node, behind_kernel(layer)
        domain = BLOCKED if form == "blocked" else ""
        if layer.operation.flat:
            weight = self.random((b, a * math.prod(layer.taps)))
            return self._activated(self.node(op, [x, weight, self.zeros(b)], transB=1), behind)
        window: dict[str, Any] = {"kernel_shape": layer.taps, "strides": [layer.stride] * 2}
        window |= {"pads": layer.padding * 2}
        if not layer.operation.weighted:
            return self._activated(self.node(op, [x], domain=domain, **window), behind)
        weight = self.random((kernel.groups * b, a, *layer.taps))
        window |= {"dilations": [layer.dilation] * 2, "group": kernel.groups}
        inputs = [x, weight, self.zeros(kernel.groups * b)]
        if not domain:
            return self._activated(self.node(op, inputs, **window), behind)
        if behind is not None and behind.alone is None:
            window["activation"] = behind.node
            if behind.numbers:
                window["activation_params"] = behind.numbers
        # The order of a blocked kernel's weights is of no consequence here: they are random
        return self.node(op, inputs, domain=domain, **window)

    def _activated(self, x: str, behind: BehindRule | None) -> str:
        if behind is None or behind.alone is not None:
            return x
        numbers = [self.constant(np.float32(number)) for number in behind.numbers]
        return self.node(behind.node, [x, *numbers])

    def model(self, inputs: dict[str, Sequence[int]], outputs: dict[str, Sequence[int]]) -> bytes:
        h, kind = self._helper, import_onnx().TensorProto.FLOAT
        graph = h.make_graph(
            self.nodes,
            "chain",
            [h.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
            [h.make_tensor_value_info(name, kind, shape) for name, shape in outputs.items()],
            self.weights,
        )
        opsets = [h.make_opsetid("", 17), h.make_opsetid(BLOCKED, 1)]
        return h.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def _shape(kernel: Kernel, batch: int, *, inputs: bool) -> tuple[int, ...]:
    layer = kernel.layer
    channels = kernel.groups * (kernel.inputs if inputs else kernel.outputs)
    if layer.operation.flat:
        return (batch, channels * (math.prod(layer.taps) if inputs else 1))
    return (batch, channels, *(layer.in_size if inputs else layer.out_size))
