"""The runtime needs NumPy and ONNX Runtime alone, and refuses what it cannot run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from groupnas.errors import InputError
from groupnas.landmarks.deploy.graph import FLOAT, Graph
from groupnas.landmarks.deploy.runtime import OnnxCascade
from groupnas.landmarks.markup import MARKUPS

onnx = pytest.importorskip("onnx", reason="needs the extra 'onnx'")
pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
ALONE = """
import sys
import numpy as np
from groupnas.landmarks.deploy.runtime import OnnxCascade

cascade = OnnxCascade.load(sys.argv[1])
found = cascade.locate(np.zeros((40, 50, 3), np.uint8), np.array([[5.0, 5, 30, 35]]))
heavy = {"torch", "PIL", "pydantic", "onnx", "scipy", "yaml", "matplotlib"}
print(found.points.shape, cascade.markup.points, heavy & set(sys.modules))
"""


@pytest.fixture(scope="module")
def cascade(exported: Path) -> OnnxCascade:
    return OnnxCascade.load(exported, threads=2)


def test_nothing_else_is_imported(exported: Path) -> None:
    command = [sys.executable, "-c", ALONE, str(exported)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "(1, 68, 2) 68 set()\n", done.stderr


def test_faces_one_by_one_are_as_together(cascade: OnnxCascade) -> None:
    boxes = np.array([[10.0, 5, 50, 45], [20, 10, 70, 55.5]])
    together = cascade.locate(IMAGE, boxes)
    assert together.points.shape == together.initial.shape == (2, 68, 2)
    assert together.points.dtype == np.float64
    for number, box in enumerate(boxes):
        alone = cascade.locate(IMAGE, box[None])
        np.testing.assert_array_equal(alone.points[0], together.points[number])
    mirrored = cascade.locate(IMAGE[:, ::-1], boxes)  # an image need not be contiguous
    assert np.abs(mirrored.points - together.points).max() > 0
    assert cascade.locate(IMAGE, np.zeros((0, 4))).points.shape == (0, 68, 2)


def test_a_file_whose_name_is_no_text(cascade: OnnxCascade, exported: Path, tmp_path: Path) -> None:
    odd = Path(shutil.copy(exported, tmp_path / os.fsdecode(b"caf\xe9.onnx")))
    boxes = np.array([[10.0, 5, 50, 45]])
    found = OnnxCascade.load(odd, threads=2).locate(IMAGE, boxes)
    np.testing.assert_array_equal(found.points, cascade.locate(IMAGE, boxes).points)


def test_it_knows_its_landmarks(cascade: OnnxCascade) -> None:
    assert cascade.markup is MARKUPS[68]
    assert cascade.parts == dict(MARKUPS[68].parts)
    assert cascade.card["trained"] == {"data": "drawn", "faces": 7}


@pytest.mark.parametrize(
    ("image", "boxes", "problem"),
    [
        (IMAGE.astype(float), [[1, 1, 9, 9]], r"image: expected \(H, W, 3\) uint8"),
        (IMAGE[..., :1], [[1, 1, 9, 9]], r"image: expected \(H, W, 3\) uint8"),
        (IMAGE[:0], [[1, 1, 9, 9]], r"image: expected \(H, W, 3\) uint8"),
        (IMAGE, [1, 1, 9, 9], r"boxes: expected finite \(F, 4\)"),
        (IMAGE, [[1, 1, 9, np.nan]], r"boxes: expected finite \(F, 4\)"),
        (IMAGE, [[9, 1, 9, 9]], "boxes: expected x0 < x1"),
        (IMAGE, [[1, 1, 900, 9]], "boxes: one lies far outside the image of 80 x 60 pixels"),
    ],
)
def test_what_no_face_can_have(
    cascade: OnnxCascade, image: np.ndarray, boxes: list[float], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        cascade.locate(image, np.array(boxes))


def test_files_that_are_no_cascade(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none.onnx: no such file"):
        OnnxCascade.load(tmp_path / "none.onnx")
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="wrong.onnx: ONNX Runtime cannot run it"):
        OnnxCascade.load(wrong)
    graph = Graph()
    graph.output("y", graph.input("x", FLOAT, (1,)) + 1, (1,))
    onnx.save(graph.model("other", {}), wrong)
    with pytest.raises(InputError, match="wrong.onnx: is not a cascade that groupnas exported"):
        OnnxCascade.load(wrong)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("format", "2", "format 2: this version of groupnas reads format 1"),
        ("kind", "network", "is not a cascade"),
        ("card", "{", "its metadata are damaged"),
    ],
)
def test_metadata_that_are_wrong(
    exported: Path, tmp_path: Path, key: str, value: str, problem: str
) -> None:
    model = onnx.load(exported)
    for entry in model.metadata_props:
        if entry.key == f"groupnas.{key}":
            entry.value = value
    onnx.save(model, tmp_path / "c.onnx")
    with pytest.raises(InputError, match=f"c.onnx: {problem}") as error:
        OnnxCascade.load(tmp_path / "c.onnx")
    assert "\n" not in str(error.value)
