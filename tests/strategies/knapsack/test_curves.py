"""The fitted error of a part."""

from __future__ import annotations

import json

import numpy as np
import pytest

from groupnas.strategies.knapsack.curves import Curve, ErrorModel


def draws(count: int, knobs: int = 2) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, knobs))


def truth(z: np.ndarray) -> np.ndarray:
    return np.exp(
        1.5 - 0.4 * z[:, 0] + 0.1 * z[:, 0] ** 2 + 0.2 * z[:, 1] - 0.3 * z[:, 0] * z[:, 1]
    )


def test_a_quadratic_is_found_exactly() -> None:
    model = ErrorModel.fit(draws(20), truth(draws(20)))
    elsewhere = np.random.default_rng(1).uniform(-1, 1, (50, 2))
    assert model.predict(elsewhere) == pytest.approx(truth(elsewhere), rel=1e-3)
    assert model.held_out < 1e-3 < model.spread


def test_noise_is_not_believed() -> None:
    profiles = draws(24, knobs=3)
    noise = np.random.default_rng(2).normal(0, 0.1, 24)
    model = ErrorModel.fit(profiles, np.exp(noise))
    fitted = np.log(model.predict(profiles))
    assert np.sqrt(np.mean(fitted**2)) < 0.6 * np.sqrt(np.mean(noise**2))
    assert fitted.min() > noise.min() + 0.05  # the least measured is far too small
    assert model.held_out < 1.2 * model.spread


def test_what_is_far_off_hardly_counts() -> None:
    errors = truth(draws(30)) * np.exp(np.random.default_rng(4).normal(0, 0.01, 30))
    errors[[3, 17]] *= 5
    elsewhere = np.random.default_rng(1).uniform(-1, 1, (50, 2))
    predicted = ErrorModel.fit(draws(30), errors).predict(elsewhere)
    assert predicted == pytest.approx(truth(elsewhere), rel=0.08)


def test_held_out_is_what_leaving_out_gives() -> None:
    profiles = draws(12)
    errors = truth(profiles) * np.exp(np.random.default_rng(3).normal(0, 0.1, 12))
    model, _ = ErrorModel._weighted(profiles, np.log(errors), np.ones(12))

    def left_out(index: int) -> float:
        kept = np.arange(12) != index
        x, y = quadratic(profiles[kept]), np.log(errors[kept])
        centred = x - x.mean(axis=0)
        ridge = centred.T @ centred + model.penalty * np.eye(x.shape[1])
        b = np.linalg.solve(ridge, centred.T @ (y - y.mean()))
        predicted = y.mean() + (quadratic(profiles[[index]]) - x.mean(axis=0)) @ b
        return float(np.log(errors[index]) - predicted[0])

    expected = np.sqrt(np.mean([left_out(index) ** 2 for index in range(12)]))
    assert model.held_out == pytest.approx(expected, rel=1e-6)


def quadratic(z: np.ndarray) -> np.ndarray:
    return np.stack([z[:, 0], z[:, 1], z[:, 0] ** 2, z[:, 0] * z[:, 1], z[:, 1] ** 2], axis=1)


def test_spread_is_that_of_leaving_out_under_the_mean() -> None:
    errors = np.array([1.0, np.e, np.e**2])
    # Off by 1.5 and 0 and 1.5: the mean of the other two.
    model, _ = ErrorModel._weighted(draws(3), np.log(errors), np.ones(3))
    assert model.spread == pytest.approx(np.sqrt(1.5))


def test_an_error_of_zero_is_survived() -> None:
    model = ErrorModel.fit(draws(6), np.array([0.0, 1, 1, 1, 1, 1]))
    assert np.isfinite(model.predict(draws(6))).all()


def test_a_curve_is_plain_data() -> None:
    curve = Curve()
    for profile, error in zip(draws(5), truth(draws(5)), strict=True):
        curve.add(profile, float(error))
    again = Curve(**json.loads(json.dumps(curve.to_dict())))
    assert again == curve
    assert again.model().predict(draws(9)).tolist() == curve.model().predict(draws(9)).tolist()
