"""What a part's error is at every size: measured at some profiles, smoothed, read off everywhere.

The least of many noisy errors is too small (the winner's curse), and only some profiles can be
measured. So log error is fitted by a polynomial of the knobs of degree 2, with a ridge penalty that
is chosen by leave-one-out: its error has a closed form, and says how well profiles that were not
measured are predicted. A few sizes may be far off the others, as their shared weights happen to be
of little use: beyond two usual deviations, a measurement counts in inverse proportion (Huber).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_PENALTIES = np.logspace(-6, 1, 15)
_FAR = 2.0  # usual deviations, beyond which a measurement counts less
_REWEIGHTED = 4


@dataclass(frozen=True)
class ErrorModel:
    """log error as a polynomial of the knobs.

    Attributes:
        centre: Mean log error of what was measured.
        terms: Means of :func:`_terms` there.
        coefficients: Of the terms' differences from these.
        penalty: The ridge that was chosen.
        held_out: Root mean square of log(measured / predicted) of profiles left out one by one,
            weighed by trust: about the relative error of a prediction.
        spread: The same of the mean, for comparison: what a model that says nothing has.
    """

    centre: float
    terms: Floats
    coefficients: Floats
    penalty: float
    held_out: float
    spread: float

    @classmethod
    def fit(cls, profiles: Floats, errors: Floats) -> ErrorModel:
        """The model of ``(n, knobs)`` profiles with ``(n,)`` errors, n >= 2."""
        logs = np.log(np.maximum(errors, np.finfo(float).tiny))
        trust = np.ones(len(logs))
        for _ in range(_REWEIGHTED):
            model, off = cls._weighted(profiles, logs, trust)
            usual = 1.4826 * np.median(np.abs(off)) + 1e-6  # the deviation, if they were Gaussian
            trust = _FAR * usual / np.maximum(np.abs(off), _FAR * usual)
        return model

    @classmethod
    def _weighted(cls, profiles: Floats, logs: Floats, trust: Floats) -> tuple[ErrorModel, Floats]:
        """The ridge of least squared errors weighed by trust, and errors of what was left out."""
        share = trust / trust.sum()
        terms = _terms(profiles)
        centre, means = float(share @ logs), share @ terms
        root = np.sqrt(trust)
        y = root * (logs - centre)
        u, s, vt = np.linalg.svd(root[:, None] * (terms - means), full_matrices=False)
        best: tuple[float, float, Floats, Floats] | None = None
        for penalty in _PENALTIES * len(logs):
            hat = u * (s**2 / (s**2 + penalty)) @ u.T
            kept = 1 - np.clip(np.diag(hat) + share, 0, 1 - 1e-9)  # share: the centre's
            off = (y - hat @ y) / kept
            size = _root_mean_square(off)
            if best is None or size < best[0]:
                coefficients = vt.T @ (s / (s**2 + penalty) * (u.T @ y))
                best = size, float(penalty), coefficients, off / root
        assert best is not None
        size, penalty, coefficients, off = best
        spread = _root_mean_square(y / (1 - share))
        return cls(centre, means, coefficients, penalty, size, spread), off

    def predict(self, profiles: Floats) -> Floats:
        """Errors ``(n,)`` of profiles ``(n, knobs)``."""
        return np.exp(self.centre + (_terms(profiles) - self.terms) @ self.coefficients)


@dataclass
class Curve:
    """The profiles of a part that were measured, and their errors on the validation side."""

    profiles: list[list[float]] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)

    def add(self, profile: Floats, error: float) -> None:
        """One more measurement."""
        self.profiles.append(profile.tolist())
        self.errors.append(error)

    def model(self) -> ErrorModel:
        """What is fitted to all of them."""
        return ErrorModel.fit(np.array(self.profiles), np.array(self.errors))

    def to_dict(self) -> dict[str, Any]:
        """Plain values; the inverse is ``Curve(**value)``."""
        return {"profiles": self.profiles, "errors": self.errors}


def _terms(profiles: Floats) -> Floats:
    """All monomials of degree 1 and 2 of ``(n, k)`` knobs."""
    padded = np.column_stack([np.ones(len(profiles)), profiles])
    pairs = list(combinations_with_replacement(range(padded.shape[1]), 2))[1:]
    return np.stack([padded[:, i] * padded[:, j] for i, j in pairs], axis=1)


def _root_mean_square(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))
