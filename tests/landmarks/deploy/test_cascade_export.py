"""A cascade as one ONNX file answers what the cascade answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from groupnas.errors import InputError
from groupnas.landmarks.data.synthetic import draw_face
from groupnas.landmarks.deploy.export import export_cascade, join
from groupnas.landmarks.deploy.graph import FLOAT, Graph
from groupnas.landmarks.deploy.runtime import OnnxCascade
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.model import load_cascade, load_networks
from groupnas.spaces.network import GroupedNetwork

onnx = pytest.importorskip("onnx", reason="needs the extra 'onnx'")
pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")

MARKUP = MARKUPS[68]
CLOSE = 0.1  # pixels, of faces of 40 to 130


def face(index: int) -> tuple[np.ndarray, np.ndarray]:
    """A drawn face in colour and its box; small enough that no pixels are skipped."""
    grey, points = draw_face(index, size=96)
    colours = np.stack([grey, grey[::-1], 255 - grey], axis=-1)
    return np.ascontiguousarray(colours), np.array([*points.min(0), *points.max(0)])


@pytest.mark.parametrize("index", range(4))
def test_as_the_cascade_itself(card: Path, exported: Path, index: int) -> None:
    image, box = face(index)
    shrunk = [box, [20, 30, 60, 62.5], [0, 0, 30, 30]]
    expected = load_cascade(card).locate(image, np.array(shrunk))
    found = OnnxCascade.load(exported).locate(image, np.array(shrunk))
    np.testing.assert_allclose(found.initial, expected.initial, atol=CLOSE)
    np.testing.assert_allclose(found.points, expected.points, atol=CLOSE)
    inner, contour = list(MARKUP.part_points), list(MARKUP.contour)
    assert (found.points[:, contour] == found.initial[:, contour]).all()
    assert np.abs(found.points - found.initial)[:, inner].max() > 1


@pytest.mark.parametrize(
    "box",
    [
        (-10, -12, 30, 40),
        (80, 70, 120, 110),  # behind the border
        (-90, -90, -50, -50),  # nothing of it is seen but the edge
        (150, 20, 180, 50),
        (50, 50, 50.25, 50.5),  # of no pixel
        (0, 0, 95, 1),
        (-40, -45, 15, 12),
    ],
)
def test_odd_boxes(card: Path, exported: Path, box: tuple[float, ...]) -> None:
    image, _ = face(0)
    expected = load_cascade(card).locate(image, np.array([box]))
    found = OnnxCascade.load(exported).locate(image, np.array([box]))
    size = max(box[2] - box[0], box[3] - box[1])
    assert np.abs(found.initial - expected.initial).max() < CLOSE * max(1, size / 48)
    assert np.abs(found.points - expected.points).max() < CLOSE * max(1, size / 48)


def test_an_image_of_one_pixel(card: Path, exported: Path) -> None:
    image = np.full((1, 1, 3), 90, np.uint8)
    box = np.array([[-0.5, -0.5, 0.5, 0.5]])
    expected = load_cascade(card).locate(image, box)
    found = OnnxCascade.load(exported).locate(image, box)
    np.testing.assert_allclose(found.points, expected.points, atol=1e-3)


def answers(outputs: np.ndarray, channels: int, size: int) -> object:
    """A network that says the same of whatever it sees."""
    graph = Graph()
    x = graph.input("x", FLOAT, (1, channels, size, size))
    nothing = x.reduce("Sum", 1, 2, 3) * 0
    same = graph.constant(outputs.reshape(1, -1), FLOAT) + nothing.reshape(1, 1)
    graph.output("y", same, (1, outputs.size))
    return graph.model("answers", {})


@pytest.mark.parametrize("blend", [1.0, 0.5])
def test_answers_are_mapped_back_by_hand(card: Path, tmp_path: Path, blend: float) -> None:
    draw = np.random.default_rng(0)
    shape, parts = draw.uniform(-0.7, 0.7, (68, 2)), draw.uniform(-0.7, 0.7, (51, 2))
    shape[5] = 40, -40  # gone wild, in the contour
    shape[30] = 9, 0.1  # and in the nose: its crop ends at twice the square's side
    settings, _ = load_networks(card)
    local = settings.stages["local"].model_copy(update={"blend": blend})
    settings = settings.model_copy(update={"stages": {**settings.stages, "local": local}})
    networks = {"global": answers(shape, 3, 24), "local": answers(parts, 4, 16)}
    model = join(settings, networks)
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    found = OnnxCascade.load(tmp_path / "a.onnx").locate(face(0)[0], np.array([[20, 30, 60, 62]]))
    half = 40 * 1.15 / 2
    initial = np.array([40, 46]) + shape * half
    np.testing.assert_allclose(found.initial[0], initial, rtol=1e-5)
    points, answer = initial.copy(), iter(parts)
    for indices in MARKUP.parts.values():
        part = np.array([40, 46]) + shape[list(indices)].clip(-2, 2) * half
        low, high = part.min(axis=0), part.max(axis=0)
        for index in indices:
            closer = (low + high) / 2 + next(answer) * (high - low).max() * 1.3 / 2
            points[index] += blend * (closer - points[index])
    np.testing.assert_allclose(found.points[0], points, rtol=1e-4)


def test_the_file_alone_says_what_it_is(card: Path, exported: Path) -> None:
    model = onnx.load(exported, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert about["groupnas.kind"] == "cascade" and about["groupnas.box"] == "landmarks"
    stored, written = json.loads(about["groupnas.card"]), json.loads(card.read_text())
    assert stored == written
    assert json.loads(about["groupnas.parts"])["nose"] == list(MARKUP.parts["nose"])
    assert [entry.name for entry in model.graph.input] == ["image", "box"]
    assert [entry.name for entry in model.graph.output] == ["points", "initial"]


def test_the_planner_sees_both_networks(card: Path, tmp_path: Path) -> None:
    seen: list[GroupedNetwork] = []

    def planner(network: GroupedNetwork) -> GroupedNetwork:
        seen.append(network)
        return network

    export_cascade(card, tmp_path / "c.onnx", planner=planner)
    assert [network.input_shape for network in seen] == [(3, 24, 24), (4, 16, 16)]


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run; expected the folder of a cascade"):
        export_cascade(tmp_path, tmp_path / "c.onnx")
    graph = Graph()
    x = graph.input("x", FLOAT, (1, 3))
    graph.output("y", x + graph.input("z", FLOAT, (1, 3)), (1, 3))
    with pytest.raises(InputError, match="local: expected a network of one input"):
        Graph().network(graph.model("two", {}), x, "local")
