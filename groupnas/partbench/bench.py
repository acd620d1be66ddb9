"""PartBench: how much parts must differ for uneven groups to pay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import log, perm
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from groupnas.errors import InputError
from groupnas.partbench.drawing import EASIEST, HARDEST, POINTS, checked_difficulty
from groupnas.partbench.space import space_of
from groupnas.spaces.space import SearchSpace
from groupnas.tabular.bench import TabularBench
from groupnas.tabular.table import Table
from groupnas.values import listed, number, whole

if TYPE_CHECKING:
    from groupnas.partbench.task import DrawnPart, DrawnParts
    from groupnas.task import Task

# Difficulties of the table: 1 to 16 in steps of the root of 2.
LEVELS = tuple(round(2 ** (step / 2), 4) for step in range(9))
MOST_PARTS, MOST_WEIGHT = 64, 16


@dataclass(frozen=True, eq=False)
class PartBench(TabularBench):
    """Every grouping of a small network of drawn parts, of difficulties at choice.

    Errors are in % of a crop's side. A training combines trainings of its parts, each of another
    draw of samples and weights as far as the table has as many, so that equal parts are not equal
    in their luck, too.

    Attributes:
        difficulties: Of every part, those of :data:`LEVELS`: the effective number of ways in which
            the part is deformed (:mod:`groupnas.partbench.drawing`).
        weights: How often every part's points are asked for.
    """

    difficulties: tuple[float, ...]
    weights: tuple[int, ...]

    def __repr__(self) -> str:
        parts = ", ".join(f"{d:g}" for d in self.difficulties)
        return f"PartBench({parts}; weights {self.weights}; {self.epochs} epochs)"

    @property
    def seeds(self) -> int:
        """The number of ways to combine the parts' trainings to one of the whole network.

        A seed draws one of them, so that two seeds may have the same.
        """
        draws = self._trainings
        return perm(draws, min(draws, len(self.difficulties)))

    def space(self) -> SearchSpace:
        """Return the space to search, ``search_spaces/partbench.yaml`` with as many parts."""
        return self._space

    def task(self, seed: int = 0) -> Task:
        """Return the samples of a training that may be learned from; needs torch.

        Args:
            seed: Of the training.
        """
        import torch

        from groupnas.partbench.training import TRAIN, VALIDATION
        from groupnas.task import TaskSubset

        return TaskSubset(self.all_samples(seed), torch.arange(TRAIN + VALIDATION))

    def all_samples(self, seed: int = 0) -> DrawnParts:
        """Return the samples of a training, the test's at their end; needs torch."""
        from groupnas.partbench.training import all_samples

        return all_samples(self.drawn_parts(seed))

    def drawn_parts(self, seed: int = 0) -> dict[str, DrawnPart]:
        """Return what the parts of a training are, by group; needs torch."""
        from groupnas.partbench.task import DrawnPart

        draws = self._draws(seed % self.seeds)
        rows = zip(self.difficulties, draws, self.weights, strict=True)
        return {group: DrawnPart(*row) for group, row in zip(self._space.groups, rows, strict=True)}

    @property
    def _trainings(self) -> int:
        return int(self.table.about["seeds"])

    @cached_property
    def _space(self) -> SearchSpace:
        outputs = {f"part{i}": 2 * POINTS * weight for i, weight in enumerate(self.weights, 1)}
        return space_of(outputs)

    def _rows(self) -> Sequence[int]:
        return [LEVELS.index(difficulty) for difficulty in self.difficulties]

    def _draws(self, seed: int) -> Sequence[int]:
        order = np.random.default_rng(seed).permutation(self._trainings)
        return np.resize(order, len(self.difficulties)).tolist()


def load_partbench(
    ratio: float = 8.0,
    parts: int = 4,
    weights: Sequence[int] | None = None,
    *,
    difficulties: Sequence[float] | None = None,
) -> PartBench:
    """Return PartBench with the table that groupnas ships.

    Args:
        ratio: Of the hardest part's difficulty to the easiest's, 1 to 16. Parts lie evenly between
            them on a logarithmic scale, easiest first, around 4; each is the nearest of
            :data:`LEVELS`.
        parts: How many, 1 to 64.
        weights: How often each part's points are asked for, 1 to 16; once by default. The error of
            the more weighs more, as everywhere, and their output layer costs more.
        difficulties: Of the parts, in place of ratio and number; each becomes the nearest of
            :data:`LEVELS`.

    Raises:
        InputError: a ratio, a number, difficulties or weights that are none.
    """
    if difficulties is None:
        wanted = _spread(ratio, parts)
    else:
        wanted = [checked_difficulty(each) for each in listed("difficulties", difficulties)]
    if not 1 <= len(wanted) <= MOST_PARTS:
        raise InputError(f"difficulties: expected 1 to {MOST_PARTS}, got {len(wanted)}")
    given: tuple[Any, ...] = (1,) * len(wanted) if weights is None else listed("weights", weights)
    if len(given) != len(wanted):
        raise InputError(f"weights: expected {len(wanted)}, one for each part; got {len(given)}")
    return PartBench(
        table=_table(),
        difficulties=tuple(min(LEVELS, key=lambda level: abs(log(level / d))) for d in wanted),
        weights=tuple(whole("weights", weight, 1, MOST_WEIGHT) for weight in given),
    )


def _spread(ratio: float, parts: int) -> list[float]:
    """Return difficulties around the middle of the table, in equal steps of their logarithm."""
    ratio = number("ratio", ratio, most=HARDEST / EASIEST)
    if ratio < 1:
        raise InputError(f"ratio: expected a number from 1 to 16, got {ratio:g}")
    parts = whole("parts", parts, 1, MOST_PARTS)
    middle = (EASIEST * HARDEST) ** 0.5
    steps = np.linspace(-0.5, 0.5, parts) if parts > 1 else np.zeros(1)
    # Rounding must not carry the ends out of the table.
    return [float(np.clip(middle * ratio**step, EASIEST, HARDEST)) for step in steps]


@cache
def _table() -> Table:
    return Table.load(Path(__file__).parent / "table.npz")
