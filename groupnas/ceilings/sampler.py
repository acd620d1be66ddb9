"""Draws from a density that is known up to a factor, without its gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from groupnas.arrays import Floats

_STRETCH = 2.0


def walk(
    log_density: Callable[[Floats], Floats], start: Floats, steps: int, rng: np.random.Generator
) -> Floats:
    """Return where walkers are after every step: the affine-invariant ensemble sampler.

    Each half of the walkers moves along the lines to random walkers of the other half (Goodman and
    Weare, "Ensemble samplers with affine invariance", 2010), so that scales and correlations of the
    coordinates do not matter and nothing is tuned.

    Args:
        log_density: Maps ``(walkers, d)`` to ``(walkers,)``; ``-inf`` where nothing can be.
        start: ``(walkers, d)``, an even number of walkers, more than ``2 d``, all different.
        steps: So many moves of every walker.
        rng: Of all that is random.

    Returns:
        ``(steps, walkers, d)``.
    """
    places = np.array(start, dtype=float)
    values = log_density(places)
    walkers, dimensions = places.shape
    halves = np.split(np.arange(walkers), 2)
    seen = np.empty((steps, walkers, dimensions))
    for step in range(steps):
        for mine, others in (halves, halves[::-1]):
            partners = places[rng.choice(others, size=len(mine))]
            # Its density goes with 1 / sqrt(z) between 1 / a and a.
            stretch = (1 + (_STRETCH - 1) * rng.random(len(mine))) ** 2 / _STRETCH
            moved = partners + stretch[:, None] * (places[mine] - partners)
            there = log_density(moved)
            gain = (dimensions - 1) * np.log(stretch) + there - values[mine]
            taken = np.log(rng.random(len(mine))) < gain
            places[mine[taken]], values[mine[taken]] = moved[taken], there[taken]
        seen[step] = places
    return seen
