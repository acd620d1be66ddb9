"""What a search and a training show while they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from groupnas.engine.observer import Observer

if TYPE_CHECKING:
    from groupnas.engine.job import Job
    from groupnas.engine.run_folder import RunFolder


_HEADER_EVERY = 20  # epochs; the names must not scroll away


class ConsoleProgress(Observer):
    """A bar with the time left, and one line for each epoch; on standard error."""

    def __init__(self, what: str = "searching") -> None:
        self.console = Console(stderr=True, highlight=False, markup=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=self.console,
            disable=not self.console.is_terminal,
            # Speed is averaged over the latest minutes: search epochs cost twice a warm-up's.
            speed_estimate_period=120,
        )
        self._what = what
        self._findings: set[str] = set()
        self._lines = 0

    def started(self, folder: RunFolder, job: Job) -> None:
        for line in job.describe():
            self._say(line)
        if job.history:
            self._say(f"resuming after epoch {len(job.history)}")
        self._total, self._done = job.total_epochs, len(job.history)
        self._bar = self._progress.add_task(
            self._what, total=self._total * job.steps, completed=self._done * job.steps
        )
        self._progress.start()

    def stepped(self, done: int, total: int) -> None:
        self._progress.update(self._bar, completed=self._done * total + done)

    def epoch_ended(self, record: dict[str, Any]) -> None:
        self._done = record["epoch"]
        columns = _columns(record)
        cells = {"epoch": f"{record['epoch']}/{self._total}", **columns}
        widths = [max(len(name), 2 * len(str(self._total)) + 1, 7) for name in cells]
        if self._lines % _HEADER_EVERY == 0:
            self._say("  ".join(f"{name:>{w}}" for name, w in zip(cells, widths, strict=True)))
        self._lines += 1
        self._say("  ".join(f"{cell:>{w}}" for cell, w in zip(cells.values(), widths, strict=True)))
        for finding in record.get("health", []):
            kind = finding.split(":")[0]
            if kind not in self._findings:
                self._say(f"  health: {finding}")
            self._findings.add(kind)

    def closed(self) -> None:
        self._progress.stop()  # leaves the terminal as it was

    def _say(self, line: str) -> None:
        # A pipe has no width to fit: one line stays one line.
        self.console.print(line, soft_wrap=not self.console.is_terminal)


def _columns(record: dict[str, Any]) -> dict[str, str]:
    """What a person wants to see of an epoch: of a training, of learned masks, or of whatever."""
    if "validation" in record:
        return _training_columns(record)
    if "entropy" in record:
        return _mask_columns(record)
    numbers = {**record, **record.get("errors", {})}
    return {
        name: f"{value:#.4g}" if isinstance(value, float) else str(value)
        for name, value in numbers.items()
        if isinstance(value, (int, float)) and name != "epoch"
    }


def _mask_columns(record: dict[str, Any]) -> dict[str, str]:
    """Losses, share of channels that changed group, entropy, channels of every group."""
    masks = record["mask_loss"]
    return {
        "train": f"{record['train_loss']:#.4g}",
        "masks": "warm-up" if masks is None else f"{masks:#.4g}",
        "changed": f"{record['changed']:.1%}",
        "entropy": f"{record['entropy']:.2f}",
        **{group: str(channels) for group, channels in record["channels"].items()},
    }


def _training_columns(record: dict[str, Any]) -> dict[str, str]:
    """Training loss, and the validation error of every group and over all."""
    errors = record["validation"]
    shown = errors if len(errors) > 2 else {"error": errors["mean"]}
    return {
        "train": f"{record['train_loss']:#.4g}",
        **{group: f"{error:.2f}" for group, error in shown.items()},
    }
