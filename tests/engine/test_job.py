"""What searches and trainings share: the order of writes, what a resumed run must not change."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from groupnas.engine.job import (
    Job,
    Means,
    checked_device,
    resume_job,
)
from groupnas.engine.observer import Observer
from groupnas.engine.running import run_job
from groupnas.engine.split import Split
from groupnas.errors import InputError
from groupnas.runs.fields import Recorded
from groupnas.runs.folder import RunFolder
from groupnas.runs.records import Epoch


class Counting:
    """A job that learns nothing: an epoch counts two steps and waits 1.25 s for data."""

    record = Epoch
    recorded = Recorded()
    batch_size = 4
    total_epochs = 3
    steps = 2

    def __init__(self) -> None:
        self.task: Any = None
        self.split = Split(torch.arange(2), torch.arange(2, 4))
        self.history: list[dict[str, Any]] = []
        self.data_seconds = 0.0

    def describe(self) -> list[str]:
        return ["counting"]

    def run_epoch(self, on_step: Callable[[int, int], None]) -> dict[str, Any]:
        for step in range(self.steps):
            on_step(step + 1, self.steps)
        self.data_seconds += 1.25
        self.history.append({"epoch": len(self.history) + 1})
        return self.history[-1]

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.history = list(state["history"])


class Diary(Observer):
    """Writes down what it is told, and checks that the epoch is on the disk by then."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.lines: list[Any] = []

    def started(self, folder: RunFolder, job: Job) -> None:
        self.lines.append(("started", len(job.history)))

    def stepped(self, done: int, total: int) -> None:
        self.lines.append((done, total))

    def epoch_ended(self, record: dict[str, Any]) -> None:
        saved = self.folder.load_checkpoint()["history"]
        lines = (self.folder / "history.jsonl").read_text().splitlines()
        timings = (self.folder / "timings.jsonl").read_text().splitlines()
        assert saved[-1] == json.loads(lines[-1]) == record
        assert json.loads(timings[-1])["epoch"] == len(timings) == record["epoch"]
        self.lines.append(("ended", record["epoch"]))

    def finished(self, result: dict[str, Any]) -> None:
        assert json.loads((self.folder / "result.json").read_text()) == result
        self.lines.append(("finished", result))

    def closed(self) -> None:
        self.lines.append("closed")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


# -- epochs -------------------------------------------------------------------------------------


def test_every_epoch_is_safe_before_anyone_is_told(folder: RunFolder) -> None:
    diary, outcomes, job = Diary(folder), [], Counting()
    result = run_job(
        folder, job, [diary], lambda: {"best": 3}, lambda: outcomes.append(len(job.history))
    )
    assert result == json.loads((folder / "result.json").read_text()) == {"best": 3}
    epochs = [event for epoch in (1, 2, 3) for event in [(1, 2), (2, 2), ("ended", epoch)]]
    assert diary.lines == [("started", 0), *epochs, ("finished", {"best": 3}), "closed"]
    assert outcomes == [0, 1, 2, 3]  # the first mends what a kill may have left behind
    timings = [json.loads(line) for line in (folder / "timings.jsonl").read_text().splitlines()]
    assert [timing["data_seconds"] for timing in timings] == [1.25, 1.25, 1.25]


def test_only_what_is_left_is_run_and_the_history_is_mended_first(folder: RunFolder) -> None:
    job, seen = Counting(), []
    job.history = [{"epoch": 1}, {"epoch": 2}]
    (folder / "history.jsonl").write_text('{"epoch": 1}\n')  # killed before its second line

    class Early(Observer):
        def started(self, folder: RunFolder, job: Job) -> None:
            seen.append((folder / "history.jsonl").read_text())

    run_job(folder, job, [Early()], dict)
    assert seen == ['{"epoch": 1}\n{"epoch": 2}\n']
    assert [record["epoch"] for record in job.history] == [1, 2, 3]


def test_a_finished_job_runs_nothing(folder: RunFolder) -> None:
    job = Counting()
    job.history = [{"epoch": epoch} for epoch in (1, 2, 3)]
    diary = Diary(folder)
    run_job(folder, job, [diary], dict)
    assert diary.lines == [("started", 3), ("finished", {}), "closed"] and len(job.history) == 3
    assert not (folder / "checkpoint.pt").exists()


# -- going on -----------------------------------------------------------------------------------


def test_resume_job(folder: RunFolder) -> None:
    folder.save_checkpoint({"history": [{"epoch": 1}]})
    job = Counting()
    resume_job(folder, job)
    assert job.history == [{"epoch": 1}]


@pytest.mark.parametrize("state", [{}, {"history": 3}, {"History": []}])
def test_resume_from_another_jobs_checkpoint(folder: RunFolder, state: dict[str, Any]) -> None:
    folder.save_checkpoint(state)
    with pytest.raises(InputError, match="checkpoint.pt: is damaged, or not of the run that"):
        resume_job(folder, Counting())


# -- the rest -----------------------------------------------------------------------------------


def test_devices() -> None:
    assert checked_device("cpu") == torch.device("cpu")
    for name in ("nonsense", "cuda:99", "meta", ""):
        with pytest.raises(InputError, match=f"^device '{name}' cannot be used here: ") as error:
            checked_device(name)
        assert "\n" not in str(error.value)


def test_means_by_hand() -> None:
    means = Means()
    assert means.mean("loss") is None and means.table("error", ["a"]) is None
    for value in (1.0, 2.0, 6.0):
        means.add("loss", torch.tensor(value, requires_grad=True))
        means.add("error", torch.tensor([value, -value]))
    assert means.mean("loss") == 3.0
    assert means.table("error", ["a", "b"]) == {"a": 3.0, "b": -3.0}


def test_means_of_rows_skip_what_is_missing() -> None:
    means, nan = Means(), math.nan
    means.add_rows("error", torch.tensor([[1.0, nan, nan], [2.0, nan, nan]]))  # nothing of b, c
    means.add_rows("error", torch.tensor([[6.0, 5.0, nan]]))
    # by sample, not by batch: the mean of 1, 2 and 6; and a network that diverged stays so
    assert means.table("error", ["a", "b", "c"]) == {"a": 3.0, "b": 5.0, "c": None}
    means.add_rows("error", torch.tensor([[nan, math.inf, nan]]))
    assert means.table("error", ["a", "b", "c"]) == {"a": 3.0, "b": math.inf, "c": None}


@given(st.lists(st.floats(-(2.0**20), 2.0**20, width=32), min_size=1, max_size=50))
def test_means_are_of_double_precision(values: list[float]) -> None:
    means = Means()
    for value in values:
        means.add("x", torch.tensor(value))
    assert means.mean("x") == pytest.approx(math.fsum(values) / len(values), rel=1e-12, abs=1e-7)
