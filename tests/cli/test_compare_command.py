"""``groupnas compare``: a comparison on drawn faces, killed and resumed; what it prints."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import ROOT, SMALL_CASCADE, exit_code

import groupnas as gn
from groupnas.cli import main

# The small space has few channels: its costs go in large steps.
GIVEN = "--recipe small:once --limit 40 --strategies even random --tolerance 0.2"


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place to work in where the small spaces and the recipe go by their names."""
    place = tmp_path_factory.mktemp("compare")
    for name, files in {
        "search_spaces": ("small_global.yaml", "small_local.yaml"),
        "strategies/recipes": ("small.yaml",),
    }.items():
        (place / name).mkdir(parents=True)
        for file in files:
            shutil.copy(SMALL_CASCADE / file, place / name)
    return place


@pytest.fixture(autouse=True)
def _here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GROUPNAS_DATA", raising=False)
    monkeypatch.setenv("GROUPNAS_CACHE", str(folder / "cache"))


def call(line: str) -> int:
    return exit_code("compare", *shlex.split(line))


def start(line: str) -> subprocess.Popen[str]:
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from groupnas.cli import main; main()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, "compare", *shlex.split(line)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "40"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(run: subprocess.Popen[str], folder: Path, name: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and run.poll() is None:
        if len(list(folder.rglob(name))) >= count:
            return
        time.sleep(0.01)


def test_killed_and_resumed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = start(f"{GIVEN} --out 'my c' --seeds 2 --jobs 2")
    out = folder / "my c"
    wait_for(run, out, "cell.json", 1)
    os.killpg(run.pid, signal.SIGKILL)  # all of its processes at once
    printed, _ = run.communicate(timeout=30)
    done = {path: path.stat().st_mtime_ns for path in out.rglob("cell.json")}
    assert printed == "" and 1 <= len(done) <= 3

    assert call("--resume --out 'my c' --epochs 2") == 2
    assert "was started with --epochs None, not 2" in capsys.readouterr().err

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("groupnas.comparison.compare.run_pieces", stop)
        assert call("--resume --out 'my c' --jobs 2") == 130
    line = "groupnas compare --resume --out 'my c'"
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"groupnas: stopped; go on with: {line}"

    for name in ("strategies", "search_spaces"):  # it goes on by what its folder holds
        (folder / name).rename(folder / f"{name}-gone")
    assert call("--resume --out 'my c' --jobs 1") == 0
    output = capsys.readouterr()
    for name in ("strategies", "search_spaces"):
        (folder / f"{name}-gone").rename(folder / name)
    lines = output.err.splitlines()
    assert lines[0].endswith("/8 pieces are done") and int(lines[0].split("/")[0]) >= 4 + len(done)
    assert all(path.stat().st_mtime_ns == moment for path, moment in done.items())
    assert "validation: 10 samples of 10 sources, NME %, cost 1" in output.out
    assert "figure: my c/comparison.png" in output.out and "not finished" not in output.out
    assert (out / "comparison.png").stat().st_size > 1000
    # a run that nothing interrupted says the same
    assert call(f"{GIVEN} --out whole --seeds 2 --jobs 1") == 0
    whole = capsys.readouterr().out.split("What searches cost")[0]
    assert output.out.split("What searches cost")[0] == whole


def test_what_is_there_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(f"{GIVEN} --out a --jobs 1 --seeds 1 --json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["strategy"] for row in told["rows"]] == ["even", "random"]
    assert told["task"] == "synthetic" and told["missing"] == []
    assert call("a --baseline random --figure a.svg") == 0
    assert "to random" in capsys.readouterr().out and (folder / "a.svg").is_file()
    shutil.rmtree(folder / "a/train/random-s0-b1")
    assert call("a") == 0
    assert "not finished: train random-s0-b1\n" in capsys.readouterr().out


def test_numbers_go_to_another_machine(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = f"{GIVEN} --jobs 1 --epochs 5 --vary-split"
    assert call(f"{options} --seeds 1 --budgets 1.0 0.7 --out here --export here.json") == 0
    printed = capsys.readouterr().out
    assert "numbers: here.json" in printed and "validation: MACs at equal error" in printed
    assert "How far from level" in printed
    assert call("here.json --json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["seeds"] for row in told["rows"]] == [[0]] * 4
    line = f"{options} --seeds 2 --budgets 1.0 0.7 --out there --evidence here.json"
    assert call(f"{line} --json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["seeds"] for row in told["rows"]] == [[0, 1]] * 4 and told["rows"][0]["varied"]
    assert len(list((folder / "there").rglob("cell.json"))) == 4
    assert call("here.json there --export both.json") == 0
    assert " x 2 " in capsys.readouterr().out
    assert call("both.json --json") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["seeds"] for row in rows] == [[0, 1]] * 4
    other = line.replace("--epochs 5", "--epochs 6").replace("there", "other")
    assert call(other) == 2
    assert "identity.training.epochs is 6 and 5" in capsys.readouterr().err
    assert call("--resume --out there --jobs 1") == 0  # it knows how it was split


def test_inside_a_cascade(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(shlex.split("train --recipe small:once --limit 20 --out model"))
    capsys.readouterr()
    short = "--recipe small:once --limit 20 --tolerance 0.2 --jobs 1 --out b"
    assert call(f"{short} --strategies even --seeds 1 --cascade model --json") == 0
    first = json.loads(capsys.readouterr().out)
    assert {row["samples"] for row in first["rows"]} == {"validation", "cascade"}
    # later, another strategy
    assert call("--resume --out b --jobs 1 --strategies separate --json") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {(row["strategy"], row["samples"]) for row in rows} == {
        (label, name) for label in ("even", "separate") for name in ("validation", "cascade")
    }
    config = folder / "b/config.yaml"
    text = config.read_text()
    config.write_text(text.replace("recipe_settings:", "others:"))  # as the first version left it
    assert call("--resume --out b --jobs 1") == 2
    assert "recipe_settings is missing, as where another version" in capsys.readouterr().err
    config.write_text(text)
    card = folder / "model/model.json"
    card.write_text(card.read_text().replace('"weights": "', '"weights": "0'))
    assert call("--resume --out b --jobs 1") == 2
    assert "model.safetensors: is damaged, or not the weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "compare needs --recipe, or the folder of a comparison to print"),
        ("--recipe small", "compare needs --strategies; `groupnas strategies` lists them"),
        ("--recipe small --strategies evn", "did you mean 'even'"),
        ("--recipe small --strategies even --baseline evn", "--baseline evn: did you mean 'even'"),
        ("--recipe smal --strategies even", "did you mean 'small'"),
        ("--recipe small --strategies even --test", "--test needs --cascade"),
        ("--recipe small --strategies even --cascade no", "no: cannot be read"),
        ("--recipe small --strategies even --space small_global", "small_global has inputs"),
        ("--recipe 300w --strategies even", "300w: no data root"),
        (
            "--recipe small --strategies even --budgets 0 --limit 20",
            "expected a number above 0 and up to 10000",
        ),
        ("--recipe small --strategies even --seeds 0", 'Invalid value "0" for --seeds'),
        ("--recipe small --strategies even --jobs 0", 'Invalid value "0" for --jobs'),
        ("--resume", "--resume needs --out"),
        ("none", "none: does not exist; expected the folder of a comparison"),
        ("none --resume", "--resume: folders are only printed; leave it out"),
        ("none --evidence x.json", "--evidence: folders are only printed; leave it out"),
        ("none --test --measure params", "--measure: folders are only printed; leave it out"),
        ("none --export x.npz", "--export x.npz: numbers are written to a .json file"),
        ("none --figure x.jpg", "the name of a picture must end in"),
    ],
)
def test_mistakes(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(line) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not Path("runs").exists()


def test_budgets_of_another_measure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "--recipe small:once --limit 40 --tolerance 0.2 --seeds 1 --budgets 0.6 --jobs 1"
    assert call(f"{line} --strategies even --measure params --out sized") == 0
    cell = json.loads((folder / "sized/train/even-s0-b0.6/cell.json").read_text())
    space = gn.load_space(folder / "sized/space.yaml")
    whole = sum(gn.Allocation.even(space).costs("params").values())
    assert sum(cell["costs"]["params"].values()) == pytest.approx(0.6 * whole, rel=0.2)
    assert call("--resume --out sized --strategies random --jobs 1") == 0
    config = (folder / "sized/config.yaml").read_text()
    assert "measure: params" in config and "random:" in config
    capsys.readouterr()
    assert call("--resume --out sized --measure mac --jobs 1") == 2
    assert "measure = 'params', not 'mac'; a resumed run" in capsys.readouterr().err
    assert call(f"{line} --strategies even --measure parms --out other") == 2
    assert "measure 'parms': did you mean 'params'?" in capsys.readouterr().err
    assert not (folder / "other").exists()
