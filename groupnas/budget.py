"""A limit on what a network may cost, and sizes that meet it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, model_validator

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.schema import Settings
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.measure import Measure, group_cost, measure
from groupnas.spaces.space import SearchSpace
from groupnas.values import instance, number

LARGEST_SHARE = 10_000.0  # of what even groups cost; sizes are found channel by channel
BudgetShare = Annotated[float, Field(gt=0, le=LARGEST_SHARE)]
WantedSizes = Mapping[str, Mapping[str, float]]
_ANY = 2**40  # more channels than there can be


class Budget(Settings):
    """A limit on what a network may cost, relative to what even groups of the space do.

    Attributes:
        measure: A name that :func:`groupnas.spaces.measure.measure` takes: ``mac``, ``params``,
            ``latency``, what another package registered, or the file of a latency table.
        total: Of all groups together: 1.0 is as much as even groups cost. Not needed where every
            group has a budget of its own.
        groups: Of single groups: 1.0 is as much as that group costs among even ones. Files written
            before call it ``parts``.
        tolerance: By how much, relatively, the cost may miss the budget.
        divisor: Every group's number of channels is a multiple of this power of two, since kernels
            compute whole blocks of 4, 8 or 16 channels. A unit whose even groups have less than
            two thirds of it takes the next smaller power, and so on. Files written before call it
            ``multiple``.
    """

    measure: str = "mac"
    total: BudgetShare | None = 1.0
    groups: dict[str, BudgetShare] = Field({}, validation_alias=AliasChoices("groups", "parts"))
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.01
    divisor: Literal[1, 2, 4, 8, 16, 32, 64] = Field(
        1, validation_alias=AliasChoices("divisor", "multiple")
    )

    @model_validator(mode="after")
    def _limits_something(self) -> Budget:
        if self.total is None and not self.groups:
            raise ValueError("total: missing; give it, or groups")
        return self

    @property
    def resolved_measure(self) -> Measure:
        """The measure that :attr:`measure` names; a file is read once, until it changes.

        Raises:
            InputError: there is none of that name, or the file is no latency table.
        """
        return measure(self.measure)

    def limits(self, space: SearchSpace) -> dict[tuple[str, ...], float]:
        """Absolute limits: groups that share one, and how much they may cost together.

        Groups with a budget of their own have a limit each; the others share what these leave of
        the total, and have none where there is no total.

        Raises:
            InputError: a group that the space does not have, or nothing left for the others.
        """
        for group in self.groups:
            if group not in space.groups:
                raise InputError(f"budget.groups: {group!r}: {nearest(group, space.groups)}")
        even = Allocation.even(space).costs(self.resolved_measure)
        limits: dict[tuple[str, ...], float] = {
            (group,): share * even[group] for group, share in self.groups.items()
        }
        others = tuple(group for group in space.groups if group not in self.groups)
        if self.total is not None and others:
            left = self.total * sum(even.values()) - sum(limits.values())
            if left <= 0:
                raise InputError(
                    f"budget: groups take all of the total {self.total:g}; "
                    f"nothing is left for {', '.join(others)}"
                )
            limits[others] = left
        return limits

    def totalling(self, total: float) -> Budget:
        """Return the same budget with another total; its groups' own are scaled alike."""
        groups = {
            group: share * total / (self.total or 1.0) for group, share in self.groups.items()
        }
        return self.model_copy(update={"total": total, "groups": groups})

    def step(self, channels: float) -> int:
        """The divisor in a unit whose even groups have so many channels."""
        step: int = self.divisor
        while step > 1 and channels < 2 * step / 3:
            step //= 2
        return step


def fit(
    space: SearchSpace,
    sizes: WantedSizes,
    budget: Budget,
    *,
    least: int = 1,
    most: WantedSizes | None = None,
) -> Allocation:
    """The allocation with these proportions whose cost meets a budget.

    The sizes of the groups that share a limit are multiplied by one factor and rounded to whole
    channels, or to multiples of :attr:`Budget.divisor`, at least one: the largest factor whose cost
    stays within the limit. Channels are then added, where rounding took most first, while the cost
    allows it. Units may end up with other widths than the space's.

    Args:
        space: Whose units are divided.
        sizes: ``{unit: {group: channels}}``, positive; need not be whole, nor add up to anything.
        budget: What it may cost.
        least: The fewest channels of a group in a unit.
        most: ``{unit: {group: channels}}``, multiples of the divisor; any number by default.

    Raises:
        InputError: the budget cannot be met within its tolerance: too small for one channel a
            group, or too coarse a step; sizes that are not of the space, or not positive numbers.
    """
    instance("budget", budget, Budget)
    sizes = _checked_sizes(space, sizes)
    cost = budget.resolved_measure
    steps = {
        unit: budget.step(channels / len(space.groups))
        for unit, channels in space.free_units.items()
    }
    rounding = _Rounding(steps, least, most)
    found = {
        unit: {group: rounding(unit, group, n) for group, n in row.items()}
        for unit, row in sizes.items()
    }
    for groups, limit in budget.limits(space).items():
        fitted = _fit_groups(space, sizes, groups, limit, budget, cost, rounding)
        for group, widths in fitted.items():
            for unit, channels in widths.items():
                found[unit][group] = channels
    return Allocation.from_counts(space, found)


def _checked_sizes(space: SearchSpace, sizes: WantedSizes) -> dict[str, dict[str, float]]:
    instance("space", space, SearchSpace)
    instance("sizes", sizes, Mapping)
    if set(sizes) != set(space.free_units):
        raise InputError(f"sizes: expected exactly the units {', '.join(space.free_units)}")
    found: dict[str, dict[str, float]] = {}
    for unit, row in sizes.items():
        instance(f"sizes.{unit}", row, Mapping)
        if set(row) != set(space.groups):
            raise InputError(f"sizes.{unit}: expected exactly the groups {', '.join(space.groups)}")
        found[unit] = {g: number(f"sizes.{unit}.{g}", size, above=0) for g, size in row.items()}
    return found


@dataclass(frozen=True)
class _Rounding:
    """Whole channels: multiples of each unit's step, within bounds."""

    steps: Mapping[str, int]
    least: int
    most: WantedSizes | None

    def __call__(self, unit: str, group: str, channels: float) -> int:
        step = self.steps[unit]
        lowest = -(-self.least // step)
        return min(step * max(lowest, round(channels / step)), self.bound(unit, group))

    def bound(self, unit: str, group: str) -> int:
        """The most channels of a group."""
        return _ANY if self.most is None else int(self.most[unit][group])


def _fit_groups(
    space: SearchSpace,
    sizes: WantedSizes,
    groups: tuple[str, ...],
    limit: float,
    budget: Budget,
    cost: Measure,
    rounding: _Rounding,
) -> dict[str, dict[str, int]]:
    """Whole sizes ``{group: {unit: channels}}`` of the groups that share one limit."""

    def scaled(factor: float) -> dict[str, dict[str, int]]:
        return {
            group: {
                unit: rounding(unit, group, factor * sizes[unit][group])
                for unit in space.free_units
            }
            for group in groups
        }

    def total(widths: Mapping[str, Mapping[str, int]]) -> float:
        return sum(group_cost(space, group, widths[group], cost) for group in groups)

    low, high = 0.0, 1.0
    if total(scaled(low)) > limit * (1 + budget.tolerance):
        raise InputError(
            f"budget: {limit:,.0f} {cost.unit} for {', '.join(groups)} is less than the "
            f"fewest channels cost: {total(scaled(low)):,.0f}"
        )
    while total(scaled(high)) <= limit and high < _ANY:
        low, high = high, 2 * high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if total(scaled(middle)) <= limit else (low, middle)
    widths = scaled(low)
    # A step more where rounding took most, while it is within the limit.
    cut = sorted(
        ((widths[g][u] - low * sizes[u][g]) / max(low * sizes[u][g], 1.0), g, u)
        for g in groups
        for u in space.free_units
    )
    for _, group, unit in cut:
        widths[group][unit] += rounding.steps[unit]
        if total(widths) > limit or widths[group][unit] > rounding.bound(unit, group):
            widths[group][unit] -= rounding.steps[unit]
    missed = total(widths) / limit - 1
    if abs(missed) > budget.tolerance:
        raise InputError(
            f"budget: {', '.join(groups)}: sizes in whole steps miss it by {missed:+.1%}; "
            f"allow a larger tolerance than {budget.tolerance:.1%}"
        )
    return widths
