"""Losses on landmark coordinates."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def wing_loss(
    predicted: Tensor, target: Tensor, width: float = 10.0, epsilon: float = 2.0
) -> Tensor:
    """Wing loss, the mean over all coordinates: logarithmic for small errors, linear for large.

    ``w ln(1 + |x| / epsilon)`` for an error ``|x| < w``, else ``|x| - C`` with the constant ``C``
    that joins both. Source: Feng et al., "Wing Loss for Robust Facial Landmark Localisation with
    Convolutional Neural Networks", CVPR 2018, equation 5.

    Args:
        predicted: Coordinates in pixels of the crop, any shape.
        target: The same shape and unit.
        width: ``w``, where the loss turns linear, in pixels.
        epsilon: Curvature of the logarithmic part, in pixels.

    Returns:
        A scalar; 0 where every coordinate is exact.
    """
    error = (predicted - target).abs()
    offset = width - width * math.log1p(width / epsilon)
    small = width * torch.log1p(error / epsilon)
    return torch.where(error < width, small, error - offset).mean()
