"""Fits of a few points: against numpy's least squares, and refused where there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupnas.errors import InputError
from groupnas.landmarks.alignment import FITS, faults, fit_affine, fit_similarity

# Both eyes, the tip of the nose, both corners of the mouth
REFERENCE = np.array([(38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2)])


def faces(count: int, noise: float, seed: int = 0) -> np.ndarray:
    """Turned, scaled, moved references, and a little off."""
    rng = np.random.default_rng(seed)
    angle, scale = rng.uniform(-3, 3, count), rng.uniform(0.2, 5, count)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = (scale * turn).transpose(2, 0, 1)
    moved = REFERENCE @ turned.transpose(0, 2, 1) + rng.uniform(-900, 900, (count, 1, 2))
    return np.asarray(moved + noise * scale[:, None, None] * rng.normal(size=(count, 5, 2)))


def lay(maps: tuple[np.ndarray, np.ndarray], points: np.ndarray) -> np.ndarray:
    return np.asarray(points @ maps[0].transpose(0, 2, 1) + maps[1][:, None])


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_affine_is_numpys_least_squares(noise: float) -> None:
    points = faces(20, noise)
    linear, origin = fit_affine(points, REFERENCE)
    assert linear.shape == (20, 2, 2) and origin.shape == (20, 2)
    for number, face in enumerate(points):
        design = np.column_stack([face, np.ones(5)])
        expected = np.linalg.lstsq(design, REFERENCE, rcond=None)[0]
        np.testing.assert_allclose(linear[number], expected[:2].T, atol=1e-9)
        np.testing.assert_allclose(origin[number], expected[2], atol=1e-7)


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_similarity_is_numpys_least_squares(noise: float) -> None:
    """Of the four numbers a, b and the shift: x' = a x - b y, y' = b x + a y."""
    points = faces(20, noise)
    linear, origin = fit_similarity(points, REFERENCE)
    for number, face in enumerate(points):
        x, y = face.T
        one, none = np.ones(5), np.zeros(5)
        design = np.vstack(
            [np.column_stack([x, -y, one, none]), np.column_stack([y, x, none, one])]
        )
        a, b, *shift = np.linalg.lstsq(design, REFERENCE.T.reshape(-1), rcond=None)[0]
        np.testing.assert_allclose(linear[number], [[a, -b], [b, a]], atol=1e-9)
        np.testing.assert_allclose(origin[number], shift, atol=1e-7)


def test_by_hand() -> None:
    """A quarter turn, twice the size, moved; and a stretch that only the affine map knows."""
    corner = np.array([[(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]])
    towards = np.array([(5.0, 7.0), (5.0, 9.0), (3.0, 7.0)])
    for fit in (fit_similarity, fit_affine):
        linear, origin = fit(corner, towards)
        np.testing.assert_allclose(linear, [[[0, -2], [2, 0]]], atol=1e-12)
        np.testing.assert_allclose(origin, [[5, 7]], atol=1e-12)
    stretched = np.array([(0.0, 0.0), (3.0, 0.0), (1.0, 1.0)])
    linear, origin = fit_affine(corner, stretched)
    np.testing.assert_allclose(linear, [[[3, 1], [0, 1]]], atol=1e-12)


@pytest.mark.parametrize("fit", FITS.values())
def test_exact_points_are_laid_exactly(fit: Callable[..., Any]) -> None:
    points = faces(50, 0.0, seed=3)
    np.testing.assert_allclose(
        lay(fit(points, REFERENCE), points), np.broadcast_to(REFERENCE, (50, 5, 2)), atol=1e-8
    )


@given(angle=st.floats(-4, 4), scale=st.floats(0.01, 100), x=st.floats(-1e4, 1e4))
def test_similarities_turn_and_scale_alone(angle: float, scale: float, x: float) -> None:
    turn = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    points = faces(1, 3.0) @ turn.T + (x, -x)
    linear = fit_similarity(points, REFERENCE)[0][0]
    assert linear[0, 0] == linear[1, 1] and linear[0, 1] == -linear[1, 0]
    assert np.linalg.det(linear) > 0


def test_the_fit_is_the_best() -> None:
    """Any other map near it misses by more."""
    points, rng = faces(1, 3.0), np.random.default_rng(0)
    for fit in (fit_similarity, fit_affine):
        linear, origin = fit(points, REFERENCE)
        least = np.square(lay((linear, origin), points) - REFERENCE).sum()
        for _ in range(20):
            if fit is fit_similarity:
                a, b = 1e-4 * rng.normal(size=2)
                change = np.array([[[a, -b], [b, a]]])
            else:
                change = 1e-4 * rng.normal(size=(1, 2, 2))
            for other in ((linear + change, origin), (linear, origin + 0.01 * rng.normal(size=2))):
                assert np.square(lay(other, points) - REFERENCE).sum() > least


MIRRORED = REFERENCE * (-1, 1)
LINE = np.array([(0.0, 0.0), (1.0, 2.0), (2.0, 4.0), (3.0, 6.0), (5.0, 10.0)])
ONE = np.full((5, 2), 700.1)
NONE = np.where(np.arange(5)[:, None] == 2, np.nan, REFERENCE)


@pytest.mark.parametrize("fit", FITS.values())
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (MIRRORED, "face 1: cannot be aligned: the points are mirrored: left and right may be sw"),
        (ONE, "face 1: cannot be aligned: all points are one; leave it out"),
        (NONE, "face 1: cannot be aligned: a point is no number; leave it out"),
    ],
)
def test_faces_that_cannot_be_aligned(fit: Callable[..., Any], wrong: Any, said: str) -> None:
    points = np.stack([REFERENCE, wrong, REFERENCE])
    with pytest.raises(InputError, match=said):
        fit(points, REFERENCE)


def test_points_on_a_line_have_a_similarity() -> None:
    with pytest.raises(InputError, match="face 0: cannot be aligned: all points lie on one line"):
        fit_affine(LINE[None], REFERENCE)
    linear, origin = fit_similarity(LINE[None], 3 * LINE + (1, 2))
    np.testing.assert_allclose(linear, [[[3, 0], [0, 3]]], atol=1e-12)
    np.testing.assert_allclose(origin, [[1, 2]], atol=1e-12)


def test_faults_say_which_faces_to_leave_out() -> None:
    points = np.stack([REFERENCE, MIRRORED, LINE, ONE, NONE, 1e-3 * REFERENCE + 900])
    found = faults(points, REFERENCE)
    assert [bool(fault) for fault in found] == [False, True, True, True, True, False]
    assert not faults(points, REFERENCE, "similarity")[2]
    kept = points[[not fault for fault in found]]
    assert len(fit_affine(kept, REFERENCE)[0]) == 2
    assert fit_affine(kept[:0], REFERENCE)[0].shape == (0, 2, 2)


@pytest.mark.parametrize(
    ("points", "reference", "said"),
    [
        (REFERENCE, REFERENCE, r"expected \(N, K, 2\) and a reference \(K, 2\), got shapes \(5, 2"),
        (REFERENCE[None, :4], REFERENCE, r"got shapes \(1, 4, 2\) and \(5, 2\)"),
        (REFERENCE[None], REFERENCE[None], "expected"),
        (REFERENCE[None, :2], REFERENCE[:2], "affine takes at least 3, got 2"),
        (REFERENCE[None], LINE, "reference points: all points lie on one line; choose others"),
    ],
)
def test_wrong_shapes(points: Any, reference: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        fit_affine(points, reference)
