"""Who is told what, in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import groupnas
from groupnas.engine.observer import Observer


class Diary(Observer):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, folder: Any, job: Any) -> None:
        self.lines.append(f"started with {len(job.history)}")

    def stepped(self, done: int, total: int) -> None:
        self.lines.append(f"{done}/{total}")

    def epoch_ended(self, record: dict[str, Any]) -> None:
        self.lines.append(f"epoch {record['epoch']}")

    def finished(self, result: dict[str, Any]) -> None:
        self.lines.append(f"finished after {result['epochs']}")

    def closed(self) -> None:
        self.lines.append("closed")


def test_all_are_told_in_order(shapes_space: Any, shapes: Any, brief: Any, tmp_path: Path) -> None:
    diary = Diary()
    run = groupnas.search(shapes_space, shapes, brief(), tmp_path / "run", observers=[diary])
    steps = ["1/3", "2/3", "3/3"]
    assert diary.lines == [
        "started with 0",
        *[line for epoch in (1, 2, 3) for line in [*steps, f"epoch {epoch}"]],
        "finished after 3",
        "closed",
    ]
    again = Diary()
    groupnas.search(shapes_space, shapes, None, run.folder.path, resume=True, observers=[again])
    assert again.lines == ["started with 3", "finished after 3", "closed"]


def test_observers_are_told_after_the_checkpoint_is_safe(
    shapes_space: Any, shapes: Any, brief: Any, tmp_path: Path
) -> None:
    class Impatient(Observer):
        def epoch_ended(self, record: dict[str, Any]) -> None:
            raise KeyboardInterrupt

    stopped = Diary()
    with pytest.raises(KeyboardInterrupt):
        groupnas.search(shapes_space, shapes, brief(), tmp_path, observers=[stopped, Impatient()])
    assert stopped.lines[-2:] == ["epoch 1", "closed"]
    diary = Diary()
    groupnas.search(shapes_space, shapes, None, tmp_path, resume=True, observers=[diary])
    assert diary.lines[0] == "started with 1"
