"""Which channels go next: those of least importance per unit of cost, one by one or tied."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from groupnas.arrays import Floats, Integers
from groupnas.engine.state import StateError
from groupnas.spaces.measure import Measure, group_cost
from groupnas.spaces.space import SearchSpace

Ties = Literal["free", "depth", "parts", "uniform"]
Cell = tuple[int, int]  # a unit and a group, by their places

_STEP = 0.98  # on the widths of cells that are tied over units, at most


@dataclass
class Bundle:
    """Cells whose sizes are one factor times what they were at the start.

    Attributes:
        cells: Those.
        factor: In (0, 1].
    """

    cells: Sequence[Cell]
    factor: float = 1.0


class Removal:
    """The sizes of a network that loses channel after channel, and the order in which they went.

    Args:
        space: Whose free units have channels.
        start: ``(U, G)``: channels of every free unit and group at the start; inside a unit, those
            of the first group come first.
        ties: What goes together; see :class:`~groupnas.strategies.saliency.settings.Saliency`.
        limits: What groups may cost together at the end; the groups that none is of lose nothing.
        by: The measure of that.
        least: The fewest channels of a cell.

    Attributes:
        sizes: ``(U, G)``, now.
        removed: The channels that went, in order, counted over all units.
    """

    def __init__(
        self,
        space: SearchSpace,
        start: Integers,
        ties: Ties,
        limits: Mapping[tuple[str, ...], float],
        by: Measure,
        least: int = 1,
    ) -> None:
        self.space, self.start, self.least, self.by = space, start, least, by
        self.sizes = start.copy()
        self.removed: list[int] = []
        self.alive = np.ones(int(start.sum()), dtype=bool)
        ends = start.ravel().cumsum()
        self._begins = (ends - start.ravel()).reshape(start.shape)
        self.limits = {
            tuple(map(space.groups.index, groups)): limit for groups, limit in limits.items()
        }
        self._bundles = {groups: _bundles(ties, len(start), groups) for groups in self.limits}
        self._costs = [self._cost(group, self.sizes[None])[0] for group in range(len(space.groups))]
        self._begun = {groups: self.cost(groups) for groups in self.limits}

    def cost(self, groups: Sequence[int]) -> float:
        """Return what some groups cost now."""
        return float(sum(self._costs[group] for group in groups))

    def step(self, importance: Floats, progress: float) -> list[int]:
        """Remove channels until costs are down to where they should be; return which.

        Args:
            importance: ``(C,)``, of the channels of all units, one after the other.
            progress: In [0, 1]: costs fall exponentially from the start to the limits.
        """
        before = len(self.removed)
        ranked = self._ranked(importance)
        for groups, limit in self.limits.items():
            target = self._begun[groups] * min(limit / self._begun[groups], 1.0) ** progress
            saved: dict[int, Floats] = {}
            while self.cost(groups) > target:
                moves = [self._lowered(bundle) for bundle in self._bundles[groups]]
                if not any(moves):
                    break
                for group in groups:
                    if group not in saved:
                        saved[group] = self._saved(group, moves)
                gain = sum(saved.values())
                scores = [
                    _worth(move, ranked) / max(float(gain[index]), 1e-12) if move else math.inf
                    for index, move in enumerate(moves)
                ]
                best = int(np.argmin(scores))
                for cell, size in moves[best].items():
                    self._shrink(cell, size, ranked)
                    saved.pop(cell[1], None)
                    self._costs[cell[1]] = self._cost(cell[1], self.sizes[None])[0]
                bundle = self._bundles[groups][best]
                bundle.factor = self._next(bundle)
        return self.removed[before:]

    def replay(self, order: Sequence[int]) -> Integers | None:
        """Return the sizes that are left when channels went in an order, up to the limits.

        What the last of them took too much is given back, last to first.

        Returns:
            ``(U, G)``; ``None`` where some groups are within their limit from the start on, or
            never.
        """
        owner = np.repeat(np.arange(self.start.size), self.start.ravel())
        cells = [divmod(int(owner[channel]), self.start.shape[1]) for channel in order]
        for groups, limit in self.limits.items():
            own = [cell for cell in cells if cell[1] in groups]
            count = _first(len(own) + 1, lambda n, own=own: self._without(own[:n], groups) <= limit)  # type: ignore[misc]
            if not 0 < count <= len(own):
                return None
            for cell in own[:count]:
                self.sizes[cell] -= 1
            for cell in reversed(own[:count]):
                self.sizes[cell] += 1
                if self._total(groups) > limit:
                    self.sizes[cell] -= 1
        return self.sizes if (self.sizes >= self.least).all() else None

    def _without(self, cells: Sequence[Cell], groups: Sequence[int]) -> float:
        """Return what groups cost without so many channels."""
        for cell in cells:
            self.sizes[cell] -= 1
        cost = self._total(groups)
        for cell in cells:
            self.sizes[cell] += 1
        return cost

    def _total(self, groups: Sequence[int]) -> float:
        return float(sum(self._cost(group, self.sizes[None])[0] for group in groups))

    # -- state ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return what went, and every bundle's factor."""
        factors = [b.factor for bundles in self._bundles.values() for b in bundles]
        return {"removed": list(self.removed), "factors": factors}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take a saved one's place.

        Raises:
            StateError: it is not of these channels.
        """
        removed, factors = state["removed"], state["factors"]
        bundles = [bundle for bundles in self._bundles.values() for bundle in bundles]
        if len(factors) != len(bundles) or not all(0 < factor <= 1 for factor in factors):
            raise StateError(f"stage.removal.factors: expected {len(bundles)} in (0, 1]")
        check_channels(removed, len(self.alive), "stage.removal.removed")
        for bundle, factor in zip(bundles, factors, strict=True):
            bundle.factor = factor
        self.removed = list(removed)
        self.alive[:] = True
        self.alive[self.removed] = False
        self.sizes = alive_sizes(self.alive, self.start)
        self._costs = [self._cost(group, self.sizes[None])[0] for group in range(len(self._costs))]

    # -- moves ----------------------------------------------------------------------------------

    def _next(self, bundle: Bundle) -> float:
        """Return the next factor at which a cell of a bundle loses a channel."""
        shrinkable = [cell for cell in bundle.cells if self.sizes[cell] > self.least]
        if not shrinkable:
            return bundle.factor
        first = max((self.sizes[cell] - 0.5) / self.start[cell] for cell in shrinkable)
        several = len({unit for unit, _ in bundle.cells}) > 1
        return min(first, _STEP * bundle.factor) if several else first

    def _lowered(self, bundle: Bundle) -> dict[Cell, int]:
        """Return the sizes of the cells that the next step of a bundle changes."""
        factor = self._next(bundle)
        found = {}
        for cell in bundle.cells:
            size = max(self.least, math.ceil(factor * self.start[cell] - 0.5 - 1e-9))
            if size < self.sizes[cell]:
                found[cell] = size
        return found

    def _saved(self, group: int, moves: Sequence[Mapping[Cell, int]]) -> Floats:
        """Return what each move saves in one group, ``(moves,)``."""
        rows = np.repeat(self.sizes[None], len(moves), axis=0)
        for index, move in enumerate(moves):
            for (unit, owner), size in move.items():
                rows[index, unit, owner] = size
        return self._costs[group] - self._cost(group, rows)

    def _cost(self, group: int, sizes: Integers) -> Floats:
        """Return what a group costs at sizes ``(n, U, G)``: ``(n,)``."""
        columns = torch.from_numpy(sizes[:, :, group]).double().unbind(dim=1)
        widths = dict(zip(self.space.free_units, columns, strict=True))
        cost = group_cost(self.space, self.space.groups[group], widths, self.by)
        return np.broadcast_to(np.asarray(cost, dtype=np.float64), len(sizes))

    # -- channels -------------------------------------------------------------------------------

    def _ranked(self, importance: Floats) -> dict[Cell, list[tuple[float, int]]]:
        """Return every cell's channels that are left, the most important first."""
        found = {}
        for cell in np.ndindex(*self.start.shape):
            begin = int(self._begins[cell])
            here = [c for c in range(begin, begin + int(self.start[cell])) if self.alive[c]]
            found[cell] = sorted(((float(importance[c]), c) for c in here), reverse=True)
        return found  # type: ignore[return-value]

    def _shrink(
        self, cell: Cell, size: int, ranked: Mapping[Cell, list[tuple[float, int]]]
    ) -> None:
        while len(ranked[cell]) > size:
            channel = ranked[cell].pop()[1]
            self.alive[channel] = False
            self.removed.append(channel)
        self.sizes[cell] = size


def alive_sizes(alive: NDArray[np.bool_], start: Integers) -> Integers:
    """Return how many channels are left of each cell, ``(U, G)``."""
    ends = start.ravel().cumsum()
    return np.add.reduceat(alive.astype(np.int64), ends - start.ravel()).reshape(start.shape)


def check_channels(channels: Any, count: int, where: str) -> None:
    """Raise :class:`StateError` unless these are places among ``count`` channels, each once."""
    whole = all(type(channel) is int and 0 <= channel < count for channel in channels)
    if not whole or len(set(channels)) < len(channels):
        raise StateError(f"{where}: expected channels below {count}, each once")


def _worth(move: Mapping[Cell, int], ranked: Mapping[Cell, list[tuple[float, int]]]) -> float:
    return sum(sum(worth for worth, _ in ranked[cell][size:]) for cell, size in move.items())


def _first(count: int, holds: Callable[[int], bool]) -> int:
    """Return the least number below ``count`` from which on something holds; ``count`` if none."""
    return bisect_left(range(count), True, key=holds)


def _bundles(ties: Ties, units: int, groups: Sequence[int]) -> list[Bundle]:
    if ties == "free":
        return [Bundle([(unit, group)]) for unit in range(units) for group in groups]
    if ties == "depth":
        return [Bundle([(unit, group) for group in groups]) for unit in range(units)]
    if ties == "parts":
        return [Bundle([(unit, group) for unit in range(units)]) for group in groups]
    return [Bundle([(unit, group) for unit in range(units) for group in groups])]
