"""The job of a strategy that has nothing to learn, and the networks side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

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
    """A search that ends before it begins; arguments as of :class:`SearchJob`, and
    the allocation."""

    def __init__(
        self,
        space: SearchSpace,
        task: Task,
        strategy: Control,
        seed: int,
        device: str,
        chosen: Allocation,
    ) -> None:
        super().__init__(space, task, strategy, seed, device)
        self._control, self._chosen = strategy, chosen

    def run_epoch(self, on_step: Callable[[int, int], None] = lambda done, total: None) -> Record:
        """Never called: there is no epoch."""
        raise StopIteration

    def allocation(self) -> Allocation:
        """What was known from the start."""
        return self._chosen

    def design(self, budget: Budget | None = None) -> Design:
        """As the control has it, which need not be a grouping of the space."""
        return self._control.design(self.space, self._chosen, budget or self.strategy.budget)

    def state_dict(self) -> dict[str, Any]:
        """Nothing but the grouping."""
        return {"grouping": self._chosen.grouping.to_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the saved grouping: its file may be gone."""
        self._chosen = load_allocation(state["grouping"], self.space, "grouping")


class SideBySide(nn.Module):
    """Networks that share nothing: each sees its own input channels, outputs are concatenated.

    Args:
        channels: Input channels of each.
        networks: Each maps ``(N, C_i, H, W)`` to ``(N, outputs_i)``.
    """

    def __init__(self, channels: Sequence[int], networks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.channels = list(channels)
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, sum(channels), H, W)`` to ``(N, outputs)``."""
        pieces = x.split(self.channels, dim=1)
        return torch.cat([net(piece) for net, piece in zip(self.networks, pieces, strict=True)], 1)
