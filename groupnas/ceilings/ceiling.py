"""What a search can gain at a budget, before hours are spent on one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from groupnas.arrays import Floats
from groupnas.ceilings.curves import ErrorCurves, fit_curves
from groupnas.ceilings.gains import CostSplit, shaped
from groupnas.ceilings.measurements import Measurements
from groupnas.ceilings.power import seeds_needed
from groupnas.ceilings.sources import read_measurements
from groupnas.values import number
from groupnas.values import seed as seed_of

LEVEL = 0.9  # of all intervals
WORTH = 0.01  # a gain that is worth a search, of the error
_BEYOND = 2.0  # how far past what was measured a split may go, as a factor
_NEAR = 1.02  # as good as measured there: whole channels seldom meet a cost
_FLAT = 0.02  # an exponent of networks that have hardly learned
_SAVED = 0.05  # a saving that is worth a search, of the cost


@dataclass(frozen=True)
class Estimate:
    """A median and an interval that holds 90 % of what measurements leave open, and more.

    It begins where the shortest such interval does, and ends where the middle one does: gains are
    not below 0, so that draws of a small one lean away from it, and a long tail is no luxury.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, draws: Floats) -> Estimate:
        """Return the estimate of ``(D,)`` draws."""
        ordered = np.sort(draws)
        count = int(np.ceil(LEVEL * len(ordered)))
        first = int((ordered[count - 1 :] - ordered[: len(ordered) - count + 1]).argmin())
        value, high = np.quantile(ordered, [0.5, (1 + LEVEL) / 2]).tolist()
        return cls(value, float(ordered[first]), max(high, float(ordered[first + count - 1])))

    def percent(self, digits: int = 1) -> str:
        """Return it in per cent, as tables have it."""
        value, low, high = (f"{100 * number:.{digits}f}" for number in asdict(self).values())
        return f"{value} [{low}, {high}]"


@dataclass(frozen=True)
class Lever:
    """What one kind of search can gain over even groups.

    Attributes:
        error: Share of even groups' error that the best network of the same cost does without.
        cost: Share of the cost that the best network of even groups' error does without.
        seeds: Pairs of trainings that would show the gain of error, 80 % of the time, by a paired
            t-test at 5 %; ``None`` where the deviation of seeds is not known, or 100,000 would not.
    """

    error: Estimate
    cost: Estimate
    seeds: int | None


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """What a search can gain at a budget; printed, its advice.

    Attributes:
        budget: Relative to even groups.
        unit: Of costs.
        measurements: How many errors of groups were measured.
        trainings: In so many trainings.
        exponents: By group: by what share its error falls, for a share of cost more, at the even
            cost.
        costs: By group: of the best split, relative to the group's even cost.
        levers: ``split``: of the cost between groups, each in even proportions over depth;
            ``depth``: the profile over depth, each group at its even cost; ``both``. The latter two
            only where measurements differ in depth.
        deviation: Of the mean error between trainings that differ in their seed, relative; ``None``
            where it is not known.
        cautions: Reasons for believing it less, as sentences.
    """

    budget: float
    unit: str
    measurements: int
    trainings: int
    exponents: Mapping[str, Estimate] = field(repr=False)
    costs: Mapping[str, Estimate] = field(repr=False)
    levers: Mapping[str, Lever]
    deviation: float | None
    cautions: tuple[str, ...] = field(repr=False)

    def __str__(self) -> str:
        return self.advice

    @property
    def best(self) -> Lever:
        """The most that was asked for: of both, or of the split alone."""
        return self.levers.get("both", self.levers["split"])

    @property
    def advice(self) -> str:
        """Whether to search, and for what, in one sentence."""
        of = "network" if "both" in self.levers else "split"
        error, cost = self.best.error, self.best.cost
        fewer = f"{100 * cost.low:.0f} to {100 * cost.high:.0f} % fewer {self.unit}"
        low, high = f"{100 * error.low:.1f}", f"{100 * error.high:.1f}"
        if error.high < WORTH and cost.low < _SAVED:
            return f"Even groups are within {high} % of the best {of}: there is little to search."
        if error.high < WORTH:
            return (
                f"Even groups are within {high} % of the best {of}; search for a smaller network "
                f"at equal error ({fewer}), not for less error."
            )
        if error.low >= WORTH:
            return f"A search can gain {low} to {high} % of the error; it is worth it."
        return (
            f"A search can gain {low} to {high} % of the error: too wide to tell whether it is "
            "worth it; measure in more trainings, or at more different sizes."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON holds them."""
        return {**asdict(self), "cautions": list(self.cautions), "advice": self.advice}


def ceiling(
    source: Measurements | str | os.PathLike[str],
    budget: float = 1.0,
    *,
    deviation: float | None = None,
    seed: int = 0,
) -> Ceiling:
    """Say what a search can gain, from the errors of groups at several costs.

    A curve is fitted to every group (:mod:`groupnas.ceilings.curves`), with all that measurements
    leave open; what the best use of the budget gains over even groups of that cost follows from
    the curves. Groups are taken to depend on their own channels alone, as they do where masks are
    tied. Sizes are taken for continuous, and no group's cost further than twice beyond what was
    measured.

    Args:
        source: Measurements, or the folder of a run that has some: a knapsack or saliency search,
            or a comparison with even groups at several budgets.
        budget: Relative to even groups.
        deviation: Of the mean error between seeds, relative to it: 0.01 is 1 %. By default that
            of the measurements, where they are of several trainings.
        seed: Of the draws.

    Raises:
        InputError: a wrong argument; a folder without such measurements, or too few of them.
    """
    budget, seed = number("budget", budget, above=0), seed_of("seed", seed)
    if deviation is not None:
        deviation = number("deviation", deviation, above=0)
    measured = source if isinstance(source, Measurements) else read_measurements(source)
    curves = fit_curves(measured, seed=seed)
    low, high = _reach(measured)
    split = CostSplit(
        shares=measured.shares,
        weights=measured.importance,
        least=low / _BEYOND,
        most=high * _BEYOND,
    )
    known = deviation or _deviation(curves, measured)
    even = split.even(curves, budget)
    levers = {"split": _lever(split, curves, even, budget, known)}
    if measured.shapes:
        levers["depth"] = _depth(split, curves, even, budget, known)
        levers["both"] = _lever(split, shaped(curves), even, budget, known)
    best = split.best(shaped(curves) if measured.shapes else curves, budget)
    columns = zip(measured.groups, curves.exponent.T, best.T, strict=True)
    found = {group: (Estimate.of(own), Estimate.of(cost)) for group, own, cost in columns}
    return Ceiling(
        budget=budget,
        unit=measured.unit,
        measurements=len(measured),
        trainings=measured.trainings,
        exponents={group: exponent for group, (exponent, _) in found.items()},
        costs={group: cost for group, (_, cost) in found.items()},
        levers=levers,
        deviation=known,
        cautions=(*measured.cautions, *_cautions(measured, budget, found)),
    )


def _lever(
    split: CostSplit, curves: ErrorCurves, even: Floats, budget: float, deviation: float | None
) -> Lever:
    gain = 1 - split.least_error(curves, budget) / even
    return _told(gain, split.saved(curves, even, budget), deviation)


def _depth(
    split: CostSplit, curves: ErrorCurves, even: Floats, budget: float, deviation: float | None
) -> Lever:
    """Of every group at its even cost; what it saves, all groups at one factor."""
    better = shaped(curves)
    gain = 1 - split.even(better, budget) / even
    return _told(gain, split.saved_evenly(better, even, budget), deviation)


def _told(gain: Floats, saved: Floats, deviation: float | None) -> Lever:
    error = Estimate.of(gain)
    # A paired difference is between two trainings, each with luck of its own.
    seeds = None if deviation is None else seeds_needed(error.value, deviation * 2**0.5)
    return Lever(error, Estimate.of(saved), seeds)


def _deviation(curves: ErrorCurves, measured: Measurements) -> float | None:
    """Return the relative deviation of the mean error of a training; of one, it is not known."""
    if measured.trainings < 2:
        return None
    parts = measured.importance * curves.level
    own = ((parts * curves.noise) ** 2).sum(axis=1) / parts.sum(axis=1) ** 2
    return float(np.median(np.sqrt(curves.shared**2 + own)))


def _reach(measured: Measurements) -> tuple[Floats, Floats]:
    """Return the least and the largest costs ``(P,)`` at which each group was measured."""
    of_groups = [measured.ratios[measured.owner == p] for p in range(len(measured.groups))]
    return np.array([own.min() for own in of_groups]), np.array([own.max() for own in of_groups])


def _cautions(
    measured: Measurements, budget: float, found: Mapping[str, tuple[Estimate, Estimate]]
) -> list[str]:
    (low, high), told = _reach(measured), list[str]()
    if not low.max() / _NEAR <= budget <= high.min() * _NEAR:
        told.append(
            f"The budget, {budget:g}, is outside of what was measured of every group "
            f"({low.max():.2g} to {high.min():.2g}): curves are extended."
        )
    outside = [
        group
        for (group, (_, cost)), least, most in zip(found.items(), low, high, strict=True)
        if not least <= cost.value <= most
    ]
    if outside:
        told.append(f"The best split is outside of what was measured for {', '.join(outside)}.")
    if all(exponent.value < _FLAT for exponent, _ in found.values()):
        told.append(
            "Errors hardly depend on cost: train for more epochs, or it is the data's noise."
        )
    return told
