"""quantise_onnx: int8 weights, ranges of what was seen, and nothing else left behind."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import groupnas as gn
from groupnas.deploy.dense import DensePlanner
from groupnas.deploy.quantise import quantise_onnx
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.onnx_tools import open_session
from groupnas.spaces import load_space

onnx = pytest.importorskip("onnx", reason="needs the extra 'onnx'")
pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")

THREE_PARTS = str(Path(__file__).parents[2] / "examples/three_parts.yaml")


def graph_of(weights: np.ndarray, path: Path, inputs: tuple[str, ...] = ("x",)) -> Path:
    """A pointwise convolution of the sum of some inputs ``(N, C, 2, 2)``."""
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [make.make_node("Conv", ["sum", "w"], ["y"], name="conv")]
    nodes.insert(0, make.make_node("Sum", list(inputs), ["sum"]))
    graph = make.make_graph(
        nodes,
        "pointwise",
        [make.make_tensor_value_info(name, kind, ["n", weights.shape[1], 2, 2]) for name in inputs],
        [make.make_tensor_value_info("y", kind, ["n", weights.shape[0], 2, 2])],
        [onnx.numpy_helper.from_array(weights.astype(np.float32), "w")],
    )
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=8), path)
    return path


def initializers(path: Path) -> dict[str, np.ndarray]:
    return {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}


def run(path: Path, x: np.ndarray) -> np.ndarray:
    (found,) = open_session(path).run(None, {"x": x})
    return np.asarray(found)


def test_weights_and_ranges_by_hand(tmp_path: Path) -> None:
    weights = np.array([[0.5, -1.0], [0.001, 0.002]]).reshape(2, 2, 1, 1)
    source = graph_of(weights, tmp_path / "float.onnx")
    x = np.linspace(-1, 4, 8, dtype=np.float32).reshape(1, 2, 2, 2)
    quantise_onnx(source, tmp_path / "int8.onnx", [x[:, :, :1].repeat(2, axis=2), x])
    found = initializers(tmp_path / "int8.onnx")
    (stored,) = [array for array in found.values() if array.dtype == np.int8 and array.ndim == 4]
    # A scale for each output channel: the second keeps its digits beside the first. Two weights of
    # one sign share the range, so that 16 bits hold their products' sum
    assert stored.reshape(2, 2).tolist() == [[64, -127], [42, 85]]
    scales = {
        array.item() for array in found.values() if array.dtype == np.float32 if array.ndim == 0
    }
    assert any(abs(scale - 5 / 255) < 1e-6 for scale in scales)  # x from -1 to 4
    expected = np.einsum("oc,nchw->nohw", weights[:, :, 0, 0], x)
    steps = (np.ptp(expected) + 5 * 1.5 + 5) / 255  # of the output, of both inputs, of weights
    assert np.abs(run(tmp_path / "int8.onnx", x) - expected).max() < steps


def test_sums_around_the_products_stay_float(tmp_path: Path) -> None:
    source = graph_of(np.ones((2, 2, 1, 1)), tmp_path / "float.onnx")
    model = onnx.load(source)
    (_, convolution) = model.graph.node
    convolution.output[0] = "product"
    model.graph.node[0].CopyFrom(onnx.helper.make_node("Add", ["x", "x"], ["sum"], name="before"))
    model.graph.node.append(onnx.helper.make_node("Add", ["product"] * 2, ["y"], name="behind"))
    onnx.save(model, source)
    quantise_onnx(source, tmp_path / "int8.onnx", [np.ones((1, 2, 2, 2), np.float32)])
    nodes = onnx.load(tmp_path / "int8.onnx").graph.node
    (before, behind) = [node for node in nodes if node.op_type == "Add"]
    assert [*before.input] == ["x", "x"] and [*behind.output] == ["y"]
    (product,) = [node for node in nodes if node.op_type == "Conv"]
    assert {*product.input[:2]}.isdisjoint({"sum", "w"})


@pytest.mark.parametrize(
    ("bias", "fields"), [((8,), {"alpha": 0.5}), ((8,), {"beta": 2.0}), ((1, 8), {}), ((2, 8), {})]
)
def test_products_that_scale_or_add_matrices_stay_float(
    bias: tuple[int, ...], fields: dict[str, float], tmp_path: Path
) -> None:
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    draw = np.random.default_rng(0)
    stored = {"w": draw.standard_normal((4, 8)), "b": draw.standard_normal(bias)}
    graph = make.make_graph(
        [make.make_node("Gemm", ["x", "w", "b"], ["y"], name="product", **fields)],
        "product",
        [make.make_tensor_value_info("x", kind, [2, 4])],
        [make.make_tensor_value_info("y", kind, [2, 8])],
        [onnx.numpy_helper.from_array(v.astype(np.float32), k) for k, v in stored.items()],
    )
    source = tmp_path / "gemm.onnx"
    version = make.make_opsetid("", 18)
    onnx.save(make.make_model(graph, opset_imports=[version], ir_version=8), source)
    x = draw.standard_normal((2, 4), dtype=np.float32)
    quantise_onnx(source, tmp_path / "int8.onnx", [x])
    product = fields.get("alpha", 1) * x @ stored["w"]
    expected = product + fields.get("beta", 1) * stored["b"]
    assert np.abs(run(tmp_path / "int8.onnx", x) - expected).max() < 1e-5


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    space = load_space(THREE_PARTS)
    torch.manual_seed(0)
    network = gn.Allocation(space, Grouping.random(space, 2)).build().eval()
    path = tmp_path_factory.mktemp("quantise") / "float.onnx"
    gn.export_onnx(DensePlanner()(network), path)
    return path


def samples(seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.standard_normal((2, 3, 16, 16), dtype=np.float32) for _ in range(8)]


def test_a_network_stays_close_and_gets_smaller(
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    out = tmp_path / "out/int8.onnx"
    quantise_onnx(exported, out, iter(samples(0)))
    assert [file.name for file in out.parent.iterdir()] == ["int8.onnx"]
    assert not list((tmp_path / "temporary").iterdir())
    assert not caplog.records and capfd.readouterr() == ("", "")

    x = np.concatenate(samples(1))
    expected, found = run(exported, x), run(out, x)
    change = expected.std(axis=0).mean()
    assert np.sqrt(((found - expected) ** 2).mean()) < 0.1 * change
    before, after = initializers(exported), initializers(out)
    weights = [array for array in before.values() if array.ndim > 1]
    stored = [array for array in after.values() if array.dtype == np.int8 and array.ndim > 1]
    (answer,) = [node for node in onnx.load(out).graph.node if "y" in node.output]
    assert answer.op_type == "Gemm"  # in float32, not in steps of its range
    assert sorted(w.size for w in stored) == sorted(w.size for w in weights)
    assert out.stat().st_size < 0.7 * exported.stat().st_size


def test_in_place(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(exported.read_bytes())
    quantise_onnx(tmp_path / "net.onnx", tmp_path / "net.onnx", samples(0)[:2])
    assert any(array.dtype == np.int8 for array in initializers(tmp_path / "net.onnx").values())


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "batches: expected at least one to calibrate on, got none"),
        ([np.zeros((2, 3, 16, 15), np.float32)], r"number 0: expected \(.*, 3, 16, 16\) float32"),
        ([np.zeros((2, 3, 16, 16))], r"got \(2, 3, 16, 16\) float64"),
        ([torch.zeros(2, 3, 16, 16)], "number 0: expected a NumPy array, got Tensor"),
        ([np.zeros((3, 16, 16), np.float32)], r"got \(3, 16, 16\) float32"),
        ([np.zeros((0, 3, 16, 16), np.float32)], r"got \(0, 3, 16, 16\) float32"),
        ([np.full((1, 3, 16, 16), np.nan, np.float32)], "number 0: expected finite values"),
        ([*samples(0), samples(0)[0][:, :2]], "number 8: expected"),
    ],
)
def test_samples_that_do_not_fit(
    exported: Path, batches: list[Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        quantise_onnx(exported, tmp_path / "int8.onnx", batches)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("behind", "message"),
    [
        (None, "batches: number 1: the network's answers"),
        ("Sigmoid", "beyond float32"),
    ],
)
def test_samples_that_overflow(behind: str | None, message: str, tmp_path: Path) -> None:
    source = graph_of(np.full((2, 2, 1, 1), 3.0), tmp_path / "float.onnx")
    if behind is not None:
        model = onnx.load(source)
        model.graph.node[-1].output[0] = "product"
        model.graph.node.append(onnx.helper.make_node(behind, ["product"], ["z"], name="behind"))
        model.graph.node.append(onnx.helper.make_node("Conv", ["z", "w"], ["y"], name="last"))
        onnx.save(model, source)
    small = np.ones((1, 2, 2, 2), np.float32)
    with pytest.raises(InputError, match=message):
        quantise_onnx(source, tmp_path / "int8.onnx", [small, 3e38 * small])
    assert not (tmp_path / "int8.onnx").exists()


def test_what_is_no_network(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a network")
    two = graph_of(np.ones((4, 4, 1, 1)), tmp_path / "two.onnx", ("a", "b"))
    half, nan, twice = (tmp_path / f"{name}.onnx" for name in ("half", "nan", "twice"))
    model = onnx.load(graph_of(np.ones((2, 2, 1, 1)), half))
    for port in (model.graph.input[0], model.graph.output[0]):
        port.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    weights = onnx.numpy_helper.from_array(np.ones((2, 2, 1, 1), np.float16), "w")
    model.graph.initializer[0].CopyFrom(weights)
    onnx.save(model, half)
    graph_of(np.full((2, 2, 1, 1), np.nan), nan)
    quantise_onnx(
        graph_of(np.ones((2, 2, 1, 1)), twice), twice, [np.ones((1, 2, 2, 2), np.float32)]
    )
    for source, message in (
        (tmp_path / "text.onnx", "text.onnx: ONNX Runtime cannot run it"),
        (tmp_path / "none.onnx", "none.onnx: no such file"),
        (two, "two.onnx: expected a network of one float32 input"),
        (half, "half.onnx: expected a network of one float32 input"),
        (nan, "nan.onnx: w: expected finite weights"),
        (twice, "twice.onnx: is quantised already"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            quantise_onnx(source, tmp_path / "int8.onnx", samples(0))
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "int8.onnx").exists()
