"""The knapsack search without shared weights: every measurement is a training from scratch.

One training measures *every* group, each at a profile of its own, as groups do not depend on each
other: N trainings are N points on every group's curve. A black-box search over whole groupings
learns one number from the same training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from groupnas.arrays import Floats
from groupnas.engine.evaluate import Evaluate
from groupnas.engine.job import Record
from groupnas.engine.training_settings import Training
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.knapsack.curves_job import CurvesJob
from groupnas.strategies.knapsack.settings import Knapsack
from groupnas.strategies.trials.evaluator import judge
from groupnas.task import Task


class ScratchJob(CurvesJob):
    """A knapsack search whose epochs are trials; arguments are those of :class:`CurvesJob`."""

    def __init__(
        self,
        space: SearchSpace,
        task: Task,
        strategy: Knapsack,
        seed: int = 0,
        device: str | torch.device = "cpu",
        evaluate: Evaluate | None = None,
    ) -> None:
        super().__init__(space, task, strategy, seed, device, evaluate)
        self.total_epochs = strategy.trials
        self.batch_size = strategy.batch_size
        steps = len(self.split.train) // min(strategy.batch_size, len(self.split.train))
        self.steps = strategy.epochs * steps
        self._training = Training(
            epochs=strategy.epochs, batch_size=strategy.batch_size, weights=strategy.weights
        )
        self._plan = {group: self._spread(strategy.trials) for group in space.groups}
        self._even = sum(Allocation.even(space).costs().values())

    def describe(self) -> list[str]:
        return [
            *super().describe(),
            f"{self.strategy.trials} trainings of {self.strategy.epochs} epochs, each of which "
            "measures every group at a size of its own",
        ]

    def run_epoch(self, on_step: Callable[[int, int], None] = lambda done, total: None) -> Record:
        """Run one trial.

        Raises:
            InputError: the loss is no longer finite.
        """
        trial = len(self.history)
        profiles = {group: rows[trial] for group, rows in self._plan.items()}
        widths = {group: self.family.widths(profile) for group, profile in profiles.items()}
        tried = Allocation.from_widths(self.space, widths)
        # The same seed for all, so that their differences are their sizes'.
        worth = judge(self, tried, self._training, self.seed, on_step)
        self._add(profiles, worth.errors)
        cost = sum(tried.costs().values())
        self.history.append(
            {
                "epoch": trial + 1,
                "phase": "curves",
                "steps": worth.steps,
                "cost": cost / self._even,
                "errors": worth.errors,
                "sizes": self.allocation().grouping.sizes(),
            }
        )
        return self.history[-1]

    def _spread(self, count: int) -> Floats:
        """Return profiles ``(count, knobs)``, one in each of as many slices of a knob (Latin)."""
        columns = [
            (torch.randperm(count, generator=self._rng) + 0.5) / count
            for _ in range(len(self.family.knobs))
        ]
        return 2 * torch.stack(columns, dim=1).double().numpy() - 1

    def state_dict(self) -> dict[str, Any]:
        """Return what was measured; what will be measured follows from the seed."""
        return {
            "curves": {group: curve.to_dict() for group, curve in self.curves.items()},
            "history": self.history,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._load_curves(state["curves"], len(state["history"]))
        self.history = list(state["history"])
