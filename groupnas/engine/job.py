"""The interface that searches and trainings share: epochs, checkpoints, resumption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from groupnas.engine.split import Split
from groupnas.engine.state import StateError, check_history, check_like
from groupnas.errors import InputError
from groupnas.runs.fields import Recorded
from groupnas.runs.folder import CHECKPOINT, CONFIG, RunFolder
from groupnas.runs.records import Epoch
from groupnas.task import Task

Record = dict[str, Any]


class Job(Protocol):
    """Epochs over a task, whose whole state can be saved.

    Attributes:
        task: What is learned from.
        split: Its two sides.
        batch_size: Samples of a step.
        history: One record for each epoch done.
        total_epochs: How many there will be.
        steps: Of one epoch.
        data_seconds: Time spent waiting for data so far.
        record: What an epoch's record holds, at least.
        recorded: What people are shown of it.
    """

    task: Task
    split: Split
    history: list[Record]
    data_seconds: float

    @property
    def record(self) -> type[Epoch]: ...

    @property
    def recorded(self) -> Recorded: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def total_epochs(self) -> int: ...

    @property
    def steps(self) -> int: ...

    def describe(self) -> list[str]:
        """Return lines that tell a person what is about to run."""
        ...

    def run_epoch(self, on_step: Callable[[int, int], None]) -> Record:
        """Run one epoch; its record is appended to the history and returned."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that the rest of the run depends on: tensors and plain values only."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume where the saved job stood, bit for bit (CPU, same thread count)."""
        ...


def resume_job(folder: RunFolder, job: Job) -> None:
    """Load the folder's checkpoint into a job that has not begun.

    Raises:
        InputError: it is missing, damaged, or of another job; says where it differs from one of
            this job.
    """
    about = ("format", "run")
    state = {key: value for key, value in folder.load_checkpoint().items() if key not in about}
    try:
        check_like(state, job.state_dict())
        if "history" in state:
            check_history(state["history"], job.record, job.total_epochs)
        job.load_state_dict(state)
    except StateError as error:
        raise InputError(
            f"{folder / CHECKPOINT}: is damaged, or not of the run that {CONFIG} describes: "
            f"{error}; start again in a new folder"
        ) from error


def checked_device(device: str | torch.device) -> torch.device:
    """Return the torch device of that name; raise :class:`InputError` where it is of no use."""
    if not isinstance(device, (str, torch.device)):
        raise InputError(f"device: expected the name of a torch device, got {device!r}")
    try:
        torch.zeros(1, device=device).item()  # the meta device has no values
        return torch.device(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {device!r} cannot be used here: {reason}") from error


class Means:
    """Running means of what the steps of an epoch report; tensors are read once, at the end."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Add a value, of the same shape as the name's others."""
        self._add(name, value.detach().double(), torch.ones(()))

    def add_rows(self, name: str, rows: Tensor) -> None:
        """Add vectors ``(B, K)``, whose entries count where they are not NaN."""
        rows = rows.detach().double()
        known = ~rows.isnan()
        self._add(name, torch.where(known, rows, 0.0).sum(dim=0), known.sum(dim=0).double())

    def _add(self, name: str, total: Tensor, count: Tensor) -> None:
        if name in self._sums:
            total, count = self._sums[name] + total, self._counts[name] + count
        self._sums[name], self._counts[name] = total, count

    def mean(self, name: str) -> float | None:
        """Return the mean of a name's scalars; ``None`` if there were none."""
        return (self._sums[name] / self._counts[name]).item() if name in self._sums else None

    def table(self, name: str, keys: Sequence[str]) -> dict[str, float | None] | None:
        """Return the mean of a name's vectors by entry, ``None`` of an entry that never counted.

        ``None`` if there were no vectors.
        """
        if name not in self._sums:
            return None
        sums, counts = torch.broadcast_tensors(self._sums[name], self._counts[name])
        return {
            key: total / count if count else None
            for key, total, count in zip(keys, sums.tolist(), counts.tolist(), strict=True)
        }
