"""Angles of turned 3-D points, coefficients that follow the yaw, weights that keep their word."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupnas.errors import InputError
from groupnas.landmarks.markup import MARKUPS, RIGID, Markup
from groupnas.landmarks.pose import (
    balanced_weights,
    five_points,
    pose_angles,
    pose_coefficients,
)

EVERY = pytest.mark.parametrize("markup", MARKUPS.values(), ids=lambda markup: markup.name)


def turned(angles: np.ndarray) -> np.ndarray:
    """Rotation of pitch, yaw and roll in degrees, from the definition in words."""
    pitch, yaw, roll = np.radians(angles)
    # Looking up moves the nose (z) to -y; looking right to +x; clockwise moves x to +y.
    up = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    right = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    clockwise = [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    return np.array(clockwise) @ np.array(right) @ np.array(up)


def projected(markup: Markup, angles: np.ndarray, scale: float = 1.7) -> np.ndarray:
    """The generic face as a photo shows it: landmarks ``(1, K, 2)``; those it lacks at random."""
    points = np.random.default_rng(0).uniform(0, 100, (1, markup.points, 2))
    for name, place in markup.rigid.items():
        points[0, place] = scale * (turned(angles) @ np.array(RIGID[name]))[:2] + (200, 300)
    return points


@EVERY
@given(
    pitch=st.floats(-50, 50), yaw=st.floats(-70, 70), roll=st.floats(-170, 170),
    scale=st.floats(0.1, 10),
)  # fmt: skip
def test_angles_of_the_projected_face(
    markup: Markup, pitch: float, yaw: float, roll: float, scale: float
) -> None:
    angles = np.array([pitch, yaw, roll])
    found = pose_angles(projected(markup, angles, scale), markup)
    assert found[0] == pytest.approx(angles, abs=1e-3)


def test_directions_in_words() -> None:
    markup = MARKUPS[68]
    straight = projected(markup, np.zeros(3))
    for angles, (x, y) in (((20, 0, 0), (0, -1)), ((0, 20, 0), (1, 0))):
        moved = projected(markup, np.array(angles))[0, 30] - straight[0, 30]
        assert np.sign(np.round(moved, 6)).tolist() == [x, y]
    tilted = projected(markup, np.array([0, 0, 20]))
    assert tilted[0, 45, 1] > tilted[0, 36, 1]  # clockwise: the eye on the right goes down


@EVERY
def test_a_mirrored_face_looks_the_other_way(markup: Markup) -> None:
    points = np.random.default_rng(1).normal(0, 2, (4, markup.points, 2))
    points += projected(markup, np.array([5, 25, -10]))
    angles = pose_angles(points, markup)
    mirrored = points[:, list(markup.flip)] * [-1, 1]
    assert pose_angles(mirrored, markup) == pytest.approx(angles * [1, -1, -1], abs=1e-6)


def test_noise_moves_angles_a_little() -> None:
    markup = MARKUPS[68]
    noise = np.random.default_rng(2).normal(0, 2, (50, 68, 2))  # of 150 between the eyes
    found = pose_angles(projected(markup, np.array([10, 30, 5])) + noise, markup)
    assert np.abs(found.mean(axis=0) - [10, 30, 5]).max() < 2
    assert found.std(axis=0).max() < 5


def test_coefficients_follow_the_yaw_only() -> None:
    rng = np.random.default_rng(3)
    yaws = rng.uniform(-50, 50, 60)
    rigid = [*MARKUPS[68].rigid.values()]
    shapes = np.concatenate(
        [
            projected(MARKUPS[68], np.array([rng.normal(0, 5), yaw, rng.uniform(-60, 60)]), scale)
            for yaw, scale in zip(yaws, rng.uniform(0.5, 5, 60), strict=True)
        ]
    )[:, rigid]
    coefficients = pose_coefficients(shapes)
    assert abs(np.corrcoef(coefficients, yaws)[0, 1]) > 0.99
    # Where a face stands, how large and how tilted it is, says nothing; nor does the sign.
    again = pose_coefficients(shapes @ np.array([[0.0, 3.0], [-3.0, 0.0]]) + 40)
    again *= np.sign(again[0] * coefficients[0])
    assert again == pytest.approx(coefficients, abs=1e-9)


# -- weights ----------------------------------------------------------------------------------

values = st.lists(st.floats(-5, 5), min_size=1, max_size=60).map(np.array)


def places(coefficients: np.ndarray, bins: int) -> np.ndarray:
    """The bin of each face, by a search among the bins' edges."""
    edges = np.linspace(coefficients.min(), coefficients.max(), bins + 1)[1:-1]
    return np.searchsorted(edges, coefficients, side="right")


def test_weights_by_hand() -> None:
    # Bins [0, 1), [1, 2), [2, 3]: four faces, none, one; each bin that has faces gets a half.
    weights = balanced_weights(np.array([0.0, 0.1, 0.2, 0.3, 3.0]), bins=3, cap=10)
    assert weights == pytest.approx([1 / 8] * 4 + [1 / 2])
    # At most twice as often as one in five: the lone face gets 2/5, the others share 3/5.
    weights = balanced_weights(np.array([0.0, 0.1, 0.2, 0.3, 3.0]), bins=3, cap=2)
    assert weights == pytest.approx([3 / 20] * 4 + [2 / 5])
    assert balanced_weights(np.full(4, 2.0)) == pytest.approx([1 / 4] * 4)


@given(coefficients=values, bins=st.integers(1, 12), cap=st.floats(1, 50))
def test_weights_keep_their_word(coefficients: np.ndarray, bins: int, cap: float) -> None:
    weights = balanced_weights(coefficients, bins, cap)
    most = cap / len(coefficients)
    assert weights.sum() == pytest.approx(1)
    assert (weights > 0).all() and weights.max() <= most * (1 + 1e-9)
    # Faces that are not held back by the cap are in bins drawn equally often, and no others more.
    order = np.argsort(coefficients)
    assert len(set(np.round(weights[order], 12))) <= bins


@given(seed=st.integers(0, 10**6), bins=st.integers(2, 9), cap=st.floats(1.2, 20))
def test_bins_are_drawn_equally_often_up_to_the_cap(seed: int, bins: int, cap: float) -> None:
    coefficients = np.random.default_rng(seed).normal(size=80)
    weights = balanced_weights(coefficients, bins, cap)
    which = places(coefficients, bins)
    shares = np.array([weights[which == place].sum() for place in np.unique(which)])
    held = np.array([weights[which == place].max() for place in np.unique(which)]) >= (
        cap / 80 * (1 - 1e-9)
    )
    if not held.all():
        assert shares[~held] == pytest.approx(shares.max())
    assert shares.max() >= shares[held].max(initial=0)


def test_a_cap_of_1_is_no_balancing() -> None:
    coefficients = np.random.default_rng(0).normal(size=30)
    assert balanced_weights(coefficients, cap=1) == pytest.approx([1 / 30] * 30)


def test_wrong_settings() -> None:
    with pytest.raises(InputError, match="bins: expected at least 1, got 0"):
        balanced_weights(np.ones(3), bins=0)
    with pytest.raises(InputError, match=r"cap: expected at least 1, got 0\.5"):
        balanced_weights(np.ones(3), cap=0.5)


# -- five points --------------------------------------------------------------------------------


def test_five_points_by_hand() -> None:
    """300W's: corners of the eyes, tip of the nose, corners of the mouth."""
    points = np.random.default_rng(0).uniform(0, 100, (3, 68, 2))
    found = five_points(points, MARKUPS[68])
    assert found.shape == (3, 5, 2)
    for place, of in enumerate([(36, 39), (42, 45), (30,), (48,), (54,)]):
        np.testing.assert_allclose(found[:, place], sum(points[:, i] for i in of) / len(of))


@EVERY
def test_five_points_of_a_mirrored_face(markup: Markup) -> None:
    """Left is where left is in the image."""
    points = projected(markup, np.zeros(3))
    found = five_points(points, markup)
    assert found[0, 0, 0] < found[0, 2, 0] < found[0, 1, 0] and found[0, 3, 0] < found[0, 4, 0]
    assert (found[0, :2, 1] < found[0, 2, 1]).all() and (found[0, 3:, 1] > found[0, 2, 1]).all()
    mirrored = five_points(points[:, list(markup.flip)] * (-1, 1), markup)
    np.testing.assert_allclose(mirrored[:, [1, 0, 2, 4, 3]] * (-1, 1), found)


def test_five_points_of_another_markup() -> None:
    with pytest.raises(InputError, match="five points: 300W marks no eyes, nose and mouth"):
        five_points(np.zeros((1, 68, 2)), replace(MARKUPS[68], rigid={}))
