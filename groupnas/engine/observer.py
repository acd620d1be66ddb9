"""Who is told how a job goes: progress bars, trackers."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groupnas.engine.job import Job


class Observer:
    """Told what happens; does nothing by itself. Inherit, and override what is of interest."""

    def started(self, job: Job) -> None:
        """The job is about to run, from its beginning or from a checkpoint."""

    def stepped(self, done: int, total: int) -> None:
        """``done`` of an epoch's ``total`` steps are over."""

    def epoch_ended(self, record: dict[str, Any]) -> None:
        """An epoch is over and its checkpoint is safe."""

    def finished(self, result: dict[str, Any]) -> None:
        """All epochs are over; ``result`` is what ``result.json`` holds."""


class TensorBoard(Observer):
    """Writes the history's numbers as TensorBoard scalars (extra ``tensorboard``).

    Args:
        folder: Where the event files go.

    Raises:
        ImportError: tensorboard is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._open = partial(SummaryWriter, os.fspath(folder))

    def started(self, job: Job) -> None:
        # Not before: the folder may be another run's. A resumed run takes back what comes again.
        done = len(job.history)
        self._writer = self._open(purge_step=done + 1 if done else None)

    def epoch_ended(self, record: dict[str, Any]) -> None:
        for key, value in record.items():
            if key in ("epoch", "health", "phase", "empty", "sizes") or value is None:
                continue
            entries = value.items() if isinstance(value, dict) else [("", value)]
            for group, number in entries:
                tag = f"{key}/{group}" if group else key
                self._writer.add_scalar(tag, number, record["epoch"])
        self._writer.flush()

    def finished(self, result: dict[str, Any]) -> None:
        self._writer.close()
