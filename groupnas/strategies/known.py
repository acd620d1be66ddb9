"""The job of a strategy that has nothing to learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from groupnas.budget import Budget
from groupnas.engine.design import Design
from groupnas.engine.job import Record
from groupnas.engine.search_job import SearchJob
from groupnas.engine.state import load_allocation
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.controls import Control
from groupnas.task import Task


class KnownGrouping(SearchJob):
    """A search that ends before it begins; arguments are those of :class:`SearchJob`."""

    def __init__(
        self,
        space: SearchSpace,
        task: Task,
        strategy: Control,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        super().__init__(space, task, strategy, seed, device)
        self._control, self._chosen = strategy, strategy.choose(space, seed)

    def run_epoch(self, on_step: Callable[[int, int], None] = lambda done, total: None) -> Record:
        """Never called: there is no epoch."""
        raise StopIteration

    def allocation(self) -> Allocation:
        """Return what was known from the start."""
        return self._chosen

    def design(self, budget: Budget | None = None) -> Design:
        """Return the control's design, which need not be a grouping of the space."""
        return self._control.design(self.space, self._chosen, budget or self.strategy.budget)

    def state_dict(self) -> dict[str, Any]:
        """Return nothing but the grouping."""
        return {"grouping": self._chosen.grouping.to_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the saved grouping: its file may be gone."""
        self._chosen = load_allocation(state["grouping"], self.space, "grouping")
