"""What a pruning leaves: the order in which channels went, and networks on the way."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groupnas.arrays import Integers
from groupnas.budget import Budget, fit
from groupnas.engine.state import StateError, check_like
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.measure import Measure
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.saliency.removal import Price, alive_sizes, check_channels


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A network from its start to the end of its pruning.

    Attributes:
        space: The space.
        start: ``(U, G)``: channels of every free unit and group at the start.
        order: ``(C,)``: all channels; first those that went, in that order, then the others, the
            least important first.
        snapshots: On the way, the start among them: how many channels had been ``removed``,
            validation ``errors``, and the ``network``'s state; empty where nobody needs it.
        least: The fewest channels of a group in a unit.
    """

    space: SearchSpace
    start: Integers
    order: Tensor
    snapshots: Sequence[Mapping[str, Any]]
    least: int = 1

    def allocation(self, budget: Budget) -> Allocation:
        """Return the sizes at a budget, as near below it as whole channels allow.

        Where a limit lies above the start, or below the end, the sizes there are multiplied by one
        factor; with a divisor, those at the budget are rounded to it. None is then less than
        ``least``, nor, where all limits are below the start, more than there.

        Raises:
            InputError: the fewest channels cost more; or, where sizes had to be multiplied, it
                cannot be met within its tolerance.
        """
        sizes, reached = self._at(budget)
        if reached and budget.divisor == 1:
            return Allocation.from_counts(self.space, rows(sizes, self.space))
        most = None if self._above(budget) else rows(self.start, self.space)
        return fit(self.space, rows(sizes, self.space), budget, least=self.least, most=most)

    def _above(self, budget: Budget) -> bool:
        """Return whether some groups are within a budget before anything has gone."""
        price = Price(self.space, budget.resolved_measure)
        return any(
            price.of([self.space.groups.index(name) for name in names], self.start) <= limit
            for names, limit in budget.limits(self.space).items()
        )

    def _at(self, budget: Budget) -> tuple[Integers, bool]:
        """Return the sizes ``(U, G)`` when groups came within a budget, and whether all did so.

        Of what went since the last snapshot, what still fits is given back, last to first. Groups
        that are within it from the start on have the start's; the end's where some never are.
        """
        price = Price(self.space, budget.resolved_measure)
        went = self.order[: self.snapshots[-1]["removed"]].numpy()
        cells = np.repeat(np.arange(self.start.size), self.start.ravel())[went]
        left, reached = self.start.copy(), True
        for names, limit in budget.limits(self.space).items():
            groups = [self.space.groups.index(name) for name in names]
            own = np.flatnonzero(np.isin(cells % self.start.shape[1], groups))
            count = self._fewest(cells[own], price, groups, limit)
            if count > len(own):
                return self._left(len(went)), False
            np.subtract.at(left.reshape(-1), cells[own[:count]], 1)
            reached = reached and count > 0
            if count:
                last = own[count - 1]
                kept = max(s["removed"] for s in self.snapshots if s["removed"] <= last)
                for cell in reversed(cells[own[(own >= kept) & (own <= last)]]):
                    left.reshape(-1)[cell] += 1
                    if price.of(groups, left) > limit:
                        left.reshape(-1)[cell] -= 1
        return left, reached

    def _fewest(self, cells: Integers, price: Price, groups: Sequence[int], limit: float) -> int:
        """Return how many channels must go, first to last, for groups to be within a limit.

        One more than there are where that is never so.
        """

        def within(count: int) -> bool:
            return price.of(groups, self._without(cells[:count])) <= limit

        return bisect_left(range(len(cells) + 1), True, key=within)

    def _without(self, cells: Integers) -> Integers:
        """Return the start without a channel of each of these cells."""
        sizes = self.start.copy()
        np.subtract.at(sizes.reshape(-1), cells, 1)
        return sizes

    def network(self, allocation: Allocation) -> GroupedNetwork | None:
        """Return the network of some sizes, with the weights of the last that had as many.

        Each cell keeps its channels that went last. ``None`` where it needs more than it had.
        """
        wanted = table(allocation.grouping.counts(), self.space)
        if (wanted > self.start).any():
            return None
        rank = np.empty(len(self.order), dtype=np.int64)
        rank[self.order.numpy()] = np.arange(len(rank))
        kept = np.zeros(len(rank), dtype=bool)
        cells = np.split(np.arange(len(rank)), self.start.ravel().cumsum()[:-1])
        for cell, count in zip(cells, wanted.ravel().tolist(), strict=True):
            kept[cell[np.argsort(rank[cell])[len(cell) - count :]]] = True
        base = [s for s in self.snapshots if (rank[kept] >= s["removed"]).all()][-1]
        there = rank >= base["removed"]
        sizes = alive_sizes(there, self.start)
        places = kept_places(sizes, kept[there], self.space)
        shape = Allocation.from_counts(self.space, rows(sizes, self.space))
        return filled(shape, base["network"]).narrowed(places)

    def points(self, by: Measure) -> list[dict[str, Any]]:
        """Return the snapshots as plain values: costs relative to even groups, errors, sizes."""
        even = sum(Allocation.even(self.space).costs(by).values())
        found = []
        for snapshot in self.snapshots:
            sizes = rows(self._left(snapshot["removed"]), self.space)
            costs = Allocation.from_counts(self.space, sizes).costs(by)
            found.append(
                {
                    "cost": sum(costs.values()) / even,
                    "costs": costs,
                    "errors": snapshot["errors"],
                    "sizes": sizes,
                }
            )
        return found

    def told(self) -> Trajectory:
        """Return the same without its networks."""
        return replace(self, snapshots=[{**kept, "network": {}} for kept in self.snapshots])

    def _left(self, removed: int) -> Integers:
        """Return the sizes ``(U, G)`` after so many removals."""
        alive = np.ones(len(self.order), dtype=bool)
        alive[self.order[:removed].numpy()] = False
        return alive_sizes(alive, self.start)

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain values only."""
        return {"order": self.order, "snapshots": list(self.snapshots)}

    @classmethod
    def of(
        cls,
        space: SearchSpace,
        start: Integers,
        state: Mapping[str, Any],
        where: str,
        *,
        networks: bool,
        least: int = 1,
    ) -> Trajectory:
        """Undo :meth:`state_dict`.

        Args:
            space: The space.
            start: Channels at the start.
            state: What was saved.
            where: It is, for errors.
            networks: Whether they are still needed.
            least: The fewest channels.

        Raises:
            StateError: it is not of these sizes.
        """
        count = int(start.sum())
        check_like(state, {"order": torch.zeros(count, dtype=torch.int64), "snapshots": []}, where)
        check_channels(state["order"].tolist(), count, f"{where}.order")
        found = cls(space, start, state["order"], state["snapshots"], least)
        if not found.snapshots:
            raise StateError(f"{where}.snapshots: expected one at least")
        for index, snapshot in enumerate(found.snapshots):
            place = f"{where}.snapshots[{index}]"
            check_like(snapshot, {"removed": 0, "errors": {}, "network": {}}, place)
            if not 0 <= snapshot["removed"] <= count:
                raise StateError(f"{place}.removed: expected a number of {count} channels")
            sizes = rows(found._left(snapshot["removed"]), space)
            if networks:
                fresh = Allocation.from_counts(space, sizes).build().state_dict()
                check_like(snapshot["network"], fresh, f"{place}.network")
        return found


def table(counts: Mapping[str, Mapping[str, int]], space: SearchSpace) -> Integers:
    """Return channels by unit and group as ``(U, G)``, of the free units alone."""
    return np.array([[counts[unit][g] for g in space.groups] for unit in space.free_units])


def rows(sizes: Integers, space: SearchSpace) -> dict[str, dict[str, int]]:
    """Undo :func:`table`."""
    by_unit = zip(space.free_units, sizes.tolist(), strict=True)
    return {unit: dict(zip(space.groups, row, strict=True)) for unit, row in by_unit}


def kept_places(
    start: Integers, kept: NDArray[np.bool_], space: SearchSpace
) -> dict[str, list[list[int]]]:
    """Return which of its channels every group keeps in every free unit.

    Args:
        start: ``(U, G)``: channels so far.
        kept: ``(C,)`` bool.
        space: Whose units.
    """
    cells = [np.flatnonzero(cell).tolist() for cell in np.split(kept, start.ravel().cumsum()[:-1])]
    groups = start.shape[1]
    return {
        unit: cells[index * groups : (index + 1) * groups]
        for index, unit in enumerate(space.free_units)
    }


def shape_of(network: GroupedNetwork, space: SearchSpace) -> Allocation:
    """Return a network's allocation: its sizes, groups being contiguous."""
    counts = {
        unit: dict(zip(space.groups, network.sizes[unit], strict=True)) for unit in space.free_units
    }
    return Allocation.from_counts(space, counts)


def filled(allocation: Allocation, state: Mapping[str, Any]) -> GroupedNetwork:
    """Return an allocation's network with the weights of a state."""
    with torch.random.fork_rng():
        network = allocation.build()
    network.load_state_dict(dict(state))
    return network
