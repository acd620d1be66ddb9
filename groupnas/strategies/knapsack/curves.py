"""Error curves of the groups: measured at some profiles, fitted, and read off at every size.

The least of many noisy errors is too small (the winner's curse), and only some profiles can be
measured. So log errors are fitted: for profile z of group g,

    log E_g(z) = c_g + (b + d_g) . phi(z),

with phi the monomials of the knobs up to degree 2. All groups share b, as width tends to help all
in much the same proportion; d_g is how a group departs from that. Two ridge penalties, on b and on
all d_g, are chosen by leave-one-out, whose error has a closed form. A few measurements may be far
off: beyond two usual deviations, one counts in inverse proportion (Huber).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groupnas.arrays import Floats

_PENALTIES = np.logspace(-5, 2, 8)
_FAR = 2.0  # usual deviations, beyond which a measurement counts less
_REWEIGHTED = 4


@dataclass
class MeasuredProfiles:
    """The profiles of a group that were measured, and their errors on the validation side."""

    profiles: list[list[float]] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)

    def add(self, profile: Floats, error: float) -> None:
        """Add a measurement."""
        self.profiles.append(profile.tolist())
        self.errors.append(error)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; the inverse is ``MeasuredProfiles(**value)``."""
        return {"profiles": self.profiles, "errors": self.errors}


@dataclass(frozen=True)
class ErrorModel:
    """The logarithm of a group's error as a polynomial of the knobs.

    Attributes:
        constant: c_g.
        coefficients: b + d_g.
        held_out: Root mean square of log(measured / predicted) of profiles left out one by one,
            weighed by trust: about the relative error of a prediction.
        spread: The same of the mean, for comparison: what a model that says nothing has.
    """

    constant: float
    coefficients: Floats
    held_out: float = 0.0
    spread: float = 0.0

    def predict(self, profiles: Floats) -> Floats:
        """Return the errors ``(n,)`` of profiles ``(n, knobs)``."""
        return np.exp(self.constant + _terms(profiles) @ self.coefficients)


def fit_models(curves: Mapping[str, MeasuredProfiles]) -> dict[str, ErrorModel]:
    """Return the model of every group's errors, of two measurements or more with equal knobs."""
    table = _Table.of(curves)
    trust = np.ones(len(table.logs))
    for _ in range(_REWEIGHTED):
        weights, off = table.fit(trust)
        usual = 1.4826 * np.median(np.abs(off)) + 1e-6  # the deviation, if they were Gaussian
        trust = _FAR * usual / np.maximum(np.abs(off), _FAR * usual)
    return table.models(list(curves), weights, off, trust)


@dataclass(frozen=True)
class _Table:
    """All groups' measurements: n rows, G groups, K monomials.

    Attributes:
        logs: ``(n,)``, of errors.
        owner: ``(n,)``, index of the group.
        matrix: ``(n, G + K + G K)``: the columns of all c_g, of b, of all d_g.
        terms: K.
    """

    logs: Floats
    owner: NDArray[np.int64]
    matrix: Floats
    terms: int

    @classmethod
    def of(cls, curves: Mapping[str, MeasuredProfiles]) -> _Table:
        errors = np.concatenate([curve.errors for curve in curves.values()])
        owner = np.repeat(np.arange(len(curves)), [len(c.errors) for c in curves.values()])
        terms = np.vstack([_terms(np.array(curve.profiles)) for curve in curves.values()])
        own = np.eye(len(curves))[owner]
        apart = (own[:, :, None] * terms[:, None, :]).reshape(len(owner), -1)
        logs = np.log(np.maximum(errors, np.finfo(float).tiny))
        return cls(logs, owner, np.hstack([own, terms, apart]), terms.shape[1])

    def fit(self, trust: Floats) -> tuple[Floats, Floats]:
        """Return coefficients and errors of what was left out, under the best of all penalties."""
        best: tuple[float, Floats, Floats] | None = None
        for shared in _PENALTIES:
            # No group strays further from the others than all from a constant.
            for apart in _PENALTIES[shared <= _PENALTIES]:
                weights, off = self.solve(trust, self.ridge(shared, apart))
                size = _root_mean_square(np.sqrt(trust) * off)
                if best is None or size < best[0]:
                    best = size, weights, off
        assert best is not None
        return best[1], best[2]

    def ridge(self, shared: float, apart: float) -> Floats:
        """Return every column's penalty, for so much a measurement on b and on all d_g."""
        groups = int(self.owner.max()) + 1
        counts = [groups, self.terms, groups * self.terms]
        return len(self.logs) * np.repeat([1e-12, shared, apart], counts)

    def solve(self, trust: Floats, ridge: Floats) -> tuple[Floats, Floats]:
        """Return coefficients, and log(measured / predicted) of every measurement left out."""
        root = np.sqrt(trust)
        x, y = root[:, None] * self.matrix, root * self.logs
        inverse = np.linalg.inv(x.T @ x + np.diag(ridge))
        weights = inverse @ (x.T @ y)
        kept = 1 - np.einsum("ij,jk,ik->i", x, inverse, x)
        return weights, (y - x @ weights) / np.maximum(kept, 1e-9) / root

    def models(
        self, names: list[str], weights: Floats, off: Floats, trust: Floats
    ) -> dict[str, ErrorModel]:
        """Return every group's model, with its errors on what was left out."""
        groups = len(names)
        shared = weights[groups : groups + self.terms]
        apart = weights[groups + self.terms :].reshape(groups, self.terms)
        found = {}
        for index, name in enumerate(names):
            rows = self.owner == index
            root, logs = np.sqrt(trust[rows]), self.logs[rows]
            share = trust[rows] / trust[rows].sum()
            spread = (logs - share @ logs) / np.maximum(1 - share, 1e-9)
            found[name] = ErrorModel(
                constant=float(weights[index]),
                coefficients=shared + apart[index],
                held_out=_root_mean_square(root * off[rows]),
                spread=_root_mean_square(root * spread),
            )
        return found


def _terms(profiles: Floats) -> Floats:
    """Return all monomials of degree 1 and 2 of ``(n, k)`` knobs."""
    padded = np.column_stack([np.ones(len(profiles)), profiles])
    pairs = list(combinations_with_replacement(range(padded.shape[1]), 2))[1:]
    return np.stack([padded[:, i] * padded[:, j] for i, j in pairs], axis=1)


def _root_mean_square(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))
