"""Pieces in this process and in others; what fails, what dies, and what outlives nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers import ROOT

from groupnas.comparison.runner import Ended, run_pieces
from groupnas.errors import InputError


@dataclass(frozen=True)
class Toy:
    """Writes a file for each piece that is done; some fail, some end their process."""

    folder: Path

    def start(self, threads: int | None) -> Callable[[str], str]:
        with open(self.folder / "started", "a") as file:
            file.write(f"{os.getpid()}\n")
        return self.do

    def do(self, piece: str) -> str:
        if piece.startswith("bad"):
            raise InputError(f"{piece} is bad")
        if piece.startswith("dead"):
            os.kill(os.getpid(), signal.SIGKILL)
        if piece.startswith("slow"):
            (self.folder / f"{piece}-{os.getpid()}").touch()
            time.sleep(60)
        (self.folder / piece).touch()
        return f"did {piece}"


def run(folder: Path, first: list[str], jobs: int) -> list[Ended[str]]:
    ended: list[Ended[str]] = []

    def then(piece: str) -> list[str]:
        return [f"{piece}.{number}" for number in range(2)] if "." not in piece else []

    run_pieces(Toy(folder), first, then, jobs=jobs, threads=1, on_end=ended.append)
    return ended


def test_in_this_process(tmp_path: Path) -> None:
    ended = run(tmp_path, ["a", "bad", "b"], jobs=1)
    assert [piece.piece for piece in ended] == ["a", "bad", "b", "a.0", "a.1", "b.0", "b.1"]
    assert [piece.piece for piece in ended if piece.failed] == ["bad"]
    assert ended[1].words == "bad is bad" and ended[3].words == "did a.0"
    assert (tmp_path / "started").read_text() == f"{os.getpid()}\n"


def test_in_processes_that_may_die(tmp_path: Path) -> None:
    ended = {piece.piece: piece for piece in run(tmp_path, ["a", "dead", "b", "bad"], jobs=2)}
    assert set(ended) == {"a", "dead", "b", "bad", "a.0", "a.1", "b.0", "b.1"}
    assert {name for name, piece in ended.items() if piece.failed} == {"dead", "bad"}
    assert ended["dead"].words == "its process ended with code -9 (killed; out of memory?)"
    started = (tmp_path / "started").read_text().split()
    # two, and another for the one that died if there was work left; each gets ready once
    assert len(set(started)) == len(started) in (2, 3) and str(os.getpid()) not in started


DRIVER = """
import sys; sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_comparison_runner import run
import signal; signal.signal(signal.SIGINT, signal.default_int_handler)
if __name__ == "__main__":
    try:
        run(Path(sys.argv[1]), ["slow1", "slow2"], 2)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # a zombie that nobody has asked for is no process any more
    return not stat.exists() or stat.read_text().rsplit(")")[-1].split()[0] != "Z"


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_the_first(tmp_path: Path, stop: signal.Signals) -> None:
    command = [sys.executable, "-c", DRIVER, str(tmp_path), str(Path(__file__).parent)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    parent = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(tmp_path.glob("slow*"))) < 2:
        time.sleep(0.02)
    pids = [int(path.name.split("-")[1]) for path in tmp_path.glob("slow*")]
    assert len(pids) == 2 and all(map(alive, pids))
    if stop == signal.SIGINT:  # as a terminal does: to all of them
        os.killpg(parent.pid, stop)
    else:
        parent.send_signal(stop)
    _, errors = parent.communicate(timeout=30)
    assert parent.returncode == (130 if stop == signal.SIGINT else -9)
    assert "Traceback" not in errors
    while time.monotonic() < deadline and any(map(alive, pids)):
        time.sleep(0.02)
    assert not any(map(alive, pids))
