"""Shape-indexed features: by hand, by scipy, and as ONNX Runtime samples them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from torch import Tensor

from groupnas.landmarks.features import features_around


def plane(height: int, width: int) -> Tensor:
    """A map of one channel, ten times its column plus its row."""
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    return (10 * x + y)[None, None]


def in_box(x: float, y: float, size: int) -> Tensor:
    """A pixel of an image, counted from the centre of its first one, in box units."""
    return (2 * torch.tensor([[[x, y]]]) + 1) / size - 1


def test_a_plane_by_hand() -> None:
    """4 x 4 cells of an 8 x 8 image: the point is at (1.25, 1.5) of the map."""
    features = plane(4, 4).requires_grad_()
    found = features_around(features, in_box(3, 3.5, 8), 3)[0, 0]
    assert found[1, 1].item() == pytest.approx(14)
    assert (found[1, [0, 2]] - 14).tolist() == pytest.approx([-10, 10])
    assert (found[[0, 2], 1] - 14).tolist() == pytest.approx([-1, 1])
    (gradient,) = torch.autograd.grad(found[1, 1], features)
    expected = torch.zeros(4, 4)
    expected[1, 1], expected[1, 2], expected[2, 1], expected[2, 2] = 0.375, 0.125, 0.375, 0.125
    torch.testing.assert_close(gradient[0, 0], expected)


def test_no_gradient_to_the_shape() -> None:
    points = in_box(3, 3.5, 8).requires_grad_()
    assert not features_around(plane(4, 4), points).requires_grad
    features = plane(4, 4).requires_grad_()
    found = features_around(features, points).square().sum()
    gradients = torch.autograd.grad(found, [features, points], allow_unused=True)
    assert gradients[0].abs().sum() > 0 and gradients[1] is None


@pytest.mark.parametrize("size", [1, 2, 5])
def test_it_is_interpolation_as_scipy_does_it(size: int) -> None:
    """Maps of another height than width, points inside and out; channels of a point together."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, 9, 14, generator=generator, dtype=torch.float64)
    points = 3 * torch.rand(2, 7, 2, generator=generator, dtype=torch.float64) - 1.5
    found = features_around(features, points, size)
    assert found.shape == (2, 21, size, size)
    cells = (points.numpy() + 1) * (14, 9) / 2 - 0.5
    away = np.arange(size) - (size - 1) / 2
    for face in range(2):
        for point in range(7):
            x, y = np.meshgrid(cells[face, point, 0] + away, cells[face, point, 1] + away)
            for channel in range(3):
                expected = map_coordinates(
                    features[face, channel].numpy(), [y, x], order=1, mode="nearest"
                )
                np.testing.assert_allclose(found[face, 3 * point + channel], expected, atol=1e-9)


@given(x=st.floats(-3, 3), y=st.floats(-3, 3))
def test_beyond_the_map_its_rim_goes_on(x: float, y: float) -> None:
    found = features_around(plane(4, 4), torch.tensor([[[x, y]]]), 1)[0, 0, 0, 0]
    cell = np.clip((np.array([x, y]) + 1) * 2 - 0.5, 0, 3)
    assert found.item() == pytest.approx(10 * cell[0] + cell[1], abs=1e-4)


def test_the_gradient_is_right() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 2, 4, 5, generator=generator, dtype=torch.float64)
    points = 2.4 * torch.rand(1, 3, 2, generator=generator, dtype=torch.float64) - 1.2
    assert torch.autograd.gradcheck(
        lambda maps: features_around(maps, points, 3), features.requires_grad_()
    )


@pytest.mark.parametrize("size", [3, 5])
def test_the_graph_samples_alike(in_onnx: Any, size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 8, 28, 28, generator=generator)
    points = 2.6 * torch.rand(2, 68, 2, generator=generator) - 1.3

    def graph(maps: Tensor, shape: Tensor) -> Tensor:
        return features_around(maps, shape, size)

    found, operators = in_onnx(graph, features, points)
    torch.testing.assert_close(found, graph(features, points), atol=1e-4, rtol=0)
    assert operators.count("GridSample") == 1
