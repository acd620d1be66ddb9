"""Shape-indexed features: what a network's feature maps hold around each point of a shape."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def features_around(features: Tensor, points: Tensor, size: int = 5) -> Tensor:
    """Return the features around points, ``(N, L C, size, size)``, all C of a point together.

    The samples lie a cell of the map apart, the middle one on the point, and are interpolated
    between the four nearest cells. Beyond the map its outermost cells go on, as pixels do where a
    crop leaves its photo: a point that was driven out of the map still sees what lies nearest,
    from where it can find back. (The paper says nothing of it.)

    Differentiable in ``features`` alone: where to look is given. Exports to ONNX (``GridSample``).
    Source: Su et al., "Efficient and Accurate Face Alignment by Global Regression and Cascaded
    Local Refinement", CVPR Workshops 2019, section 3.3.

    Args:
        features: ``(N, C, H, W)`` float.
        points: ``(N, L, 2)`` float, x and y in box units: -1 and 1 are the map's outer edges.
        size: Samples along x and along y.
    """
    count, channels, height, width = features.shape
    cells = torch.arange(size, dtype=points.dtype, device=points.device) - (size - 1) / 2
    x = points.detach()[..., :1] + cells * (2 / width)  # (N, L, size)
    y = points.detach()[..., 1:] + cells * (2 / height)
    both = (x[:, :, None].expand(-1, -1, size, -1), y[..., None].expand(-1, -1, -1, size))
    grid = torch.stack(both, dim=-1).flatten(1, 2)  # (N, L size, size, 2)
    found = functional.grid_sample(
        features, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    apart = found.unflatten(2, (-1, size))  # (N, C, L, size, size)
    return apart.transpose(1, 2).flatten(1, 2)
