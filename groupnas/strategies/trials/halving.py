"""Random search with successive halving (Jamieson and Talwalkar 2016, "Non-stochastic Best Arm
Identification and Hyperparameter Optimization"); what goes on is trained again from scratch."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from groupnas.strategies.trials.encoding import Encoding
from groupnas.strategies.trials.proposal import Proposal
from groupnas.strategies.trials.settings import Halving


class SuccessiveHalving:
    """Proposer of random points, then of the better of each rung for longer.

    Even groups are the first of every rung: the others have to beat their error after as many
    epochs.

    Args:
        encoding: Of the points.
        settings: All settings.
        seed: Of everything drawn.
    """

    def __init__(self, encoding: Encoding, settings: Halving, seed: int) -> None:
        self._encoding, self._settings, self._seed = encoding, settings, seed

    def __call__(self, history: Sequence[dict[str, Any]]) -> Proposal:
        """Return the next trial of the first rung that is not full yet."""
        begin, points = 0, self._first()
        for trials, epochs in self._settings.plan:
            records = history[begin : begin + trials]
            if len(records) < trials:
                return Proposal(points[len(records)], epochs)
            begin += trials
            even, *others = records
            others.sort(key=lambda record: (record["errors"]["mean"], record["trial"]))
            points = [record["point"] for record in [even, *others]]
        raise StopIteration  # never asked for more than is planned

    def _first(self) -> list[dict[str, float]]:
        draws = (random.Random(f"{self._seed} {i}") for i in range(1, self._settings.trials))
        return [self._encoding.even, *map(self._encoding.draw, draws)]
