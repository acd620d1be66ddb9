"""Heatmaps: numbers by hand, losses by torch, and the ONNX graph that decodes them alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from groupnas.errors import InputError
from groupnas.landmarks.heatmaps import (
    DECODINGS,
    cross_entropy,
    decode,
    from_cells,
    gaussians,
    probabilities,
    squared,
    to_cells,
)

POINT = torch.tensor([[[20.3, 11.7]]])


def random_cells(count: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    """Positions ``(2, count, 2)`` that are not near the rim."""
    drawn = torch.rand(2, count, 2, generator=torch.Generator().manual_seed(seed))
    return 3 + drawn * torch.tensor([size[1] - 7.0, size[0] - 7.0])


# -- coding -------------------------------------------------------------------------------------


def test_cells_and_box_units() -> None:
    """A map of 4 rows and 8 columns: its corners, its first cell, its middle."""
    points = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [-7 / 8, -3 / 4], [0.0, 0.0]])
    expected = torch.tensor([[-0.5, -0.5], [7.5, 3.5], [0.0, 0.0], [3.5, 1.5]])
    torch.testing.assert_close(to_cells(points, (4, 8)), expected)
    torch.testing.assert_close(from_cells(expected, (4, 8)), points)


def test_gaussian_by_hand() -> None:
    map_ = gaussians(torch.tensor([2.5, 1.0]), 2.0, (4, 6))
    assert map_.shape == (4, 6)
    assert map_[1, 2].item() == pytest.approx(math.exp(-(0.5**2) / 8))
    assert map_[3, 0].item() == pytest.approx(math.exp(-(2.5**2 + 2**2) / 8))
    many = gaussians(random_cells(5, (9, 12)), 1.5, (9, 12))
    assert many.shape == (2, 5, 9, 12) and many.max() <= 1


# -- losses -------------------------------------------------------------------------------------


def test_cross_entropy_is_that_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 5, 9, 12, generator=generator, requires_grad=True)
    cells = random_cells(5, (9, 12))
    wanted = gaussians(cells, 1.5, (9, 12))
    wanted = wanted / wanted.sum(dim=(2, 3), keepdim=True)
    expected = functional.cross_entropy(maps.reshape(10, 108), wanted.reshape(10, 108))
    loss = cross_entropy(maps, cells, 1.5)
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, maps)
    torch.testing.assert_close(gradient, (probabilities(maps) - wanted).detach() / 10)


def test_the_least_cross_entropy_is_the_gaussians_own() -> None:
    cells = torch.tensor([[[31.2, 30.9]]])
    perfect = gaussians(cells, 2.0, (64, 64)).clamp(min=1e-30).log().requires_grad_()
    loss = cross_entropy(perfect, cells, 2.0)
    assert loss.item() == pytest.approx(1 + math.log(2 * math.pi * 4), abs=1e-4)
    (gradient,) = torch.autograd.grad(loss, perfect)
    assert gradient.abs().max() < 1e-6
    assert cross_entropy(perfect, cells + 1, 2.0) > loss + 0.2  # 1 / sigma^2 of two squared cells


def test_a_point_beyond_the_map_has_a_loss() -> None:
    maps = torch.zeros(1, 1, 9, 9, requires_grad=True)
    loss = cross_entropy(maps, torch.tensor([[[200.0, 4.0]]]), 2.0)
    (gradient,) = torch.autograd.grad(loss, maps)
    assert loss.isfinite() and gradient.isfinite().all()
    assert gradient.flatten().argmin().item() == 4 * 9 + 8  # the nearest cell should be higher


def test_squared_by_hand() -> None:
    cells = torch.tensor([[[1.0, 1.0]]])
    assert squared(gaussians(cells, 1.0, (3, 3)), cells, 1.0) == 0
    # four neighbours of exp(-1/2), four corners of exp(-1), the top
    expected = (4 * math.exp(-1) + 4 * math.exp(-2) + 1) / 9
    assert squared(torch.zeros(1, 1, 3, 3), cells, 1.0).item() == pytest.approx(expected)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf])
def test_a_sigma_that_is_none(sigma: float) -> None:
    with pytest.raises(InputError, match="sigma: expected cells above 0"):
        gaussians(POINT, sigma, (8, 8))


# -- decoding -----------------------------------------------------------------------------------


@pytest.mark.parametrize("blur", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("height", [1.0, 0.01, 40.0])
def test_a_gaussian_of_sigma_2(blur: float, height: float) -> None:
    map_ = height * gaussians(POINT, 2.0, (48, 64))
    found = decode(map_, "taylor", blur)
    assert (found - POINT).norm() < 1e-4
    highest = decode(map_, "argmax", blur)
    assert highest.tolist() == [[[20, 12]]]
    assert (highest - POINT).norm().item() == pytest.approx(0.42426, abs=1e-5)
    assert decode(map_, "quarter", blur).tolist() == [[[20.25, 11.75]]]


@given(x=st.floats(3, 28), y=st.floats(3, 20), sigma=st.floats(0.8, 4))
def test_taylor_finds_any_gaussian(x: float, y: float, sigma: float) -> None:
    point = torch.tensor([[[x, y]]], dtype=torch.float64)
    map_ = gaussians(point, sigma, (24, 32))
    torch.testing.assert_close(decode(map_), point, atol=1e-6, rtol=0)
    assert (decode(map_, "argmax") - point).abs().max() <= 0.5 + 1e-9
    assert (decode(map_, "quarter") - point).abs().max() <= 0.25 + 1e-9


def test_a_turned_gaussian() -> None:
    """The mixed derivative counts."""
    point = torch.tensor([10.4, 8.7], dtype=torch.float64)
    precision = torch.tensor([[0.5, 0.3], [0.3, 0.4]], dtype=torch.float64)
    y, x = torch.meshgrid(torch.arange(18.0), torch.arange(20.0), indexing="ij")
    away = torch.stack([x, y], dim=-1).double() - point
    map_ = torch.exp(-((away @ precision) * away).sum(dim=-1) / 2)
    torch.testing.assert_close(decode(map_[None, None])[0, 0], point, atol=1e-9, rtol=0)


@pytest.mark.parametrize("decoding", DECODINGS)
def test_tops_on_the_rim_stay(decoding: str) -> None:
    rim = [(x, y) for x in range(7) for y in range(5) if x in (0, 6) or y in (0, 4)]
    cells = torch.tensor([rim], dtype=torch.float32)
    maps = gaussians(cells + torch.tensor([0.2, -0.3]), 1.0, (5, 7))
    assert torch.equal(decode(maps, decoding), cells)


def test_a_step_is_at_most_a_cell() -> None:
    """A long crest between the cells, whose top is 1.2 and 0.6 cells from the highest one."""
    y, x = torch.meshgrid(torch.arange(-2.0, 3), torch.arange(-2.0, 3), indexing="ij")
    along, across = (2 * (x - 1.2) + y - 0.6) / 5**0.5, (2 * (y - 0.6) - x + 1.2) / 5**0.5
    crest = torch.exp(-(0.05 * along**2 + 2 * across**2) / 2)[None, None]
    crest[..., 2, 4] = crest[..., 3, 4] = 0  # the crest's next cells
    assert decode(crest, "argmax").tolist() == [[[2, 2]]]
    torch.testing.assert_close(decode(crest), torch.tensor([[[3.0, 2.6]]]), atol=1e-4, rtol=0)


def test_without_a_top_it_stays() -> None:
    """Up along one diagonal, down along the other: the paraboloid is a saddle."""
    logs = torch.full((5, 5), -9.0)
    logs[1:4, 1:4] = torch.tensor([[-0.05, -0.05, -5], [-0.05, 0, -0.01], [-5, -0.05, -0.05]])
    assert decode(logs.exp()[None, None]).tolist() == [[[2, 2]]]
    assert decode(logs.exp()[None, None], "quarter").tolist() == [[[2.25, 2]]]


def test_empty_cells_are_no_infinity() -> None:
    single = torch.zeros(1, 1, 5, 5)
    single[..., 2, 2:4] = 1.0  # the logarithm to the left is that of 1e-10
    assert decode(single).tolist() == [[[2.5, 2.0]]]
    assert decode(torch.zeros(1, 1, 5, 5)).tolist() == [[[0, 0]]]  # the first of equal cells


def test_blur_is_that_of_scipy() -> None:
    maps = torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    expected = gaussian_filter(maps.double().numpy(), 1.5, mode="constant", radius=5, axes=(-2, -1))
    tops = [np.unravel_index(map_.argmax(), (20, 24))[::-1] for map_ in expected.reshape(6, 20, 24)]
    assert decode(maps, "argmax", 1.5).reshape(6, 2).tolist() == [list(map(int, t)) for t in tops]
    assert decode(maps, "argmax").reshape(6, 2).tolist() != [list(map(int, t)) for t in tops]


def test_logits_decode_as_their_heatmaps() -> None:
    cells = random_cells(4, (24, 32))
    logits = 3.0 + gaussians(cells, 2.0, (24, 32)).log()
    torch.testing.assert_close(decode(probabilities(logits)), cells, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"decoding": "tailor"}, "decoding: no such decoding 'tailor'; did you mean 'taylor'"),
        ({"blur": -1.0}, "blur: expected cells from 0 on"),
        ({"heatmaps": torch.ones(1, 1, 2, 5)}, "at least 3 x 3 cells, got 2 x 5"),
    ],
)
def test_wrong_arguments(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        decode(**{"heatmaps": torch.ones(1, 1, 5, 5), **wrong})


# -- ONNX ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("decoding", DECODINGS)
@pytest.mark.parametrize("blur", [0.0, 1.5])
def test_the_graph_decodes_alike(in_onnx: Any, decoding: str, blur: float) -> None:
    size = (24, 32)
    logits = gaussians(random_cells(9, size), 2.0, size).log()
    noise = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    logits = torch.cat([logits, logits + 0.3 * noise])  # clean ones, and such as networks make
    logits[0, 0] = gaussians(torch.tensor([0.0, 5.2]), 2.0, size).log()  # a top on the rim

    def graph(maps: Tensor) -> Tensor:
        return decode(probabilities(maps), decoding, blur)

    found, operators = in_onnx(graph, logits)
    torch.testing.assert_close(found, graph(logits), atol=1e-4, rtol=0)
    assert "ArgMax" in operators and operators.count("Conv") == 2 * bool(blur)
