"""``groupnas ceiling``: from trainings of its own, from a run's folder; and behind a search."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from helpers import exit_code

call = partial(exit_code, "ceiling")

SPACE = """
format: 1
title: Four parts, small
input: [64, 64]
groups: [left_eye, right_eye, nose, mouth]
inputs: {left_eye: 1, right_eye: 1, nose: 1, mouth: 1}
outputs: {left_eye: 22, right_eye: 22, nose: 18, mouth: 40}
layers:
  - {name: stem, op: conv3x3, c: 16, s: 4}
  - {name: body, op: irb, t: 2, c: 24, s: 4}
  - {name: output, op: linear}
"""
GIVEN = ["--space", "tiny.yaml", "--data", "synthetic", "--limit", "10"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place to work in; torch's threads are put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    (tmp_path / "tiny.yaml").write_text(SPACE)
    return tmp_path


def test_few_trainings_then_the_folder_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*GIVEN, "--trials", "4", "--epochs", "1") == 0
    first = capsys.readouterr().out
    assert "split between groups" in first and "from 16 errors in 4 trainings" in first
    run = "runs/tiny-synthetic-ceiling-seed0"
    assert call(run) == 0
    assert capsys.readouterr().out == first
    assert call(run, "--json", "--budget", "0.5", "--deviation", "2") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["budget"] == 0.5 and told["deviation"] == 0.02
    assert set(told["levers"]) == {"split", "depth", "both"} and told["advice"]
    # the search that it is tells the line, too
    assert exit_code("search", "--resume", "--out", run) == 0
    output = capsys.readouterr()
    *_, told = first.splitlines()
    line, *reasons = output.out.splitlines()[-1 - ("caution: " in first) :]
    assert line == f"ceiling at 1 of even groups' MACs: {told}"
    assert ["--budget 1" in each for each in reasons] == [True] * ("caution: " in first)
    assert call(*GIVEN) == 2
    assert "holds a run already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "ceiling needs --space, or the folder of a run that has ended"),
        ("--space tiny.yaml", "ceiling needs --data"),
        ("none", "none: does not exist; expected the folder of a comparison or a search"),
        (". --trials 4", "--trials: a run that has ended is only read; leave it out"),
        (". --limit 40", "--limit: a run that has ended is only read; leave it out"),
        ("--space tiny.yaml --data synthetic --trials 3", "Must be >= 4"),
        ("--space tiny.yaml --data synthetic --budget 0", "Must be > 0"),
        ("--space tiny.yaml --data faces", "data set 'faces'"),
    ],
)
def test_wrong_input(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*line.split()) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
