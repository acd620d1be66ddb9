"""Group sizes as a short vector, and back: the coordinates of black-box searches.

The logarithm of a group's size in a unit, relative to even groups, is

    log s[u, g] = sum_i H[g, i] split_i + sum_k D[u, k] shape_{g, k}

The columns of H are Helmert contrasts over the groups that share a limit of the budget: they span
all weights that sum to zero. A common factor would be undone by the budget, so there is no
coordinate for it. The columns of D say how a group departs from its mean over the units: none
(resolution ``part``), a slope from the first unit (-1) to the last (+1) (``depth``), or all
contrasts between units (``unit``). Zero is even, and no two points differ by a factor alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from groupnas.budget import Budget, fit
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import SearchSpace

Point = Mapping[str, float]

COST = "cost"  # the coordinate for which share of the budget is used
SLACK = 0.5  # coarse sizes may leave that much of the budget unused; they are judged as they are


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """The coordinates of a space's group sizes.

    Attributes:
        space: Its units are divided.
        budget: What every point costs, as nearly as whole channels allow, and never more.
        resolution: ``part``, ``depth`` or ``unit``; see the module.
        spread: Coordinates are in ``[-spread, spread]``.
        costs: Bounds of one more coordinate, if given: the share of the budget that is used.
    """

    space: SearchSpace
    budget: Budget
    resolution: Literal["part", "depth", "unit"]
    spread: float
    costs: tuple[float, float] | None = None

    @cached_property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """The coordinates' names, in order, with what each may be."""
        names = [f"split.{i + 1}" for i in range(self._splits.shape[1])]
        shapes = self._shapes.shape[1]
        for group in self.space.groups:
            names += [f"{group}.{k + 1}" if shapes > 1 else f"tilt.{group}" for k in range(shapes)]
        bounds = {name: (-self.spread, self.spread) for name in names}
        return {**bounds, COST: self.costs} if self.costs else bounds

    @property
    def even(self) -> dict[str, float]:
        """The point of even groups; at the whole budget, if that may be chosen."""
        return {name: min(max(float(name == COST), low), high) for name, (low, high) in self._items}

    def draw(self, rng: random.Random) -> dict[str, float]:
        """Return a point drawn uniformly."""
        return {name: rng.uniform(low, high) for name, (low, high) in self._items}

    def clipped(self, point: Point) -> dict[str, float]:
        """Return the nearest point within the bounds."""
        return {name: min(max(point[name], low), high) for name, (low, high) in self._items}

    def sizes(self, point: Point) -> dict[str, dict[str, float]]:
        """Return relative sizes ``{unit: {group: channels}}`` of a point, before any budget."""
        vector = np.array([point[name] for name in self.bounds if name != COST])
        splits = self._splits.shape[1]
        shapes = vector[splits:].reshape(len(self.space.groups), -1)
        logs = self._splits @ vector[:splits] + self._shapes @ shapes.T
        even = Grouping.even(self.space).counts()
        return {
            unit: {
                group: even[unit][group] * float(np.exp(logs[u, g]))
                for g, group in enumerate(self.space.groups)
            }
            for u, unit in enumerate(self.space.free_units)
        }

    def decode(self, point: Point) -> Allocation:
        """Return the allocation of a point, at its budget; units may become wider or narrower.

        Raises:
            InputError: the budget does not pay for one channel of each group.
        """
        budget = scaled(self.budget, point.get(COST, 1.0))
        found = fit(self.space, self.sizes(point), budget.model_copy(update={"tolerance": SLACK}))
        if usage(self.space, found, budget) > 1 + budget.tolerance:
            raise InputError(f"budget: is too small for one channel of each group: {budget!r}")
        return found

    @property
    def _items(self) -> list[tuple[str, tuple[float, float]]]:
        return list(self.bounds.items())

    @cached_property
    def _splits(self) -> NDArray[np.float64]:
        """H, ``(groups, splits)``: contrasts within each set of groups that shares a limit."""
        groups = self.space.groups
        columns = []
        for sharing in self.budget.limits(self.space):
            for contrast in _contrasts(len(sharing)).T:
                column = np.zeros(len(groups))
                column[[groups.index(group) for group in sharing]] = contrast
                columns.append(column)
        return np.array(columns).reshape(-1, len(groups)).T

    @cached_property
    def _shapes(self) -> NDArray[np.float64]:
        """D, ``(units, shapes of each group)``; every column sums to zero."""
        units = len(self.space.free_units)
        if self.resolution == "part" or units == 1:
            return np.zeros((units, 0))
        if self.resolution == "depth":
            return np.linspace(-1, 1, units)[:, None]
        return _contrasts(units)


def scaled(budget: Budget, share: float) -> Budget:
    """Return a budget with all limits multiplied by a share."""
    return budget.model_copy(
        update={
            "total": None if budget.total is None else share * budget.total,
            "parts": {group: share * limit for group, limit in budget.parts.items()},
        }
    )


def usage(space: SearchSpace, found: Allocation, budget: Budget) -> float:
    """Return the share that an allocation costs of the budget's limit that it uses most."""
    costs = found.costs(budget.resolved_measure)
    return max(
        sum(costs[group] for group in groups) / limit
        for groups, limit in budget.limits(space).items()
    )


def _contrasts(n: int) -> NDArray[np.float64]:
    """Return Helmert contrasts ``(n, n - 1)``: orthonormal columns, each with sum zero.

    Column k contrasts entry k + 1 with all entries before it.
    """
    columns = np.zeros((n, n - 1))
    for k in range(1, n):
        columns[:k, k - 1] = -1
        columns[k, k - 1] = k
        columns[:, k - 1] /= np.sqrt(k * (k + 1))
    return columns
