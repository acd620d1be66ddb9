"""``groupnas bench``: the table, the JSON, what is refused, and no torch."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest
from helpers import exit_code
from onnx import TensorProto, helper

call = partial(exit_code, "bench")


SPACE = str(Path(__file__).parents[2] / "examples/three_parts.yaml")
QUICK = ("--rounds", "2", "--warm-up", "1")


@pytest.fixture
def model(tmp_path: Path) -> str:
    """``(n, 3)`` in, its ReLU out."""
    shape: list[Any] = ["n", 3]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "relu",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(made, tmp_path / "relu.onnx")
    return str(tmp_path / "relu.onnx")


def test_table_and_json_say_the_same(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "found.json"
    options = ["--names", "one", "two", "--batch", "1", "8", "--json", str(file)]
    assert call(model, model, *options, *QUICK) == 0
    printed = capsys.readouterr().out.splitlines()
    found = json.loads(file.read_text())
    assert printed[0] == f"{found['machine']}, {found['runtime']}"
    assert printed[1].split()[:5] == ["model", "threads", "batch", "median", "ms"]
    assert [line.split()[:3] for line in printed[2:]] == [
        ["one", "1", "1"],
        ["two", "1", "1"],
        ["one", "1", "8"],
        ["two", "1", "8"],
    ]
    for line, row in zip(printed[2:], found["rows"], strict=True):
        assert line.split()[3] == f"{row['timing']['median']:.3f}"
        assert line.split()[7] == f"{row['ratio']:.2f}"
    assert found["rows"][2]["ratio"] == 1.0 and found["notes"] == []


def test_a_dash_prints_json_alone(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(model, "--threads", "2", "--json", "-", *QUICK) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["model"], row["threads"], row["timing"]["rounds"]) for row in rows] == [
        ("relu", 2, 2)
    ]


def test_a_table_of_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The measurement itself is told apart: here, what it is asked for and where it goes."""
    asked: list[Any] = []

    class Table:
        def save(self, path: Path) -> None:
            Path(path).write_text("saved")

    def measure_table(spaces: Any, *, threads: int, batch: int, progress: Any) -> Table:
        asked.append(([space.name for space in spaces], threads, batch, callable(progress)))
        return Table()

    fake = types.ModuleType("groupnas.latency.measure")
    fake.__dict__["measure_table"] = measure_table
    monkeypatch.setitem(sys.modules, "groupnas.latency.measure", fake)
    file = tmp_path / "table.json"
    options = ["--space", SPACE, "picasso_local", "--threads", "2"]
    assert call("--table", str(file), *options) == 0
    assert asked == [(["three_parts", "picasso_local:68"], 2, 1, True)]
    assert file.read_text() == "saved" and capsys.readouterr().out == f"{file}\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "bench needs ONNX files"),
        (["none.onnx"], "none.onnx: no such file"),
        ([SPACE], "three_parts.yaml: ONNX Runtime cannot run it"),
        (["MODEL", "--shape", "x=3"], "relu: --shape x=3 does not fit its (?x3)"),
        (["MODEL", "--shape", "z=1x3"], "no model has an input 'z'; choose from: x"),
        (["MODEL", "--input", "x=none.npy"], "--input x: none.npy is no .npy file"),
        (["MODEL", "--batch", "0"], "--batch: expected whole numbers from 1 to 1024, got 0"),
        (["MODEL", "--threads", "2000"], "--threads: expected whole numbers from 1 to 1024"),
        (["MODEL", "--rounds", "0"], "--rounds"),
        (["MODEL", "--names", "a", "b"], "--names: expected 1, one for each model, got 2"),
        (["MODEL", "--space", SPACE], "--space goes with --table FILE"),
        (["MODEL", "--table", "t.json"], "--table measures the kernels of --space: give no models"),
        (["--table", "t.json"], "--table needs --space"),
        (["--table", "t.onnx", "--space", SPACE], "name of a latency table must end in .json"),
        (["MODEL", "--json", "t.csv"], "the name of a JSON file must end in .json, "),
        (["--table", "t.json", "--space", SPACE, "--batch", "1", "2"], "--batch: a latency table"),
    ],
)
def test_wrong_input(
    options: list[str], message: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*(model if option == "MODEL" else option for option in options)) == 2
    output = capsys.readouterr()
    assert message in output.err and output.err.count("\n") == 1 and output.out == ""


def test_torch_is_not_imported(model: str) -> None:
    code = (
        "import sys; from groupnas.cli.bench import bench; from pathlib import Path; "
        f"bench([Path({model!r})], rounds=1); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1:] == ["False"], done.stderr
