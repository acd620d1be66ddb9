"""int8 weights whose sums fit 16 bits, held against integers computed both ways.

The oracle takes the integers that a file stores and adds their products exactly, and as x86 without
VNNI does: two neighbours at a time, cut off at 16 bits. It needs no such processor.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.lib.stride_tricks import sliding_window_view

import groupnas as gn
from groupnas.deploy import quantise
from groupnas.deploy.quantise import quantise_onnx
from groupnas.deploy.saturation import weight_ranges
from groupnas.grouping import Grouping
from groupnas.spaces import load_space

onnx = pytest.importorskip("onnx", reason="needs the extra 'onnx'")
ort = pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")

THREE_PARTS = str(Path(__file__).parents[2] / "examples/three_parts.yaml")
DRAW = np.random.default_rng(0)


def exact_sums(a: np.ndarray, w: np.ndarray) -> np.ndarray:
    """``(M, K)`` uint8 by ``(K, N)`` int8."""
    return a.astype(np.int64) @ w.astype(np.int64)


def saturating_sums(a: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The same in pairs that are cut off at 16 bits."""
    even = len(w) - len(w) % 2
    last = exact_sums(a[:, even:], w[even:])  # one product fits
    a, w = a[:, :even].astype(np.int64), w[:even].astype(np.int64)
    pairs = a[:, 0::2, None] * w[0::2] + a[:, 1::2, None] * w[1::2]
    return np.asarray(pairs.clip(-(2**15), 2**15 - 1).sum(axis=1) + last)


def run(path: Path, x: np.ndarray, *, optimised: bool = True, outputs: Any = None) -> list[Any]:
    """Without optimisation everything is computed in float32, from what the file stores."""
    model = onnx.load(path)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs or ())
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    providers = ["CPUExecutionProvider"]
    session = ort.InferenceSession(model.SerializeToString(), options, providers=providers)
    return list(session.run(outputs, {"x": x}))


def products(path: Path, x: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What each product, of each group, multiplies: ``(M, K)`` uint8 and ``(K, N)`` int8."""
    graph = onnx.load(path).graph
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    made = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        inputs, weights = (made[name].input for name in node.input[:2])
        (a,) = run(path, x, optimised=False, outputs=[inputs[0]])
        w, fields = stored[weights[0]], {field.name: field for field in node.attribute}
        assert a.dtype == np.uint8 and w.dtype == np.int8
        if node.op_type == "Conv":
            groups = fields["group"].i if "group" in fields else 1
            yield from unfolded(a, w, int(stored[inputs[2]]), fields, groups)
        else:
            yield a, w.T if "transB" in fields and fields["transB"].i else w


def unfolded(
    a: np.ndarray, w: np.ndarray, zero: int, fields: Any, groups: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A convolution's products, channels innermost, without those that depthwise kernels make."""
    up, left, down, right = [*fields["pads"].ints] if "pads" in fields else [0] * 4
    rows, columns = [*fields["strides"].ints] if "strides" in fields else [1, 1]
    padded = np.pad(a, ((0, 0), (0, 0), (up, down), (left, right)), constant_values=zero)
    seen = sliding_window_view(padded, w.shape[2:], axis=(2, 3))[:, :, ::rows, ::columns]
    if w.shape[1] == 1 and len(w) == groups > 1:
        return
    for one, kernel in zip(np.split(seen, groups, 1), np.split(w, groups, 0), strict=True):
        size = kernel[0].size
        yield (
            one.transpose(0, 2, 3, 4, 5, 1).reshape(-1, size),
            kernel.transpose(2, 3, 1, 0).reshape(size, -1),
        )


def saturates(path: Path, x: np.ndarray) -> bool:
    """Whether there is an order of a file's products in which they saturate; some are tried."""
    found = [(a[:: 1 + len(a) // 64], w) for a, w in products(path, x)]
    assert found
    orders = [lambda w: np.arange(len(w)), lambda w: DRAW.permutation(len(w))]
    # Large ones of a sign side by side: the worst order of the output that has the most of them
    orders.append(lambda w: np.argsort(w[:, np.abs(w.astype(int).sum(axis=0)).argmax()]))
    return any(
        (saturating_sums(a[:, by], w[by]) != exact_sums(a, w)).any()
        for a, w in found
        for by in (order(w) for order in orders)
    )


def product_of(path: Path, op: str, weights: np.ndarray, bias: bool = True, **fields: Any) -> Path:
    """One product, of ``(N, C, 6, 6)`` or, for matrices, ``(N, C)``."""
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    size = (6, 6) if op == "Conv" else ()
    channels = weights.shape[1] * fields.get("group", 1) if op == "Conv" else weights.shape[0]
    outputs = weights.shape[0 if op == "Conv" else 1]
    stored = {"w": weights, "b": np.linspace(-1, 1, outputs)} if bias else {"w": weights}
    graph = make.make_graph(
        [make.make_node(op, ["x", *stored], ["y"], name="product", **fields)],
        "product",
        [make.make_tensor_value_info("x", kind, ["n", channels, *size])],
        [make.make_tensor_value_info("y", kind, None)],
        [onnx.numpy_helper.from_array(v.astype(np.float32), k) for k, v in stored.items()],
    )
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=8), path)
    return path


def large(*shape: int) -> np.ndarray:
    """All near the largest; of one sign in each output."""
    return DRAW.uniform(0.9, 1, shape) * np.resize([1, -1], (shape[0], *[1] * (len(shape) - 1)))


@pytest.mark.parametrize(
    ("op", "weights", "fields"),
    [
        ("Conv", large(16, 32, 1, 1), {}),
        ("Conv", large(5, 7, 3, 3), {"pads": [1, 1, 1, 1]}),
        ("Conv", large(8, 3, 3, 3), {"group": 4, "strides": [2, 2]}),
        ("Conv", large(8, 1, 3, 3), {"group": 4}),  # two outputs of each channel
        ("Conv", large(1, 1, 3, 3), {}),
        ("Gemm", large(8, 40).T, {}),
        ("MatMul", large(8, 40).T, {"bias": False}),
    ],
)
def test_large_weights(
    op: str, weights: Any, fields: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    source = product_of(tmp_path / "float.onnx", op, weights, **fields)
    channels = onnx.load(source).graph.input[0].type.tensor_type.shape.dim[1].dim_value
    x = DRAW.uniform(0.8, 1, (4, channels, 6, 6)[: 4 if op == "Conv" else 2]).astype(np.float32)
    found = tmp_path / "int8.onnx"
    quantise_onnx(source, found, [x])
    assert not saturates(found, x)
    (expected,), (here,) = run(source, x), run(found, x)
    assert np.abs(here - expected).max() < 0.02 * np.abs(expected).max()
    monkeypatch.setattr(quantise, "weight_ranges", lambda graph: {})  # the whole of int8
    quantise_onnx(source, tmp_path / "full.onnx", [x])
    assert saturates(tmp_path / "full.onnx", x)


def test_a_network_answers_the_same_on_every_processor(tmp_path: Path) -> None:
    space = load_space(THREE_PARTS)
    torch.manual_seed(0)
    network = gn.Allocation(space, Grouping.random(space, 2)).build().eval()
    gn.export_onnx(network, tmp_path / "float.onnx")  # grouped and depthwise ones
    x = DRAW.standard_normal((1, 3, 16, 16), dtype=np.float32)
    quantise_onnx(tmp_path / "float.onnx", tmp_path / "int8.onnx", [x])
    assert not saturates(tmp_path / "int8.onnx", x)
    # Here, too, in whatever kernels this processor has: no more apart than by what rounds otherwise
    (expected,), (found,) = (run(tmp_path / "int8.onnx", x, optimised=on) for on in (False, True))
    assert np.abs(found - expected).mean() < 0.02 * np.abs(expected).mean()


@pytest.mark.parametrize(
    "fields", [{"group": 24}, {"group": 32}, {"group": 5, "pads": [2, 2, 2, 2]}]
)
def test_depthwise_weights_keep_8_bits(fields: Any, tmp_path: Path) -> None:
    size = 5 if "pads" in fields else 3
    source = product_of(
        tmp_path / "f.onnx", "Conv", large(fields["group"], 1, size, size), **fields
    )
    x = DRAW.uniform(0.8, 1, (2, fields["group"], 6, 6)).astype(np.float32)
    quantise_onnx(source, tmp_path / "i.onnx", [x])
    stored = [
        onnx.numpy_helper.to_array(w) for w in onnx.load(tmp_path / "i.onnx").graph.initializer
    ]
    (weights,) = [w for w in stored if w.dtype == np.int8 and w.ndim == 4]
    assert np.abs(weights.astype(int)).max(axis=(1, 2, 3)).tolist() == [127] * fields["group"]
    (expected,), (here,) = run(source, x), run(tmp_path / "i.onnx", x)
    assert np.abs(here - expected).max() < 0.02 * np.abs(expected).max()  # on this processor


WEIGHTS = st.floats(-8, 8, width=32)


@settings(max_examples=100)
@given(arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=WEIGHTS))
def test_any_two_weights_fit_and_no_bit_is_wasted(weights: np.ndarray) -> None:
    node = onnx.helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)
    stored = [onnx.numpy_helper.from_array(weights, "w")]
    graph = onnx.helper.make_graph([node], "product", [], [], stored)
    ranges = weight_ranges(graph)["w"]
    assert [one["axis"] for one in ranges] == [0] * len(weights)
    for row, one in zip(weights.astype(np.float64), ranges, strict=True):
        assert one["rmin"] == -one["rmax"]
        if not one["rmax"]:
            assert not row.any()
            continue
        steps = row / (one["rmax"] / 127)
        whole = np.rint(steps).astype(int)
        sums = [a + b for i, a in enumerate(whole) for b in whole[:i]]
        assert np.abs(whole).max() <= 127
        assert all(-(2**15) <= 255 * total < 2**15 for total in sums)
        # As large as they can be: one is the largest of int8, or two are at the limit
        apart = [abs(a + b) for i, a in enumerate(steps) for b in steps[:i] if a * b > 0]
        assert max([*np.abs(steps), *apart]) == pytest.approx(127)


@pytest.mark.parametrize("zeros", [[3], [0, 1, 2, 3]])
def test_outputs_without_weights_are_their_bias(zeros: list[int], tmp_path: Path) -> None:
    weights = DRAW.standard_normal((4, 8, 1, 1)) / 1000
    weights[zeros] = 0
    source = product_of(tmp_path / "float.onnx", "Conv", weights)
    x = DRAW.uniform(-500, 500, (2, 8, 6, 6)).astype(np.float32)  # a step of 4: biases are up to 1
    quantise_onnx(source, tmp_path / "int8.onnx", [x])
    (expected,), (found,) = run(source, x), run(tmp_path / "int8.onnx", x)
    step = np.ptp(expected) / 255
    assert np.abs(found - expected)[:, zeros].max() < step
