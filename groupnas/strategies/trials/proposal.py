"""The next trial of a black-box search, and the kind of function that proposes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Proposal:
    """The next trial: a point of the encoding, and for how many epochs to train it."""

    point: dict[str, float]
    epochs: int


# From the records of all trials so far; random only through their number, so that a resumed search
# needs nothing but its history.
Propose = Callable[[Sequence[dict[str, Any]]], Proposal]
