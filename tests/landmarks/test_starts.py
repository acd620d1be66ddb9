"""Stages that are trained where the stages before found points, not where they truly are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from groupnas.engine.observer import Observer
from groupnas.engine.training import train as engine_train
from groupnas.errors import InputError
from groupnas.landmarks import train as module
from groupnas.landmarks.boxes import face_box
from groupnas.landmarks.crops import extents
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.frames import around
from groupnas.landmarks.load import load_faces
from groupnas.landmarks.model import load_cascade
from groupnas.landmarks.recipe import Recipe, load_recipe, recipe_from
from groupnas.landmarks.task import LandmarkTask
from groupnas.schema import merged

FACES = 24


pytestmark = pytest.mark.usefixtures("cached")


def changed(name: str, **steps: Any) -> Recipe:
    return recipe_from(merged(load_recipe(name).model_dump(mode="json"), {"steps": steps}), "it")


def test_regions_lie_where_the_first_stage_looks(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, tasks = engine_train, []

    def train(network: Any, task: Any, *arguments: Any, **options: Any) -> Any:
        tasks.append(task)
        return original(network, task, *arguments, **options)

    monkeypatch.setattr(module, "train", train)
    recipe = changed("small", local={"starts": "found"})
    module.train_cascade(recipe, "run", root=None, limit=FACES, quiet=True)
    local = tasks[-1]
    assert isinstance(local, LandmarkTask)
    data = face_set("synthetic")
    faces = load_faces(data, None, limit=FACES)
    pairs = [(data.read(face), face_box(face, data)) for face in faces]
    points = load_cascade("run").locate_many(pairs).initial
    look = recipe.stages["local"].look
    frame = around(extents(points, data.markup), look.margin)  # type: ignore[union-attr]
    np.testing.assert_allclose(local.patches.box_size, frame.side, rtol=1e-5)
    truth = np.stack([face.points for face in faces])[:, list(data.markup.part_points)]
    found = frame.of(data.markup.owners).into(truth)
    np.testing.assert_allclose(local.patches.points, found, atol=1e-5)
    at_truth = around(extents(np.stack([face.points for face in faces]), data.markup), 1.3)
    assert np.abs(frame.side / at_truth.side - 1).max() > 0.01


def test_a_stopped_run_goes_on_where_it_looked(small: Path) -> None:
    """In the middle of the step; what was found is not found again, in other last digits."""
    recipe = changed("maps", **{"global": {"starts": "found"}})
    module.train_cascade(recipe, "whole", root=None, limit=FACES, quiet=True)

    class Stopping(Observer):
        def epoch_ended(self, record: dict[str, Any]) -> None:
            raise KeyboardInterrupt

    stopping = {"global": [Stopping()]}
    with pytest.raises(KeyboardInterrupt):
        module.train_cascade(
            recipe,
            "run",
            root=None,
            limit=FACES,
            observers=lambda step: stopping.get(step, []),
            quiet=True,
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr("groupnas.landmarks.cascade.Cascade.frames")
        module.train_cascade(recipe, "run", root=None, limit=FACES, resume=True, quiet=True)
    ones, others = (
        torch.load(f"{name}/global/checkpoint.pt", weights_only=True)["best"]
        for name in ("whole", "run")
    )
    assert all(torch.equal(value, others[name]) for name, value in ones.items())
    Path("run/global-frames.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="global-frames.npz: is damaged"):
        module.train_cascade(recipe, "run", root=None, limit=FACES, resume=True, quiet=True)


@pytest.mark.parametrize(
    ("recipe", "steps", "problem"),
    [
        ("small", {"global": {"starts": "found"}}, "global.starts: found: is of a stage that"),
        ("gregnet:quick", {"refine": {"starts": "found"}}, "refine.starts: found: is of a"),
        ("small", {"local": {"starts": "there"}}, "steps.local.starts: input should be"),
    ],
)
def test_where_nothing_is_found(
    small: Path, recipe: str, steps: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        changed(recipe, **steps)


def test_before_the_others_are_trained(small: Path) -> None:
    data = load_recipe("small").model_dump(mode="json")
    data["steps"] = {name: data["steps"][name] for name in ("local", "global")}
    data["steps"]["local"]["starts"] = "found"
    with pytest.raises(InputError, match="found: needs global, which no step before trains"):
        recipe_from(data, "it")
