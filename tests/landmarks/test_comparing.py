"""Local networks compared inside a cascade: as the trained cascade itself is scored."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from groupnas.engine.split import split_by_source
from groupnas.errors import InputError
from groupnas.landmarks.comparing import FaceData, InCascade
from groupnas.landmarks.model import load_networks
from groupnas.landmarks.pose import balanced_weights, pose_coefficients
from groupnas.landmarks.recipe import load_recipe
from groupnas.landmarks.roles import Gaze
from groupnas.landmarks.train import train_cascade

FACES = 40


def data(recipe: str = "small:once") -> FaceData:
    return FaceData(recipe=load_recipe(recipe), root=None, limit=FACES)


def test_errors_are_those_of_the_saved_cascade(small: Path) -> None:
    card = train_cascade(load_recipe("small:once"), "run", root=None, limit=FACES)
    network = load_networks(card)[1]["local"].module.eval()
    scorer = InCascade(model=card, data=data(), split="validation")
    found = pickle.loads(pickle.dumps(scorer))()(network)
    content = json.loads(card.read_text())
    parts = content["scores"]["validation"]["scores"]["full"]["cascade"]["parts"]
    assert found.groups == ("left_eye", "right_eye", "nose", "mouth")
    means = found.means()
    for part in found.groups:
        assert means[part] == pytest.approx(parts[part], rel=1e-5)
    # eyes have 11 points, brows included, the nose 9, the mouth 20: 51 of the 68
    points = np.array([11, 11, 9, 20])
    expected = sum(n * parts[part] for n, part in zip(points, found.groups, strict=True)) / 51
    assert found.weights.tolist() == points.tolist()
    assert means["mean"] == pytest.approx(expected, rel=1e-5)
    held_out = json.loads(Path("run/local/split.json").read_text())["validation"]
    assert sorted(found.sources) == held_out and found.unit == "NME %, interocular"
    assert scorer.fingerprint() == content["weights"]


def test_subsets_are_those_of_the_test_faces(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from groupnas.landmarks import comparing as module
    from groupnas.landmarks.dataset import face_set

    card = train_cascade(load_recipe("small:once"), "run", root=None, limit=20)
    drawn = face_set("synthetic")

    def some(root: Path, split: str, allow_partial: bool) -> list[Any]:
        faces = list(drawn.faces(root, split, allow_partial))[:6]
        names = [frozenset({"hard"} if n % 3 == 0 else {"common"}) for n in range(6)]
        return [replace(face, subsets=names[n]) for n, face in enumerate(faces)]

    fewer = replace(drawn, faces=some, subsets={"train": (), "test": ("common", "hard")})
    monkeypatch.setattr(module, "face_set", lambda name: fewer)
    scorer = InCascade(model=card, data=data(), split="test")()
    found = scorer(load_networks(card)[1]["local"].module.eval())
    assert list(found.subsets) == ["common", "hard"]
    assert np.flatnonzero(found.subsets["hard"]).tolist() == [0, 3]
    assert found.sources.tolist() == [f"synthetic/test/{n:05d}" for n in range(6)]
    fewer.subsets["test"] = ()  # type: ignore[index]
    monkeypatch.setattr(module, "load_faces", lambda *_, **__: [])
    with pytest.raises(InputError, match="synthetic: the split 'test' has no faces here"):
        InCascade(model=card, data=data(), split="test")()


def test_a_stage_before_may_have_the_name_of_the_one_compared(small: Path) -> None:
    """As where maps called ``global`` are compared behind the global network of a pair."""
    recipe = load_recipe("small:once")
    card = train_cascade(recipe, "run", root=None, limit=FACES)
    network = load_networks(card)[1]["local"].module.eval()
    stages = {"first": recipe.stages["global"], "global": recipe.stages["local"]}
    steps = {"first": recipe.steps["global"], "global": recipe.steps["local"]}
    named = {name: step.model_copy(update={"train": (name,)}) for name, step in steps.items()}
    renamed = recipe.model_copy(update={"stages": stages, "steps": named})
    other = FaceData(recipe=renamed, root=None, limit=FACES)
    found, expected = (
        InCascade(model=card, data=one, split="validation")()(network) for one in (other, data())
    )
    np.testing.assert_array_equal(found.errors, expected.errors)


def test_there_must_be_points_to_look_at(small: Path) -> None:
    card = train_cascade(load_recipe("small:once"), "run", root=None, limit=FACES)
    content = json.loads(card.read_text())
    tensors = load_file(card.with_suffix(".safetensors"))
    alone = {name: value for name, value in tensors.items() if name.startswith("global.")}
    save_file(alone, "one.safetensors")
    digest = hashlib.sha256(Path("one.safetensors").read_bytes()).hexdigest()
    del content["stages"]["local"]
    Path("one.json").write_text(json.dumps({**content, "weights": digest}))
    with pytest.raises(InputError, match=r"one.json: stages.local.look.frame: there are no points"):
        InCascade(model=Path("one.json"), data=data(), split="validation").before()


def test_the_task_is_the_last_stages(small: Path) -> None:
    once = data()
    task = once()
    assert len(task.sources) == FACES and task.outputs["mouth"] == 40
    step, stage = once.recipe.steps["local"], once.recipe.stages["local"]
    assert isinstance(stage.look, Gaze)
    assert task.augmentation == step.augmentation and task.patches.settings == stage.look.crops
    # the markup picks the variant
    assert once.space().name == "small_local:68" and once.space("small_local").variant == "68"
    with pytest.raises(InputError, match=r"small_local:29 has outputs .* needs"):
        once.space("small_local:29")
    with pytest.raises(InputError, match="small_global has inputs"):
        once.space("small_global")


def test_poses_are_balanced_where_the_recipe_says_so(small: Path) -> None:
    split = split_by_source(data()().sources, 0.25, 0)
    assert data().sampling(split) is None
    recipe = load_recipe("small:once")
    local = recipe.steps["local"].model_copy(update={"balance_poses": True})
    steps = {**recipe.steps, "local": local}
    balanced = FaceData(recipe=recipe.model_copy(update={"steps": steps}), root=None, limit=FACES)
    found = balanced.sampling(split)
    from groupnas.landmarks.dataset import face_set
    from groupnas.landmarks.load import load_faces

    faces = load_faces(face_set("synthetic"), None, limit=FACES)
    points = np.stack([faces[index].points for index in split.train.tolist()])
    expected = torch.from_numpy(balanced_weights(pose_coefficients(points)))
    assert found is not None and torch.equal(found, expected)


def test_a_model_that_does_not_fit(small: Path) -> None:
    with pytest.raises(InputError, match="none"):
        InCascade(model=Path("none"), data=data(), split="validation")()
