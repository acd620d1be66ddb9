"""The best split of a budget by the groups' curves, and what it gains.

Curves are convex in the cost, so that at the best split the gain of one more unit of cost is equal
for all groups: one number, the *price*, has all of it. With E_p = a_p c^-b alike b it is the closed
form c_p proportional to (w_p E_p)^(1 / (1 + b)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from groupnas.arrays import Floats
from groupnas.ceilings.curves import ErrorCurves

_HALVINGS = 60
_LEAST = 1e-6  # of a cost, relative to even groups


@dataclass(frozen=True, eq=False)
class CostSplit:
    """What is divided, and within which limits.

    Attributes:
        shares: ``(P,)``, of the groups in what even groups cost; add up to 1.
        weights: ``(P,)``, of their errors; add up to 1.
        least: Of a group's cost, relative to its even one: of all, or ``(P,)``.
        most: The same at most.
    """

    shares: Floats
    weights: Floats
    least: float | Floats = 0.0
    most: float | Floats = np.inf

    def even(self, curves: ErrorCurves, budget: float | Floats) -> Floats:
        """Return ``(D,)`` errors of even groups that cost a budget each."""
        ratios = np.broadcast_to(np.reshape(budget, (-1, 1)), curves.level.shape)
        return curves.errors(ratios) @ self.weights

    def best(self, curves: ErrorCurves, budget: float | Floats) -> Floats:
        """Return ``(D, P)`` costs, relative to even ones, with the least error in the mean.

        Args:
            curves: Of the groups.
            budget: Relative to even groups: one, or ``(D,)``.
        """
        wanted = np.broadcast_to(np.reshape(budget, -1), len(curves.level))
        slope = self.weights * curves.level * curves.exponent / self.shares
        lag, bend = curves.lag, 1 + curves.power
        logs = np.log(slope)
        least = np.minimum(self.least, wanted[:, None])
        most = np.maximum(self.most, wanted[:, None])

        def ratios(price: Floats) -> Floats:
            reached = np.exp(np.clip((logs - price[:, None]) / bend, -60, 60))
            return np.clip(reached * (1 + lag) - lag, least, most)

        # At a group's own price its ratio is 1; at the budget all prices lie between these.
        at_budget = logs - bend * np.log((wanted[:, None] + lag) / (1 + lag))
        low, high = at_budget.min(axis=1), at_budget.max(axis=1)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            dear = ratios(middle) @ self.shares > wanted
            low, high = np.where(dear, middle, low), np.where(dear, high, middle)
        return ratios((low + high) / 2)

    def least_error(self, curves: ErrorCurves, budget: float | Floats) -> Floats:
        """Return ``(D,)``, the error of the best split."""
        return curves.errors(self.best(curves, budget)) @ self.weights

    def saved(self, curves: ErrorCurves, error: Floats, budget: float) -> Floats:
        """Return ``(D,)``: the share of a budget that the best split does without at an error.

        No more than what leaves every group at its least cost.
        """
        return self._saved(lambda cost: self.least_error(curves, cost), error, budget)

    def saved_evenly(self, curves: ErrorCurves, error: Floats, budget: float) -> Floats:
        """Return the same of even groups with other curves."""
        return self._saved(lambda cost: self.even(curves, cost), error, budget)

    def _saved(self, error_at: Callable[[Floats], Floats], error: Floats, budget: float) -> Floats:
        low = np.full(len(error), np.log(min(max(float(np.min(self.least)), _LEAST), budget)))
        high = np.full(len(error), np.log(budget))
        for _ in range(_HALVINGS // 2):
            middle = (low + high) / 2
            enough = error_at(np.exp(middle)) <= error
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        return 1 - np.exp(high) / budget


def shaped(curves: ErrorCurves) -> ErrorCurves:
    """Return the curves of groups that spread their channels over depth as is best."""
    return replace(curves, level=curves.level * curves.shape)
