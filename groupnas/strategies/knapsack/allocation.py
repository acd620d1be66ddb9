"""The knapsack: one choice for every group, the least error that a budget allows.

Every group has a list of choices, each with a cost and an error; exactly one is taken of each, and
costs and errors add up: a multiple-choice knapsack. It is solved for *all* budgets at once. To get
the Pareto front of the first k + 1 groups, every choice of the next group is added to every point
of the front of the first k, and dominated points are dropped. A dropped point is in no optimum,
since the point that dominates it stays better whatever is added to both. This is exact dynamic
programming over the groups, with the undominated costs as its states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from groupnas.arrays import Floats, Integers
from groupnas.errors import InputError

STATES = 10_000  # more points of a front than that are thinned


@dataclass(frozen=True)
class GroupChoices:
    """The choices of a group: ``(n,)`` costs and errors, not NaN."""

    costs: Floats
    errors: Floats


@dataclass(frozen=True)
class Front:
    """The undominated points, by rising cost and falling error.

    Attributes:
        groups: Names, in the order of the columns of ``picks``.
        costs: ``(n,)``, of all groups together.
        errors: ``(n,)``, weighed sums.
        picks: ``(n, groups)``, the index of each group's choice.
    """

    groups: tuple[str, ...]
    costs: Floats
    errors: Floats
    picks: Integers

    def within(self, budget: float) -> dict[str, int]:
        """Return each group's choice at the point of least error that costs at most ``budget``.

        If every point costs more, these are the choices of the cheapest point.
        """
        row = max(int(np.searchsorted(self.costs, budget, side="right")) - 1, 0)
        return dict(zip(self.groups, self.picks[row].tolist(), strict=True))


def front(
    groups: Mapping[str, GroupChoices], weights: Mapping[str, float], states: int = STATES
) -> Front:
    """Return the Pareto front of the whole: least weighed error against cost.

    Args:
        groups: The choices of every group.
        weights: Of every group's error, not negative.
        states: A front with more points than this, on the way, is thinned to the best point of each
            of this many equal steps of cost. Without thinning the result is exact; with it, each
            group's cost is off its optimal use by at most one step.

    Raises:
        InputError: no group, or one without a choice.
    """
    if not groups or any(len(choices.costs) == 0 for choices in groups.values()):
        raise InputError("groups: expected at least one, with at least one choice each")
    costs, errors = np.zeros(1), np.zeros(1)
    picks = np.zeros((1, 0), dtype=np.int64)
    for group, choices in groups.items():
        useful = pareto(choices.costs, choices.errors)
        more, added = choices.costs[useful], weights[group] * choices.errors[useful]
        costs, errors = np.add.outer(costs, more).ravel(), np.add.outer(errors, added).ravel()
        kept = _thinned(costs, pareto(costs, errors), states)
        old, new = np.divmod(kept, len(useful))
        costs, errors = costs[kept], errors[kept]
        picks = np.column_stack([picks[old], useful[new]])
    return Front(tuple(groups), costs, errors, picks)


def pareto(costs: Floats, errors: Floats) -> Integers:
    """Return the indices of the points that no other beats, by rising cost; of equals the first."""
    order = np.lexsort((errors, costs))
    best = np.minimum.accumulate(errors[order])
    better = np.ones(len(order), dtype=bool)
    better[1:] = errors[order][1:] < best[:-1]
    return order[better]


def _thinned(costs: Floats, kept: Integers, states: int) -> Integers:
    """Return at most ``states`` of the points: the dearest, so the best, of each cost step."""
    if len(kept) <= states:
        return kept
    low, high = costs[kept[0]], costs[kept[-1]]
    steps = np.floor((costs[kept] - low) / (high - low) * (states - 1))
    last = np.append(steps[1:] != steps[:-1], True)
    last[0] = True  # the cheapest stays within reach
    return kept[last]
