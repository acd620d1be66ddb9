"""Which channels go next: those of least importance per unit of cost, one by one or tied."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groupnas.arrays import Floats, Integers
from groupnas.engine.state import StateError
from groupnas.spaces.measure import Measure, layer_cost
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.saliency.settings import Ties

Cell = tuple[int, int]  # a unit and a group, by their places
Ranked = dict[Cell, list[tuple[float, int]]]  # importance and place of a cell's channels

_JUDGED = 0.95  # the factor on its widths by which a bundle of several units is judged


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
        self._price = Price(space, by)
        # Units of one bundle lose their channels in turn, not all at once.
        self._offsets = (np.arange(len(start)) + 0.5) / len(start)
        self._begun = {groups: self.cost(groups) for groups in self.limits}

    def cost(self, groups: tuple[int, ...]) -> float:
        """Return what some groups cost now."""
        return self._price.of(groups, self.sizes)

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
            if self.cost(groups) > target:
                self._descend(groups, target, ranked)
        return self.removed[before:]

    def _descend(self, groups: tuple[int, ...], target: float, ranked: Ranked) -> None:
        """Make the move of least importance per cost until some groups cost no more."""
        bundles = self._bundles[groups]
        scores = np.array([self._score(bundle, ranked) for bundle in bundles])
        cost = self.cost(groups)
        while cost > target and np.isfinite(scores).any():
            chosen = bundles[int(np.argmin(scores))]
            chosen.factor = self._next(chosen)
            move = self._lowered(chosen, chosen.factor)
            cost -= self._saved(move)
            for cell, size in move.items():
                self._shrink(cell, size, ranked)
            changed = {group for _, group in chosen.cells}
            for index, bundle in enumerate(bundles):
                if not changed.isdisjoint(group for _, group in bundle.cells):
                    scores[index] = self._score(bundle, ranked)

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

    # -- moves ----------------------------------------------------------------------------------

    def _score(self, bundle: Bundle, ranked: Ranked) -> float:
        """Return the importance per cost of a bundle's next channels; infinite if there are none.

        One channel says little of a bundle of several units: of those, a few per cent are judged.
        """
        factor = self._next(bundle)
        if len({unit for unit, _ in bundle.cells}) > 1:
            factor = min(factor, _JUDGED * bundle.factor)
        move = self._lowered(bundle, factor)
        return self._worth(move, ranked) / max(self._saved(move), 1e-12) if move else math.inf

    def _next(self, bundle: Bundle) -> float:
        """Return the greatest factor at which a cell of a bundle loses a channel."""
        factors = [
            float((self.sizes[cell] - 1 + self._offsets[cell[0]]) / self.start[cell])
            for cell in bundle.cells
            if self.sizes[cell] > self.least
        ]
        return max(factors, default=bundle.factor)

    def _lowered(self, bundle: Bundle, factor: float) -> dict[Cell, int]:
        """Return the sizes of the cells that a factor makes smaller."""
        found = {}
        for cell in bundle.cells:
            exact = factor * self.start[cell] - self._offsets[cell[0]]
            size = max(self.least, math.ceil(exact - 1e-9))
            if size < self.sizes[cell]:
                found[cell] = size
        return found

    def _saved(self, move: Mapping[Cell, int]) -> float:
        """Return what a move saves."""
        found = 0.0
        for group in {group for _, group in move}:
            sizes = self.sizes[:, group].tolist()
            smaller = list(sizes)
            units = [unit for unit, owner in move if owner == group]
            for unit in units:
                smaller[unit] = move[unit, group]
            found += self._price.saved(group, sizes, smaller, units)
        return found

    # -- channels -------------------------------------------------------------------------------

    def _ranked(self, importance: Floats) -> Ranked:
        """Return every cell's channels that are left, the most important first."""
        found: Ranked = {}
        for cell in np.ndindex(*self.start.shape):
            begin = int(self._begins[cell])
            here = [c for c in range(begin, begin + int(self.start[cell])) if self.alive[c]]
            found[cell[0], cell[1]] = sorted(
                ((float(importance[c]), c) for c in here), reverse=True
            )
        return found

    def _worth(self, move: Mapping[Cell, int], ranked: Ranked) -> float:
        """Return the importance that a move removes.

        Each channel's is divided by how many its cell has: the others take over. On GroupBench this
        agrees with what a channel is worth in 0.89 instead of 0.75 (docs/strategies.md).
        """
        return sum(
            sum(worth for worth, _ in ranked[cell][size:]) / float(self.sizes[cell])
            for cell, size in move.items()
        )

    def _shrink(self, cell: Cell, size: int, ranked: Ranked) -> None:
        while len(ranked[cell]) > size:
            channel = ranked[cell].pop()[1]
            self.alive[channel] = False
            self.removed.append(channel)
        self.sizes[cell] = size


class Price:
    """What channels cost, layer by layer; each layer's cost at each size is computed once."""

    def __init__(self, space: SearchSpace, by: Measure) -> None:
        self._by, self._known = by, {}  # type: ignore[var-annotated]
        free = {unit: index for index, unit in enumerate(space.free_units)}
        self._fixed = sum(by.fixed(layer) for layer in space.layers if not layer.joint_out)
        self._fixed /= len(space.groups)
        self._layers = space.layers
        # Of each layer and group, its ends: the place of a free unit, or channels that stay.
        self._ends = [
            [
                tuple(
                    (free[unit], 0) if unit in free else (None, ends[unit])
                    for unit in (layer.in_unit, layer.out_unit)
                )
                for ends in map(space.ends, space.groups)
            ]
            for layer in space.layers
        ]
        self._touching: list[list[int]] = [
            [i for i, layer in enumerate(space.layers) if unit in (layer.in_unit, layer.out_unit)]
            for unit in free
        ]

    def of(self, groups: Sequence[int], sizes: Integers) -> float:
        """Return what some groups cost at sizes ``(U, G)``."""
        return sum(self.group(group, sizes[:, group].tolist()) for group in groups)

    def group(self, group: int, sizes: Sequence[int]) -> float:
        """Return what a group costs with these channels in every free unit."""
        return self._fixed + self._of(range(len(self._layers)), group, sizes)

    def saved(
        self, group: int, sizes: Sequence[int], smaller: Sequence[int], units: Sequence[int]
    ) -> float:
        """Return how much less a group costs if these units have other sizes."""
        layers = {layer for unit in units for layer in self._touching[unit]}
        return self._of(layers, group, sizes) - self._of(layers, group, smaller)

    def _of(self, layers: Iterable[int], group: int, sizes: Sequence[int]) -> float:
        total = 0.0
        for layer in layers:
            (first, a), (last, b) = self._ends[layer][group]
            a, b = a if first is None else sizes[first], b if last is None else sizes[last]
            if (layer, a, b) not in self._known:
                cost = float(layer_cost(self._layers[layer], a, b, self._by))
                self._known[layer, a, b] = cost
            total += self._known[layer, a, b]
        return total


def alive_sizes(alive: NDArray[np.bool_], start: Integers) -> Integers:
    """Return how many channels are left of each cell, ``(U, G)``."""
    ends = start.ravel().cumsum()
    return np.add.reduceat(alive.astype(np.int64), ends - start.ravel()).reshape(start.shape)


def check_channels(channels: Any, count: int, where: str) -> None:
    """Raise :class:`StateError` unless these are places among ``count`` channels, each once."""
    whole = all(type(channel) is int and 0 <= channel < count for channel in channels)
    if not whole or len(set(channels)) < len(channels):
        raise StateError(f"{where}: expected channels below {count}, each once")


def _bundles(ties: Ties, units: int, groups: Sequence[int]) -> list[Bundle]:
    if ties == "free":
        return [Bundle([(unit, group)]) for unit in range(units) for group in groups]
    if ties == "depth":
        return [Bundle([(unit, group) for group in groups]) for unit in range(units)]
    if ties == "parts":
        return [Bundle([(unit, group) for unit in range(units)]) for group in groups]
    return [Bundle([(unit, group) for unit in range(units) for group in groups])]
