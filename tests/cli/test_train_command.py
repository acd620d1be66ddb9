"""``groupnas train``: a run, mistakes, ways to stop it; on drawn faces and small networks."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import SMALL_CASCADE, exit_code

from groupnas.landmarks import train as training

call = partial(exit_code, "train")

GIVEN = ["--recipe", "small:once", "--limit", "20"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place to work in where the small spaces, strategy and recipe go by their names."""
    for name, files in {
        "search_spaces": ("small_global.yaml", "small_local.yaml"),
        "strategies": ("quick.yaml",),
        "strategies/recipes": ("small.yaml",),
    }.items():
        (tmp_path / name).mkdir()
        for file in files:
            shutil.copy(SMALL_CASCADE / file, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GROUPNAS_DATA", raising=False)
    monkeypatch.setenv("GROUPNAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    return tmp_path


def test_a_run_and_the_same_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*GIVEN, "--grouping", "quick", "--seed", "3") == 0
    first = capsys.readouterr()
    run = folder / "runs/small_once-cascade-seed3"
    card = json.loads((run / "model.json").read_text())
    assert card["trained"]["seed"] == 3 and card["trained"]["faces"] == 20
    rows = {line.split()[0]: line.split()[1:] for line in first.out.splitlines() if line.strip()}
    scores = card["scores"]["validation"]["scores"]["full"]
    for stage in ("global", "cascade"):
        parts = scores[stage]["parts"]
        assert rows[stage] == [f"{v:.2f}" for v in (scores[stage]["nme"], *parts.values())]
    assert "on 5 faces split off the training set, in % of interocular" in first.out
    path = run.relative_to(folder) / "model.json"
    assert f"groupnas eval --model {path} --data synthetic\n" in first.out
    assert f"groupnas predict PHOTO --model {path}\n" in first.out and f"model: {path}" in first.out
    stages = [line.split(":")[0] for line in first.err.splitlines() if " stage: " in line]
    assert stages == ["global stage", "search stage", "local stage"]
    # one line for each epoch: of the global network, of the search, of the local network
    epochs = [line.split()[0] for line in first.err.splitlines() if "/" in line.split()[0]]
    assert epochs == ["1/1", "1/2", "2/2", "1/1"]

    assert call(*GIVEN, "--seed", "3") == 2
    assert capsys.readouterr().err == (
        f"groupnas: {run.relative_to(folder)}: holds a run already; --resume goes on, another "
        "--out begins\n"
    )
    # a finished run prints its result again, from any folder
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    assert call("--resume", "--out", str(run)) == 0
    assert capsys.readouterr().out.replace(f"{folder}/", "") == first.out
    for option, value in (
        ("--seed", "4"),
        ("--limit", "30"),
        ("--recipe", "small"),
        ("--grouping", "even"),
        ("--epochs", "5"),
        ("--global-from", "x"),
    ):
        assert call("--resume", "--out", str(run), option, value) == 2
        error = capsys.readouterr().err
        assert f"the run was started with {option} " in error and error.count("\n") == 1


def test_options_reach_the_stages(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*GIVEN, "--out", "a", "--epochs", "2") == 0
    assert (folder / "a/global/history.jsonl").read_text().count("\n") == 2
    assert call(*GIVEN, "--out", "b", "--global-from", "a", "--threads", "1") == 0
    assert not (folder / "b/global").exists()
    weights = [json.loads((folder / run / "model.json").read_text()) for run in "ab"]
    assert weights[0]["stages"]["global"] == weights[1]["stages"]["global"]
    # a found grouping, by its path; the folder is another's when the run is resumed
    assert call(*GIVEN, "--out", "c", "--grouping", "quick", "--global-from", "a/model.json") == 0
    grouping = "c/search/grouping.json"
    assert call(*GIVEN, "--out", "d", "--grouping", grouping, "--global-from", "a") == 0
    found = [json.loads((folder / run / "model.json").read_text()) for run in "cd"]
    assert found[0]["stages"]["local"]["grouping"] == found[1]["stages"]["local"]["grouping"]
    assert json.loads((folder / grouping).read_text()) == found[0]["stages"]["local"]["grouping"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "train needs --recipe; choose from: "),
        ("--recipe 300", "'300' is not among the recipes; did you mean '300w'"),
        ("--recipe small:twice", "'twice'"),
        ("--recipe none.yaml", "none.yaml: no such file"),
        ("--recipe 300w", "300w: no data root; set --data-root or GROUPNAS_DATA"),
        ("--recipe 300w --data-root no", "no/300w: no such folder"),
        ("--recipe small --limit 19", 'Invalid value "19" for --limit. Must be >= 20.'),
        ("--recipe small --epochs 0", 'Invalid value "0" for --epochs. Must be >= 1.'),
        ("--recipe small --epochs 1.5", "expected a whole number, got '1.5'"),
        ("--recipe small --seed -1", 'Invalid value "-1" for --seed. Must be >= 0.'),
        ("--recipe small --threads 0", 'Invalid value "0" for --threads. Must be >= 1.'),
        ("--recipe small --grouping quik", "did you mean 'quick'"),
        ("--recipe small --grouping none.json", "none.json: cannot be read"),
        ("--recipe small --grouping strategies/quick.yml", "strategies/quick.yml: no such file"),
        ("--recipe small --global-from none", "none: cannot be read"),
        ("--recipe small --global-from search_spaces", "search_spaces: holds no run; expected"),
        ("--recipe small --device nonsense", "device 'nonsense' cannot be used here"),
        ("--recipe small --out search_spaces/small_local.yaml", "is a file; expected a folder"),
        ("--recipe small --out model.json", "is to be a folder for a run, and has the name of"),
        ("--recipe small --out strategies/quick.yaml/run", "cannot be written: Not a directory"),
        ("--resume", "--resume needs --out"),
        ("--resume --out missing", "missing: does not exist; expected the folder of a family"),
    ],
)
def test_mistakes(
    folder: Path, line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path for path in folder.rglob("*") if "cache" not in path.parts}
    assert call(*line.split()) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("groupnas: ") and output.err.count("\n") == 1
    assert message in output.err
    assert {path for path in folder.rglob("*") if "cache" not in path.parts} == before


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: "a: [", "run/config.yaml:1: is not YAML"),
        (lambda text: "- 1", "run/config.yaml: is damaged"),
        (
            lambda text: text.replace("arguments:", "argument:"),
            "config.yaml: arguments: recipe: missing; grouping: ",
        ),
        # the run's own seed, which stands behind that among the arguments
        (lambda text: "seed: 1".join(text.rsplit("seed: 0", 1)), "run: the run was started with"),
    ],
)
def test_a_damaged_config(
    damage: Callable[[str], str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*GIVEN, "--out", "run") == 0
    config = folder / "run/config.yaml"
    config.write_text(damage(config.read_text()))
    capsys.readouterr()
    assert call("--resume", "--out", "run") == 2
    output = capsys.readouterr()
    assert message in output.err and output.err.count("\n") == 1


@pytest.mark.parametrize("at", ["run_job", "load_faces"])
def test_stopped_by_ctrl_c(
    folder: Path, at: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the local stage, or before there is anything to go on with."""
    from groupnas.engine import training as engine

    place = engine if at == "run_job" else training
    original, calls = getattr(place, at), []

    def pressed(*arguments: Any, **options: Any) -> Any:
        calls.append(at)
        if at == "load_faces" or len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(place, at, pressed)
    assert call(*GIVEN, "--out", "my run") == 130
    message = capsys.readouterr().err.splitlines()[-1]
    if at == "load_faces":
        assert message == "groupnas: stopped before the train run began"
        assert not (folder / "my run").exists()
        return
    assert message == ("groupnas: stopped; go on with: groupnas train --resume --out 'my run'")
    monkeypatch.setattr(place, at, original)
    assert call("--resume", "--out", "my run") == 0
    assert (folder / "my run/model.json").exists()
