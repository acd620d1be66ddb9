"""Data sets of faces, as ``--data`` knows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from groupnas.errors import InputError
from groupnas.landmarks import dataset as module
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.metrics import NORMALISERS
from groupnas.tasks import DATASETS, DataSet, find_dataset


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "partbench"])
def test_each_is_what_it_is_called(name: str) -> None:
    faces = face_set(name)
    assert faces.name == name
    assert faces.normaliser in NORMALISERS
    assert faces.box in ("landmarks", "listed")
    assert next(iter(faces.subsets)) == "train" or name == "cofw68"
    # points without eye corners cannot be divided by the distance between them
    assert faces.markup.interocular or faces.normaliser not in ("interocular", "interpupil")


def test_a_name_that_is_not_of_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="^unknown data set 'wflv'; did you mean 'wflw'"):
        face_set("wflv")

    class Shapes(DataSet):
        def load(self, **_: Any) -> Any: ...

    shapes = Shapes(name="shapes", summary="drawn shapes")
    monkeypatch.setattr(module, "find_dataset", lambda name: shapes)
    with pytest.raises(InputError, match="^'shapes' is not a data set of faces$"):
        face_set("shapes")


def test_crops_and_loss_may_be_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GROUPNAS_CACHE", str(tmp_path))
    synthetic = find_dataset("synthetic")
    usual = synthetic.load(root=None, limit=2)
    other = synthetic.load(root=None, limit=2, crops={"size": 8}, loss={"name": "l1"})  # type: ignore[call-arg]
    for task, side in ((usual, 64), (other, 8)):
        x, target = task.batch(torch.arange(2))
        assert x.shape == (2, 4, side, side)
    error = torch.full_like(target.points, 0.5)  # box units, each of 4 pixels
    assert task.loss(target.points + error, target).item() == pytest.approx(2.0)
