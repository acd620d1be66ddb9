"""groupnas.latency.kernel: the rule of formats against ONNX Runtime's own choice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groupnas.latency import Kernel, kernel_format
from groupnas.latency.graphs import BLOCKED
from groupnas.latency.grid import plain_layer
from groupnas.latency.kernel import padded_kernel
from groupnas.latency.measure import block_size

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

CONV = plain_layer("conv", 8, 8, 4, kernel=1)
DEPTHWISE = plain_layer("depthwise", 8, 8, 4, kernel=3)
POOLING = plain_layer("maxpool", 8, 8, 4, kernel=2, stride=2)


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (Kernel(CONV, 1, 3, 7), "blocked"),  # fewer inputs than a block: read as they are
        (Kernel(CONV, 1, 20, 7), "blocked"),
        (Kernel(CONV, 1, 18, 16), "plain"),
        (Kernel(CONV, 4, 16, 32), "blocked"),
        (Kernel(CONV, 4, 24, 16), "plain"),
        (Kernel(CONV, 4, 16, 24), "plain"),
        (Kernel(CONV, 20, 1, 1), "blocked"),  # a depthwise one by another name
        (Kernel(DEPTHWISE, 20, 1, 1), "blocked"),
        (Kernel(DEPTHWISE, 22, 1, 1), "plain"),
        (Kernel(POOLING, 32, 1, 1), "blocked"),
        (Kernel(POOLING, 20, 1, 1), "plain"),
        (Kernel(plain_layer("linear", 64, 8, 4), 1, 64, 8), "plain"),
    ],
)
def test_the_rule_by_hand(kernel: Kernel, expected: str) -> None:
    assert kernel_format(kernel, 16) == expected
    assert kernel_format(kernel, 0) == "plain"


@settings(max_examples=40)
@given(
    groups=st.integers(1, 6),
    inputs=st.integers(1, 40),
    outputs=st.integers(1, 40),
    window=st.sampled_from([1, 3]),
)
def test_onnx_runtime_chooses_so(groups: int, inputs: int, outputs: int, window: int) -> None:
    layer = replace(CONV, kernel=window)
    kernel = Kernel(layer, groups, inputs, outputs)
    assert chosen(kernel) == kernel_format(kernel, BLOCK)


@pytest.mark.parametrize("channels", range(2, 41, 2))
def test_depthwise_kernels_and_poolings_too(channels: int) -> None:
    for layer in (DEPTHWISE, POOLING):
        kernel = Kernel(layer, channels, 1, 1)
        assert chosen(kernel) == kernel_format(kernel, BLOCK)


def test_blocked_kernels_compute_whole_blocks() -> None:
    assert padded_kernel(Kernel(CONV, 1, 20, 7), 16) == Kernel(CONV, 1, 32, 16)
    assert padded_kernel(Kernel(CONV, 1, 3, 17), 16) == Kernel(CONV, 1, 3, 32)
    assert padded_kernel(Kernel(CONV, 4, 6, 30), 16) == Kernel(CONV, 4, 6, 30)  # plain
    assert padded_kernel(Kernel(DEPTHWISE, 20, 1, 1), 16) == Kernel(DEPTHWISE, 32, 1, 1)


BLOCK = block_size()


def chosen(kernel: Kernel) -> str:
    """The format of a kernel's node in a model that ONNX Runtime has optimised, by our graph."""
    import tempfile

    layer, helper = kernel.layer, onnx.helper
    channels = [kernel.groups * kernel.inputs, kernel.groups * kernel.outputs]
    shape = (channels[1], kernel.inputs, layer.kernel, layer.kernel)
    weight = onnx.numpy_helper.from_array(np.ones(shape, np.float32), "w")
    window = {"kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2}
    if layer.op == "maxpool":
        node = helper.make_node("MaxPool", ["x"], ["y"], **window)
    else:
        pads = layer.padding * 2
        node = helper.make_node("Conv", ["x", "w"], ["y"], group=kernel.groups, pads=pads, **window)
    sizes = [(1, channels[0], *layer.in_size), (1, channels[1], *layer.out_size)]
    values = [helper.make_tensor_value_info(n, 1, s) for n, s in zip("xy", sizes, strict=True)]
    graph = helper.make_graph([node], "one", values[:1], values[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "one.onnx")
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        nodes = onnx.load(options.optimized_model_filepath).graph.node
    [found] = [n for n in nodes if "Conv" in n.op_type or "Pool" in n.op_type]
    return "blocked" if found.domain == BLOCKED else "plain"
