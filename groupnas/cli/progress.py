"""What a search shows while it runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from groupnas.engine.observer import Observer

if TYPE_CHECKING:
    from groupnas.engine.bilevel import BilevelSearch


class ConsoleProgress(Observer):
    """A bar with the time left, and one line for each epoch.

    The line: losses, channels of every group, share of channels that changed group, entropy.
    """

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, markup=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=self.console,
            # Speed is averaged over the latest minutes: search epochs cost twice a warm-up's.
            speed_estimate_period=120,
        )
        self._findings: set[str] = set()

    def started(self, search: BilevelSearch) -> None:
        train, validation = len(search.split.train), len(search.split.validation)
        self.console.print(
            f"{search.space.name} on {search.task.name}: {train:,} samples train the weights, "
            f"{validation:,} the masks; {search.total_epochs} epochs "
            f"({search.strategy.warmup_epochs} warm-up)"
        )
        if search.history:
            self.console.print(f"resuming after epoch {len(search.history)}")
        self._names = search.space.groups
        self._total = search.total_epochs
        self._steps = search.train_stream.batches_per_pass
        self._done = len(search.history)
        self._bar = self._progress.add_task(
            "searching", total=self._total * self._steps, completed=self._done * self._steps
        )
        self._progress.start()

    def stepped(self, done: int, total: int) -> None:
        self._progress.update(self._bar, completed=self._done * total + done)

    def epoch_ended(self, record: dict[str, Any]) -> None:
        self._done = record["epoch"]
        channels = " ".join(f"{name} {record['channels'][name]}" for name in self._names)
        width = int(math.log10(self._total)) + 1
        losses = f"train {record['train_loss']:.2f}"
        if record["mask_loss"] is not None:
            losses += f"  masks {record['mask_loss']:.2f}"
        self._progress.console.print(
            f"{record['epoch']:>{width}}/{self._total} {record['phase']:6}  {losses}  {channels}  "
            f"changed {record['changed']:.1%}  entropy {record['entropy']:.2f}"
        )
        for finding in record["health"]:
            kind = finding.split(":")[0]
            if kind not in self._findings:
                self._progress.console.print(f"  health: {finding}")
            self._findings.add(kind)

    def finished(self, result: dict[str, Any]) -> None:
        self.close()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()
