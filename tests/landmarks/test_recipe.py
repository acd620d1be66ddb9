"""Recipe files: the shipped ones fit their data and spaces, and mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from groupnas.engine.strategy import load_strategy
from groupnas.errors import InputError
from groupnas.files import shipped_names
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.losses import LandmarkLoss
from groupnas.landmarks.model import check_stages
from groupnas.landmarks.recipe import KIND, load_recipe
from groupnas.landmarks.roles import Gaze
from groupnas.schema import preset_names
from groupnas.spaces.space import load_space
from groupnas.tasks import DATASETS

SHIPPED = shipped_names(KIND)
NAMES = [
    name
    for recipe in SHIPPED
    for name in (recipe, *(f"{recipe}:{preset}" for preset in preset_names(KIND, recipe)))
]


def test_there_is_one_for_each_set_that_can_be_trained_on() -> None:
    without = {"cofw68", "synthetic", "partbench"}
    assert {load_recipe(name).data for name in SHIPPED} >= set(DATASETS) - without


@pytest.mark.parametrize("name", NAMES)
def test_shipped_recipes_fit_their_data_and_spaces(name: str) -> None:
    recipe = load_recipe(name)
    markup = face_set(recipe.data).markup
    spaces = {
        name: load_space(stage.space, str(markup.points)) for name, stage in recipe.stages.items()
    }
    check_stages(spaces, recipe.stages, markup)
    for step in recipe.steps.values():
        name, *_ = recipe.together(step)
        stage = recipe.stages[name]
        assert isinstance(stage.look, Gaze)
        regions = stage.look.regions(markup)
        loss = step.loss.of(regions)
        assert isinstance(loss, LandmarkLoss) and loss.neighbours is not None
        assert len(loss.neighbours) == len(regions.part_points)
        # the widest ranges that the papers state, and a little more
        low, high = step.augmentation.scale
        assert 0.8 <= low <= 1 <= high <= 1.34
        assert 0 <= step.augmentation.rotation <= 30
        assert step.augmentation.translation <= 0.1
        if stage.grouping != "even":
            load_strategy(stage.grouping)
    assert "\n" not in recipe.title


@pytest.mark.parametrize("name", SHIPPED)
def test_what_the_paper_states_stands_in_the_recipe(name: str) -> None:
    """PicassoNet, section IV-A3: Adam at 0.005 for 150 epochs."""
    recipe = load_recipe(name)
    if recipe.data == "synthetic" or not recipe.title.startswith("PicassoNet"):
        pytest.skip("of another paper, or of drawn faces, which this one has not")
    for step in recipe.steps.values():
        assert step.training.epochs == 150
        assert step.training.weights.name == "adam" and step.training.weights.lr == 0.005
    assert [stage.grouping for stage in recipe.stages.values()] == ["even", "gumbel:paper"]


def test_a_preset_replaces_single_settings(small: Path) -> None:
    plain, once = load_recipe("small"), load_recipe("small:once")
    assert [step.training.epochs for step in plain.steps.values()] == [2, 2]
    assert [step.training.epochs for step in once.steps.values()] == [1, 1]
    assert once.with_epochs(2) == plain
    assert load_recipe("strategies/recipes/small.yaml") == plain


def test_a_recipe_that_calls_the_blend_trust_is_read(small: Path) -> None:
    file = small / "strategies/recipes/old.yaml"
    text = (small / "strategies/recipes/small.yaml").read_text()
    file.write_text(text.replace("\n  local:", "\n  local:\n    trust: 0.25", 1))
    local = load_recipe("old").stages["local"]
    assert local.blend == local.model_dump()["blend"] == 0.25
    assert "trust" not in local.model_dump()
    file.write_text(file.read_text().replace("trust: 0.25", "trust: 1.5"))
    with pytest.raises(InputError, match="stages.local.trust: input should be less than or equal"):
        load_recipe("old")


def test_options_replace_single_settings(small: Path) -> None:
    plain = load_recipe("small")
    assert plain.with_epochs(None) is plain and plain.with_grouping(None) is plain
    changed = plain.with_epochs(7).with_grouping("gumbel:quick")
    assert [step.training.epochs for step in changed.steps.values()] == [7, 7]
    assert [one.grouping for one in changed.stages.values()] == ["even", "gumbel:quick"]
    assert changed.with_epochs(2).with_grouping("even") == plain
    with pytest.raises(InputError, match="--epochs: steps.global.training.epochs: "):
        plain.with_epochs(0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("validation:", "validaton:", "validation: missing; validaton: unknown key"),
        ("validation: 0.25", "validation: 1", "validation: input should be less than 1, got 1"),
        ("balance_poses", "balance", "steps.global.balance: unknown key"),
        ("grouping: even", "grouping: 3", "stages.local.grouping: .*got 3"),
        ("name: wing", "name: wings", "steps.global.loss.name: .*got 'wings'"),
        ("alpha: 0.6", "alpha: 2.5", "steps.global.loss.alpha: .*got 2.5"),
        ("margin: 1.15", "margins: 1.15", "stages.global.look.margin"),
        ("margin: 1.15", "margin: -1", "stages.global.look.margin: .*got -1"),
        ("size: 16", "size: 0", "stages.local.look.size: .*got 0"),
        ("cover: 1.4", "cover: 0.5", "stages.local.look.cover: .*got 0.5"),
        ("scale: [0.95, 1.05]", "scale: [0, 1]", "steps.local.augmentation.scale.0: .*got 0"),
        ("scale: [0.95, 1.05]", "scale: 1", "steps.local.augmentation.scale: "),
        ("flip: 0.5", "flip: 1.5", "steps.global.augmentation.flip: .*got 1.5"),
        ("rotation: 6", "rotation: .nan", "steps.local.augmentation.rotation: .*got nan"),
        ("batch_size: 8", "batch_size: 1", "steps.global.training.batch_size: .*got 1"),
        ("epochs: 2", "epoch: 2", "steps.global.training.epochs: missing"),
        ("format: 2", "format: 3", "format: .*got 3"),
        ("title: Small", "- a", "is not YAML"),
        ("frame: box", "frame: face", "stages.global.look.frame: .*got 'face'"),
        ("frame: box", "frame: extents", "stages.global.look.frame: there are no points yet"),
        ("margin: 1.15,", "margin: 1.15, at: 3,", "stages.global.look.at: "),
        (
            "    space: small_global",
            "    space: small_global\n    blend: 0.5",
            "global.blend: there",
        ),
        ("\n  local:", "\n  cascade:", "stages.cascade: means something else"),
        ("\n  local:", "\n  Local:", "stages.Local.*: .*got 'Local'"),
        ("\n  local:", "\n  close:", "steps.local.train: .*choose from: close, global"),
        (
            "augmentation: {scale: [0.95",
            "train: global\n    augmentation: {scale: [0.95",
            "stages.local: no step trains it",
        ),
        ("frame: extents,", "frame: extents, x: 1,", "stages.local.look.x: "),
    ],
)
def test_mistakes_are_named(small: Path, old: str, new: str, message: str) -> None:
    path = small / "mine.yaml"
    text = (small / "strategies/recipes/small.yaml").read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=f"^{path}(:[0-9]+)?: .*{message}") as error:
        load_recipe(path)
    assert "\n" not in str(error.value)


def test_unknown_names_get_a_hint() -> None:
    with pytest.raises(InputError, match="'300' is not among the .*recipes; did you mean '300w'"):
        load_recipe("300")
    with pytest.raises(InputError, match="300w.yaml: .*'quik'.*did you mean 'quick'"):
        load_recipe("300w:quik")
