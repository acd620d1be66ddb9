"""Who is told what, in which order; and TensorBoard's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import groupnas
from groupnas.engine.observer import Observer, TensorBoard


class Diary(Observer):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, search: Any) -> None:
        self.lines.append(f"started with {len(search.history)}")

    def stepped(self, done: int, total: int) -> None:
        self.lines.append(f"{done}/{total}")

    def epoch_ended(self, record: dict[str, Any]) -> None:
        self.lines.append(f"epoch {record['epoch']}")

    def finished(self, result: dict[str, Any]) -> None:
        self.lines.append(f"finished after {result['epochs']}")


def test_all_are_told_in_order(shapes_space: Any, shapes: Any, brief: Any, tmp_path: Path) -> None:
    diary = Diary()
    run = groupnas.search(shapes_space, shapes, brief(), tmp_path / "run", observers=[diary])
    steps = ["1/3", "2/3", "3/3"]
    assert diary.lines == [
        "started with 0",
        *[line for epoch in (1, 2, 3) for line in [*steps, f"epoch {epoch}"]],
        "finished after 3",
    ]
    again = Diary()
    groupnas.search(shapes_space, shapes, None, run.folder.path, resume=True, observers=[again])
    assert again.lines == ["started with 3", "finished after 3"]


def test_observers_are_told_after_the_checkpoint_is_safe(
    shapes_space: Any, shapes: Any, brief: Any, tmp_path: Path
) -> None:
    class Impatient(Observer):
        def epoch_ended(self, record: dict[str, Any]) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        groupnas.search(shapes_space, shapes, brief(), tmp_path, observers=[Impatient()])
    diary = Diary()
    groupnas.search(shapes_space, shapes, None, tmp_path, resume=True, observers=[diary])
    assert diary.lines[0] == "started with 1"


def test_tensorboard(shapes_space: Any, shapes: Any, brief: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder = tmp_path / "run/tensorboard"
    observer = TensorBoard(folder)
    assert not folder.parent.exists()  # nothing is written before the search starts
    run = groupnas.search(shapes_space, shapes, brief(), tmp_path / "run", observers=[observer])
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    for tag, key in (("train_loss", "train_loss"), ("entropy", "entropy"), ("moved", "moved")):
        found = {event.step: event.value for event in events.Scalars(tag)}
        assert found == pytest.approx({r["epoch"]: r[key] for r in run.history}, rel=1e-6)
    ring = {event.step: event.value for event in events.Scalars("macs/ring")}
    assert ring == {record["epoch"]: record["macs"]["ring"] for record in run.history}
    # of the warm-up there is no mask loss
    assert [event.step for event in events.Scalars("mask_loss")] == [2, 3]
