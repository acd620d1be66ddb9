"""``groupnas export``: a cascade, a stage, parts, a fresh network, and what is refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers import exit_code

import groupnas as gn
from groupnas.grouping import Grouping
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.deploy.calibration import crops_shown, training_faces
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.model import StageNetwork, load_cascade, save_cascade
from groupnas.landmarks.roles import FACE_LOOK, PART_LOOK, Role
from groupnas.onnx_tools import open_session

call = partial(exit_code, "export")

SPACE = str(Path(__file__).parents[2] / "examples/three_parts.yaml")


@pytest.fixture(scope="module")
def local() -> StageNetwork:
    space = gn.load_space("picasso_local")
    allocation = gn.Allocation(space, Grouping.random(space, 0))
    torch.manual_seed(0)
    role = Role(look=PART_LOOK)
    return StageNetwork(allocation, role, allocation.build())


@pytest.fixture
def model(local: StageNetwork, tmp_path: Path) -> str:
    space = gn.load_space("picasso_global")
    allocation = gn.Allocation.even(space)
    whole = StageNetwork(allocation, Role(look=FACE_LOOK), allocation.build())
    card = save_cascade(
        tmp_path / "model.json",
        {"global": whole, "local": local},
        markup=MARKUPS[68],
        box="landmarks",
        trained={},
        scores={},
    )
    return str(card)


def test_a_whole_cascade(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cascade.onnx"
    assert call(model, "-o", str(out)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["global", "local", str(out)]
    assert "µs expected by the latency table x86_avx512; layers: " in lines[1]
    ports = {port.name: port.shape for port in open_session(out).get_inputs()}
    assert ports == {"image": ["height", "width", 3], "box": [4]}


def test_a_part_of_a_stage_with_its_plan(
    model: str, local: StageNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mouth.onnx"
    line = [model, "--stage", "local", "--parts", "mouth", "--batch", "1", "--plan"]
    assert call(*line, "-o", str(out)) == 0
    channels = local.module.sizes["stem"][3]
    assert f"| stem | 1 → {channels} |" in capsys.readouterr().out
    x = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        expected = local.module.only(["mouth"]).eval()(x)
    (found,) = open_session(out).run(None, {"x": x.numpy()})
    assert found.shape == (1, 40)
    assert np.abs(found - expected.numpy()).max() < 1e-5


def test_a_fresh_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = gn.load_space(SPACE)
    Grouping.random(space, 3).save(tmp_path / "grouping.json")
    given = ["--space", SPACE, "--grouping", str(tmp_path / "grouping.json")]
    for name, more in (("fast.onnx", []), ("plain.onnx", ["--plain"])):
        assert call(*given, *more, "-o", str(tmp_path / name)) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "plain.onnx")
    nodes = {
        name: len(onnx.load(tmp_path / f"{name}.onnx").graph.node) for name in ("fast", "plain")
    }
    assert nodes["fast"] < nodes["plain"]


def int8_groups(path: Path) -> set[int]:
    """The groups of convolutions in a file, whose weights are checked to be int8."""
    graph = onnx.load(path).graph
    assert onnx.TensorProto.INT8 in {one.data_type for one in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    return {field.i for node in convolutions for field in node.attribute if field.name == "group"}


def test_int8(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cascade.onnx"
    given = ["--int8", "--data", "synthetic", "--limit", "3"]
    assert call(model, *given, "-o", str(out)) == 0
    assert capsys.readouterr() == (f"{out}\n", "")
    groups = int8_groups(out) - {1}  # depthwise, in whole multiples
    assert groups and all(count % 16 == 0 for count in groups)
    assert [port.name for port in open_session(out).get_inputs()] == ["image", "box"]


def test_int8_of_a_stage_as_trained(model: str, local: StageNetwork, tmp_path: Path) -> None:
    out = tmp_path / "local.onnx"
    given = ["--int8", "--data", "synthetic", "--limit", "5", "--plain", "--batch", "2"]
    assert call(model, "--stage", "local", *given, "-o", str(out)) == 0
    assert [file.suffix for file in tmp_path.iterdir()].count(".onnx") == 1
    assert local.module.plan[1].layers[0].in_channels in int8_groups(out)  # depthwise, not padded
    cascade = load_cascade(model)
    faces = training_faces(face_set("synthetic"), None, cascade.box, limit=2)
    x = np.concatenate(crops_shown(cascade, faces)["local"])
    with torch.no_grad():
        expected = local.module.eval()(torch.from_numpy(x)).numpy()
    (found,) = open_session(out).run(None, {"x": x})
    assert found.shape == (2, 102)
    # A network that was never trained hardly tells faces apart: 0.012 of 0.040 is what steps leave
    assert np.abs(found - expected).mean() < 0.5 * np.abs(expected).mean()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "export needs a model, or else --space"),
        ("MODEL --space SPACE", "a model does not go with --space"),
        ("--space SPACE --stage local", "--stage does not go with --space"),
        ("MODEL --plain --plan", "--plain: nothing is laid out then"),
        ("MODEL --parts mouth", "--parts goes with --stage or --space"),
        ("MODEL --batch 1", "--batch goes with --stage or --space"),
        ("MODEL --stage local --grouping g.json", "--grouping goes with --space"),
        ("MODEL --stage local --parts mouht", "parts: 'mouht': did you mean 'mouth'"),
        ("MODEL --table none.json", "none.json: cannot be read"),
        ("--space nowhere", "is not among the search spaces"),
        ("--space SPACE --grouping none.json", "none.json: cannot be read"),
        ("none.json", "none.json: cannot be read"),
        ("MODEL --int8", "--int8 needs --data"),
        ("MODEL --data synthetic", "goes with --int8"),
        ("MODEL --allow-partial", "goes with --int8"),
        ("MODEL --limit 3", "goes with --int8"),
        ("--space SPACE --int8 --data synthetic", "--space does not go with --int8"),
        ("MODEL --table t.json --int8 --data synthetic", "--table does not go with --int8"),
        ("MODEL --plan --int8 --data synthetic", "--plan does not go with --int8"),
        ("MODEL --int8 --data sinthetic", "did you mean 'synthetic'"),
        ("MODEL --int8 --data cofw", "cofw: no data root; set --data-root"),
    ],
)
def test_mistakes(
    line: str,
    message: str,
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GROUPNAS_DATA", raising=False)
    arguments = line.replace("MODEL", model).replace("SPACE", SPACE).split()
    assert call(*arguments, "-o", str(tmp_path / "out.onnx")) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize("name", ["x.tflite", "x.pt", "x"])
@pytest.mark.parametrize(
    "line", ["MODEL", "--space SPACE --plain", "MODEL --int8 --data synthetic"]
)
def test_a_name_of_another_format(
    line: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is read: there is no such model."""
    assert call(*line.split(), "-o", str(tmp_path / name)) == 2
    error = capsys.readouterr().err
    assert error == f"groupnas: {tmp_path / name}: the name of an ONNX file must end in .onnx\n"
    assert not (tmp_path / name).exists()
