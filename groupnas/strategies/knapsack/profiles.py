"""Profiles: how wide a group is in every unit, described by a few knobs.

A profile is a point z of the cube [-1, 1]^k. With the even share e_u of unit u,

    s_u = e_u exp(m(z_0) + sum_k z_k r_k (d_ku - mean d_k)),

rounded, at least 1. The first knob is the *scale*: m runs evenly from log(smallest) to log(widest).
The others shape the group without changing its cost to first order, since each direction d_k is
centred by the units' shares of the cost's derivative: *tilt* widens late units and narrows early
ones, *ratio* widens the units inside a block (the expanded ones of inverted residuals) and narrows
those between blocks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from groupnas.arrays import Floats, Integers
from groupnas.spaces.measure import group_cost
from groupnas.spaces.space import SearchSpace

Shapes = Literal["uniform", "depth", "free"]


@dataclass(frozen=True)
class Family:
    """The profiles of a space: the same for every group, since their even shares are.

    Attributes:
        knobs: What each coordinate of a profile is called; the first is ``scale``.
        units: Free units, in network order.
        shares: ``(units,)``: channels of each at an even division, not whole.
        middle: Of the scale's logarithm.
        reach: Half the range of the scale's logarithm.
        directions: ``(knobs - 1, units)``: centred, times their range.
    """

    knobs: tuple[str, ...]
    units: tuple[str, ...]
    shares: Floats
    middle: float
    reach: float
    directions: Floats

    @classmethod
    def of(
        cls,
        space: SearchSpace,
        shapes: Shapes,
        smallest: float,
        widest: float,
        ranges: Mapping[str, float],
    ) -> Family:
        """Return the profiles of a space.

        Args:
            space: Whose free units get sizes.
            shapes: ``uniform`` has the scale alone, ``depth`` the tilt too, ``free`` all knobs.
            smallest: The least scale, > 0.
            widest: The greatest scale.
            ranges: r_k of ``tilt`` and ``ratio``. A direction that the space does not have, as it
                is the same for all units, is no knob.
        """
        shares = np.array([n / len(space.groups) for n in space.free_units.values()])
        names = {"uniform": (), "depth": ("tilt",), "free": ("tilt", "ratio")}[shapes]
        found = {name: _direction(space, name) for name in names}
        found = {name: d for name, d in found.items() if np.ptp(d) > 0}
        weight = _elasticities(space, shares)
        rows = [ranges[name] * (d - weight @ d) for name, d in found.items()]
        low, high = math.log(smallest), math.log(widest)
        return cls(
            knobs=("scale", *found),
            units=tuple(space.free_units),
            shares=shares,
            middle=(low + high) / 2,
            reach=(high - low) / 2,
            directions=np.array(rows).reshape(len(found), len(shares)),
        )

    def sizes(self, profiles: Floats) -> Integers:
        """Return the channels ``(n, units)`` of profiles ``(n, knobs)``."""
        scale = self.middle + self.reach * profiles[:, :1]
        exact = self.shares * np.exp(scale + profiles[:, 1:] @ self.directions)
        return np.maximum(np.rint(exact), 1).astype(np.int64)

    def widths(self, profile: Floats) -> dict[str, int]:
        """Return the channels of one profile ``(knobs,)``, by unit."""
        return dict(zip(self.units, self.sizes(profile[None])[0].tolist(), strict=True))

    def widest(self) -> dict[str, int]:
        """Return the most channels that any profile gives each unit."""
        most = self.middle + self.reach + np.abs(self.directions).sum(axis=0)
        sizes = np.maximum(np.rint(self.shares * np.exp(most)), 1).astype(int)
        return dict(zip(self.units, sizes.tolist(), strict=True))

    def line(self, count: int) -> Floats:
        """Return profiles ``(count, knobs)`` of every scale and no shape, narrow to wide."""
        profiles = np.zeros((count, len(self.knobs)))
        profiles[:, 0] = np.linspace(-1, 1, count) if count > 1 else 0.0
        return profiles

    def grid(self, scales: int = 81, steps: int = 9) -> Floats:
        """Return all profiles of so many scales, and ``steps`` values of every other knob."""
        axes = [np.linspace(-1, 1, scales), *[np.linspace(-1, 1, steps)] * (len(self.knobs) - 1)]
        return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)

    def even(self) -> Floats:
        """Return the profile ``(knobs,)`` of a group of an even division."""
        profile = np.zeros(len(self.knobs))
        profile[0] = np.clip(-self.middle / self.reach, -1, 1) if self.reach else 0.0
        return profile


def _direction(space: SearchSpace, name: str) -> Floats:
    """Return how a knob moves the logarithm of every unit's width, in [-1, 1]."""
    if name == "tilt":
        return np.linspace(-1, 1, len(space.free_units))
    blocks: dict[str, set[str]] = {unit: set() for unit in space.units}
    for block in space.blocks:
        for layer in block.layers:
            blocks[layer.in_unit].add(block.name)
            blocks[layer.out_unit].add(block.name)
    return np.array([1.0 if len(blocks[unit]) == 1 else -1.0 for unit in space.free_units])


def _elasticities(space: SearchSpace, shares: Floats) -> Floats:
    """Return each unit's share of the MACs' derivative by the logarithm of its width."""
    step = 1e-3
    sizes = dict(zip(space.free_units, shares.tolist(), strict=True))

    def cost(widths: Mapping[str, float]) -> float:
        return sum(float(group_cost(space, group, widths)) for group in space.groups)

    here = cost(sizes)
    slopes = [cost({**sizes, unit: (1 + step) * size}) - here for unit, size in sizes.items()]
    return np.array(slopes) / sum(slopes)
