"""How many seeds it takes to show a difference."""

from __future__ import annotations

import math

from scipy.special import nctdtr, stdtrit

LEVEL, POWER = 0.05, 0.8
MOST = 100_000


def seeds_needed(
    difference: float, deviation: float, *, level: float = LEVEL, power: float = POWER
) -> int | None:
    """Return the fewest pairs with which a paired t-test shows a difference, mostly.

    Exact, by the noncentral t distribution (Cohen, "Statistical power analysis", 1988, chapter 2).

    Args:
        difference: The true mean difference.
        deviation: Standard deviation of a single pair's difference, in the same unit; > 0.
        level: Of the two-sided test.
        power: The chance that the test is to succeed with.

    Returns:
        The number of pairs, at least 2; ``None`` where 100,000 are not enough.
    """
    effect = abs(difference) / deviation
    if achieved(effect, MOST, level) < power:
        return None
    low, high = 1, 2
    while achieved(effect, high, level) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if achieved(effect, middle, level) >= power else (middle, high)
    return high


def achieved(effect: float, pairs: int, level: float = LEVEL) -> float:
    """Return the chance that so many pairs show an effect, a difference in its own deviations."""
    free = pairs - 1
    critical = float(stdtrit(free, 1 - level / 2))
    centre = effect * math.sqrt(pairs)
    # Where the tail is below what doubles hold, the function gives nan.
    missed = float(nctdtr(free, centre, critical)) if centre < critical + 30 else 0.0
    wrong_side = float(nctdtr(free, centre, -critical)) if centre < 5 else 0.0
    return 1 - missed + wrong_side
