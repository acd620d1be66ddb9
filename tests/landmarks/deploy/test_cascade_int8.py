"""A cascade in int8 beside the cascade itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from groupnas.deploy.dense import DensePlanner
from groupnas.errors import InputError
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.deploy.calibration import batched, crops_shown, training_faces
from groupnas.landmarks.deploy.export import export_cascade
from groupnas.landmarks.deploy.runtime import OnnxCascade
from groupnas.landmarks.model import load_cascade
from groupnas.landmarks.sources import Photos

onnx = pytest.importorskip("onnx", reason="needs the extra 'onnx'")
pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")


def faces(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(training_faces(face_set("synthetic"), None, "landmarks", limit=count))


def test_training_faces_are_those_of_the_data_set() -> None:
    data = face_set("synthetic")
    every = data.faces(Path(), "train", False)
    (_, first), (image, box) = faces(2)
    middle = every[len(every) // 2]
    np.testing.assert_array_equal(image, data.read(middle))
    np.testing.assert_allclose(box, [*middle.points.min(0), *middle.points.max(0)])
    np.testing.assert_allclose(first[:2], every[0].points.min(0))


def test_networks_are_calibrated_on_what_they_see(card: Path) -> None:
    cascade, ((image, box), *_) = load_cascade(card), faces(2)
    whole, parts = crops_shown(cascade, faces(2)).values()
    assert [crop.shape for crop in (*whole, *parts)] == 2 * [(1, 3, 24, 24)] + 2 * [(1, 4, 16, 16)]
    photo, stages = Photos([image]), cascade.stages
    expected = stages["global"].see(photo, stages["global"].frames(photo, box[None], None))
    np.testing.assert_allclose(whole[0], expected.numpy(), atol=1e-6)
    initial = cascade.locate(image, box[None]).initial
    expected = stages["local"].see(photo, stages["local"].frames(photo, box[None], initial))
    np.testing.assert_allclose(parts[0], expected.numpy(), atol=1e-6)
    assert len(whole) == 2  # not those that this test showed it


def test_close_to_the_cascade_itself(card: Path, exported: Path, tmp_path: Path) -> None:
    export_cascade(card, tmp_path / "i.onnx", planner=DensePlanner(), calibration=faces(16))
    kinds = {one.data_type for one in onnx.load(tmp_path / "i.onnx").graph.initializer}
    assert onnx.TensorProto.INT8 in kinds
    exact, int8 = OnnxCascade.load(exported), OnnxCascade.load(tmp_path / "i.onnx")
    assert int8.card == exact.card
    image, box = faces(33)[32]
    size = max(box[2:] - box[:2])
    for one, other in zip(
        *(
            (found.initial, found.points)
            for found in (c.locate(image, box[None]) for c in (exact, int8))
        ),
        strict=True,
    ):
        apart = np.linalg.norm(one - other, axis=2) / size
        assert 0 < apart.mean() < 0.02


def test_no_faces(card: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="calibration: expected at least one face, got none"):
        export_cascade(card, tmp_path / "i.onnx", calibration=[])
    assert not list(tmp_path.iterdir())


def test_batches_of_one_size() -> None:
    crops = [np.full((1, 2), number, np.float32) for number in range(3)]
    first, second = batched(crops, 2)
    assert first.tolist() == [[0, 0], [1, 1]] and second.tolist() == [[2, 2], [0, 0]]
    assert len(batched(crops, 1)) == 3 and len(batched(crops, 4)) == 1
