"""Draws have the moments of their density."""

from __future__ import annotations

import numpy as np
import pytest

from groupnas.arrays import Floats
from groupnas.ceilings.sampler import walk


def test_moments_of_a_narrow_normal_density() -> None:
    centre, covariance = np.array([3.0, -1.0]), np.array([[4.0, 1.9], [1.9, 1.0]])
    inverse = np.linalg.inv(covariance)

    def log_density(places: Floats) -> Floats:
        off = places - centre
        return -0.5 * np.einsum("wi,ij,wj->w", off, inverse, off)

    rng = np.random.default_rng(0)
    path = walk(log_density, rng.normal(size=(20, 2)), 2500, rng)[500:].reshape(-1, 2)
    assert path.mean(axis=0) == pytest.approx(centre, abs=0.1)
    assert np.cov(path.T) == pytest.approx(covariance, rel=0.1)
    assert np.mean(((path - centre) @ inverse * (path - centre)).sum(axis=1) < 1.386) == (
        pytest.approx(0.5, abs=0.02)
    )


def test_what_cannot_be_is_not_visited() -> None:
    rng = np.random.default_rng(1)
    start = rng.exponential(size=(12, 1))
    path = walk(lambda x: np.where(x[:, 0] > 0, -x[:, 0], -np.inf), start, 2000, rng)
    assert path.min() > 0 and path[200:].mean() == pytest.approx(1, abs=0.1)
