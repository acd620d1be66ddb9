"""Points as heatmaps: what a map should look like, how far one is off, where its point lies.

Pure functions of torch; decoding exports to ONNX. Positions are in *cells*: (0, 0) is the centre of
a map's top left cell, x comes first. Shapes: B faces, K points, H x W cells of a map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from groupnas.errors import InputError
from groupnas.files import nearest

_LEAST = 1e-10  # of a cell's height before its logarithm, as DARK has it
_REACH = 3  # of a blur, in standard deviations


def to_cells(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Return positions in cells of points ``(..., 2)`` in box units (-1 and 1: a map's edges).

    Args:
        points: Float, any range.
        size: H and W.
    """
    return (points + 1) * _extent(points, size) / 2 - 0.5


def from_cells(cells: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the box units of positions ``(..., 2)`` in cells; the inverse of :func:`to_cells`."""
    return (cells + 0.5) * 2 / _extent(cells, size) - 1


def _extent(like: Tensor, size: tuple[int, int]) -> Tensor:
    return like.new_tensor([size[1], size[0]])


def gaussians(cells: Tensor, sigma: float, size: tuple[int, int]) -> Tensor:
    """Return maps ``(..., H, W)``: Gaussians of height 1 around positions ``(..., 2)``.

    Source: Earp et al., "Sub-pixel face landmarks using heatmaps and a bag of tricks", equation 3,
    without its factor, in which the root should be of the determinant.

    Args:
        cells: Float; between cells, or outside of the map, as well.
        sigma: Standard deviation in cells, along x and y.
        size: H and W.
    """
    return _exponents(cells, sigma, size).exp()


def _exponents(cells: Tensor, sigma: float, size: tuple[int, int]) -> Tensor:
    if not 0 < sigma < math.inf:
        raise InputError(f"sigma: expected cells above 0, got {sigma}")
    height, width = (torch.arange(n, dtype=cells.dtype, device=cells.device) for n in size)
    across = (width - cells[..., :1]).square()
    down = (height - cells[..., 1:]).square()
    return -(down[..., :, None] + across[..., None, :]) / (2 * sigma**2)


# -- losses -------------------------------------------------------------------------------------


def cross_entropy(maps: Tensor, cells: Tensor, sigma: float) -> Tensor:
    """Cross-entropy between maps as logits and Gaussians whose cells sum up to 1; a scalar.

    The least that it can be is the Gaussian's own entropy, about ``1 + ln(2 pi sigma^2)``; a point
    beyond the map asks for the cells next to it.

    Args:
        maps: ``(B, K, H, W)``: a network's outputs; :func:`probabilities` are its heatmaps.
        cells: ``(B, K, 2)``: where the points lie.
        sigma: Of the Gaussians, in cells.
    """
    wanted = _exponents(cells, sigma, _size(maps)).flatten(-2).softmax(dim=-1)
    return -(wanted * maps.flatten(-2).log_softmax(dim=-1)).sum(dim=-1).mean()


def squared(maps: Tensor, cells: Tensor, sigma: float) -> Tensor:
    """Mean squared difference between maps and Gaussians of height 1; a scalar.

    Nearly all cells should be 0, which a map of zeros has right: a network may stay there for long.

    Args:
        maps: ``(B, K, H, W)``: a network's outputs, which are its heatmaps.
        cells: ``(B, K, 2)``: where the points lie.
        sigma: Of the Gaussians, in cells.
    """
    return (maps - gaussians(cells, sigma, _size(maps))).square().mean()


# Name to loss: outputs of a network, positions in cells, sigma.
HEATMAP_LOSSES: Mapping[str, Callable[[Tensor, Tensor, float], Tensor]] = MappingProxyType(
    {"cross_entropy": cross_entropy, "squared": squared}
)


def probabilities(maps: Tensor) -> Tensor:
    """Return heatmaps ``(B, K, H, W)`` of logits: each map's cells sum up to 1."""
    return maps.flatten(-2).softmax(dim=-1).unflatten(-1, maps.shape[-2:])


# -- decoding -----------------------------------------------------------------------------------


def decode(heatmaps: Tensor, decoding: str = "taylor", blur: float = 0.0) -> Tensor:
    """Return where the points of heatmaps lie, ``(B, K, 2)`` in cells.

    Args:
        heatmaps: ``(B, K, H, W)`` float, at least 3 x 3 cells; heights in any unit, from 0 on.
        decoding: ``argmax``, the highest cell, the first of several; ``quarter``, a quarter of a
            cell from there towards its higher neighbour, along x and y; ``taylor``, to the top of
            the paraboloid through the logarithms around it, which is the point itself if the map
            is a Gaussian. Points whose highest cell is on the map's rim stay there.
        blur: Standard deviation in cells of a Gaussian blur before that; 0 for none. It makes the
            maps of networks, which have several tops, more like Gaussians.

    Raises:
        InputError: no such decoding; a blur below 0; too small a map.

    Source of ``quarter`` and ``taylor``: Zhang et al., "Distribution-Aware Coordinate
    Representation for Human Pose Estimation" (DARK), CVPR 2020, section 3.2.
    """
    height, width = _size(heatmaps)
    if min(height, width) < 3:
        raise InputError(f"heatmaps: expected at least 3 x 3 cells, got {height} x {width}")
    if decoding not in DECODINGS:
        raise InputError(f"decoding: no such decoding {decoding!r}; {nearest(decoding, DECODINGS)}")
    if not 0 <= blur < math.inf:
        raise InputError(f"blur: expected cells from 0 on, got {blur}")
    if blur:
        heatmaps = _blurred(heatmaps, blur)
    flat = heatmaps.flatten(-2)
    highest = flat.argmax(dim=-1)
    top = torch.stack([highest % width, highest // width], dim=-1)  # (B, K, 2)
    last = top.new_tensor([width - 2, height - 2])
    centre = top.clamp(min=1).minimum(last)
    steps = [width * down + right for down in (-1, 0, 1) for right in (-1, 0, 1)]
    around = (centre[..., 1] * width + centre[..., 0])[..., None] + top.new_tensor(steps)
    near = flat.gather(-1, around).unflatten(-1, (3, 3))  # (B, K, 3, 3): rows, columns
    inside = (top == centre).all(dim=-1, keepdim=True)
    step = DECODINGS[decoding](near) * inside.to(near.dtype)
    return top.to(near.dtype) + step


def _none(near: Tensor) -> Tensor:
    return torch.zeros_like(near[..., 0, :2])


def _quarter(near: Tensor) -> Tensor:
    return torch.sign(_slopes(near)) / 4


def _taylor(near: Tensor) -> Tensor:
    """One step of Newton's method, a cell at most along x and y; none where there is no top."""
    near = near.clamp(min=_LEAST).log()
    dx, dy = _slopes(near).unbind(dim=-1)
    dxx = near[..., 1, 2] - 2 * near[..., 1, 1] + near[..., 1, 0]
    dyy = near[..., 2, 1] - 2 * near[..., 1, 1] + near[..., 0, 1]
    dxy = (near[..., 2, 2] - near[..., 2, 0] - near[..., 0, 2] + near[..., 0, 0]) / 4
    determinant = dxx * dyy - dxy * dxy
    top = (determinant > 0) & (dxx < 0)
    divisor = torch.where(top, determinant, torch.ones_like(determinant))
    step = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], dim=-1) / divisor[..., None]
    return step.clamp(-1, 1) * top[..., None].to(step.dtype)


# Name to step: heights around the highest cell (..., 3, 3) to the way from its centre (..., 2).
DECODINGS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"argmax": _none, "quarter": _quarter, "taylor": _taylor}
)


def _slopes(near: Tensor) -> Tensor:
    across = near[..., 1, 2] - near[..., 1, 0]
    down = near[..., 2, 1] - near[..., 0, 1]
    return torch.stack([across, down], dim=-1) / 2


def _blurred(heatmaps: Tensor, sigma: float) -> Tensor:
    """Return the maps under a Gaussian blur; beyond them there is nothing."""
    reach, points = math.ceil(_REACH * sigma), heatmaps.shape[1]
    distance = torch.arange(-reach, reach + 1, dtype=heatmaps.dtype, device=heatmaps.device)
    taps = torch.exp(-((distance / sigma) ** 2) / 2)
    across = (taps / taps.sum()).expand(points, 1, 1, -1)
    heatmaps = functional.conv2d(heatmaps, across, padding=(0, reach), groups=points)
    return functional.conv2d(heatmaps, across.mT, padding=(reach, 0), groups=points)


def _size(maps: Tensor) -> tuple[int, int]:
    return maps.shape[-2], maps.shape[-1]
