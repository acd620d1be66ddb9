"""The fitted errors of parts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from groupnas.strategies.knapsack.curves import ErrorModel, MeasuredProfiles, _Table, fit_models

ELSEWHERE = np.random.default_rng(1).uniform(-1, 1, (50, 2))


def draws(count: int, knobs: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, knobs))


def truth(z: np.ndarray) -> np.ndarray:
    return np.exp(
        1.5 - 0.4 * z[:, 0] + 0.1 * z[:, 0] ** 2 + 0.2 * z[:, 1] - 0.3 * z[:, 0] * z[:, 1]
    )


def curve(profiles: np.ndarray, errors: np.ndarray) -> MeasuredProfiles:
    return MeasuredProfiles(profiles.tolist(), errors.tolist())


def model(profiles: np.ndarray, errors: np.ndarray) -> ErrorModel:
    return fit_models({"part": curve(profiles, errors)})["part"]


def test_a_quadratic_is_found_exactly() -> None:
    found = model(draws(20), truth(draws(20)))
    assert found.predict(ELSEWHERE) == pytest.approx(truth(ELSEWHERE), rel=2e-3)
    assert found.held_out < 2e-3 < found.spread


def test_parts_that_differ_each_keep_their_own() -> None:
    parts = {
        "falls": lambda z: np.exp(1 - 0.5 * z[:, 0]),
        "rises": lambda z: np.exp(2 + 0.5 * z[:, 0]),
        "bends": lambda z: np.exp(0.3 * z[:, 1] ** 2),
    }
    found = fit_models(
        {
            name: curve(draws(20, seed=i), f(draws(20, seed=i)))
            for i, (name, f) in enumerate(parts.items())
        }
    )
    for name, function in parts.items():
        assert found[name].predict(ELSEWHERE) == pytest.approx(function(ELSEWHERE), rel=0.01)


def test_parts_that_are_alike_learn_from_each_other() -> None:
    """Noise of 10 % on 8 points of each: together they say more than each alone."""
    noise = np.random.default_rng(5)
    curves, levels = {}, (1.0, 2.0, 4.0, 8.0)
    for part, level in enumerate(levels):
        z = draws(8, seed=part)
        curves[str(part)] = curve(z, level * truth(z) * np.exp(noise.normal(0, 0.1, 8)))
    together = fit_models(curves)
    alone = {name: fit_models({name: c})[name] for name, c in curves.items()}

    def shape_error(models: dict[str, ErrorModel]) -> float:
        wanted = np.log(truth(ELSEWHERE))
        found = [np.log(models[name].predict(ELSEWHERE)) for name in curves]
        off = [(f - f.mean()) - (wanted - wanted.mean()) for f in found]
        return float(np.sqrt(np.mean(np.square(off))))

    assert shape_error(together) < 0.7 * shape_error(alone)


def test_noise_is_not_believed() -> None:
    noise = np.random.default_rng(2).normal(0, 0.1, (4, 24))
    profiles = [draws(24, knobs=3, seed=part) for part in range(4)]
    found = fit_models(
        {str(part): curve(z, np.exp(noise[part])) for part, z in enumerate(profiles)}
    )
    fitted = np.stack([np.log(found[str(part)].predict(z)) for part, z in enumerate(profiles)])
    assert np.sqrt(np.mean(fitted**2)) < 0.4 * np.sqrt(np.mean(noise**2))
    assert fitted.min() > noise.min() + 0.1  # the least measured is far too small
    assert all(part.held_out < 1.2 * part.spread for part in found.values())


def test_what_is_far_off_hardly_counts() -> None:
    errors = truth(draws(30)) * np.exp(np.random.default_rng(4).normal(0, 0.01, 30))
    errors[[3, 17]] *= 5
    assert model(draws(30), errors).predict(ELSEWHERE) == pytest.approx(truth(ELSEWHERE), rel=0.08)


def test_held_out_is_what_leaving_out_gives() -> None:
    """The closed form against a fit of two parts' other 11 measurements, at the same penalties."""
    curves = {
        name: curve(z, np.exp(np.random.default_rng(s).normal(0, 0.1, 6)) * truth(z))
        for s, (name, z) in enumerate({"a": draws(6, seed=8), "b": draws(6, seed=9)}.items())
    }
    table = _Table.of(curves)
    ridge = table.ridge(0.01, 0.1)
    _, off = table.solve(np.ones(12), ridge)
    for index in range(12):
        kept = np.arange(12) != index
        x, y = table.matrix[kept], table.logs[kept]
        weights = np.linalg.solve(x.T @ x + np.diag(ridge), x.T @ y)
        assert off[index] == pytest.approx(table.logs[index] - table.matrix[index] @ weights)


def test_spread_is_that_of_leaving_out_under_the_mean() -> None:
    errors = np.array([1.0, np.e, np.e**2])
    table = _Table.of({"part": curve(draws(3), errors)})
    # Off by 1.5 and 0 and 1.5: the mean of the other two.
    found = table.models(["part"], np.zeros(11), np.zeros(3), np.ones(3))
    assert found["part"].spread == pytest.approx(np.sqrt(1.5))


def test_an_error_of_zero_is_survived() -> None:
    found = model(draws(6), np.array([0.0, 1, 1, 1, 1, 1]))
    assert np.isfinite(found.predict(draws(6))).all()


def test_a_curve_is_plain_data() -> None:
    measured = MeasuredProfiles()
    for profile, error in zip(draws(5), truth(draws(5)), strict=True):
        measured.add(profile, float(error))
    again = MeasuredProfiles(**json.loads(json.dumps(measured.to_dict())))
    assert again == measured
