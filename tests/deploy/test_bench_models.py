"""groupnas.deploy.bench: what goes into models, who takes part, what the ratios are of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from groupnas.deploy import bench as module
from groupnas.deploy.bench import bench, named
from groupnas.deploy.bench_inputs import (
    GivenInputs,
    draw_feed,
    fixed_batch,
    parse_input,
    parse_shape,
    read_ports,
)
from groupnas.errors import InputError
from groupnas.latency.timing import Timing
from groupnas.onnx_tools import open_session

Make = Callable[..., Path]
NOTHING = GivenInputs({}, {})


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A model that casts each input to float: name -> (element type, shape)."""

    def write(name: str = "model", **inputs: tuple[int, list[Any]]) -> Path:
        nodes = [
            helper.make_node("Cast", [key], [f"{key}_out"], to=TensorProto.FLOAT) for key in inputs
        ]
        graph = helper.make_graph(
            nodes,
            name,
            [helper.make_tensor_value_info(key, *spec) for key, spec in inputs.items()],
            [
                helper.make_tensor_value_info(f"{key}_out", TensorProto.FLOAT, spec[1])
                for key, spec in inputs.items()
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.save(model, tmp_path / f"{name}.onnx")
        return tmp_path / f"{name}.onnx"

    return write


def feed(path: Path, batch: int = 1, given: GivenInputs = NOTHING) -> dict[str, Any]:
    return draw_feed("m", read_ports("m", open_session(path)), batch, given)


def test_an_open_first_size_is_the_batch(make: Make) -> None:
    path = make(x=(TensorProto.FLOAT, ["n", 3, 4, 5]), ids=(TensorProto.INT64, ["n", 2]))
    found = feed(path, batch=6)
    assert found["x"].shape == (6, 3, 4, 5) and found["x"].dtype == np.float32
    assert abs(found["x"].mean()) < 0.2 and 0.8 < found["x"].std() < 1.2
    assert found["ids"].tolist() == [[0, 0]] * 6
    assert fixed_batch(read_ports("m", open_session(path)), NOTHING) is None


def test_a_photo_and_its_central_square(make: Make) -> None:
    path = make(image=(TensorProto.UINT8, ["h", "w", 3]), box=(TensorProto.FLOAT, [4]))
    found = feed(path)
    assert found["image"].shape == (480, 640, 3) and found["image"].dtype == np.uint8
    assert found["image"].min() == 0 and found["image"].max() == 255
    assert found["box"].dtype == np.float32
    # around (319.5, 239.5), 120 to each side
    assert found["box"].tolist() == [199.5, 119.5, 439.5, 359.5]
    small = feed(path, given=GivenInputs({"image": (100, 60, 3)}, {}))
    assert small["image"].shape == (100, 60, 3)
    assert small["box"].tolist() == [14.5, 34.5, 44.5, 64.5]
    assert fixed_batch(read_ports("m", open_session(path)), NOTHING) == 1


def test_given_values_are_used_as_they_are(make: Make, tmp_path: Path) -> None:
    path = make(x=(TensorProto.FLOAT, ["n", 2]))
    np.save(tmp_path / "x.npy", np.array([[1, 2], [3, 4], [5, 6]], np.float32))
    given = GivenInputs({}, dict([parse_input(f"x={tmp_path / 'x.npy'}")]))
    assert feed(path, 3, given)["x"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert fixed_batch(read_ports("m", open_session(path)), given) == 3


def test_who_takes_part_and_what_ratios_are_of(make: Make, monkeypatch: Any) -> None:
    """Times are made up: a turn of the first takes 2 ms, of the second 3."""
    turns = []

    def timed(work: dict[str, Any], *, rounds: int, warm_up: int, **_: Any) -> dict[str, Timing]:
        turns.append((list(work), rounds, warm_up))
        shapes = {name: call()[0].shape for name, call in work.items()}
        assert all(shape[0] in (1, 4) for shape in shapes.values())
        ms = {"first": 2.0, "second": 3.0}
        return {name: Timing(ms[name], 1.0, 4.0, ms[name] / 2, rounds) for name in work}

    monkeypatch.setattr(module, "time_side_by_side", timed)
    models = {
        "first": make("free", x=(TensorProto.FLOAT, ["n", 3])),
        "second": make("fixed", x=(TensorProto.FLOAT, [1, 3])),
    }
    found = bench(models, batches=(1, 4), threads=(1, 2), rounds=7, warm_up=2)
    assert turns == 2 * [(["first", "second"], 7, 2), (["first"], 7, 2)]
    assert [(row.model, row.threads, row.batch, row.ratio) for row in found.rows] == [
        ("first", 1, 1, 1.0),
        ("second", 1, 1, 1.5),
        ("first", 1, 4, 1.0),
        ("first", 2, 1, 1.0),
        ("second", 2, 1, 1.5),
        ("first", 2, 4, 1.0),
    ]
    assert found.notes == ("second: takes batches of 1 only; left out at 4",)
    assert " ".join(found.table()[2]) == "second 1 1 3.000 1.000 4.000 1.500 1.50 1.50"
    told = json.loads(json.dumps(found.to_dict()))
    assert told["rows"][1]["timing"]["median"] == 3.0 and told["rows"][1]["ratio"] == 1.5
    assert told["runtime"].startswith("onnxruntime 1.") and told["machine"]


def test_times_are_those_of_the_models(make: Make) -> None:
    row = bench({"m": make(x=(TensorProto.FLOAT, ["n", 3]))}, rounds=3, warm_up=1).rows[0]
    assert 0 < row.timing.least <= row.timing.median <= row.timing.high
    assert row.timing.rounds == 3 and row.ratio == 1


def test_names() -> None:
    one, two = Path("a/net.onnx"), Path("b/net.onnx")
    assert named([one, Path("c/other.onnx")]) == {"net": one, "other": Path("c/other.onnx")}
    assert named([one, two]) == {"a/net.onnx": one, "b/net.onnx": two}
    assert named([one, two], ["even", "searched"]) == {"even": one, "searched": two}
    with pytest.raises(InputError, match="--names: expected 2, one for each model, got 1"):
        named([one, two], ["even"])
    with pytest.raises(InputError, match=r"a/net.onnx: is there twice"):
        named([one, one])


@pytest.mark.parametrize("text", ["x", "x=", "=1x3", "x=1x0", "x=1xa", "x=1x-3", "x=1x3x"])
def test_shapes_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match=f"^--shape {text}: expected NAME=SIZE"):
        parse_shape(text)


def test_a_shape() -> None:
    assert parse_shape("x=1x3x224x224") == ("x", (1, 3, 224, 224))


def test_inputs_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty.npy").touch()
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=np.zeros(1))
    for text, message in [
        ("x", "--input x: expected NAME=FILE.npy"),
        ("x=none.npy", "none.npy is no .npy file: .*No such file"),
        (f"x={tmp_path / 'empty.npy'}", "empty.npy is no .npy file"),
        (
            f"x={tmp_path / 'objects.npy'}",
            "objects.npy is no .npy file: it holds something else, or Python",
        ),
        (f"x={tmp_path / 'several.npz'}", "several.npz holds several arrays"),
    ]:
        with pytest.raises(InputError, match=message):
            parse_input(text)


@pytest.mark.parametrize(
    ("spec", "given", "message"),
    [
        (
            [1, 3],
            GivenInputs({"y": (1, 3)}, {}),
            "no model has an input 'y'; choose from: x",
        ),
        (["n", 3], GivenInputs({"x": (1, 4)}, {}), r"m: --shape x=1x4 does not fit its \(\?x3\)"),
        (["n", 3, "h"], NOTHING, r"m: input x leaves sizes open \(1x3x\?\); .*--shape x=1x3x8"),
        (
            ["n", 3],
            GivenInputs({}, {"x": np.zeros((2, 3))}),
            r"x is float64 \(2x3\), where .* float32",
        ),
        ([1, 3], GivenInputs({}, {"x": np.zeros((2, 3), np.float32)}), r"where .* float32 \(1x3\)"),
    ],
)
def test_inputs_that_do_not_fit(make: Make, spec: Any, given: GivenInputs, message: str) -> None:
    path = make(x=(TensorProto.FLOAT, spec))
    batches = [2] if "x" in given.values else [1]
    with pytest.raises(InputError, match=message) as refusal:
        bench({"m": path}, batches=batches, shapes=given.shapes, values=given.values, rounds=1)
    assert "\n" not in str(refusal.value)


def test_nothing_to_time(make: Make) -> None:
    path = make(x=(TensorProto.FLOAT, [1, 3]))
    with pytest.raises(InputError, match="no model to time: m: takes batches of 1 only; left out"):
        bench({"m": path}, batches=[8])


def test_files_that_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    (tmp_path / "empty.onnx").touch()
    for name in ("broken.onnx", "empty.onnx", "missing.onnx", "."):
        with pytest.raises(
            InputError, match="ONNX Runtime cannot run it|is not a regular file|no such file"
        ) as refusal:
            bench({"m": tmp_path / name})
        assert "\n" not in str(refusal.value)
