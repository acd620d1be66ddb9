"""``groupnas search``: a new user's first runs, mistakes, and ways to stop it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from helpers import ROOT, exit_code

from groupnas.errors import InputError

call = partial(exit_code, "search")

SPACE = """
format: 1
title: Four parts, small
input: [64, 64]
groups: [left_eye, right_eye, nose, mouth]
inputs: {left_eye: 1, right_eye: 1, nose: 1, mouth: 1}
outputs: {left_eye: 22, right_eye: 22, nose: 18, mouth: 40}
layers:
  - {name: stem, op: conv3x3, c: 8, s: 4}
  - {name: body, op: irb, t: 2, c: 12, s: 4}
  - {name: output, op: linear}
"""
STRATEGY = """
algorithm: masks
title: Quick
warmup_epochs: 1
epochs: 2
batch_size: 4
validation: 0.3
weights: {lr: 0.001}
masks: {optimizer: {lr: 0.1}}
"""
GIVEN = ["--space", "tiny.yaml", "--data", "synthetic", "--limit", "8"]
GIVEN += ["--strategy", "quick.yaml"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place to work in; torch's threads are put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GROUPNAS_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    (tmp_path / "tiny.yaml").write_text(SPACE)
    (tmp_path / "quick.yaml").write_text(STRATEGY)
    return tmp_path


def test_a_run_and_the_same_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*GIVEN, "--seed", "3") == 0
    first = capsys.readouterr()
    run = folder / "runs/tiny-synthetic-quick-seed3"
    for name in ("grouping.json", "tetris.png", "history.png"):
        assert (run / name).stat().st_size > 0
    assert f"grouping: {run.relative_to(folder)}/grouping.json" in first.out
    assert "MACs before" in first.out and "channels moved" in first.out
    # one line for each epoch, none of them wrapped where there is no terminal
    lines = [line for line in first.err.splitlines() if "/3 " in line]
    assert [line.split()[0] for line in lines] == ["1/3", "2/3", "3/3"]
    assert "warm-up" in lines[0] and all(len(line.split()) == 9 for line in lines)

    assert call(*GIVEN, "--seed", "3") == 2
    refused = capsys.readouterr().err
    assert (
        refused == f"groupnas: {run.relative_to(folder)}: holds a run already; --resume goes "
        "on, another --out begins\n"
    )
    # a finished run prints its result again, from any folder
    os.chdir("/")
    assert call("--resume", "--out", str(run)) == 0
    again = capsys.readouterr().out.replace(f"{folder}/", "")
    assert again == first.out
    # also where what it was started with has changed or gone, and the run was moved
    (folder / "tiny.yaml").write_text("nonsense")
    (folder / "quick.yaml").unlink()
    run = run.rename(folder / "moved")
    assert call("--resume", "--out", str(run)) == 0
    assert "MACs before" in capsys.readouterr().out
    # a plot that cannot be drawn is told; the search was done, and the other plot is drawn

    def refuse(*_: object) -> None:
        raise InputError("tetris.png: cannot be written: No space left on device")

    (run / "history.png").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("groupnas.report.plot_tetris", refuse)
        assert call("--resume", "--out", str(run)) == 0
    output = capsys.readouterr()
    assert "groupnas: the Tetris plot was not drawn: tetris.png: cannot" in output.err
    assert f"history plot: {run}/history.png" in output.out and (run / "history.png").is_file()

    for option, value in (("--seed", "4"), ("--limit", "9"), ("--space", "picasso_local")):
        assert call("--resume", "--out", str(run), option, value) == 2
        assert f"the run was started with {option} " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--epochs 0", 'Invalid value "0" for --epochs. Must be >= 1.'),
        ("--epochs 1.5", "expected a whole number, got '1.5'"),
        ("--seed -1", 'Invalid value "-1" for --seed. Must be >= 0.'),
        ("--seed abc", "expected a whole number, got 'abc'"),
        (f"--seed {2**63}", "--seed. Must be <"),
        ("--threads 0", 'Invalid value "0" for --threads. Must be >= 1.'),
        ("--limit 1", 'Invalid value "1" for --limit. Must be >= 2.'),
        ("", "search needs --space"),
        ("--space tiny.yaml --data synthetic --strategy=", "strategy: expected a name or a path"),
        ("--space tiny.yaml", "search needs --data"),
        ("--space tiny.yaml --data sinthetic", "did you mean 'synthetic'"),
        ("--space tiny.yml --data synthetic", "tiny.yml: no such file"),
        ("--space tiny.yaml --data synthetic --strategy gumbl", "did you mean 'gumbel'"),
        ("--space tiny.yaml --data 300w", "300w: no data root; set --data-root or GROUPNAS_DATA"),
        ("--space tiny.yaml --data 300w --data-root no", "no/300w: no such folder"),
        ("--resume", "--resume needs --out"),
        ("--resume --out missing", "missing: does not exist; expected the folder of a search"),
        ("--resume --out tiny.yaml", "tiny.yaml: is a file; expected the folder of a search"),
        ("--out tiny.yaml GIVEN", "tiny.yaml: is a file; expected a folder for a run"),
        ("--out tiny.yaml/run GIVEN", "tiny.yaml/run: cannot be written: Not a directory"),
        ("--device nonsense GIVEN", "device 'nonsense' cannot be used here"),
        ("--divisor 12 GIVEN", "--divisor: divisor: input should be 1, 2, 4, 8, 16, 32 or 64"),
        ("--measure none.json GIVEN", "none.json: cannot be read: No such file"),
        ("--measure seconds GIVEN", "measure 'seconds': choose from: latency, mac, params"),
        ("--device cuda:99 GIVEN", "device 'cuda:99' cannot be used here"),
    ],
)
def test_mistakes(
    folder: Path, line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path for path in folder.rglob("*") if "cache" not in path.parts}
    assert call(*line.replace("GIVEN", shlex.join(GIVEN)).split()) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("groupnas: ") and output.err.count("\n") == 1
    assert message in output.err
    assert {path for path in folder.rglob("*") if "cache" not in path.parts} == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("threads: ", "threads: many #", "arguments: threads: input should be a valid integer"),
        ("arguments:", "argument:", "config.yaml: arguments: space: missing; data: missing; "),
        ("format: 1", "", ""),
    ],
)
def test_a_damaged_config(
    old: str, new: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*GIVEN, "--out", "run") == 0
    config = folder / "run/config.yaml"
    config.write_text(config.read_text().replace(old, new) if message else "a: [")
    capsys.readouterr()
    assert call("--resume", "--out", "run") == 2
    output = capsys.readouterr()
    assert (message or "config.yaml:1: is not YAML") in output.err and output.err.count("\n") == 1


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    code = (
        # a shell's background job would ignore Ctrl-C
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from groupnas.cli import main; main()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, "search", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "40"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_stopped_and_resumed(folder: Path) -> None:
    out = folder / "my run"
    run = start(folder, *GIVEN, "--epochs", "100000", "--out", "my run")
    history = out / "history.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (history.exists() and history.stat().st_size > 2000):
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    printed, errors = run.communicate(timeout=60)
    assert printed == "" and "Traceback" not in errors
    records = [json.loads(line) for line in history.read_text().splitlines()]
    assert records[-1]["epoch"] == len(records) >= 1
    command = "groupnas search --resume --out 'my run'"
    assert run.returncode == 130
    assert errors.splitlines()[-1] == f"groupnas: stopped; go on with: {command}"
    assert {path.name for path in out.glob(".*")} == {".lock"}

    again = start(folder, *shlex.split(command)[2:])
    assert again.stderr is not None
    for line in again.stderr:
        if line.startswith("resuming after epoch"):
            break
    assert line == f"resuming after epoch {len(records)}\n"
    again.kill()
    again.communicate(timeout=60)
    assert len(history.read_text().splitlines()) >= len(records)


def test_tracked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboard")
    assert call(*GIVEN, "--out", "run", "--track", "tensorboard") == 0
    assert list(Path("run/tensorboard").glob("events.*"))
    for wrong in (["mlflaw"], []):
        assert call("--resume", "--out", "run", "--track", *wrong) == 2
        assert "--track" in capsys.readouterr().err


def test_a_tracker_that_cannot_be_used_leaves_no_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert call(*GIVEN, "--out", "run", "--track", "mlflow") == 2
    message = capsys.readouterr().err
    assert "'groupnas[mlflow]'" in message and message.count("\n") == 1
    assert not Path("run").exists()
