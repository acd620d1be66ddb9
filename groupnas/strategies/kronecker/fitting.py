"""Fit learned gates to a budget: fewer or more groups, then narrower or wider units."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

from groupnas.budget import Budget
from groupnas.errors import InputError
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.layer import Layer
from groupnas.spaces.measure import Measure
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.kronecker.design import (
    Gates,
    KroneckerDesign,
    convolutions,
    factors,
    network_cost,
)

Logits = Mapping[str, tuple[float, ...]]

_SHRINK = 0.9


def cost_limit(space: SearchSpace, budget: Budget) -> float:
    """Return what a budget allows a network whose groups share channels.

    Raises:
        InputError: a budget of single groups, or none in all.
    """
    if budget.parts or budget.total is None:
        raise InputError("budget.parts: kronecker keeps no parts apart; give a total alone")
    even = Allocation.even(space).costs(budget.resolved_measure)
    return budget.total * sum(even.values())


def fitted(space: SearchSpace, logits: Logits, budget: Budget) -> KroneckerDesign:
    """Return the design of learned gates whose cost meets a budget.

    Where the network would cost too much with all gates closed, its units are made narrower first.
    While it costs too much, the open gate with the least logit is closed; then closed gates are
    opened, the greatest logit first, where the budget has room. The rest is spent on wider units,
    in steps that every layer's number of groups divides; where these are too coarse, one more gate
    is closed.

    Args:
        space: Has the widths that the logits were learned at.
        logits: Of the gates, for every convolution by name; a gate is 1 where its sign is +.
        budget: What the network may cost.

    Raises:
        InputError: the budget cannot be met within its tolerance.
    """
    limit, cost = cost_limit(space, budget), budget.resolved_measure
    start, logits = _narrowed(space, logits, limit, cost)
    gates = _chosen(start, logits, limit, cost)
    while True:
        design = _completed(start, gates, limit, cost, budget.tolerance)
        missed = design.costs(cost)["all"] / limit - 1
        if abs(missed) <= budget.tolerance:
            return design
        still_open = sorted(
            (logits[name][index], name, index)
            for name, row in gates.items()
            for index, gate in enumerate(row)
            if gate
        )
        if not still_open:
            raise InputError(
                f"budget: kronecker's numbers of groups miss it by {missed:+.1%}; allow a larger "
                f"tolerance than {budget.tolerance:.1%}, or another total"
            )
        _, name, index = still_open[0]
        row = gates[name]
        gates = {**gates, name: (*row[:index], 0, *row[index + 1 :])}


def _completed(
    space: SearchSpace, gates: Gates, limit: float, cost: Measure, tolerance: float
) -> KroneckerDesign:
    """Return the design of these numbers of groups with widths nearest to the limit."""
    groups = KroneckerDesign(space, gates).groups()
    wider = _widened(space, groups, limit, cost)
    wider = _levelled(wider, groups, limit, cost, tolerance)
    return KroneckerDesign(wider, _carried(space, wider, gates))


def _narrowed(
    space: SearchSpace, logits: Logits, limit: float, cost: Measure
) -> tuple[SearchSpace, Logits]:
    """Return the space, or a narrower one in which closed gates leave the limit some room."""
    share, narrow = 1.0, space
    while True:
        closed = {layer.name: factors(layer).most_groups for layer in convolutions(narrow)}
        if network_cost(narrow, closed, cost) <= limit:
            break
        share *= _SHRINK
        # Multiples of 4 keep two gates in every layer between free units.
        widths = {unit: 4 * round(share * width / 4) for unit, width in space.free_units.items()}
        if min(widths.values()) < max(4, len(space.groups)):
            raise InputError("budget: kronecker cannot make this network as cheap as that")
        narrow = space.resized(widths)
    kept = {}
    for old, new in zip(convolutions(space), convolutions(narrow), strict=True):
        # Each prime keeps its first logits; primes that are new here stay closed.
        kept[new.name] = _moved(factors(old).gated, logits[old.name], new, fill=-math.inf)
    return narrow, kept


def _chosen(space: SearchSpace, logits: Logits, limit: float, cost: Measure) -> Gates:
    """Return gates by their logits, within the limit."""
    gates = {
        name: [int(math.copysign(1, logit) > 0) for logit in row] for name, row in logits.items()
    }

    def affordable() -> bool:
        groups = KroneckerDesign(space, _frozen(gates)).groups()
        return bool(network_cost(space, groups, cost) <= limit)

    by_logit = sorted((logit, n, i) for n, row in logits.items() for i, logit in enumerate(row))
    for _, name, index in by_logit:
        if gates[name][index] and not affordable():
            gates[name][index] = 0
    for _, name, index in reversed(by_logit):
        if not gates[name][index]:
            gates[name][index] = 1
            gates[name][index] = int(affordable())
    return _frozen(gates)


def _steps(space: SearchSpace, groups: Mapping[str, int]) -> dict[str, int]:
    """Return by how many channels each free unit may change with all its groups kept equal."""
    touching = {
        unit: [layer for layer in space.layers if unit in (layer.in_unit, layer.out_unit)]
        for unit in space.free_units
    }
    return {
        unit: math.lcm(*(groups.get(layer.name, 1) for layer in layers))
        for unit, layers in touching.items()
    }


def _widened(
    space: SearchSpace, groups: Mapping[str, int], limit: float, cost: Measure
) -> SearchSpace:
    """Widen units, the relatively smallest steps first, while the cost is within the limit."""
    step, widths = _steps(space, groups), dict(space.free_units)
    open_units = set(step)
    while open_units:
        unit = min(open_units, key=lambda u: ((widths[u] + step[u]) / space.units[u], step[u], u))
        wider = space.resized({**widths, unit: widths[unit] + step[unit]})
        if network_cost(wider, groups, cost) <= limit:
            widths[unit] += step[unit]
        else:
            open_units.remove(unit)
    return space.resized(widths)


def _levelled(
    space: SearchSpace,
    groups: Mapping[str, int],
    limit: float,
    cost: Measure,
    tolerance: float,
) -> SearchSpace:
    """Come as near to the limit as steps of one or two units, up or down, repeatedly can."""
    step = _steps(space, groups)
    moves = [(unit, sign * step[unit]) for unit in step for sign in (1, -1)]

    def missed(one: SearchSpace) -> float:
        return abs(float(network_cost(one, groups, cost)) / limit - 1)

    while missed(space) > tolerance:
        nearest = space
        for first, second in combinations_with_replacement(moves, 2):
            widths = dict(space.free_units)
            for unit, change in {first, second}:
                widths[unit] += change
            if min(widths.values()) >= len(space.groups):
                nearest = min(nearest, space.resized(widths), key=missed)
        if nearest is space:
            break
        space = nearest
    return space


def _carried(space: SearchSpace, wider: SearchSpace, gates: Gates) -> Gates:
    """Return the same numbers of groups at other widths: gates that are 1 come or go."""
    carried = {}
    for old, new in zip(convolutions(space), convolutions(wider), strict=True):
        spare = Counter(factors(old).gated) - Counter(factors(new).gated)
        row = list(zip(factors(old).gated, gates[old.name], strict=True))
        for prime in spare.elements():
            last = max(i for i, entry in enumerate(row) if entry == (prime, 1))
            del row[last]
        primes, kept = [p for p, _ in row], [gate for _, gate in row]
        carried[new.name] = _moved(primes, kept, new, fill=1)
    return carried


def _moved(
    primes: Sequence[int], values: Sequence[Any], layer: Layer, fill: Any
) -> tuple[Any, ...]:
    """Return gates' values for another layer: those of each prime in order, then ``fill``."""
    left = {
        prime: [value for p, value in zip(primes, values, strict=True) if p == prime]
        for prime in set(primes)
    }
    return tuple(left[prime].pop(0) if left.get(prime) else fill for prime in factors(layer).gated)


def _frozen(gates: Mapping[str, list[int]]) -> Gates:
    return {name: tuple(row) for name, row in gates.items()}
