"""The base of both knapsack searches: measurements, curves fitted to them, the allocation."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from groupnas.arrays import Floats
from groupnas.budget import Budget, fit
from groupnas.engine.evaluate import Evaluate
from groupnas.engine.search_job import SearchJob
from groupnas.engine.state import StateError
from groupnas.errors import InputError
from groupnas.runs.records import Finite
from groupnas.saved import Saved
from groupnas.schema import validate
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.measure import group_cost
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.knapsack.curves import MeasuredProfiles, fit_models
from groupnas.strategies.knapsack.profiles import Family
from groupnas.strategies.knapsack.settings import Knapsack
from groupnas.strategies.knapsack.solution import Solution
from groupnas.task import Task

_LEAST = 4  # measurements of a group, to fit anything
_AS_EVEN = Budget(tolerance=0.5)  # about: nobody asked for it, so that it must not fail


class SavedProfiles(Saved):
    """A group's measurements, in a checkpoint."""

    profiles: list[list[Annotated[float, Field(ge=-1, le=1)]]]
    errors: list[Annotated[Finite, Field(ge=0)]]


class CurvesJob(SearchJob):
    """A search that measures every group's error at some profiles, and allocates by its fit.

    Args:
        space: The space to search.
        task: Training samples; inputs and outputs of each group must be the space's.
        strategy: All settings.
        seed: Of everything random. The global random state of torch is set from it.
        device: Where networks live.
        evaluate: See :class:`SearchJob`.

    Raises:
        InputError: task and space do not fit together, or too few sources to split.
    """

    strategy: Knapsack

    def __init__(
        self,
        space: SearchSpace,
        task: Task,
        strategy: Knapsack,
        seed: int = 0,
        device: str | torch.device = "cpu",
        evaluate: Evaluate | None = None,
    ) -> None:
        super().__init__(space, task, strategy, seed, device, strategy.validation, evaluate)
        torch.manual_seed(seed)
        self._rng = torch.Generator().manual_seed(seed)
        ranges = {"tilt": strategy.tilt, "ratio": strategy.ratio}
        self.family = Family.of(
            space, strategy.profiles, strategy.smallest, strategy.widest, ranges
        )
        self.curves = {group: MeasuredProfiles() for group in space.groups}
        self._solution: Solution | None = None

    def _add(self, profiles: dict[str, Floats], errors: dict[str, float]) -> None:
        """Add a measurement of every group.

        Raises:
            InputError: one is no finite number, which no curve can be fitted to.
        """
        for group, profile in profiles.items():
            if not math.isfinite(errors[group]):
                raise InputError(
                    f"{group}: its validation error is {errors[group]}: the run diverged; lower "
                    "weights.lr"
                )
            self.curves[group].add(profile, errors[group])
        self._solution = None

    def _load_curves(self, state: dict[str, Any], count: int) -> None:
        """Take so many saved measurements of every group.

        Raises:
            StateError: they are others.
        """
        curves = {}
        for group, value in state.items():
            where = f"curves.{group}"
            try:
                validate(SavedProfiles, value, where)
            except InputError as error:
                raise StateError(str(error)) from error
            curves[group] = MeasuredProfiles(**value)
            knobs = {len(profile) for profile in curves[group].profiles}
            sizes = {len(curves[group].profiles), len(curves[group].errors)}
            if sizes != {count} or not knobs <= {len(self.family.knobs)}:
                raise StateError(f"{where}: expected {count} profiles and their errors")
        self.curves, self._solution = curves, None

    def _draw(self, count: int) -> Floats:
        """Return random profiles ``(count, knobs)``."""
        shape = (count, len(self.family.knobs))
        return 2 * torch.rand(shape, generator=self._rng, dtype=torch.float64).numpy() - 1

    def solution(self) -> Solution:
        """Return the allocation of any budget, from all that was measured so far."""
        if self._solution is None:
            self._solution = Solution(self.space, self.family, fit_models(self.curves))
        return self._solution

    @property
    def _measured(self) -> bool:
        """True where there is enough to fit."""
        return min(len(curve.errors) for curve in self.curves.values()) >= _LEAST

    def design(self, budget: Budget | None = None) -> Allocation:
        """Return the best sizes for a budget; even ones before anything is measured.

        Raises:
            InputError: the budget cannot be met within its tolerance.
        """
        budget = budget or self.strategy.budget or _AS_EVEN
        if self._measured:
            return self.solution().allocation(budget)
        return fit(self.space, self.initial.counts(), budget)

    def allocation(self) -> Allocation:
        """Return the design at the strategy's budget, or at about what even groups cost."""
        return self.design()

    def outcome(self) -> dict[str, Any]:
        """Return every group's curve, and the errors that the models predict, for result.json."""
        solution = self.solution()
        found = solution.profiles(self.strategy.budget or _AS_EVEN)
        even = dict.fromkeys(self.space.groups, self.family.even())
        costs = self.design().costs()
        return {
            "health": self._health(),
            "knobs": list(self.family.knobs),
            "profiles": {group: profile.tolist() for group, profile in found.items()},
            "shares": {group: cost / sum(costs.values()) for group, cost in costs.items()},
            "predicted": {"even": solution.predicted(even), "found": solution.predicted(found)},
            "curves": {group: self._curve(group) for group in self.space.groups},
        }

    def _health(self) -> list[str]:
        """Return what speaks against believing the curves."""
        narrow, wide = self.family.line(2)
        return [
            f"{group}: wide sizes have no less error than narrow ones; train for more epochs"
            for group, model in self.solution().models.items()
            if model.predict(wide[None]) >= model.predict(narrow[None])
        ]

    def _curve(self, group: str) -> dict[str, Any]:
        curve, model = self.curves[group], self.solution().models[group]
        macs = [
            float(group_cost(self.space, group, self.family.widths(np.array(profile))))
            for profile in curve.profiles
        ]
        return {
            **curve.to_dict(),
            "macs": macs,
            "fitted": self.solution().curve(group),
            "held_out": model.held_out,
            "spread": model.spread,
        }
