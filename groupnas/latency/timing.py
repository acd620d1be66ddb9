"""Times of calls, measured so that they can be compared.

All candidates take turns in every round, so that all see the same load of the machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a call, over all rounds.

    Attributes:
        median: Of the rounds.
        low: A tenth of the rounds took less.
        high: A tenth of the rounds took more.
        least: The quickest round: what other work on the machine disturbs least.
        rounds: How many there were.
    """

    median: float
    low: float
    high: float
    least: float
    rounds: int


def time_side_by_side(
    work: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 30,
    warm_up: int = 3,
    least_ms: float = 2.0,
    rest_ms: float = 0.0,
) -> dict[str, Timing]:
    """Time some calls in turns.

    Args:
        work: What to call.
        rounds: Rounds that count, at least 1.
        warm_up: Calls of each before.
        least_ms: A round repeats a call for at least about so long, and takes the mean.
        rest_ms: Sleep before every turn, followed by a call that does not count. Threads of a
            model that has run keep a core busy for some 20 ms, in wait for more: what comes next
            would share it.
    """
    repeats = {name: _repeats(call, warm_up, least_ms, rest_ms) for name, call in work.items()}
    seen: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, call in work.items():
            if rest_ms:
                time.sleep(rest_ms / 1e3)
                call()
            seen[name].append(_mean(call, repeats[name]))
    return {name: _timing(values) for name, values in seen.items()}


def _repeats(call: Callable[[], Any], warm_up: int, least_ms: float, rest_ms: float) -> int:
    time.sleep(rest_ms / 1e3)
    for _ in range(warm_up):
        call()
    return max(1, round(least_ms / max(min(_mean(call, 1) for _ in range(3)), 1e-4)))


def _mean(call: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return 1e3 * (time.perf_counter() - start) / repeats


def _timing(values: list[float]) -> Timing:
    ordered = sorted(values)
    tenth = len(ordered) // 10
    return Timing(
        statistics.median(ordered), ordered[tenth], ordered[-1 - tenth], ordered[0], len(ordered)
    )
