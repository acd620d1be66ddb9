"""Regularised evolution (Real et al. 2019, "Regularized Evolution for Image Classifier
Architecture Search", Algorithm 1), over points instead of cells."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from groupnas.strategies.trials.encoding import Encoding, Point
from groupnas.strategies.trials.proposal import Proposal
from groupnas.strategies.trials.settings import Evolution


class AgingEvolution:
    """Proposer of a mutation of the best of a few among the latest trials.

    The oldest leave the population, however good they are: a lucky training does not rule it for
    ever. The best trial of all stays in the history.

    Args:
        encoding: Of the points.
        settings: All settings.
        seed: Of everything drawn.
    """

    def __init__(self, encoding: Encoding, settings: Evolution, seed: int) -> None:
        self._encoding, self._settings, self._seed = encoding, settings, seed

    def __call__(self, history: Sequence[dict[str, Any]]) -> Proposal:
        """Return even groups, then random points until there is a population, then children."""
        return Proposal(self._point(history), self._settings.epochs)

    def _point(self, history: Sequence[dict[str, Any]]) -> dict[str, float]:
        rng = random.Random(f"{self._seed} {len(history)}")
        if not history:
            return self._encoding.even
        if len(history) < self._settings.population:
            return self._encoding.draw(rng)
        alive = history[-self._settings.population :]
        rivals = rng.sample(alive, self._settings.tournament)
        parent = min(rivals, key=lambda record: (record["errors"]["mean"], record["trial"]))
        return self._mutated(parent["point"], rng)

    def _mutated(self, point: Point, rng: random.Random) -> dict[str, float]:
        bounds = self._encoding.bounds
        child = dict(point)
        for name in rng.sample(list(bounds), min(rng.choice((1, 2)), len(bounds))):
            low, high = bounds[name]
            child[name] += rng.gauss(0, self._settings.mutation * (high - low) / 2)
        return self._encoding.clipped(child)
