"""What was written when a cascade was a pair of stages is read as what it was.

``format1/`` holds a card, a ``config.yaml`` and the points that the version which wrote them found
with the weights below.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.model import load_cascade, load_first, load_networks
from groupnas.landmarks.recipe import Recipe, load_recipe, recipe_from
from groupnas.landmarks.train import train_cascade
from groupnas.landmarks.upgrade import step_names, upgraded_card, upgraded_recipe
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.schema import SpaceFile
from groupnas.spaces.space import SearchSpace

HELD = Path(__file__).parent / "format1"
IMAGE = np.random.default_rng(0).integers(0, 256, (100, 120, 3), dtype=np.uint8)
BOXES = np.array([[20.0, 10, 90, 85], [5, 5, 40, 50]])


def old_tensors(card: dict[str, Any]) -> dict[str, Tensor]:
    """Weights that need no file: places on a line that never repeat, under the old names."""
    found = {}
    for stage in ("global_stage", "local_stage"):
        told = card[stage]
        file = SpaceFile.model_validate(told["space"])
        space = SearchSpace.from_file(file, told["name"], told["variant"])
        module = Allocation(space, Grouping.from_dict(told["grouping"])).build()
        found.update({f"{stage}.{name}": value for name, value in module.state_dict().items()})
    for number, (name, value) in enumerate(sorted(found.items())):
        if value.is_floating_point():
            each = np.arange(value.numel()) * 0.6180339887 + number * 0.41421356
            line = 0.05 + 0.3 * (each % 1 - (0 if "var" in name else 0.4))
            found[name] = torch.from_numpy(line.astype(np.float32)).reshape(value.shape)
    return found


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The folder of a model of format 1."""
    card = json.loads((HELD / "card.json").read_text())
    weights = tmp_path / "old/model.safetensors"
    weights.parent.mkdir()
    save_file(old_tensors(card), weights)
    card["weights"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    (tmp_path / "old/model.json").write_text(json.dumps(card))
    return tmp_path / "old"


def test_an_old_model_is_the_same_cascade(old: Path) -> None:
    cascade, held = load_cascade(old), np.load(HELD / "located.npz")
    found = cascade.locate(IMAGE, BOXES)
    assert list(cascade.stages) == list(found.stages) == ["global", "local"]
    np.testing.assert_allclose(found.points, held["points"], atol=1e-3)
    np.testing.assert_allclose(found.initial, held["initial"], atol=1e-3)
    whole, parts = (stage.role for stage in cascade.stages.values())
    assert (whole.look.frame, whole.look.size, whole.blend) == ("box", 24, 1)
    assert (parts.look.frame, parts.look.size, parts.blend) == ("extents", 16, 0.6)
    card = json.loads((old / "model.json").read_text())
    grouping = load_networks(old)[1]["local"].allocation.grouping
    assert grouping.to_dict() == card["local_stage"]["grouping"]
    assert load_first(old, MARKUPS[68]).allocation.space.name == "small_global"


@pytest.mark.parametrize("damage", ["global_stage", "local_stage"])
def test_a_card_of_half_a_pair_is_damaged(old: Path, damage: str) -> None:
    card = json.loads((old / "model.json").read_text())
    for broken in ({**card, damage: 3}, {k: card[k] for k in card if k != damage}):
        (old / "model.json").write_text(json.dumps(broken))
        with pytest.raises(InputError, match=f"model.json: stages.{damage.split('_')[0]}: "):
            load_cascade(old)


def recorded() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((HELD / "config.yaml").read_text())
    return config


def test_an_old_recipe_is_the_same_recipe(small: Path) -> None:
    now = load_recipe("small").with_grouping("quick")
    assert recipe_from(recorded()["recipe"], "config.yaml") == now
    old = recorded()["recipe"]
    del old["format"]  # it was the only one
    assert Recipe(**old) == now
    assert recipe_from(now.model_dump(mode="json"), "again") == now
    # a file's presets are in the file's own format
    (small / "mine.yaml").write_text(
        yaml.safe_dump({**old, "presets": {"once": {"local_stage": {"training": {"epochs": 1}}}}})
    )
    steps = load_recipe(small / "mine.yaml:once").steps
    assert [step.training.epochs for step in steps.values()] == [2, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"local_stage": None}, "stages.local: "),
        ({"global_stage": 3}, "stages.global: "),
        ({"format": 3}, "format: .*got 3"),
        ({"stages": 3}, "format: .*got 1"),
    ],
)
def test_faults_of_old_recipes_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^it: .*{message}"):
        recipe_from({**recorded()["recipe"], **change}, "it")


@pytest.mark.parametrize("data", [None, 3, "text", [1], {"format": 2}, {"stages": {}}])
def test_what_is_not_old_is_left_alone(data: Any) -> None:
    assert upgraded_recipe(data) is data and upgraded_card(data) is data


def test_steps_are_known_whoever_recorded_them() -> None:
    assert step_names(recorded()["recipe"]) == ["global", "local"]
    assert step_names({"format": 2, "stages": {"a": {}}, "steps": {"b": {}, "c": {}}}) == ["b", "c"]
    several: list[Any] = [None, {}, {"steps": 3}, {"stages": {}}, [1]]
    for damaged in several:
        assert step_names(damaged) == ["global", "local"], damaged


def test_a_run_that_was_begun_before_goes_on(small: Path) -> None:
    """It knows its spaces and its search; nothing of that is in the folder any more."""
    recipe = recipe_from(recorded()["recipe"], "config.yaml")
    train_cascade(recipe, "now", root=None, limit=40)
    Path("run").mkdir()
    shutil.copy(HELD / "config.yaml", "run")
    for gone in ("strategies", "search_spaces"):
        shutil.rmtree(gone)
    train_cascade(recipe, "run", root=None, limit=40, resume=True)
    for file in ("model.json", "model.safetensors"):
        assert Path("run", file).read_bytes() == Path("now", file).read_bytes()
    with pytest.raises(InputError, match="started with recipe.stages.local.blend = 1.0, not 0.5"):
        other = recipe.with_stage("local", blend=0.5)
        train_cascade(other, "run", root=None, limit=40, resume=True)
