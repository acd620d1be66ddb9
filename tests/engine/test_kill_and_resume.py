"""A run that is killed, wherever it stands, goes on to the same end as one never stopped."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import ROOT

EXAMPLE = ROOT / "examples/own_parts.py"
SAME = ("grouping.json", "initial_grouping.json", "split.json", "history.jsonl", "result.json")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

# Runs a short search in a child for every number of writes that it may do before it dies, and
# then resumes it in another child. Forking spares importing torch for each of them.
DRIVER = """
import importlib.util, os, sys
from pathlib import Path
import groupnas, groupnas.writing
from groupnas.runs.folder import RunFolder
spec = importlib.util.spec_from_file_location("own_parts", sys.argv[1])
own_parts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(own_parts)
space, task = groupnas.load_space(own_parts.SPACE), own_parts.Shapes(samples=40)
masks = own_parts.STRATEGY.masks.model_copy(update={"init": "ones"})
strategy = own_parts.STRATEGY.model_copy(update={"warmup_epochs": 1, "epochs": 1, "masks": masks})
replace = os.replace

def child(out, dies_at=None, before=True):
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    count = 0
    def dying(source, target):
        nonlocal count
        count += 1
        if count == dies_at and before:
            os._exit(9)
        replace(source, target)
        if count == dies_at:
            os._exit(9)
    groupnas.writing.os.replace = dying
    try:
        resume = RunFolder(out).exists
        groupnas.search(space, task, None if resume else strategy, out, resume=resume)
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(1)
    os._exit(0)

folder = Path(sys.argv[2])
groupnas.search(space, task, strategy, folder / "whole")  # imports what the children need, too
for before in (True, False):
    for number in range(1, 100):
        out = folder / f"{'before' if before else 'after'}-{number}"
        code = child(out, number, before)
        if code == 0:
            break
        assert code == 9, (out, code)
        assert child(out) == 0, out
print(number - 1, flush=True)
"""


def result(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in SAME}


def only_whole_files(folder: Path) -> bool:
    return {file.name for file in folder.iterdir() if file.name.startswith(".")} == {".lock"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_dying_at_every_write(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DRIVER, str(EXAMPLE), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    writes = int(done.stdout)
    # 5 to start, 2 before the first epoch, 4 for each of 2 epochs, 1 result
    assert writes == 16
    expected = result(tmp_path / "whole")
    folders = sorted(path for path in tmp_path.iterdir() if path.name != "whole")
    for folder in folders:
        assert only_whole_files(folder), folder.name
        found = result(folder)
        assert [name for name in SAME if found[name] != expected[name]] == [], folder.name
    assert len(folders) == 2 * (writes + 1)  # the last of each series ends by itself


def start(out: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(EXAMPLE), "--out", str(out), "--epochs", "6", *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )


def epochs(out: Path) -> int:
    history = out / "history.jsonl"
    return len(history.read_text().splitlines()) if history.exists() else 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The folder of a run that nobody stopped, what it printed, and what it said meanwhile."""
    out = tmp_path_factory.mktemp("whole") / "run"
    run = start(out)
    printed, errors = run.communicate(timeout=300)
    assert run.returncode == 0, errors
    return out, printed, errors


def test_killed_at_any_moment(whole: tuple[Path, str, str], tmp_path: Path) -> None:
    """SIGKILL, in and between epochs; the moments are drawn with a fixed seed."""
    draw, killed, after = random.Random(0), tmp_path / "killed", []
    for attempt in range(2):
        run = start(killed, *(["--resume"] if (killed / "config.yaml").exists() else []))
        aim = epochs(killed) + draw.randint(0, 3)
        while run.poll() is None and not (killed / "history.jsonl").exists():
            time.sleep(0.002)
        while run.poll() is None and epochs(killed) < aim:
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.25))
        run.kill()
        _, errors = run.communicate()
        assert run.returncode == -9, f"attempt {attempt}: {errors}"
        after.append(epochs(killed))
    last = start(killed, "--resume")
    _, errors = last.communicate(timeout=300)
    assert last.returncode == 0, errors
    expected, found = result(whole[0]), result(killed)
    different = [name for name in SAME if found[name] != expected[name]]
    assert different == [], f"killed after epochs {after}"
    assert only_whole_files(killed)
    assert json.loads(found["result.json"])["epochs"] == 16


def test_the_example_as_a_person_runs_it(whole: tuple[Path, str, str]) -> None:
    out, printed, errors = whole
    assert " 16/16 " in errors
    lines = printed.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["disc", "square", "ring"]
    assert all("11,456 ->" in line and "MACs" in line for line in lines[:3])
    again = start(out)
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 1
    assert errors.startswith("own_parts: ") and "holds a run already" in errors
