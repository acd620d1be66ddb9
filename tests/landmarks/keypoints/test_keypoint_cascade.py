"""A cascade on keypoints that are no face's, by commands: from the data file to an ONNX file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from groupnas.cli import main
from groupnas.errors import InputError
from groupnas.landmarks.augment import Augmentation
from groupnas.landmarks.comparing import FaceData
from groupnas.landmarks.dataset import face_set
from groupnas.landmarks.demands import check_demands
from groupnas.landmarks.load import load_landmarks
from groupnas.landmarks.locators import load_locator
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.mirrored import looking_twice
from groupnas.landmarks.model import load_cascade
from groupnas.landmarks.recipe import load_recipe, recipe_from
from groupnas.landmarks.stage_task import last_space

LAYERS = [
    {"name": "stem", "op": "conv3x3", "c": 8, "s": 2},
    {"name": "body", "op": "conv3x3", "c": 12, "s": 2},
    {"name": "output", "op": "linear"},
]
SPACES: dict[str, dict[str, Any]] = {
    "fish_whole": {"input": [24, 24], "groups": ["object"], "inputs": {"object": 3}}
    | {"outputs": {"object": 12}},
    "fish_parts": {"input": [16, 16], "groups": ["head", "fins"], "inputs": {"head": 1, "fins": 1}}
    | {"outputs": {"head": 6, "fins": 4}},
}
TRAINING = {"epochs": 12, "batch_size": 4, "weights": {"name": "adam", "lr": 0.005}}
RECIPE: dict[str, Any] = {
    "format": 2,
    "title": "Fish",
    "data": "fish.yaml",
    "validation": 0.34,
    "stages": {
        "whole": {
            "space": "fish_whole",
            "look": {"frame": "box", "margin": 1.2, "size": 24, "colour": True, "cover": 1.5},
        },
        "parts": {
            "space": "fish_parts",
            "look": {"frame": "extents", "margin": 1.6, "size": 16, "colour": False},
        },
    },
    "steps": {
        "whole": {"augmentation": {"rotation": 5}, "training": TRAINING},
        "parts": {"augmentation": {"rotation": 5}, "training": TRAINING},
    },
}


def run(*arguments: object) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as exit:
        main([*map(str, arguments)])
    return int(exit.value.code or 0)


@pytest.fixture
def place(write_fish: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the data, two spaces and the recipe lie, and where one works."""
    write_fish()
    (tmp_path / "search_spaces").mkdir()
    for name, told in SPACES.items():
        space = {"format": 1, "title": name, **told, "layers": LAYERS}
        (tmp_path / f"search_spaces/{name}.yaml").write_text(yaml.safe_dump(space, sort_keys=False))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE, sort_keys=False))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trained(place: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Path]:
    assert run("train", "--recipe", "recipe.yaml", "--out", "fish", "--threads", 1) == 0
    assert "NME %" in capsys.readouterr().out
    yield place


def test_from_the_data_file_to_an_onnx_file(
    trained: Path, capsys: pytest.CaptureFixture[str], fish_points: Callable[[int], np.ndarray]
) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra 'onnx'")
    pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
    markup = face_set("fish.yaml").markup
    card = json.loads((trained / "fish/model.json").read_text())
    assert card["points"] == 6 and card["markup"]["names"] == [*markup.names]
    assert load_cascade("fish").markup == markup

    assert run("eval", "--model", "fish", "--data", "fish.yaml", "--out", "scores") == 0
    page = capsys.readouterr().out
    assert "fish, test: 3 objects. Errors in % of distance, the distance of mouth and tail" in page
    assert "object box: the extent of the true landmarks" in page
    head = next(line for line in page.splitlines() if "NME %" in line).split()
    assert head[-3:] == ["head", "fins", "contour"] and "pose" not in page
    told = json.loads((trained / "scores/scores.json").read_text())
    assert "by_pose" not in told and told["normaliser"] == "distance"
    with open(trained / "scores/faces.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 and not {"pitch", "yaw", "roll"} & {*rows[0]}
    nme = told["scores"]["full"]["cascade"]["nme"]
    assert np.mean([float(row["cascade_nme"]) for row in rows]) == pytest.approx(nme, abs=1e-3)

    assert run("export", "fish", "-o", "fish.onnx") == 0
    exported = load_locator("fish.onnx")
    assert exported.markup == markup and exported.box == "landmarks"
    photo = trained / "photos/3/photo03.png"
    low, high = fish_points(3).min(axis=0), fish_points(3).max(axis=0)
    box = ",".join(f"{value:.3f}" for value in (*low, *high))
    found = {}
    for model in ("fish", "fish.onnx"):
        out = ("--json", f"{Path(model).name}.jsonl", "--out", "drawn")
        assert run("predict", photo, "--model", model, "--box", box, *out) == 0
        record = json.loads((trained / f"{Path(model).name}.jsonl").read_text())
        assert record["markup"] == {"name": "fish", "points": 6, "names": [*markup.names]}
        found[model] = np.array(record["faces"][0]["points"])
    assert np.abs(found["fish"] - found["fish.onnx"]).max() < 0.5  # pixels
    error = np.linalg.norm(found["fish"] - fish_points(3), axis=1).mean()
    length = np.linalg.norm(fish_points(3)[2] - fish_points(3)[5])
    assert 100 * error / length == pytest.approx(float(rows[0]["cascade_nme"]), abs=0.1)
    capsys.readouterr()
    models = ("fish", "fish.onnx")
    assert run("eval", "--model", *models, "--data", "fish.yaml", "--threads", 1) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines[2:4]] == ["fish", "fish-2"]

    assert run("predict", photo, "--model", "fish.onnx") == 2
    assert "locates fish, which no detector of faces finds; give --box" in capsys.readouterr().err
    assert run("export", "fish", "-o", "fish8.onnx", "--int8", "--data", "fish.yaml") == 0
    assert load_locator("fish8.onnx").markup == markup


def test_the_report_reads_its_folders(trained: Path) -> None:
    assert run("eval", "--model", "fish", "--data", "fish.yaml", "--out", "scores") == 0
    assert run("report", "fish", "scores", "-o", "page") == 0
    assert "NME, % of distance" in (trained / "page/index.html").read_text()


def test_resumed_it_knows_its_data(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = (trained / "fish/model.json").read_bytes()
    assert run("train", "--out", "fish", "--resume") == 0
    assert (trained / "fish/model.json").read_bytes() == card


def test_a_model_of_other_points_is_refused(
    trained: Path, write_fish: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    swapped = ["eye_r", "eye_l", "mouth", "fin_l", "fin_r", "tail"]
    write_fish(points=swapped)
    assert run("eval", "--model", "fish", "--data", "fish.yaml") == 2
    assert "number 0 is eye_r, of the model eye_l" in capsys.readouterr().err
    told = ("--recipe", "recipe.yaml", "--out", "other", "--global-from", "fish")
    assert run("train", *told) == 2
    assert "fish: the data set has other landmarks than the model" in capsys.readouterr().err
    assert run("eval", "--model", "fish", "--data", "synthetic") == 2
    assert "synthetic has 68 landmarks, the model finds 6" in capsys.readouterr().err
    assert run("eval", "--model", "fish", "--data", "fish.yaml", "--normaliser", "interpupil") == 2
    assert "fish marks no eyes; use 'box'" in capsys.readouterr().err


def test_it_is_searched_and_compared(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "strategies").mkdir()
    quick = "algorithm: masks\ntitle: Quick\nwarmup_epochs: 1\nepochs: 1\nbatch_size: 4\n"
    quick += "validation: 0.34\nweights: {lr: 0.002}\nmasks: {optimizer: {lr: 0.1}}\n"
    (place / "strategies/quick.yaml").write_text(quick)
    told = ("--space", "fish_parts", "--data", "fish.yaml:recipe.yaml", "--strategy", "quick")
    assert run("search", *told, "--threads", 1) == 0
    (folder,) = (place / "runs").iterdir()
    assert set(json.loads((folder / "grouping.json").read_text())["groups"]) == {"head", "fins"}
    data = FaceData(recipe=load_recipe("recipe.yaml"), root=None)
    assert dict(data().outputs) == {"head": 6, "fins": 4}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"steps": {"whole": {"balance_poses": True}}},
            "steps.whole: balance_poses: this data set's markup has no eyes, nose and mouth to "
            "tell a pose by; set it to false",
        ),
        (
            {"steps": {"parts": {"loss": {"alpha": 0.6}}}},
            "steps.parts: loss.alpha: .* no boundaries .*; set it to 1",
        ),
        (
            {"stages": {"parts": {"look": {"frame": "five_points"}}}},
            "stages.parts.look: frame: five_points: .* no eyes, nose and mouth; look at box or",
        ),
    ],
)
def test_what_a_recipe_asks_in_vain(
    changes: dict[str, Any], told: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe: dict[str, Any] = json.loads(json.dumps(RECIPE))
    for kind, names in changes.items():
        for name, keys in names.items():
            for key, value in keys.items():
                old = recipe[kind][name].get(key)
                recipe[kind][name][key] = {**old, **value} if isinstance(old, dict) else value
    with pytest.raises(InputError, match=told):
        check_demands(recipe_from(recipe, "recipe"), face_set("fish.yaml").markup)
    check_demands(recipe_from(recipe, "recipe"), MARKUPS[68])
    (place / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    assert run("train", "--recipe", "recipe.yaml", "--out", "fish") == 2
    with pytest.raises(InputError, match=told):
        last_space(load_recipe("recipe.yaml"), face_set("fish.yaml").markup)
    assert not (place / "fish").exists()


def test_mirroring_without_pairs_is_refused(
    trained: Path, write_fish: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    write_fish(mirror=None)
    data = face_set("fish.yaml")
    assert run("train", "--recipe", "recipe.yaml", "--out", "other") == 2
    told = "fish says not which points mirroring makes of which; set it to 0, or list the pairs"
    assert f"steps.whole: augmentation.flip: {told} under mirror" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"augmentation\.flip: fish says not"):
        load_landmarks(data, None, augmentation=Augmentation(flip=0.1))
    assert load_landmarks(data, None).augmentation.flip == 0
    assert run("train", "--recipe", "recipe.yaml", "--out", "fish", "--resume") == 2
    cascade = load_cascade("fish")
    assert looking_twice(cascade).markup.flip is not None
    unmirrored = cascade.__class__(data.markup, cascade.stages, cascade.box, cascade.card)
    with pytest.raises(InputError, match="--mirrored: fish says not which points"):
        looking_twice(unmirrored)


def test_contours_and_mirrored_looks(write_fish: Callable[..., Path]) -> None:
    recipe = json.loads(json.dumps(RECIPE))
    parts = {"head": ["eye_l", "eye_r", "mouth"], "rest": ["fin_l", "fin_r", "tail"]}
    whole = face_set(str(write_fish(parts=parts, mirror=None))).markup
    assert whole.contour == () and [*whole.scored] == ["head", "rest"]
    for step in recipe["steps"].values():
        step["augmentation"]["flip"] = 0
    recipe["stages"]["parts"]["look"]["contour"] = 1
    with pytest.raises(InputError, match=r"parts\.look: contour: all points .* set it to 0"):
        check_demands(recipe_from(recipe, "recipe"), whole)
    recipe["stages"]["parts"]["look"] |= {"contour": 0, "mirrored": "averaged"}
    with pytest.raises(InputError, match=r"parts\.look: mirrored: .* leave it out"):
        check_demands(recipe_from(recipe, "recipe"), whole)
