"""From fitted curves to sizes: the allocation of any budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch

from groupnas.arrays import Floats
from groupnas.budget import Budget, fit
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.measure import Measure, group_cost
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.knapsack.allocation import Front, GroupChoices, front
from groupnas.strategies.knapsack.curves import ErrorModel
from groupnas.strategies.knapsack.profiles import Family


@dataclass(frozen=True, eq=False)
class Solution:
    """The best sizes for every budget, by the models of the groups' errors.

    Attributes:
        space: Whose groups are allocated.
        family: The sizes that a group may have.
        models: Of every group's error.
    """

    space: SearchSpace
    family: Family
    models: Mapping[str, ErrorModel]

    @cached_property
    def weights(self) -> dict[str, float]:
        """The weight of every group's error in the mean over all outputs."""
        total = sum(self.space.outputs.values())
        return {group: outputs / total for group, outputs in self.space.outputs.items()}

    @cached_property
    def grid(self) -> Floats:
        """All profiles that a group may get, ``(n, knobs)``."""
        return self.family.grid()

    @lru_cache  # noqa: B019  - lives as long as what it is of
    def choices(self, by: str | Measure = "mac") -> dict[str, GroupChoices]:
        """Return costs, in a measure, and errors of the grid's profiles, by group."""
        columns = torch.from_numpy(self.family.sizes(self.grid)).double().unbind(dim=1)
        widths = dict(zip(self.family.units, columns, strict=True))
        return {
            group: GroupChoices(
                group_cost(self.space, group, widths, by).numpy(), model.predict(self.grid)
            )
            for group, model in self.models.items()
        }

    @lru_cache  # noqa: B019
    def front(self, groups: tuple[str, ...], by: str | Measure = "mac") -> Front:
        """Return the least error against cost of some groups together."""
        choices = self.choices(by)
        return front({group: choices[group] for group in groups}, self.weights)

    def profiles(self, budget: Budget) -> dict[str, Floats]:
        """Return the profiles, by group, with the least weighed error within a budget.

        A group that the budget does not limit may cost as much as in the even grouping.
        """
        limits = budget.limits(self.space)
        free = [g for g in self.space.groups if not any(g in groups for groups in limits)]
        if free:
            even = Budget(measure=budget.measure, total=None, groups=dict.fromkeys(free, 1.0))
            limits.update(even.limits(self.space))
        picks: dict[str, int] = {}
        for groups, limit in limits.items():
            picks.update(self.front(groups, budget.resolved_measure).within(limit))
        return {group: self.grid[picks[group]] for group in self.space.groups}

    def allocation(self, budget: Budget) -> Allocation:
        """Return the sizes of :meth:`profiles`, scaled and rounded so that the budget is met.

        Raises:
            InputError: it cannot be met within its tolerance.
        """
        widths = {g: self.family.widths(z) for g, z in self.profiles(budget).items()}
        units = self.space.free_units
        sizes = {unit: {group: widths[group][unit] for group in widths} for unit in units}
        return fit(self.space, sizes, budget)

    def predicted(self, profiles: Mapping[str, Floats]) -> dict[str, float]:
        """Return the fitted error of every group at its profile, and their weighed mean."""
        errors = {g: float(self.models[g].predict(z[None])[0]) for g, z in profiles.items()}
        return {**errors, "mean": sum(self.weights[g] * error for g, error in errors.items())}

    def curve(self, group: str, points: int = 41) -> list[dict[str, float]]:
        """Return a group's front of fitted error against MACs, thinned, for tables and plots."""
        whole = self.front((group,))
        rows = np.unique(np.linspace(0, len(whole.costs) - 1, points).round().astype(int))
        weight = self.weights[group]
        return [
            {"macs": float(whole.costs[row]), "error": float(whole.errors[row]) / weight}
            for row in rows
        ]
