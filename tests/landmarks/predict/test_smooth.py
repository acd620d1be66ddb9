"""The one-euro filter."""

from __future__ import annotations

import math

import numpy as np
import pytest

from groupnas.landmarks.predict.smooth import OneEuroFilter

FACE = np.array([[0.0, 0], [100, 0], [100, 100], [0, 100]])


def test_two_steps_by_hand() -> None:
    """The paper's algorithm, written out for one moving point of a face of size 100."""
    smooth = OneEuroFilter(least=2, slope=10, speed_cutoff=1)
    assert smooth(FACE, 0.0).tolist() == FACE.tolist()
    moved = FACE.copy()
    moved[0, 1] = 5.0
    passed = 0.1
    alpha_speed = 1 / (1 + 1 / (2 * math.pi * 1 * passed))
    speed = alpha_speed * 0.05 / passed
    alpha = 1 / (1 + 1 / (2 * math.pi * (2 + 10 * speed) * passed))
    result = smooth(moved, 0.1)
    assert result[0, 1] == pytest.approx(5 * alpha)
    assert result[1:].tolist() == FACE[1:].tolist()


def test_jitter_shrinks_and_motion_does_not_lag() -> None:
    noise = np.random.default_rng(0).normal(0, 0.5, (200, 4, 2))
    smooth = OneEuroFilter()
    still = np.array([smooth(FACE + noise[i], i / 30) for i in range(200)])
    assert np.diff(still[50:], axis=0).std() < 0.4 * np.diff(noise[50:], axis=0).std()
    smooth = OneEuroFilter()
    speed = 200 / 30  # two faces a second
    for i in range(60):
        result = smooth(FACE + [speed * i, 0], i / 30)
    assert np.abs(result - FACE - [speed * 59, 0]).max() < 0.3 * speed


def test_scale_does_not_matter() -> None:
    path = np.cumsum(np.random.default_rng(1).normal(0, 1, (20, 4, 2)), axis=0)
    near, far = OneEuroFilter(), OneEuroFilter()
    for i in range(20):
        large, small = near(10 * (FACE + path[i]), i / 25), far(FACE + path[i], i / 25)
        np.testing.assert_allclose(large, 10 * small)


def test_a_time_that_does_not_pass() -> None:
    smooth = OneEuroFilter()
    smooth(FACE, 1.0)
    assert (smooth(FACE + 1, 1.0) == FACE + 1).all()
