"""The lines that a search and a training print while they run, and who gets to see them."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import groupnas
from groupnas.engine.progress import ConsoleProgress, is_shown
from groupnas.engine.strategy import Optimizer, load_strategy
from groupnas.engine.training_settings import Training
from groupnas.runs.fields import Recorded
from groupnas.runs.folder import RunFolder

TRAINING = Training(epochs=30, batch_size=2, weights=Optimizer(lr=0.1)).recorded()


class Stub:
    """A job of 30 epochs, of which some are done."""

    total_epochs, steps = 30, 2

    def __init__(self, done: int = 0, recorded: Recorded = TRAINING) -> None:
        self.recorded = recorded
        self.history: list[dict[str, Any]] = [{}] * done

    def describe(self) -> list[str]:
        return ["shapes: 70 samples train"]


def show(records: list[dict[str, Any]], done: int = 0, recorded: Recorded = TRAINING) -> None:
    progress = ConsoleProgress("training")
    job: Any = Stub(done, recorded)
    progress.started(RunFolder("run"), job)
    for record in records:
        progress.stepped(1, 2)
        progress.epoch_ended(record)
    progress.closed()


def test_a_stage_says_which_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Two stages of a training would begin alike."""
    ConsoleProgress("global", "global stage: ").started(RunFolder("run"), Stub())  # type: ignore[arg-type]
    assert capsys.readouterr().err == "global stage: shapes: 70 samples train\n"
    ConsoleProgress().started(RunFolder("run"), Stub())  # type: ignore[arg-type]
    assert capsys.readouterr().err == "shapes: 70 samples train\n"


def trained(epoch: int, **errors: float) -> dict[str, Any]:
    return {"epoch": epoch, "train_loss": 1.23456, "train_error": {}, "validation": errors}


def lines(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    output = capsys.readouterr()
    assert output.out == ""
    return [line.split() for line in output.err.splitlines()]


def test_a_training_of_parts(capsys: pytest.CaptureFixture[str]) -> None:
    show([trained(3, nose=4.567, mouth=5.0, mean=4.8)], done=2)
    assert lines(capsys)[1:] == [
        ["resuming", "after", "epoch", "2"],
        ["epoch", "train_loss", "nose", "mouth", "mean"],
        ["3/30", "1.235", "4.57", "5.00", "4.80"],
    ]


def test_a_training_of_one_region_has_one_error(capsys: pytest.CaptureFixture[str]) -> None:
    show([trained(1, face=4.567, mean=4.567)])
    assert lines(capsys)[1:] == [["epoch", "train_loss", "validation"], ["1/30", "1.235", "4.57"]]


def test_names_are_printed_again_and_columns_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    show([trained(epoch, face=1000.0 / epoch, mean=1000.0 / epoch) for epoch in range(1, 31)])
    printed = capsys.readouterr().err.splitlines()[1:]
    headers = [number for number, line in enumerate(printed) if "epoch" in line]
    assert headers == [0, 21]
    assert len({len(line) for line in printed}) == 1


def test_a_search_and_its_health_which_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    record = {"train_loss": 2.0, "changed": 0.125, "entropy": 0.5, "channels": {"a": 3, "b": 5}}
    warmup = {**record, "epoch": 1, "mask_loss": None, "health": []}
    found = [
        {**record, "epoch": epoch, "mask_loss": 4.0, "health": [f"silent: {epoch} of 9"]}
        for epoch in (2, 3)
    ]
    show([warmup, *found], recorded=load_strategy("gumbel").recorded())
    assert lines(capsys)[1:] == [
        ["epoch", "train_loss", "mask_loss", "changed", "entropy", "a", "b"],
        ["1/30", "2.000", "warm-up", "12.5%", "0.50", "3", "5"],
        ["2/30", "2.000", "4.000", "12.5%", "0.50", "3", "5"],
        ["health:", "silent:", "2", "of", "9"],
        ["3/30", "2.000", "4.000", "12.5%", "0.50", "3", "5"],
    ]


def test_other_columns_have_names_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Of phases that record other things; and what declares nothing shows its numbers."""
    records: list[dict[str, Any]] = [
        {"epoch": 1, "loss": 2.0},
        {"epoch": 2, "loss": 1.0},
        {"epoch": 3, "kept": 7},
    ]
    show([*records, {"epoch": 4, "kept": 8, "on": True, "by": {"a": 1}}], recorded=Recorded())
    assert lines(capsys)[1:] == [
        ["epoch", "loss"],
        ["1/30", "2.000"],
        ["2/30", "1.000"],
        ["epoch", "kept"],
        ["3/30", "7"],
        ["4/30", "8"],
    ]


# -- who is shown it ----------------------------------------------------------------------------


@pytest.fixture
def search(shapes_space: Any, shapes: Any, brief: Any, tmp_path: Path) -> Callable[..., Any]:
    """A search of three epochs."""

    def run(**options: Any) -> Any:
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        return groupnas.search(shapes_space, shapes, brief(), folder, **options)

    return run


def test_a_search_in_python_is_shown_once(search: Any, capsys: pytest.CaptureFixture[str]) -> None:
    search()
    printed = lines(capsys)
    assert printed[1][:5] == ["3", "epochs:", "1", "of", "warm-up,"]
    assert [line[0] for line in printed if "/" in line[0]] == ["1/3", "2/3", "3/3"]


def test_who_is_quiet_is_shown_nothing(search: Any, capsys: pytest.CaptureFixture[str]) -> None:
    search(quiet=True)
    assert capsys.readouterr() == ("", "")


def test_logging_switches_it_off(search: Any, capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("groupnas")
    try:
        logger.setLevel(logging.WARNING)
        search()
        logger.setLevel(logging.NOTSET)
        logging.disable(logging.INFO)
        search()
        assert capsys.readouterr() == ("", "")
        logging.disable(logging.NOTSET)
        assert is_shown(False)  # the root's level, WARNING by default, is nobody's choice
    finally:
        logger.setLevel(logging.NOTSET)
        logging.disable(logging.NOTSET)


def test_a_closed_error_stream_does_not_stop_the_work(
    search: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for closed in (None, io.StringIO()):
        if closed is not None:
            closed.close()
        with monkeypatch.context() as change:
            change.setattr(sys, "stderr", closed)
            assert len(search().history) == 3
