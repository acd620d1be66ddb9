"""The temperature of a relaxation, which falls while the masks are learned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from groupnas.errors import InputError

Schedule = Literal["constant", "linear", "exponential", "cosine"]


@dataclass(frozen=True)
class Temperature:
    """A temperature between ``start`` and ``end`` (both > 0) as a function of progress.

    Raises:
        InputError: a temperature that is not positive, or an unknown schedule.
    """

    start: float = 1.0
    end: float = 1.0
    schedule: Schedule = "exponential"

    def __post_init__(self) -> None:
        for key in ("start", "end"):
            if not 0 < getattr(self, key) < math.inf:
                raise InputError(f"temperature.{key}: must be positive, got {getattr(self, key)}")
        if self.schedule not in get_args(Schedule):
            raise InputError(
                f"temperature.schedule: expected one of {', '.join(get_args(Schedule))}, "
                f"got {self.schedule!r}"
            )

    def __call__(self, progress: float) -> float:
        """The temperature at ``progress`` in [0, 1] of the search (clamped)."""
        p = min(max(progress, 0.0), 1.0)
        if self.schedule == "constant":
            return self.start
        if self.schedule == "exponential":
            return self.start * (self.end / self.start) ** p
        if self.schedule == "cosine":
            p = (1 - math.cos(math.pi * p)) / 2
        return self.start + (self.end - self.start) * p
