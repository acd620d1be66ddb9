"""Observers of a job, such as progress bars and trackers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from groupnas.errors import InputError, shown
from groupnas.values import listed

if TYPE_CHECKING:
    from groupnas.engine.job import Job
    from groupnas.runs.folder import RunFolder


class Observer:
    """Base of all that is told how a job goes; override the calls that are of interest."""

    def started(self, folder: RunFolder, job: Job) -> None:
        """The job is about to run, from its beginning or from a checkpoint."""

    def stepped(self, done: int, total: int) -> None:
        """``done`` of an epoch's ``total`` steps are over."""

    def epoch_ended(self, record: dict[str, Any]) -> None:
        """An epoch is over and its checkpoint is safe."""

    def finished(self, result: dict[str, Any]) -> None:
        """All epochs are over; ``result`` is what ``result.json`` holds."""

    def closed(self) -> None:
        """Nothing more will be told: the job is finished, was stopped, or failed."""


def observers_from(given: Any) -> tuple[Observer, ...]:
    """Return the observers of a list; raise :class:`InputError` where one is none."""
    found = listed("observers", given)
    for one in found:
        if isinstance(one, type) or not hasattr(one, "epoch_ended"):
            raise InputError(f"observers: expected instances of Observer, got {shown(one)}")
    return found
