"""Cascades, comparisons, evaluations and single trainings, read for a page."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from groupnas.accountant import flops
from groupnas.comparison.samples import SampleErrors
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.report.page import collect, render
from groupnas.report.page.model import PageRun
from groupnas.runs.folder import RunFolder
from groupnas.spaces import SearchSpace
from groupnas.spaces.allocation import Allocation

TRAINING = {"epochs": 4, "batch_size": 8, "weights": {"lr": 0.01}}
TRAINED = {"epoch": 1, "train_loss": 2.0, "validation": {"circle": 3.0, "mean": 3.0}}


def read(path: Path) -> PageRun:
    (run,) = collect([path])
    return run


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dump = yaml.safe_dump if path.suffix == ".yaml" else json.dumps
    path.write_text(dump(value) + ("\n" if path.suffix == ".jsonl" else ""))


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    """Three faces, one of them in a subset, and a picture of the worst."""
    folder = tmp_path / "scored"
    score = {"faces": 3, "nme": 4.0, "parts": {"nose": 2.0, "mouth": 6.0}}
    told = {"model": "my model", "data": "300w", "split": "test", "faces": 3, "allow_partial": True}
    told |= {"normaliser": "interocular", "threshold": 0.1}
    told |= {"versions": {"torch": "2.4"}, "begun": {"command": ["groupnas", "eval"]}}
    told |= {"scores": {"full": {"cascade": score}, "hard": {"cascade": {**score, "faces": 1}}}}
    write(folder / "scores.json", told)
    lines = ["face,cascade_nme,cascade_nose", "a,5.0,1", "b,1.0,2", "c,6.0,3"]
    (folder / "faces.csv").write_text("\n".join(lines))
    Image.new("RGB", (2400, 100), "red").save(folder / "worst.png")
    return folder


def test_evaluation(evaluation: Path) -> None:
    run = read(evaluation)
    assert run.kind == "evaluation" and run.groups == ("nose", "mouth")
    assert [(score.samples, score.count) for score in run.scores] == [
        ("300w test", 3),
        ("300w test/hard", 1),
    ]
    assert run.scores[0].errors == {"nose": 2.0, "mouth": 6.0, "mean": 4.0}
    assert [face.name for face in run.best] == ["b", "a", "c"]
    assert [face.name for face in run.worst] == ["c", "a", "b"]
    assert list(run.curves[0].errors) == [5.0, 1.0, 6.0]
    assert run.commands == (("groupnas", "eval", "--out", f"{evaluation}-again"),)
    assert run.environment == {"begun.command": '["groupnas", "eval"]', "versions.torch": "2.4"}
    assert run.settings is not None and "begun.command" not in run.settings
    (picture,) = run.pictures  # best.png is not there, which is said
    assert ["best.png" in note.where for note in run.notes] == [True]
    content = base64.b64decode(picture.uri.removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(content)).size == (1200, 50)


@pytest.mark.parametrize(
    "text", ["", "face\n", "face,cascade_nme\na,b\n", "cascade_nme\n1\n", "a\x00"]
)
def test_damaged_faces_are_left_out(evaluation: Path, text: str) -> None:
    (evaluation / "faces.csv").write_text(text)
    (evaluation / "worst.png").write_bytes(b"no picture")
    run = read(evaluation)
    assert not run.curves and not run.worst and not run.pictures and len(run.scores) == 2
    assert {Path(note.where).name for note in run.notes} == {"faces.csv", "best.png", "worst.png"}


@pytest.fixture
def comparison(tmp_path: Path, searched: Path, shapes_space: SearchSpace) -> Path:
    """Two strategies, one seed, one network each; ``gumbel`` is not trained yet."""
    folder = tmp_path / "compared"
    config = yaml.safe_load((searched / "config.yaml").read_text())
    controls = {"even": {"format": 1, "algorithm": "even", "title": "Even"}}
    told = {key: config[key] for key in ("space", "task", "device", "versions")}
    told |= {"groups": list(shapes_space.groups), "measure": "mac", "tolerance": 0.01}
    told |= {"strategies": {**controls, "own": config["strategy"]}, "seeds": [0], "budgets": [1.0]}
    lines = [["groupnas", "compare", "--out", "c"], ["groupnas", "compare", "--resume"]]
    told |= {"begun": {"command": lines[0], "then": lines[1:]}}
    write(folder / "config.yaml", told)
    shapes_space.save(folder / "space.yaml")
    for label in ("even", "own"):
        shutil.copytree(searched, folder / f"search/{label}-s0")
    groups = len(shapes_space.groups)
    SampleErrors(
        errors=np.arange(2.0 * groups).reshape(2, groups),
        groups=shapes_space.groups,
        weights=np.ones(groups),
        sources=np.array(["a", "b"]),
        unit="px",
    ).save(folder / "train/even-s0-b1/errors-validation.npz")
    costs = {"mac": dict.fromkeys(shapes_space.groups, 5)}
    cell = {"costs": costs, "errors": {"validation": {}}, "steps": 3, "seconds": 1.0}
    cell |= {"strategy": "even", "seed": 0, "budget": 1.0}
    write(folder / "train/even-s0-b1/cell.json", cell)
    return folder


def test_comparison(comparison: Path, shapes_space: SearchSpace) -> None:
    run = read(comparison)
    assert run.kind == "comparison" and not run.finished
    assert run.state == "Not finished: 1 of 2 networks are trained."
    (note,) = run.notes
    assert "1 trainings are missing (train own-s0-b1)" in note.text
    assert run.network is not None
    titles = [division.title for division in run.network.divisions]
    assert titles == ["initial", "even, seed 0", "own, seed 0"]
    assert run.costs[0].macs == dict.fromkeys(shapes_space.groups, 5.0)
    assert run.comparison is not None and run.scores == ()
    mean, deviation = run.comparison.rows[0].errors["mean"]
    assert mean == pytest.approx((2 * len(shapes_space.groups) - 1) / 2) and deviation is None
    assert len(run.curves[0].errors) == 2
    then = ("groupnas", "compare", "--resume", "--out", f"{comparison}-again")
    assert run.commands == (("groupnas", "compare", "--out", f"{comparison}-again"), then)


@pytest.mark.parametrize(
    "damage", ["{", "{}", '{"costs": {"mac": 5}}', '{"costs": {"mac": {"a": "b"}}}']
)
def test_a_damaged_network_leaves_the_others(comparison: Path, damage: str) -> None:
    shutil.copytree(comparison / "train/even-s0-b1", comparison / "train/own-s0-b1")
    cell = comparison / "train/own-s0-b1/cell.json"
    cell.write_text(cell.read_text().replace('"even"', '"own"'))
    assert not read(comparison).notes
    (comparison / "train/own-s0-b1/cell.json").write_text(damage)
    run = read(comparison)
    assert run.comparison is not None and run.comparison.strategies == ("even",)
    assert "a network is left out" in run.notes[0].text
    assert "cell.json" in run.notes[0].text and "remove it and resume" in run.notes[0].text
    assert "1 trainings are missing (train own-s0-b1)" in run.notes[1].text


def test_damaged_comparison_shows_its_groupings(comparison: Path) -> None:
    config = yaml.safe_load((comparison / "config.yaml").read_text())
    write(comparison / "config.yaml", {**config, "budgets": "none"})
    run = read(comparison)
    assert run.network is not None and run.comparison is None and "cannot be read" in run.state
    assert "errors and costs are left out" in run.notes[0].text


def test_cascade_and_its_stages(tmp_path: Path, searched: Path, shapes_space: SearchSpace) -> None:
    folder, space = tmp_path / "cascade", shapes_space
    written = space.file.to_dict()
    stage: dict[str, Any] = {"name": space.name, "space": written}
    stage["grouping"] = Grouping.even(space).to_dict()
    score = {"faces": 9, "nme": 3.5, "parts": {"nose": 2.5}}
    told = {"data": "300w", "split": "validation", "scores": {"full": {"cascade": score}}}
    card = {"stages": {"local": stage}, "scores": {"validation": told}, "trained": {"data": "300w"}}
    begun = {"command": ["groupnas", "train", "--grouping", "it's mine.json"]}
    write(folder / "config.yaml", {"begun": begun, "recipe": {"format": 1}})
    write(folder / "local/config.yaml", {"training": TRAINING, "task": {"name": "300w"}})
    write(folder / "local/history.jsonl", TRAINED)
    unfinished = read(folder)
    assert unfinished.state == (
        "The model is not written yet. Local stage: Not finished: 1 of 4 epochs are done; it was "
        "stopped or killed."
    )
    with RunFolder(folder / "local").locked():
        assert read(folder).state.endswith("1 of 4 epochs are done; it still runs.")
    assert f"groupnas train --resume --out {folder}" in unfinished.notes[0].text
    shutil.copytree(searched, folder / "search")
    (folder / "model.json").write_text("{")
    damaged = read(folder)
    assert damaged.state.startswith("The model's card cannot be read.")
    assert "groupnas train --resume writes it anew" in damaged.notes[0].text
    local = {"training": TRAINING, "task": {"name": "300w"}, "device": "cpu", "threads": 2}
    write(folder / "local/config.yaml", local)
    write(folder / "model.json", card)
    run = read(folder)
    environment = dict(run.environment or {})
    assert environment.pop("begun.command")
    assert environment == {"device": "cpu", "threads": "2"}
    assert run.kind == "cascade" and run.finished and run.groups == space.groups
    assert run.costs[0].macs == flops(Allocation.even(space)).per_group
    assert run.scores[0].errors == {"nose": 2.5, "mean": 3.5}
    assert {chart.title.split(":")[0] for chart in run.charts} == {"search", "local"}
    assert run.commands[0][2:4] == ("--grouping", "it's mine.json")
    assert run.data == {"name": "300w", "data": "300w"}


def test_card_of_a_newer_space_is_noted(tmp_path: Path) -> None:
    stage = {"name": "x", "space": {"format": 99}, "grouping": {}}
    write(tmp_path / "run/model.json", {"local_stage": stage})
    run = read(tmp_path / "run")
    assert not run.costs and any("stages.local: " in note.text for note in run.notes)


def test_training(tmp_path: Path, shapes_space: SearchSpace, searched: Path) -> None:
    config = yaml.safe_load((searched / "config.yaml").read_text())
    del config["records"], config["strategy"]  # of the search
    config |= {"arguments": {"costs": {"mac": {"ring": 5}}}, "training": TRAINING}
    write(tmp_path / "t/config.yaml", config)
    write(tmp_path / "t/history.jsonl", TRAINED)
    shutil.copy(searched / "grouping.json", tmp_path / "t/grouping.json")
    run = read(tmp_path / "t")
    assert run.kind == "training" and "1 of 4" in run.state
    (cost,) = run.costs
    assert (cost.network, cost.macs) == (
        "trained",
        {"ring": 5},
    ) and run.groups == shapes_space.groups


def test_errors_that_a_comparison_measured(comparison: Path) -> None:
    folder = comparison / "train/even-s0-b1"
    write(folder / "history.jsonl", TRAINED)
    (folder / "errors-test.npz").write_bytes(b"half an archive")
    run = read(folder)
    (score,) = run.scores
    assert (score.samples, score.count, score.unit) == ("validation", 2, "px")
    assert score.errors["disc"] == 1.5 and score.errors["mean"] == 2.5  # of 0..2 and 3..5
    assert run.curves[0].errors == pytest.approx([1.0, 4.0])
    assert any("errors-test.npz" in note.where for note in run.notes)


def test_training_in_a_comparison_has_its_space(
    comparison: Path, shapes_space: SearchSpace
) -> None:
    folder = comparison / "train/even-s0-b1"
    write(folder / "history.jsonl", TRAINED)
    write(folder / "config.yaml", {"training": {"epochs": 1}})
    shutil.copy(comparison / "search/even-s0/grouping.json", folder)
    run = read(folder)
    found = Grouping.load(folder / "grouping.json")
    assert run.network is not None and len(run.network.layers) == len(shapes_space.layers)
    assert run.costs[0].macs == flops(Allocation(shapes_space, found)).per_group
    alone = shutil.copytree(folder, comparison.parent / "alone")
    run = read(Path(alone))
    assert run.network is not None and run.network.layers == ()
    assert any("does not say which space" in note.text for note in run.notes)


def test_empty_folders_of_stages_are_no_run(tmp_path: Path) -> None:
    (tmp_path / "global").mkdir()
    with pytest.raises(InputError, match="holds no run"):
        collect([tmp_path])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # means of what holds no numbers
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(data=st.data(), name=st.sampled_from(["scores.json", "config.yaml", "cell.json"]))
def test_junk_in_other_kinds_of_runs(
    evaluation: Path,
    comparison: Path,
    spoiled: Callable[..., str],
    data: st.DataObject,
    name: str,
) -> None:
    paths = {"scores.json": evaluation, "config.yaml": comparison}
    folder = paths.get(name, comparison)
    path = folder / ("train/even-s0-b1/cell.json" if name == "cell.json" else name)
    whole = path.read_bytes()
    try:
        path.write_text(spoiled(whole.decode(), data))
        render([read(folder)], library="")
    except InputError as error:
        assert "\n" not in str(error)
    finally:
        path.write_bytes(whole)


def test_samples_that_lack_a_part(comparison: Path) -> None:
    folder = comparison / "train/even-s0-b1"
    write(folder / "history.jsonl", TRAINED)
    path = folder / "errors-validation.npz"
    found = SampleErrors.load(path)
    found.errors[0] = np.nan
    found.errors[1, 0] = np.nan
    found.save(path)
    run = read(folder)
    (score,) = run.scores
    assert (score.count, score.errors["mean"]) == (2, 4.5) and "disc" not in score.errors
    assert run.curves[0].errors == [4.5] and (score.short("disc"), score.short("ring")) == (0, 1)
    assert read(comparison).curves[0].errors == [4.5]


def test_a_search_says_how_many_show_each_part(run_copy: Path) -> None:
    result = json.loads((run_copy / "result.json").read_text())
    assert result["validation_counts"] == dict.fromkeys(("disc", "square", "ring", "mean"), 30)
    result["validation_counts"]["ring"] = 12
    write(run_copy / "result.json", result)
    run = read(run_copy)
    score = run.scores[0]
    assert (score.count, score.short("ring"), score.short("disc")) == (30, 12, None)
    assert "<small>n = 12</small>" in render([run], library="")
