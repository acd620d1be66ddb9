"""The knapsack: one choice of every part, the least error that a budget allows.

Every part has a list of choices, each with a cost and an error; exactly one is taken of each, and
costs and errors add up: a multiple-choice knapsack. It is solved for *all* budgets at once. The
Pareto front of the first k + 1 parts is that of the first k, with every choice of the next part
added to every point, less what is dominated; nothing that is dropped could be in an optimum, since
what else is added to both makes no difference. That is dynamic programming over the parts, exact,
with the undominated costs as its states.
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
    """What a part may be: ``(n,)`` costs and errors, not NaN."""

    costs: Floats
    errors: Floats


@dataclass(frozen=True)
class Front:
    """All that is worth taking, by rising cost and falling error.

    Attributes:
        parts: Names, in the order of the columns of ``picks``.
        costs: ``(n,)``, of all parts together.
        errors: ``(n,)``, weighed sums.
        picks: ``(n, parts)``, which choice of each part.
    """

    parts: tuple[str, ...]
    costs: Floats
    errors: Floats
    picks: Integers

    def within(self, budget: float) -> dict[str, int]:
        """Return each part's choice at the point of least error that costs at most ``budget``.

        If every point costs more, these are the choices of the cheapest point.
        """
        row = max(int(np.searchsorted(self.costs, budget, side="right")) - 1, 0)
        return dict(zip(self.parts, self.picks[row].tolist(), strict=True))


def front(
    parts: Mapping[str, GroupChoices], weights: Mapping[str, float], states: int = STATES
) -> Front:
    """The Pareto front of the whole: least weighed error against cost.

    Args:
        parts: The choices of every part.
        weights: Of every part's error, not negative.
        states: A front that has more points on the way keeps the best of this many equal steps of
            cost. Up to then it is exact; beyond, each part's cost is off its optimal use by at most
            one such step.

    Raises:
        InputError: no part, or one without a choice.
    """
    if not parts or any(len(choices.costs) == 0 for choices in parts.values()):
        raise InputError("parts: expected at least one, with at least one choice each")
    costs, errors = np.zeros(1), np.zeros(1)
    picks = np.zeros((1, 0), dtype=np.int64)
    for part, choices in parts.items():
        useful = pareto(choices.costs, choices.errors)
        more, added = choices.costs[useful], weights[part] * choices.errors[useful]
        costs, errors = np.add.outer(costs, more).ravel(), np.add.outer(errors, added).ravel()
        kept = _thinned(costs, pareto(costs, errors), states)
        old, new = np.divmod(kept, len(useful))
        costs, errors = costs[kept], errors[kept]
        picks = np.column_stack([picks[old], useful[new]])
    return Front(tuple(parts), costs, errors, picks)


def pareto(costs: Floats, errors: Floats) -> Integers:
    """Indices of the points that no other beats, by rising cost; of equal ones, the first."""
    order = np.lexsort((errors, costs))
    best = np.minimum.accumulate(errors[order])
    better = np.ones(len(order), dtype=bool)
    better[1:] = errors[order][1:] < best[:-1]
    return order[better]


def _thinned(costs: Floats, kept: Integers, states: int) -> Integers:
    """At most ``states`` of the points: the dearest, so the best, of each step of cost."""
    if len(kept) <= states:
        return kept
    low, high = costs[kept[0]], costs[kept[-1]]
    steps = np.floor((costs[kept] - low) / (high - low) * (states - 1))
    last = np.append(steps[1:] != steps[:-1], True)
    last[0] = True  # the cheapest stays within reach
    return kept[last]
