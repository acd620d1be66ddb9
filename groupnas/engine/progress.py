"""Progress of searches, trainings and comparisons, shown on standard error.

Nothing is shown where ``quiet`` is true, or where the level of the logger ``groupnas`` is above
``INFO``: ``logging.getLogger("groupnas").setLevel("WARNING")``. The lines are no log records: they
are for eyes, and a bar stands under them.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from groupnas.engine.observer import Observer
from groupnas.runs.fields import findings
from groupnas.values import flag

if TYPE_CHECKING:
    from rich.console import Console

    from groupnas.engine.job import Job
    from groupnas.runs.folder import RunFolder


_HEADER_EVERY = 20  # epochs; the names must not scroll away


def is_shown(quiet: bool) -> bool:
    """Return whether to show progress; raise :class:`InputError` if ``quiet`` is no boolean."""
    logger = logging.getLogger("groupnas")
    # The logger's own level: the root's, WARNING, is what nobody chose.
    level = max(logger.level or logging.INFO, logger.manager.disable + 1)
    return not flag("quiet", quiet) and level <= logging.INFO and sys.stderr is not None


def progress(what: str, quiet: bool, heading: str = "") -> list[Observer]:
    """Return the observer that shows a job's progress, if it :func:`is_shown`."""
    return [ConsoleProgress(what, heading)] if is_shown(quiet) else []


class Lines:
    """Lines on standard error; a run goes on where they cannot be written any more."""

    def __init__(self) -> None:
        from rich.console import Console

        # Notebooks show standard error as it is; rich would make a picture of every line.
        self.console: Console = Console(
            stderr=True, highlight=False, markup=False, force_jupyter=False
        )
        self._open = True

    def say(self, line: str) -> None:
        """Print one line."""
        if not self._open:
            return
        try:
            if self.console.is_terminal:
                self.console.print(line)
            else:  # a pipe has no width to fit: one line stays one line
                print(line, file=sys.stderr, flush=True)
        except (OSError, ValueError):  # closed, full, or nobody reads it
            self._open = False


class ConsoleProgress(Observer):
    """A bar with the time left, and one line for each epoch; on standard error.

    Args:
        what: Is being done, beside the bar.
        heading: Stands before the first line, where one run does several jobs.
    """

    def __init__(self, what: str = "searching", heading: str = "") -> None:
        from rich.progress import (
            BarColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        lines = Lines()
        self._say = lines.say
        self._what, self._heading = what, heading
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=lines.console,
            disable=not lines.console.is_terminal,
            # Speed is averaged over the latest minutes: search epochs cost twice a warm-up's.
            speed_estimate_period=120,
        )
        self._findings: set[str] = set()
        self._header: tuple[str, ...] = ()
        self._lines = 0  # since the header

    def started(self, folder: RunFolder, job: Job) -> None:
        first, *others = job.describe()
        for line in (f"{self._heading}{first}", *others):
            self._say(line)
        if job.history:
            self._say(f"resuming after epoch {len(job.history)}")
        self._recorded = job.recorded
        self._total, self._done = job.total_epochs, len(job.history)
        self._bar = self._progress.add_task(
            self._what,
            total=self._total * job.steps,
            completed=self._done * job.steps,
        )
        self._progress.start()

    def stepped(self, done: int, total: int) -> None:
        self._progress.update(self._bar, completed=self._done * total + done)

    def epoch_ended(self, record: dict[str, Any]) -> None:
        self._done = record["epoch"]
        fields = self._recorded.filled([record]).fields
        cells = [cell for field in fields if field.shown for cell in field.cells(record)]
        header, texts = zip(("epoch", f"{record['epoch']}/{self._total}"), *cells, strict=True)
        widths = [max(len(name), 2 * len(str(self._total)) + 1, 7) for name in header]
        if header != self._header or self._lines == _HEADER_EVERY:
            self._header, self._lines = header, 0
            self._say("  ".join(f"{name:>{w}}" for name, w in zip(header, widths, strict=True)))
        self._lines += 1
        self._say("  ".join(f"{text:>{w}}" for text, w in zip(texts, widths, strict=True)))
        for finding in findings(record):
            kind = finding.split(":")[0]
            if kind not in self._findings:
                self._say(f"  health: {finding}")
            self._findings.add(kind)

    def closed(self) -> None:
        self._progress.stop()  # leaves the terminal as it was
