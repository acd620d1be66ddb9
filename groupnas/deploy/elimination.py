"""The exact minimum of a sum of costs, each of which depends on one or two choices."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from groupnas.arrays import Floats
from groupnas.errors import InputError

MOST = 30_000_000  # entries of the largest table that is built


def minimise(choices: Mapping[str, int], pairs: Mapping[tuple[str, str], Floats]) -> dict[str, int]:
    """The choice of every variable that makes the sum of all costs least.

    Variables are eliminated one after the other, those with the fewest neighbours first (bucket
    elimination; Dechter 1999): exact, and quick where the graph is close to a tree.

    Args:
        choices: How many each variable has.
        pairs: ``{(a, b): (choices of a, choices of b)}``; infinite where two do not go together. A
            variable with itself: the diagonal counts.

    Raises:
        InputError: so many variables depend on each other that no table holds them, or no choice
            has a finite cost.
    """
    factors = [_factor(names, costs) for names, costs in pairs.items()]
    steps: list[tuple[str, tuple[str, ...], NDArray[np.int64]]] = []
    left = list(choices)
    while left:
        name = min(left, key=lambda one: _size(one, factors, choices))
        left.remove(name)
        near = [factor for factor in factors if name in factor[0]]
        factors = [factor for factor in factors if name not in factor[0]]
        others = tuple(dict.fromkeys(n for names, _ in near for n in names if n != name))
        if _size(name, near, choices) > MOST:
            raise InputError(
                f"{name}: {len(others)} units depend on each other through it: too many"
            )
        total = np.zeros([*(choices[other] for other in others), choices[name]])
        for names, costs in near:
            total = total + _spread(names, costs, (*others, name))
        steps.append((name, others, total.argmin(axis=-1)))
        factors.append((others, total.min(axis=-1)))
    if not np.isfinite(sum(float(costs) for _, costs in factors)):
        raise InputError("no layout goes with all layers; allow more forms, such as dense")
    chosen: dict[str, int] = {}
    for name, others, best in reversed(steps):
        chosen[name] = int(best[tuple(chosen[other] for other in others)])
    return chosen


def _factor(names: tuple[str, str], costs: Floats) -> tuple[tuple[str, ...], Floats]:
    return ((names[0],), np.diagonal(costs)) if names[0] == names[1] else (names, costs)


def _size(
    name: str, factors: list[tuple[tuple[str, ...], Floats]], choices: Mapping[str, int]
) -> float:
    """Entries of the table that eliminating a variable builds."""
    near = {other for names, _ in factors if name in names for other in names} | {name}
    return float(np.prod([float(choices[other]) for other in near]))


def _spread(names: tuple[str, ...], costs: Floats, onto: tuple[str, ...]) -> Floats:
    """A factor's costs with an axis for each of ``onto``, in their order."""
    order = sorted(range(len(names)), key=lambda axis: onto.index(names[axis]))
    present = {names[axis] for axis in order}
    shape = iter(np.transpose(costs, order).shape)
    return np.transpose(costs, order).reshape([next(shape) if n in present else 1 for n in onto])
