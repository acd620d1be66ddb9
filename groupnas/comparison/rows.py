"""The entries of a comparison: networks, rows of errors over their seeds, costs of searches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from groupnas.comparison.fronts import CostRatio
from groupnas.comparison.plan import Piece
from groupnas.comparison.samples import SampleErrors
from groupnas.comparison.statistics import Difference

Spread = tuple[float, float | None]  # mean and standard deviation over seeds


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One trained network: its piece, what ``cell.json`` says, and its errors by set."""

    piece: Piece
    told: Mapping[str, Any] = field(repr=False)
    errors: Mapping[str, SampleErrors] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """A strategy at one budget on one set of samples, over its seeds.

    Attributes:
        strategy: Its label.
        budget: Relative to even groups.
        samples: The set, and its subset if it is one: ``"validation"``, ``"test/common"``.
        count: Samples in it; the least of a seed, where the split varies with the seed.
        sources: That those are from, with all seeds.
        counts: Samples that show each group, and any at all, which is called ``mean``.
        seeds: That are finished.
        diverged: Those of them whose network has errors that are not finite: its mean is infinite,
            and there are no differences to it.
        cost: Of the network, in the comparison's measure; mean over seeds.
        unit: Of the errors.
        errors: Mean and standard deviation over seeds, of every group that a sample shows and of
            ``mean``.
        differences: To the baseline with the same budget, over the seeds that both have; none for
            the baseline itself, where there is none, or where one of both diverged.
        relative: Those differences in units of the baseline's error, where that is not 0.
        varied: Whether seeds have samples of their own.
    """

    strategy: str
    budget: float
    samples: str
    count: int
    sources: int
    counts: Mapping[str, int]
    seeds: tuple[int, ...]
    diverged: tuple[int, ...]
    cost: float
    unit: str
    errors: Mapping[str, Spread]
    differences: Mapping[str, Difference] = field(repr=False)
    relative: Mapping[str, float] = field(repr=False)
    varied: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON holds it, with ``None`` for infinity."""
        return {
            **{key: value for key, value in vars(self).items() if key != "differences"},
            "counts": dict(self.counts),
            "seeds": list(self.seeds),
            "diverged": list(self.diverged),
            "errors": {
                name: {"mean": mean if math.isfinite(mean) else None, "deviation": deviation}
                for name, (mean, deviation) in self.errors.items()
            },
            "differences": {name: d.to_dict() for name, d in self.differences.items()},
        }


@dataclass(frozen=True, kw_only=True)
class FrontRow:
    """What a strategy costs at the baseline's error, on one set of samples.

    Attributes:
        strategy: Its label.
        samples: The set, as of :class:`ResultRow`.
        unit: Of the errors.
        found: The ratio; ``None`` where it cannot be told.
        why: What is missing for a ratio, or for its interval; empty where nothing is.
    """

    strategy: str
    samples: str
    unit: str
    found: CostRatio | None
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON holds it."""
        return {**vars(self), "found": self.found and asdict(self.found)}


@dataclass(frozen=True, kw_only=True)
class SearchTold:
    """What one finished search cost: CPU seconds and steps of optimisers."""

    seconds: float
    steps: int


@dataclass(frozen=True, kw_only=True)
class SearchCost:
    """Cost of the searches of a strategy, a mean over seeds.

    Attributes:
        strategy: Its label.
        seconds: Of the CPU, in all epochs.
        steps: Of optimisers.
        trainings: The seconds in units of one plain training, the baseline's.
        training_steps: The steps in units of that training's.
        inherited: Whether its networks go on from the search's weights: those steps trained them.
    """

    strategy: str
    seconds: float
    steps: float
    trainings: float
    training_steps: float
    inherited: bool = False
