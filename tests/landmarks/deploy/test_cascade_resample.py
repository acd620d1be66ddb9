"""Squares cut inside a graph against those that Pillow cuts."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from groupnas.landmarks.crops import cut_square
from groupnas.landmarks.deploy.graph import BYTE, FLOAT, INT, Graph
from groupnas.landmarks.deploy.resample import ENOUGH, STRIP, cut_squares, plan_sampling
from groupnas.onnx_tools import open_session

pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")

Cut = Callable[[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]], Any]
# Pillow rounds three times: to grey, and after each of its passes; that alone can make more than 1
CLOSE = 2.0


@cache
def cutter(squares: int, size: int, colour: bool) -> Cut:
    """Cuts ``(P, C, size, size)`` at centres ``(P, 2)`` with sides ``(P,)``."""
    graph = Graph()
    image = graph.input("image", BYTE, ("h", "w", 3))
    centre = graph.input("centre", FLOAT, (squares, 2, 1, 1, 1))
    half = graph.input("half", FLOAT, (squares, 1, 1, 1, 1))
    sides = graph.op("Shape", image, dtype=INT, start=0, end=2)
    last = sides.take(np.array([1, 0]).reshape(2, 1, 1, 1)).cast(FLOAT) - 1
    plan = plan_sampling(centre, half, squares, size, last)
    crops = cut_squares(image, plan, size, colour)
    graph.output("crops", crops, (squares, 3 if colour else 1, size, size))
    session = open_session(graph.model("crops", {}).SerializeToString())

    def cut(image: NDArray[np.uint8], centres: Any, sides: Any) -> Any:
        given = {
            "image": image,
            "centre": np.asarray(centres, np.float32).reshape(-1, 2, 1, 1, 1),
            "half": np.asarray(sides, np.float32).reshape(-1, 1, 1, 1, 1) / 2,
        }
        return session.run(None, given)[0]

    return cut


def pillow(image: NDArray[np.uint8], centres: Any, sides: Any, size: int, colour: bool) -> Any:
    return np.stack(
        [
            cut_square(image, np.asarray(centre), float(side), size, colour).astype(float)
            for centre, side in zip(centres, sides, strict=True)
        ]
    )


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """The hardest of images, but grey enough that Pillow need not clip between its passes."""
    draw = np.random.default_rng(seed)
    return draw.integers(40, 216, (height, width, 3), dtype=np.uint8)


def waves(height: int, width: int, length: float) -> NDArray[np.uint8]:
    """What changes slowly: detail of a pixel or two is what skipping pixels costs."""
    y, x = np.indices((height, width))[..., None] / (length / np.array([5.0, 6.0, 7.0]))
    return (128 + 50 * np.sin(x) + 50 * np.cos(y)).round().astype(np.uint8)


def check(found: Any, expected: Any) -> None:
    difference = np.abs(found - expected)
    assert difference.max() < CLOSE and difference.mean() < 0.6


@given(
    st.tuples(st.floats(-15, 75), st.floats(-15, 65)),
    st.floats(1, ENOUGH * 2 * 24 - 1),
    st.booleans(),
    st.integers(0, 3),
)
@example((-14.9, -15.0), 10.0, True, 0)  # outside but for a corner
@example((29.5, 24.5), 24.0, False, 0)  # a copy
@example((30.0, 20.0), 1.0, True, 0)  # one pixel becomes 24
def test_as_pillow_cuts(centre: tuple[float, float], side: float, colour: bool, seed: int) -> None:
    image = noise(50, 60, seed)
    found = cutter(1, 24, colour)(image, [centre], [side])
    check(found, pillow(image, [centre], [side], 24, colour))


@given(
    st.lists(
        st.tuples(st.floats(-5, 85), st.floats(-5, 85), st.floats(4, 60)), min_size=4, max_size=4
    )
)
def test_several_squares_of_any_sizes_at_once(squares: list[tuple[float, float, float]]) -> None:
    image = noise(80, 80)
    rows = np.array(squares)
    for colour in (False, True):
        found = cutter(4, 24, colour)(image, rows[:, :2], rows[:, 2])
        check(found, pillow(image, rows[:, :2], rows[:, 2], 24, colour))


@given(st.floats(ENOUGH * 2 * 24, 280), st.floats(160, 240))
def test_large_squares_skip_pixels_but_see_the_same(side: float, x: float) -> None:
    image = waves(300, 400, side)
    found = cutter(1, 24, True)(image, [(x, 150.25)], [side])
    difference = np.abs(found - pillow(image, [(x, 150.25)], [side], 24, True))
    assert difference.mean() < 1 and difference.max() < 12  # most where the image ends


def test_a_square_on_whole_pixels_is_a_copy() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    (crop,) = cutter(1, 8, True)(image, [(11.5, 7.5)], [8.0])
    np.testing.assert_allclose(crop, image[4:12, 8:16].transpose(2, 0, 1), atol=1e-3)


@pytest.mark.parametrize("size", [6, 7])
def test_sizes_that_strips_do_not_divide(size: int) -> None:
    assert size % STRIP
    image = noise(40, 40)
    for colour in (False, True):
        found = cutter(1, size, colour)(image, [(20.3, 18.1)], [15.0])
        assert found.shape == (1, 3 if colour else 1, size, size)
        expected = pillow(image, [(20.3, 18.1)], [15.0], size, colour)
        check(found, expected)


def test_one_pixel_is_seen_everywhere() -> None:
    image = np.array([[[10, 100, 200]]], dtype=np.uint8)
    for centre, side in (((0, 0), 1.0), ((5, -3), 30.0), ((-400, 2), 500.0)):
        crop = cutter(1, 24, True)(image, [centre], [side])[0]
        np.testing.assert_allclose(crop, np.broadcast_to(image.reshape(3, 1, 1), crop.shape), 1e-4)


def test_what_overshoots_is_clipped() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 255
    crop = cutter(1, 24, True)(image, [(20, 20)], [20.0])
    assert crop.min() == 0 and crop.max() == 255
