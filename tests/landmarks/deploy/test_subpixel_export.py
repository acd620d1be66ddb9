"""Turned regions, decoded maps and averaged points in one ONNX file, as in the cascade itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import exit_code

from groupnas.deploy.export import export_onnx
from groupnas.landmarks.crops import cut_turned, fine_pixels
from groupnas.landmarks.data.synthetic import draw_face
from groupnas.landmarks.deploy.export import export_cascade
from groupnas.landmarks.deploy.graph import FLOAT, Graph
from groupnas.landmarks.deploy.region import Region, fitted, read_off
from groupnas.landmarks.deploy.resample import cut_squares, plan_sampling
from groupnas.landmarks.deploy.runtime import OnnxCascade
from groupnas.landmarks.frames import Frame
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.model import load_cascade
from groupnas.landmarks.roles import Gaze
from groupnas.onnx_tools import import_onnx, open_session

pytest.importorskip("onnxscript", reason="needs the extra 'onnx'")
pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")

MARKUP = MARKUPS[68]


@pytest.fixture(scope="module")
def exported(trained_maps: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "maps.onnx"
    export_cascade(trained_maps, path)
    return path


@pytest.mark.parametrize("index", range(4))
def test_as_the_cascade_itself(trained_maps: Path, exported: Path, index: int) -> None:
    """Crops differ by a grey level or so, by which tops of hardly trained maps may jump."""
    grey, points = draw_face(index, size=96)
    image = np.stack([grey, grey[::-1], 255 - grey], axis=-1)
    boxes = np.array([[*points.min(0), *points.max(0)], [20, 30, 60, 62.5]])
    expected = load_cascade(trained_maps).locate(image, boxes)
    found = OnnxCascade.load(exported).locate(image, boxes)
    assert [*found.stages] == ["five", "global"]
    np.testing.assert_allclose(found.initial, expected.initial, atol=0.25)
    off = np.linalg.norm(found.points - expected.points, axis=-1)
    assert np.median(off) < 0.15 and np.quantile(off, 0.75) < 0.5


def test_decoded_and_averaged_in_the_graph(trained_maps: Path, tmp_path: Path) -> None:
    """On the same crops, the file's points are PyTorch's to 1e-4."""
    network = load_cascade(trained_maps).stages["global"].network
    export_onnx(network, tmp_path / "points.onnx", batch=1)  # type: ignore[arg-type]
    session = open_session(tmp_path / "points.onnx")
    kinds = {node.op_type for node in import_onnx().load(tmp_path / "points.onnx").graph.node}
    assert {"ArgMax", "DepthToSpace"} <= kinds
    for seed in range(3):
        crops = torch.randn(1, 3, 24, 24, generator=torch.Generator().manual_seed(seed))
        (found,) = session.run(None, {"x": crops.numpy()})
        expected = network(crops).detach().numpy()
        assert found.shape == (1, 136)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def run(graph: Graph, **values: np.ndarray) -> list[np.ndarray]:
    session = open_session(graph.model("test", {}).SerializeToString())
    return list(session.run(None, values))


@pytest.mark.parametrize("fit", ["affine", "similarity"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_frames_are_those_of_the_cascade(fit: str, mirrored: bool) -> None:
    look = Gaze(frame="five_points", fit=fit, margin=1.3, size=24, colour=True)  # type: ignore[arg-type]
    _, points = draw_face(3)
    box = np.array([*points.min(0), *points.max(0)])
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    points = (points - 80) @ turn.T * [-1 if mirrored else 1, 1] + 80
    expected = look.frames(box[None], points[None], MARKUP)
    graph = Graph()
    given = graph.input("points", FLOAT, (68, 2)).reshape(68, 2, 1, 1, 1)
    half = (box[2:] - box[:2]).max() / 2 * 1.3
    centre = graph.constant(((box[:2] + box[2:]) / 2).reshape(1, 2, 1, 1, 1), FLOAT)
    plain = Region(centre, graph.constant(np.full((1, 1, 1, 1, 1), half), FLOAT))
    region = fitted(given, plain, look.weights, MARKUP)
    assert region.linear is not None
    graph.output("linear", region.linear, (2, 2))
    graph.output("centre", region.centre, (1, 2, 1, 1, 1))
    graph.output("half", region.upright(26).half, (1, 1, 1, 1, 1))
    linear, found, reach = run(graph, points=points.astype(np.float32))
    np.testing.assert_allclose(linear, expected.linear[0, 0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.ravel(), expected.origin[0, 0], atol=1e-3)
    rows = np.abs(expected.linear[0, 0]).sum(axis=1).max()
    assert reach.item() == pytest.approx(rows * 26 / 24, rel=1e-4)
    assert (abs(expected.linear[0, 0, 0, 1]) == 0) == mirrored


def test_turned_regions_are_read_off_alike(trained_maps: Path) -> None:
    """What goes into the network, within two grey levels, of a face that is turned far."""
    grey, _ = draw_face(1, size=128)
    image = np.stack([grey, 255 - grey, grey[::-1]], axis=-1)
    linear, origin = np.array([[30.0, -22], [16, 34]]), np.array([61.0, 70])
    expected = cut_turned(image, Frame(linear[None], origin[None]), 24, True)
    graph, fine = Graph(), fine_pixels(24)
    pixels = graph.input("image", np.uint8, ("height", "width", 3))
    centre = graph.constant(origin.reshape(1, 2, 1, 1, 1), FLOAT)
    half = graph.constant(np.ones((1, 1, 1, 1, 1)), FLOAT)
    region = Region(centre, half, graph.constant(linear, FLOAT))
    around = region.upright(fine)
    last = graph.constant(np.full((2, 1, 1, 1), 127.0), FLOAT)
    plan = plan_sampling(around.centre, around.half, 1, fine, last)
    crops = cut_squares(pixels, plan, fine, True)
    assert region.linear is not None
    graph.output("crops", read_off(crops, region.linear, around.half, 24), (1, 3, 24, 24))
    (found,) = run(graph, image=image)
    assert np.abs(found - expected).max() < 4 and np.abs(found - expected).mean() < 1


def test_the_command_lays_out_what_it_can(
    trained_maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "both.onnx"
    assert exit_code("export", str(trained_maps), "-o", str(out)) == 0
    printed = capsys.readouterr().out
    assert "five" in printed and "global" not in printed
    found, plain = OnnxCascade.load(out), load_cascade(trained_maps)
    grey, points = draw_face(2, size=96)
    image, box = np.stack([grey] * 3, axis=-1), np.array([[*points.min(0), *points.max(0)]])
    off = np.linalg.norm(found.locate(image, box).points - plain.locate(image, box).points, axis=-1)
    assert np.median(off) < 0.15
