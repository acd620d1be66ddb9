"""Draws from a density that is known up to a factor, without its gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from groupnas.arrays import Floats

_STRETCH = 2.0
_FAR = 4.0
_CHOSEN = 4  # places drawn for each that a walker begins at: one in a desert would stay there
_STEP = 1e-4  # of finite differences

LogDensity = Callable[[Floats], Floats]
"""Maps ``(walkers, d)`` to ``(walkers,)``; ``-inf`` where nothing can be."""


def around_best(
    log_density: LogDensity, dimensions: int, walkers: int, rng: np.random.Generator
) -> Floats:
    """Return ``(walkers, d)`` places about as far around the densest as the density is wide.

    Found by quasi-Newton steps from the origin, whose estimate of the curvature gives the widths:
    walkers that begin far off may never arrive.
    """
    steps = np.vstack(
        [np.zeros(dimensions), _STEP * np.eye(dimensions), -_STEP * np.eye(dimensions)]
    )

    def down(place: Floats) -> tuple[float, Floats]:
        values = -log_density(place + steps)
        ahead, behind = np.split(values[1:], 2)
        return float(values[0]), (ahead - behind) / (2 * _STEP)

    with np.errstate(all="ignore"):  # it looks at places where nothing can be
        found = minimize(down, np.zeros(dimensions), jac=True, method="BFGS")
    # Coordinates are standardised: what is further off is a search that went astray.
    best, spread = np.clip(found.x, -_FAR, _FAR), found.hess_inv
    if not (np.isfinite(best).all() and np.isfinite(spread).all()):
        best, spread = np.zeros(dimensions), np.eye(dimensions)
    values, axes = np.linalg.eigh(spread)
    widths = np.sqrt(np.clip(values, 1e-6, 1.0))
    drawn = best + (rng.standard_normal((_CHOSEN * walkers, dimensions)) * widths) @ axes.T
    return np.asarray(drawn[np.argsort(log_density(drawn))[-walkers:]])


def walk(log_density: LogDensity, start: Floats, steps: int, rng: np.random.Generator) -> Floats:
    """Return where walkers are after every step: the affine-invariant ensemble sampler.

    Each half of the walkers moves along the lines to random walkers of the other half (Goodman and
    Weare, "Ensemble samplers with affine invariance", 2010), so that scales and correlations of the
    coordinates do not matter and nothing is tuned.

    Args:
        log_density: Of all walkers at once.
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
