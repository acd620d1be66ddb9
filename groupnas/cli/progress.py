"""What a search shows while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from groupnas.engine.observer import Observer

if TYPE_CHECKING:
    from groupnas.engine.bilevel import BilevelSearch


_HEADER_EVERY = 20  # epochs; the names must not scroll away


class ConsoleProgress(Observer):
    """A bar with the time left, and one line for each epoch; on standard error.

    The line: losses, share of channels that changed group, entropy, channels of every group.
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
            disable=not self.console.is_terminal,
            # Speed is averaged over the latest minutes: search epochs cost twice a warm-up's.
            speed_estimate_period=120,
        )
        self._findings: set[str] = set()
        self._lines = 0

    def started(self, search: BilevelSearch) -> None:
        train, validation = len(search.split.train), len(search.split.validation)
        self._say(
            f"{search.space.name} on {search.task.name}: {train:,} samples train the weights, "
            f"{validation:,} the masks"
        )
        self._say(f"{search.total_epochs} epochs, {search.strategy.warmup_epochs} of them warm-up")
        if search.history:
            self._say(f"resuming after epoch {len(search.history)}")
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
        if self._lines % _HEADER_EVERY == 0:
            self._row("epoch", "train", "masks", "changed", "entropy", dict.fromkeys(self._names))
        self._lines += 1
        masks = record["mask_loss"]
        self._row(
            f"{record['epoch']}/{self._total}",
            f"{record['train_loss']:#.4g}",
            "warm-up" if masks is None else f"{masks:#.4g}",
            f"{record['changed']:.1%}",
            f"{record['entropy']:.2f}",
            record["channels"],
        )
        for finding in record["health"]:
            kind = finding.split(":")[0]
            if kind not in self._findings:
                self._say(f"  health: {finding}")
            self._findings.add(kind)

    def finished(self, result: dict[str, Any]) -> None:
        self.close()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()

    def _row(
        self,
        epoch: str,
        train: str,
        masks: str,
        changed: str,
        entropy: str,
        channels: dict[str, int | None],
    ) -> None:
        """One line under the names of its columns, or, without numbers, the names themselves."""
        groups = [
            f"{name if channels[name] is None else channels[name]:>{max(len(name), 4)}}"
            for name in self._names
        ]
        width = 2 * len(str(self._total)) + 1
        numbers = [f"{epoch:>{width}}", *(f"{t:>7}" for t in (train, masks, changed, entropy))]
        self._say("  ".join([*numbers, *groups]))

    def _say(self, line: str) -> None:
        # A pipe has no width to fit: one line stays one line.
        self.console.print(line, soft_wrap=not self.console.is_terminal)
