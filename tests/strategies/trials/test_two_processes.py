"""Two processes share a study and one is killed: nothing is lost, nothing is done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from groupnas.strategies.trials.study import in_journal

WORKER = Path(__file__).with_name("worker.py")
TRIALS = 10
EVENTS = ("begin", "end")


def begin(folder: Path, run: str, seconds: float) -> subprocess.Popen[bytes]:
    # Hashes of groupings are compared between processes.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    arguments = [folder / "study.journal", folder / "log", folder / run, str(seconds), str(TRIALS)]
    return subprocess.Popen([sys.executable, WORKER, *map(str, arguments)], env=environment)


def lines(folder: Path) -> list[list[str]]:
    log = folder / "log"
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def history(folder: Path, run: str) -> list[dict[str, Any]]:
    text = (folder / run / "history.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def wait_until(what: str, happened: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    # The first is slow, so that it is in the middle of a trial.
    running = [begin(tmp_path, "first", 30.0), begin(tmp_path, "second", 0.2)]
    try:
        own = str(tmp_path / "first")
        wait_until("the first", lambda: any(own in line for line in lines(tmp_path)))
        running[0].send_signal(signal.SIGKILL)
        assert running[0].wait() == -signal.SIGKILL
        killed = [line for line in lines(tmp_path) if line[1] == own]
        running.append(begin(tmp_path, "first", 0.2))  # the same run, gone on with
        assert [process.wait(60) for process in running[1:]] == [0, 0]
    finally:
        for process in running:
            process.kill()
            process.wait()

    trials = in_journal(tmp_path / "study.journal", "groupnas", 1, None).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * TRIALS
    for run in ("first", "second"):
        found = history(tmp_path, run)
        assert sorted(record["trial"] for record in found) == list(range(TRIALS))
        assert all(record["point"] == trials[record["trial"]].params for record in found)
    log = lines(tmp_path)
    begun, ended = (Counter(line[3] for line in log if line[0] == what) for what in EVENTS)
    assert set(ended.values()) == {1}
    # Only what was being judged was begun once more; its parameters are not lost.
    assert [line[0] for line in killed] == ["begin"]
    assert begun - ended == Counter([killed[0][3]])
    first, second = ((tmp_path / run / "grouping.json").read_text() for run in ("first", "second"))
    assert first == second
    assert not list(tmp_path.glob("study.journal.[0-9]*.lock"))
