"""Smaller cascades: budgets, curves that divide them, and a family from its recipe alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import exit_code

from groupnas.errors import InputError
from groupnas.landmarks import family
from groupnas.landmarks.deployed import cascade_macs
from groupnas.landmarks.model import load_networks
from groupnas.landmarks.recipe import Recipe, load_recipe, recipe_from
from groupnas.landmarks.shares import CascadeBudget, StageCurve, divided
from groupnas.landmarks.train import train_cascade
from groupnas.schema import merged

FACES = 40
SMALLER = {"smaller": {"prune_epochs": 3, "tune_epochs": 1, "lr": 0.002}}


@pytest.mark.parametrize(
    ("text", "total", "groups", "name"),
    [
        ("0.5", 0.5, (), "0.5"),
        ("total=0.25", 0.25, (), "0.25"),
        ("mouth=0.3, total=0.5", 0.5, (("mouth", 0.3),), "0.5-mouth0.3"),
    ],
)
def test_budgets_are_read(text: str, total: float, groups: tuple, name: str) -> None:
    budget = CascadeBudget.parse(text)
    assert budget == CascadeBudget(total, groups) and str(budget) == name
    assert budget.least == min(total, *(share for _, share in groups), 1)


@pytest.mark.parametrize(
    "text",
    ["", "half", "1", "0", "nan", "-0.5", "mouth=0.5", "total=0.5,mouth", "total=.5,total=.4"],
)
def test_budgets_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="expected a share above 0 and below 1, such as 0.5"):
        CascadeBudget.parse(text)


def test_curves_fall_and_noise_does_not_pay() -> None:
    curve = StageCurve(np.array([1.0, 10, 100, 1000]), np.array([9.0, 5.0, 5.2, 4.0]))
    read = curve.read(100)
    assert (np.diff(read.errors) < 0).all() and (np.diff(read.costs) > 0).all()
    assert read.errors[0] == pytest.approx(9) and read.errors[-1] == pytest.approx(4)
    middle = read.errors[np.searchsorted(read.costs, 31.6)]
    assert middle == pytest.approx(5.1, abs=0.05)  # between the two that noise had swapped
    better = StageCurve(np.array([1.0, 10, 100]), np.array([4.0, 4.5, 5.0])).read(10)
    assert (np.diff(better.errors) < 0).all()  # learning went on while it was pruned


def test_a_budget_goes_where_errors_ask_for_it() -> None:
    """Of two stages of 100 each, at 110 in all, the one that would get worse keeps its size."""
    macs = np.array([10.0, 100.0])
    curves = {
        "steep": StageCurve(macs, np.array([8.0, 4.0])),
        "flat": StageCurve(macs, np.array([4.2, 4.0])),
    }
    costs = divided(curves, 110)
    assert costs["steep"] == pytest.approx(100, rel=0.02) and sum(costs.values()) <= 110
    assert costs["flat"] == pytest.approx(10, rel=0.05)
    with pytest.raises(InputError, match="pruned to costs 0.000 M multiply-accumulates"):
        divided(curves, 15)


@pytest.fixture(autouse=True)
def _few_levels(cached: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groupnas.landmarks.pruned.LEVELS", 4)


@pytest.fixture
def recipe(small: Path) -> Recipe:
    data = load_recipe("small").model_dump(mode="json")
    return recipe_from(merged(data, SMALLER), "small")


def test_a_family(recipe: Recipe, small: Path) -> None:
    budgets = [CascadeBudget(0.6), CascadeBudget(0.4, (("mouth", 0.5),))]
    found = family.train_family(recipe, budgets, "run", root=None, limit=FACES, quiet=True)
    members = json.loads(found.read_text())["members"]
    assert [member["budget"] for member in members] == [None, "0.6", "0.4-mouth0.5"]
    cards = [load_networks(member["model"]) for member in members]
    macs = [cascade_macs(card) for card, _ in cards]
    assert macs == [sum(member["macs"].values()) for member in members]
    assert 0.5 * macs[0] < macs[1] <= 0.6 * macs[0] and 0.3 * macs[0] < macs[2] <= 0.4 * macs[0]
    mouths = [networks["local"].allocation.costs()["mouth"] for _, networks in cards]
    assert mouths[2] <= 0.5 * mouths[0]
    assert mouths == [member["macs"]["mouth"] for member in members]
    for (card, networks), name in zip(cards[1:], ("0.6", "0.4-mouth0.5"), strict=True):
        start = load_networks(Path("run/pruned") / f"{name}.json")[1]
        for stage, network in networks.items():  # trained on, from there
            assert network.allocation.grouping == start[stage].allocation.grouping
            now, then = (one.module.state_dict() for one in (network, start[stage]))
            assert any(not torch.equal(value, then[name]) for name, value in now.items())
        assert card.trained["start_from"] == f"run/pruned/{name}.json"


def test_a_stopped_family_goes_on(
    recipe: Recipe, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"root": None, "limit": FACES, "quiet": True}
    budgets = [CascadeBudget(0.6)]
    whole = family.train_family(recipe, budgets, "whole", **options)  # type: ignore[arg-type]
    original = train_cascade

    def stop(changed: Recipe, out: Path, **more: object) -> Path:
        if out.name == "0.6":
            raise KeyboardInterrupt
        return original(changed, out, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(family, "train_cascade", stop)
        with pytest.raises(KeyboardInterrupt):
            family.train_family(recipe, budgets, "run", **options)  # type: ignore[arg-type]
    assert not Path("run/family.json").exists()
    with pytest.raises(InputError, match="started with family"):
        family.train_family(recipe, [CascadeBudget(0.5)], "run", resume=True, **options)  # type: ignore[arg-type]
    found = family.train_family(recipe, budgets, "run", resume=True, **options)  # type: ignore[arg-type]
    ones, others = (load_networks(file.parent / "0.6")[1] for file in (whole, found))
    for stage, network in ones.items():
        for name, value in network.module.state_dict().items():
            assert torch.equal(value, others[stage].module.state_dict()[name])


def test_on_the_command_line(
    recipe: Recipe, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path("strategies/recipes/tiny.yaml")
    file.write_text(json.dumps(recipe.with_epochs(1).model_dump(mode="json")))
    line = ["train", "--recipe", "tiny", "--limit", str(FACES), "--out", "run"]
    assert exit_code(*line, "--budget", "0.6", "0.3") == 0
    told = capsys.readouterr().out
    rows = [words for words in map(str.split, told.splitlines()) if len(words) == 4]
    assert [row[0] for row in rows] == ["whole", "0.6", "0.3"] and "run/front.png" in told
    assert exit_code("report", "run", "-o", "page") == 0
    page = Path("page/index.html").read_text()
    assert "Error against cost" in page and "3 cascades." in page
    assert exit_code("train", "--resume", "--out", "run", "--budget", "0.5") == 2
    assert "started with --budget ['0.6', '0.3'], not ['0.5']" in capsys.readouterr().err
    Path("run/family.json").unlink()
    assert exit_code("report", "run", "-o", "again") == 0
    assert "train --resume --out run" in Path("again/index.html").read_text()
    assert exit_code("train", "--resume", "--out", "run") == 0


def test_what_cannot_be(recipe: Recipe, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = ("train", "--recipe", "small", "--limit", str(FACES))
    for options, problem in (
        (("--budget", "2"), "--budget 2: expected a share above 0 and below 1"),
        (("--budget", "0.5", "0.5"), "--budget 0.5: is there twice"),
        (("--budget", "0.5", "--global-from", "x"), "--global-from: does not go with --budget"),
        (("--start-from", "x", "--grouping", "even"), "--grouping: the model's networks"),
        (("--start-from", "nothing"), "nothing: cannot be read"),
        (("--start-from", "c.onnx"), "c.onnx: is an ONNX file; give the model card"),
        (("--budget", "total=0.5,ear=0.3"), "--budget 0.5-ear0.3: ear: choose from"),
        (("--budget", "0.0001"), "--budget 0.0001: the fewest channels of all cost 0."),
        (("--budget", "total=0.5,mouth=0.01"), "mouth: its fewest channels cost 0."),
        (("--recipe", "gregnet:quick", "--budget", "0.5"), "coarse looks at features of global"),
    ):
        line = train if "--recipe" not in options else ("train", "--limit", str(FACES))
        assert exit_code(*line, *options, "--out", "no", "--data-root", ".") == 2, options
        assert problem in capsys.readouterr().err
        assert not Path("no").exists()


def test_what_lies_there_is_not_taken(recipe: Recipe, small: Path) -> None:
    train_cascade(recipe.with_epochs(1), "run/full", root=None, limit=FACES, seed=7, quiet=True)
    with pytest.raises(InputError, match="run: is not empty; give a new folder for the family"):
        family.train_family(recipe, [CascadeBudget(0.6)], "run", root=None, limit=FACES)


def test_all_are_scored_on_the_same_faces(
    recipe: Recipe, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also the one that they are made of, which was trained on others; it may be gone later."""
    train_cascade(recipe.with_epochs(1), "first", root=None, limit=24, quiet=True)
    recipe = recipe.with_epochs(1)
    budgets = [CascadeBudget(0.6)]
    found = family.train_family(
        recipe, budgets, "run", root=None, limit=FACES, start_from="first", quiet=True
    )
    members = json.loads(found.read_text())["members"]
    faces = {member["scores"]["validation"]["faces"] for member in members}
    assert len(faces) == 1 and faces != {load_networks("first")[0].trained["validation_faces"]}
    found.unlink()
    shutil.rmtree("first")
    again = family.train_family(
        recipe, budgets, "run", root=None, limit=FACES, start_from="first", resume=True, quiet=True
    )
    assert json.loads(again.read_text())["members"] == members
    assert exit_code("train", "--resume", "--out", "run/0.6") == 2
    assert "is of a family, which goes on as a whole" in capsys.readouterr().err


def test_another_look_is_refused(recipe: Recipe, small: Path) -> None:
    train_cascade(recipe.with_epochs(1), "first", root=None, limit=24, quiet=True)
    wider = {"stages": {"global": {"look": {"margin": 2.0}}}}
    other = recipe_from(merged(recipe.model_dump(mode="json"), wider), "other")
    with pytest.raises(InputError, match=r"first: stages\.global\.look: was trained with .*1\.15"):
        train_cascade(other, "no", root=None, limit=24, start_from="first", quiet=True)


def test_training_on(recipe: Recipe, small: Path) -> None:
    """Another model's networks, as they are, with its groupings; of the same stages alone."""
    first = train_cascade(recipe, "first", root=None, limit=FACES, quiet=True)
    longer = train_cascade(
        recipe.with_epochs(1), "longer", root=None, limit=FACES, start_from="first", quiet=True
    )
    before, after = load_networks(first)[1], load_networks(longer)[1]
    fresh = load_networks(
        train_cascade(recipe.with_epochs(1), "fresh", root=None, limit=FACES, seed=9, quiet=True)
    )[1]

    def apart(one: dict, other: dict) -> float:
        weights = (networks["local"].module.parameters() for networks in (one, other))
        return max(float((a - b).detach().abs().max()) for a, b in zip(*weights, strict=True))

    assert 0 < apart(before, after) < apart(before, fresh)
    data = recipe.model_dump(mode="json")
    data["stages"]["more"] = data["stages"]["local"]
    data["steps"]["more"] = {**data["steps"]["local"], "train": ["more"]}
    other = recipe_from(data, "other")
    with pytest.raises(InputError, match="has the stages global, local, the recipe has"):
        train_cascade(other, "no", root=None, limit=FACES, start_from="first", quiet=True)
