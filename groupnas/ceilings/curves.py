"""The groups' error curves, as draws from what measurements leave open.

With r the cost of group p in units of what it costs among even groups, and z how it spreads over
depth (0: in even proportions),

    E_p(r, z) = level_p (floor_p + (1 - floor_p) s^-b_p) exp(bend_p . phi(z)),
    s = (r + lag_p) / (1 + lag_p),

phi the monomials of z up to degree 2; away from even costs a term of z log r is added, which all
groups share. Errors fall as a power of the cost, but for what no cost takes away (the floor), and
slowly as long as a network is too small for its task (the lag; as in the "broken" laws of
Caballero et al., ICLR 2023). PartBench's hardest parts lag, its easiest have a floor. The
*exponent* is (1 - floor_p) b_p / (1 + lag_p), what a per cent of cost changes at r = 1: that is
what measurements tell most about. Logarithms of exponents and lags, and logits of floors, are
normal around means that all groups share, with deviations that are learned, too: where the data
show no differences between groups, there are few (partial pooling). Logarithms of measured errors
differ from the curve by what a training's measurements share and by what is each one's own, whose
size is the group's. All that is linear (levels, bends, the trainings' luck) is integrated exactly
(Lindley and Smith, "Bayes estimates for the linear model", 1972), all else by Monte Carlo.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from typing import Literal

import numpy as np
from scipy.special import expit

from groupnas.arrays import Floats, Integers
from groupnas.ceilings.measurements import Measurements
from groupnas.ceilings.sampler import around_best, walk

Pooling = Literal["partial", "full", "none"]

# Priors. 90 % of exponents between 0.02 and 0.4, as error curves of networks have them (Hestness et
# al., "Deep learning scaling is predictable, empirically", 2017: 0.07 to 0.35), and flatter.
_EXPONENT = (np.log(0.09), 0.9)  # of the shared logarithm: mean and deviation
_FLOOR = (0.0, 1.5)  # of the shared logit
_LAG = (np.log(0.3), 1.5)  # of the shared logarithm
_NOISE = (np.log(0.02), 1.0)  # of the logarithm of the relative noise
_APART = (1.5, 2.0, 2.0, 0.5)  # typical differences between groups of these four
_BEND = (np.log(0.01), 1.5)  # of the logarithm of the relative change of error at a knob's end
_OWN = 0.3  # typical share of it that is a group's own: depth helps all in much the same way
_SURE = 1e-12  # a variance of no account, in place of 0
# Beyond e^-12, and 5, powers of the cost are not told apart; nor are lags beyond e^3
_FLAT, _STEEP, _LAST = 12.0, 5.0, 3.0


@dataclass(frozen=True, eq=False)
class ErrorCurves:
    """D draws of the curves of P groups.

    Attributes:
        level: ``(D, P)``, error at even cost and proportions.
        floor: ``(D, P)``, the share of it that no cost takes away, in (0, 1).
        power: ``(D, P)``, b.
        lag: ``(D, P)``, in units of the even cost.
        shape: ``(D, P)``, least factor of any depth profile, at most 1.
        noise: ``(D, P)``, relative deviation of a group's error from its curve, alone.
        shared: ``(D,)``, the same that all groups of a training share.
    """

    level: Floats
    floor: Floats
    power: Floats
    lag: Floats
    shape: Floats
    noise: Floats
    shared: Floats

    @property
    def exponent(self) -> Floats:
        """``(D, P)``, what a per cent of cost changes at even cost."""
        return (1 - self.floor) * self.power / (1 + self.lag)

    def errors(self, ratios: Floats) -> Floats:
        """Return the errors in even proportions at ``(D, P)`` costs relative to even groups'."""
        falls = ((ratios + self.lag) / (1 + self.lag)) ** -self.power
        return self.level * (self.floor + (1 - self.floor) * falls)


def fit_curves(
    measured: Measurements,
    *,
    seed: int = 0,
    pooling: Pooling = "partial",
    draws: int = 1000,
    steps: int = 2500,
) -> ErrorCurves:
    """Return draws of the curves that agree with the measurements.

    Args:
        measured: The measurements.
        seed: Of the draws.
        pooling: ``partial``: groups are as alike as the data say; ``full``: exponents and floors
            are the same for all; ``none``: no group learns from another.
        draws: D.
        steps: Of the sampler; the first third is thrown away.
    """
    rng = np.random.default_rng(seed)
    model = _Model.of(measured, pooling)
    walkers = 2 * (model.dimensions + 4)
    start = around_best(model.log_density, model.dimensions, walkers, rng)
    path = walk(model.log_density, start, steps, rng)
    kept = path[steps // 3 :].reshape(-1, model.dimensions)
    return model.curves(kept[rng.choice(len(kept), size=draws, replace=len(kept) < draws)], rng)


@dataclass(frozen=True, eq=False)
class _Model:
    """The density of all that is not linear.

    Attributes:
        logs: ``(n,)``, of measured errors.
        ratios: ``(n,)``, costs relative to even ones.
        owner: ``(n,)``.
        groups: P.
        matrix: ``(n, K)``, columns of levels, trainings, shared bends, z log r, own bends.
        counts: How many columns each of these has.
        pooling: See :func:`fit_curves`.
        profiles: ``(G, terms)``, monomials of a grid of the knobs that were measured.
    """

    logs: Floats
    ratios: Floats
    owner: Integers
    groups: int
    matrix: Floats
    counts: tuple[int, ...]
    pooling: Pooling
    profiles: Floats

    @classmethod
    def of(cls, measured: Measurements, pooling: Pooling) -> _Model:
        own = np.eye(len(measured.groups))[measured.owner]
        names = list(dict.fromkeys(measured.training))
        luck = np.array([[row == name for name in names] for row in measured.training], float)
        if not 1 < len(names) < len(measured):  # one luck for all, or none that is shared
            luck = luck[:, :0]
        knobs = np.array(list(measured.shapes.values())).reshape(-1, len(measured)).T
        terms, profiles = _terms(knobs)
        bends = (own[:, :, None] * terms[:, None, :]).reshape(len(own), -1)
        crossed = knobs * np.log(measured.ratios)[:, None]
        return cls(
            logs=np.log(measured.error),
            ratios=measured.ratios,
            owner=measured.owner,
            groups=own.shape[1],
            matrix=np.hstack([own, luck, terms, crossed, bends]),
            counts=tuple(part.shape[1] for part in (own, luck, terms, crossed, bends)),
            pooling=pooling,
            profiles=profiles,
        )

    @property
    def dimensions(self) -> int:
        """Three means, four deviations, four noises, four numbers of every group."""
        return 11 + 4 * self.groups

    def log_density(self, places: Floats) -> Floats:
        """Return the log posterior, up to a constant, of ``(W, d)`` standardised coordinates."""
        *curve, noise, prior = self._parameters(places)
        left = self.logs - self._shape(*curve)
        weights, inverse, quadratic = self._linear(left, noise, prior)
        with np.errstate(invalid="ignore"):
            value = -0.5 * (places**2).sum(axis=1) - np.log(noise[:, self.owner]).sum(axis=1)
            value -= 0.5 * (np.linalg.slogdet(inverse)[1] + np.log(prior).sum(axis=1))
            value -= quadratic / 2
        return np.where(np.isfinite(value), value, -np.inf)

    def curves(self, places: Floats, rng: np.random.Generator) -> ErrorCurves:
        """Return the curves of ``(D, d)`` coordinates, with draws of all that is linear."""
        floor, power, lag, noise, prior = self._parameters(places)
        weights, inverse, _ = self._linear(self.logs - self._shape(floor, power, lag), noise, prior)
        root = np.linalg.cholesky(np.linalg.inv(inverse))
        random = rng.standard_normal(weights.shape)
        weights = weights + np.einsum("dij,dj->di", root, random)
        levels, _, shared, _, own = np.split(weights, np.cumsum(self.counts)[:-1], axis=1)
        bends = shared[:, None, :] + own.reshape(len(own), self.groups, shared.shape[1])
        shapes = (bends @ self.profiles.T).min(axis=2)
        luck = np.sqrt(prior[:, self.counts[0]]) if self.counts[1] else np.zeros(len(places))
        return ErrorCurves(np.exp(levels), floor, power, lag, np.exp(shapes), noise, luck)

    def _parameters(self, places: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Return floors, powers, lags, noises ``(W, P)``, linear prior variances ``(W, K)``."""
        means, apart, noises, of_groups = np.split(places, [3, 7, 11], axis=1)
        pooled = {"partial": np.abs(apart) * _APART, "full": 0 * apart}
        spread = pooled.get(self.pooling, 0 * apart + _APART)
        centres, scales = np.array([_EXPONENT, _FLOOR, _LAG, _NOISE]).T
        offsets = spread[:, :, None] * of_groups.reshape(len(places), 4, self.groups)
        shared = np.column_stack([means, noises[:, 0]])
        drawn = (centres + scales * shared)[:, :, None] + offsets
        floor = np.clip(expit(drawn[:, 1]), 0.0, 0.999)
        lag = np.exp(np.clip(drawn[:, 2], -_FLAT, _LAST))
        exponent = np.exp(np.clip(drawn[:, 0], -_FLAT, 0.0))
        power = np.minimum(exponent * (1 + lag) / (1 - floor), _STEEP)
        luck = np.exp(_NOISE[0] + _NOISE[1] * noises[:, 1])
        bends = np.exp(_BEND[0] + _BEND[1] * noises[:, 2:]) * [1.0, _OWN]
        sizes = np.column_stack([np.full_like(luck, 1e2), luck, bends[:, :1], bends])
        prior = np.repeat(sizes, self.counts, axis=1) ** 2 + _SURE
        return floor, power, lag, np.exp(np.clip(drawn[:, 3], -_FLAT, _LAST)), prior

    def _shape(self, floor: Floats, power: Floats, lag: Floats) -> Floats:
        """Return ``(W, n)``, the logarithm of the curve that has level 1 and even proportions."""
        floor, power, lag = (each[:, self.owner] for each in (floor, power, lag))
        exponent = -power * np.log((self.ratios + lag) / (1 + lag))
        return np.log(floor + (1 - floor) * np.exp(np.clip(exponent, -50, 50)))

    def _linear(self, left: Floats, noise: Floats, prior: Floats) -> tuple[Floats, Floats, Floats]:
        """Solve for the linear coefficients of what the curves leave, ``(W, n)``.

        Returns:
            Their means ``(W, K)``, inverse covariances ``(W, K, K)`` and least weighed squares
            ``(W,)``.
        """
        precision = noise[:, self.owner] ** -2.0
        weighed = self.matrix.T * precision[:, None, :]
        inverse: Floats = weighed @ self.matrix + np.eye(prior.shape[1]) / prior[:, None, :]
        along = np.einsum("wkn,wn->wk", weighed, left)
        weights = np.asarray(np.linalg.solve(inverse, along[:, :, None])[:, :, 0], np.float64)
        quadratic = (precision * left**2).sum(axis=1) - (weights * along).sum(axis=1)
        return weights, inverse, np.asarray(quadratic, dtype=np.float64)


def _terms(knobs: Floats) -> tuple[Floats, Floats]:
    """Return monomials ``(n, terms)`` of ``(n, k)`` knobs, and those of a grid of the knobs.

    A knob that was measured at two values is linear, and takes only these.
    """
    values = [np.unique(np.clip(column, -1, 1)) for column in knobs.T]
    curved = [len(found) > 2 for found in values]
    axes = [
        np.linspace(found[0], found[-1], 21) if more else np.append(found, 0.0)
        for found, more in zip(values, curved, strict=True)
    ]
    grid = np.array(list(product(*axes, *([] if axes else [[0.0]])))).reshape(-1, len(values) or 1)
    pairs = [
        pair
        for pair in combinations_with_replacement(range(-1, len(values)), 2)
        if pair[1] >= 0 and (pair[0] != pair[1] or curved[pair[1]])
    ]

    def monomials(rows: Floats) -> Floats:
        columns = [rows[:, j] * (rows[:, i] if i >= 0 else 1.0) for i, j in pairs]
        return np.array(columns).reshape(len(pairs), len(rows)).T

    return monomials(knobs), np.vstack([monomials(grid), np.zeros(len(pairs))])
