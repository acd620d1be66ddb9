"""One strategy at work: what :func:`groupnas.search` runs, whatever the algorithm."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from groupnas.budget import Budget, fit
from groupnas.engine.design import Design
from groupnas.engine.evaluate import Evaluate, load_batch
from groupnas.engine.job import Record
from groupnas.engine.split import Split, split_by_source
from groupnas.engine.task_check.declared import check_sizes
from groupnas.engine.task_check.findings import Findings
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.runs.fields import Recorded
from groupnas.runs.records import Epoch, SearchEpoch
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import SearchSpace
from groupnas.task import Task


class StrategySettings(Protocol):
    """The members of a :class:`~groupnas.engine.strategy.Strategy` that every job reads."""

    @property
    def title(self) -> str: ...

    @property
    def budget(self) -> Budget | None: ...

    def model_dump(self, *, mode: str = "python") -> dict[str, Any]: ...

    def recorded(self) -> Recorded:
        """Return what the records of its runs hold."""
        ...

    def summary(self, result: Mapping[str, Any]) -> str:
        """Return a sentence on a ``result.json``; empty where there is none."""
        ...


class SearchJob(ABC):
    """A :class:`groupnas.engine.job.Job` that ends with a grouping.

    A checkpoint is compared with the :meth:`state_dict` of the job before it began, and its history
    with ``record``; ``groupnas.engine.state`` has what loads its pieces.

    An epoch is the algorithm's unit of progress: a pass over the data, a trial, or whatever else
    is worth a checkpoint. A job may have none, if it has nothing to learn.

    Args:
        space: What to search.
        task: Training samples.
        strategy: All settings.
        seed: Of the split.
        device: Where networks live.
        validation: Share of the samples that judges; 0 where nothing is judged.
        evaluate: Judges groupings in place of trainings, if given; see
            :meth:`groupnas.engine.strategy.Strategy.start`.

    Raises:
        InputError: task and space do not fit together, or too few sources to split.
    """

    record: type[Epoch] = SearchEpoch
    steps: int = 0
    total_epochs: int = 0
    batch_size: int = 0

    def __init__(
        self,
        space: SearchSpace,
        task: Task,
        strategy: StrategySettings,
        seed: int,
        device: str | torch.device,
        validation: float = 0.0,
        evaluate: Evaluate | None = None,
    ) -> None:
        _check_sizes(space, task)
        self.space, self.task, self.strategy = space, task, strategy
        self.seed, self.device, self.evaluate = seed, torch.device(device), evaluate
        if validation:
            self.split = split_by_source(task.sources, validation, seed)
        else:
            everything = torch.arange(len(task.sources))
            self.split = Split(everything, everything[:0])
        self.initial = Grouping.even(space)
        self.history: list[Record] = []
        self.data_seconds = 0.0

    @property
    def recorded(self) -> Recorded:
        """The contents of its records."""
        told, unit = self.strategy.recorded(), self.task.error_unit
        return replace(told, planned=self.total_epochs, error_unit=str(unit))

    def describe(self) -> list[str]:
        """Return lines that tell a person what is about to run."""
        return [f"{self.space.name} on {self.task.name}: {self.strategy.title}"]

    def load(self, indices: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Any]:
        """Return a batch of the task on the search's device; the time it takes is counted.

        Arguments are those of :meth:`groupnas.task.Task.batch`.
        """
        start = time.perf_counter()
        batch = load_batch(self.task, indices, self.device, generator)
        self.data_seconds += time.perf_counter() - start
        return batch

    def open(self, folder: Path) -> None:  # noqa: B027  - most need nothing there
        """Take the run's folder; called once it is held, before anything else."""

    @abstractmethod
    def run_epoch(self, on_step: Callable[[int, int], None] = lambda done, total: None) -> Record:
        """Run one unit of progress; its record is appended to :attr:`history` and returned.

        A record has at least ``epoch``, counted from 1, and ``steps``, the optimiser steps taken.

        Raises:
            InputError: a loss is no longer finite.
        """

    @abstractmethod
    def allocation(self) -> Allocation:
        """Return the best so far."""

    def design(self, budget: Budget | None = None) -> Design:
        """Return what is found, at a budget.

        Here: the sizes of :meth:`allocation`, all multiplied by one factor. A strategy that knows
        better overrides it.

        Args:
            budget: By default the strategy's; without either, nothing is fitted.

        Raises:
            InputError: the budget cannot be met.
        """
        found, budget = self.allocation(), budget or self.strategy.budget
        return found if budget is None else fit(self.space, found.grouping.counts(), budget)

    def network(self) -> nn.Module | None:
        """Return the network of :meth:`allocation` with the search's own weights, if any."""
        return None

    def inherited(self, design: Design) -> nn.Module | None:
        """Return the network of a design with the search's own weights, to be trained further.

        ``None`` where there are none: training then starts from fresh weights.
        """
        return None

    def leave(self, folder: Path) -> None:  # noqa: B027  - most leave nothing more
        """Write what else a finished run leaves in its folder."""

    def outcome(self) -> dict[str, Any]:
        """Return what else ``result.json`` should say, as plain values."""
        return {}

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return all that the rest of the run depends on: tensors and plain values only."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume where the saved search stood, bit for bit (CPU, same thread count).

        What was empty before the job began must be checked here, with
        :func:`groupnas.engine.state.load_optimizer` and its like.

        Raises:
            StateError: it is not this search's.
        """


def _check_sizes(space: SearchSpace, task: Task) -> None:
    """Check what costs nothing of a task; :func:`groupnas.check_task` checks the rest."""
    found = Findings()
    check_sizes(found, space, task)
    if found.mistakes:
        raise InputError(f"task {task.name}: {'; '.join(found.mistakes)}")
