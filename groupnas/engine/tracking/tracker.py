"""The base of TensorBoard, MLflow and others of their kind."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from groupnas.engine.observer import Observer
from groupnas.runs.folder import RunFolder

if TYPE_CHECKING:
    from groupnas.engine.job import Job

_log = logging.getLogger(__name__)


class Tracker(Observer, ABC):
    """Sender of a run's settings, and of each epoch's numbers.

    The run folder holds all that a tracker sends, and more. A run that is resumed sends what is not
    there yet, so that one tracked only later is complete, too. Where a tracker fails in the middle
    of a run, a warning says so once and the run goes on without it.

    Attributes:
        title: Its name, for users.
        failures: What sending may raise through no fault of the run.
    """

    title: ClassVar[str]
    failures: tuple[type[Exception], ...] = (OSError,)

    _working = False  # from its beginning until it fails or the run is over
    _result: dict[str, Any] | None = None

    @abstractmethod
    def begin(self, folder: RunFolder) -> int:
        """Open a place for the run, or find it again; return how many epochs it has already."""

    @abstractmethod
    def send(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Send one epoch's numbers, by names such as ``"train_loss"`` and ``"macs/mouth"``."""

    @abstractmethod
    def end(self, result: Mapping[str, Any] | None) -> None:
        """Close the run, with its ``result.json`` unless it was stopped."""

    def started(self, folder: RunFolder, job: Job) -> None:
        def catch_up() -> None:
            for record in job.history[self.begin(folder) :]:
                self._send(record)

        self._working, self._result = False, None
        self._working = self._done(catch_up)

    def epoch_ended(self, record: dict[str, Any]) -> None:
        self._working = self._working and self._done(lambda: self._send(record))

    def finished(self, result: dict[str, Any]) -> None:
        self._result = result

    def closed(self) -> None:
        if self._working:
            self._done(lambda: self.end(self._result))
        self._working = False

    def _send(self, record: Mapping[str, Any]) -> None:
        values = dict(leaves(record))
        epoch = values.pop("epoch")
        self.send(epoch, {name: v for name, v in values.items() if isinstance(v, (int, float))})

    def _done(self, action: Callable[[], None]) -> bool:
        """Do it and return whether that worked; if not, warn."""
        try:
            action()
        except self.failures as error:
            _log.warning(
                "%s failed and gets no more of this run: %s. The run goes on; its folder has "
                "everything, and resuming it sends what is missing.",
                self.title,
                one_line(error),
            )
            return False
        return True


def leaves(values: Mapping[str, Any], parents: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what is neither a mapping nor a gap, under its keys: ``"macs/mouth"``."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{parents}{key}/")
        elif value is not None:
            yield f"{parents}{key}", value


def one_line(error: Exception) -> str:
    """Return what an error says, on one line of bearable length."""
    words = " ".join(str(error).split())
    return words if len(words) <= 300 else f"{words[:297]}..."
