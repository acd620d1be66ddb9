"""Frames: affine maps against numbers worked by hand, and against each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from groupnas.landmarks.frames import Frame, around, upright

numbers = st.floats(-1000, 1000)
# A turn, a scale along either axis, a mirror and a shear
maps = st.tuples(
    st.floats(0, 6.3), st.floats(0.01, 500), st.floats(0.2, 5), st.sampled_from([1, -1]), numbers
)


def tilted(turn: float, scale: float, ratio: float, mirror: int, shear: float) -> np.ndarray:
    cosine, sine = np.cos(turn), np.sin(turn)
    shape = np.array([[1, shear / 1000], [0, ratio * mirror]])
    return scale * np.array([[cosine, -sine], [sine, cosine]]) @ shape


@given(maps, st.tuples(numbers, numbers), st.tuples(st.floats(-2, 2), st.floats(-2, 2)))
def test_into_undoes_out(
    given_map: tuple[float, float, float, int, float],
    origin: tuple[float, float],
    unit: tuple[float, float],
) -> None:
    frame = Frame(tilted(*given_map)[None], np.array([origin]))
    points = np.array([unit])
    np.testing.assert_allclose(frame.into(frame.out(points)), points, atol=1e-8)
    expected = np.linalg.solve(frame.linear[0], points[0] - frame.origin[0])
    np.testing.assert_allclose(frame.into(points)[0], expected, rtol=1e-8, atol=1e-9)


def chain() -> list[Frame[NDArray[np.float64]]]:
    """A region, one that was turned by a quarter in it, and one that lies in that."""
    quarter = np.array([[[0.0, -0.5], [0.5, 0.0]]])
    return [
        upright(np.array([[60.0, 70.0]]), np.array([100.0])),
        Frame(quarter, np.array([[0.2, -0.1]])),
        Frame(0.5 * np.eye(2)[None], np.array([[-0.5, 0.25]])),
    ]


def test_maps_of_maps_follow_each_other_in_their_order() -> None:
    """Paper 002, eq. 7, by hand: (0.4, -0.2) -> (-0.3, 0.15) -> (0.125, -0.25) -> the photo."""
    outer, middle, inner = chain()
    point = np.array([[0.4, -0.2]])
    whole = outer.then(middle).then(inner)
    np.testing.assert_allclose(whole.out(point), [[66.25, 57.5]])
    np.testing.assert_allclose(whole.into(np.array([[66.25, 57.5]])), point)
    np.testing.assert_allclose(outer.then(inner).then(middle).out(point), [[42.5, 85.0]])


def test_torch_answers_alike_and_with_gradients() -> None:
    linear = torch.tensor(tilted(0.7, 30, 1.5, -1, 200)).repeat(2, 3, 1, 1)
    linear[1, 2] *= 2
    origin = torch.arange(12.0, dtype=torch.float64).reshape(2, 3, 2)
    points = origin.flip(0) + 0.5
    ours = Frame(linear, origin)
    theirs = Frame(linear.numpy(), origin.numpy())
    for what in ("out", "into"):
        found = getattr(ours, what)(points).numpy()
        np.testing.assert_allclose(found, getattr(theirs, what)(points.numpy()))
    for tensor in (linear, origin, points):
        tensor.requires_grad_()
    for way in (
        lambda a, b, c: Frame(a, b).out(c),
        lambda a, b, c: Frame(a, b).into(c),
        lambda a, b, c: Frame(a, b).then(Frame(a, b)).out(c),
    ):
        assert torch.autograd.gradcheck(way, (linear, origin, points))


def test_an_upright_square_is_exactly_the_division_by_half_its_side() -> None:
    draw = np.random.default_rng(0)
    boxes = np.sort(draw.uniform(-50, 400, (500, 4, 2, 2)), axis=2).reshape(500, 4, 4)
    frame = around(boxes, 1.3)
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    side = (boxes[..., 2:] - boxes[..., :2]).max(axis=-1) * 1.3
    points = draw.uniform(-50, 400, (500, 4, 2))
    assert (frame.side == side).all() and (frame.origin == centre).all()
    assert (frame.into(points) == (points - centre) / (side[..., None] / 2)).all()
    assert (frame.out(points) == centre + points * side[..., None] / 2).all()
    assert (frame.grown(1.4).side == side * 1.4).all()


def test_regions_are_picked_by_their_owners() -> None:
    frame = upright(np.array([[0.0, 0.0], [10.0, 20.0]]), np.array([2.0, 8.0]))
    of = frame.of([1, 0, 1])
    assert of.side.tolist() == [8, 2, 8]
    np.testing.assert_array_equal(of.out(np.ones((3, 2))), [[14, 24], [1, 1], [14, 24]])
    mirrored = Frame(np.array([[[-2.0, 0.0], [0.0, 8.0]]]), np.zeros((1, 2)))
    assert mirrored.scale == pytest.approx(4)  # the root of the area, whichever way it is turned
