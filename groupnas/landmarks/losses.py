"""Losses on landmark coordinates: four criteria, along boundaries too, and one of batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from groupnas.errors import InputError
from groupnas.files import nearest

WIDTH, EPSILON = 10.0, 2.0  # of the wing loss, in pixels: the values of its authors
SHORTEST = 1e-3  # pixels between neighbours; a shorter tangent is rounding noise


def wing(error: Tensor, width: float = WIDTH, epsilon: float = EPSILON) -> Tensor:
    """Logarithmic for small errors, linear for large.

    ``w ln(1 + |x| / epsilon)`` for an error ``|x| < w``, else ``|x| - C`` with the constant ``C``
    that joins both. Source: Feng et al., "Wing Loss for Robust Facial Landmark Localisation with
    Convolutional Neural Networks", CVPR 2018, equation 5.

    Args:
        error: In pixels of the crop, any shape.
        width: ``w``, where the loss turns linear, in pixels.
        epsilon: Curvature of the logarithmic part, in pixels.

    Returns:
        The loss of every element.
    """
    size = error.abs()
    offset = width - width * math.log1p(width / epsilon)
    small = width * torch.log1p(size / epsilon)
    return torch.where(size < width, small, size - offset)


def smooth_l1(error: Tensor) -> Tensor:
    """``x² / 2`` for an error ``|x| < 1`` pixel, else ``|x| - 1/2``; of every element.

    Source: Girshick, "Fast R-CNN", ICCV 2015, equation 3.
    """
    size = error.abs()
    return torch.where(size < 1, error.square() / 2, size - 0.5)


# Predicted and true points (B, K, 2) in pixels of the crop to a scalar.
PointLoss = Callable[[Tensor, Tensor], Tensor]

# Name to criterion: errors in pixels, any shape, to the loss of every element.
LOSSES: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"wing": wing, "smooth_l1": smooth_l1, "l1": torch.abs, "l2": torch.square}
)


@dataclass(frozen=True, repr=False)
class LandmarkLoss:
    """A criterion ``F`` along and across the face's boundaries: D-Loss.

    The paper weighs the parts of an error along the tangent and along the normal of the boundary,
    ``alpha F(e_t) + (2 - alpha) F(e_n)`` (PicassoNet, equation 9), and says that ``alpha = 1``
    is the conventional loss, the sum of ``F`` over x and y. For criteria other than L2 that holds
    only where the boundary runs along an axis. To make it true everywhere, this computes::

        F(e_x) + F(e_y) + (1 - alpha) (F(e_n) - F(e_t))

    which is equation 9 for L2 and wherever the boundary runs along an axis, is the conventional
    loss at ``alpha = 1`` for every ``F``, and is never negative: ``F(x) / x²`` never grows with
    ``|x|`` (for the wing, as long as its width is at least 0.65 of epsilon), so that
    ``F(e_x) + F(e_y) >= F(|e|)``, which neither ``F(e_t)`` nor ``F(e_n)`` exceeds.

    The tangent at a point goes from the previous to the next point of its boundary in the *target*
    (Section III-D), so faces may be rotated and mirrored at will. A point without a tangent, or
    whose neighbours coincide, has the conventional loss.

    Attributes:
        name: The criterion, one of :data:`LOSSES`.
        alpha: Weight of the tangential part, 0 to 2: below 1, errors across the boundary cost
            more. 1 is the conventional loss; the paper trains with 0.6.
        neighbours: Previous and next point of each point, as :func:`neighbours_among` gives them;
            left out, no point has a tangent, which only ``alpha = 1`` allows.
        width: The wing's ``w``, in pixels.
        epsilon: The wing's curvature, in pixels.
        unit: How many pixels of the crop an error of 1 is: half the crop's side makes it box units,
            in which l2 and a learning rate that were published with them fit each other.

    Raises:
        InputError: an unknown name, or a number out of its range.
    """

    name: str = "wing"
    alpha: float = 1.0
    neighbours: tuple[tuple[int, int], ...] | None = None
    width: float = WIDTH
    epsilon: float = EPSILON
    unit: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in LOSSES:
            raise InputError(f"loss: no such loss {self.name!r}; {nearest(self.name, LOSSES)}")
        if not 0 <= self.alpha <= 2:
            raise InputError(f"alpha: expected 0 to 2, got {self.alpha}; 1 is the plain loss")
        if self.alpha != 1 and self.neighbours is None:
            raise InputError(f"alpha: {self.alpha} needs the points' neighbours; set it to 1")
        for key, value in (("width", self.width), ("epsilon", self.epsilon)):
            if not 0 < value < math.inf:
                raise InputError(f"{key} of the wing loss: expected pixels above 0, got {value}")
        if not 0 < self.unit < math.inf:
            raise InputError(f"unit: expected pixels above 0, got {self.unit}")

    def __repr__(self) -> str:
        """Leave out a unit of a pixel, as all were once: so that older fingerprints stay."""
        told = {each.name: getattr(self, each.name) for each in fields(self)}
        if self.unit == 1:
            del told["unit"]
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in told.items())})"

    def __call__(self, predicted: Tensor, target: Tensor) -> Tensor:
        """The loss, the mean over faces, points and the two directions.

        Args:
            predicted: ``(B, K, 2)`` float, x and y in pixels of the crop.
            target: ``(B, K, 2)``, the same unit.

        Returns:
            A scalar, 0 where every point is exact; differentiable in ``predicted``.
        """
        error = predicted - target
        loss = self._criterion(error).mean()
        if self.alpha == 1 or self.neighbours is None:
            return loss
        along, across = _decompose(error, target, self.neighbours)
        difference = self._criterion(across) - self._criterion(along)
        # Half, as the loss above is a mean over two directions.
        return loss + (1 - self.alpha) * difference.mean() / 2

    def _criterion(self, error: Tensor) -> Tensor:
        if self.name == "wing":
            return wing(error / self.unit, self.width / self.unit, self.epsilon / self.unit)
        return LOSSES[self.name](error / self.unit)


@dataclass(frozen=True)
class AdaptiveLoss:
    """L1 in which each error weighs less the further it is from what is usual in its batch.

    ``exp(-sigma |z - mu|) |z|`` for an error z of a coordinate, with its mean ``mu`` and standard
    deviation ``sigma`` over the faces of the batch: where annotators disagree, errors vary more,
    and teach less. Weights have no gradient. Source: "Robust Face Alignment via Deep Progressive
    Reinitialization and Adaptive Error-driven Learning", equations 8 and 9, whose "variance" is
    printed as a deviation, and taken as one; errors have signs, since the mean of sizes would give
    other weights.

    The exponent has a unit, squared, that the paper does not name, and everything depends on it: at
    a deviation of 0.03 (box units) all weights are nearly 1, plain L1; at one of 4 (pixels of 256)
    errors of two deviations weigh 1e-14, and nothing learns.

    Attributes:
        unit: ``relative``: the root mean square of all deviations of the batch counts as 1, so that
            weights depend on no unit; or how many pixels of the crop count as 1, so that 1 means
            pixels, and half the crop's side box units.

    Raises:
        InputError: another unit.
    """

    unit: Literal["relative"] | float = "relative"

    def __post_init__(self) -> None:
        known = self.unit == "relative"
        if not known and not (isinstance(self.unit, (int, float)) and 0 < self.unit < math.inf):
            raise InputError(f"unit: expected relative, or pixels above 0, got {self.unit!r}")

    def __call__(self, predicted: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar; as of :class:`LandmarkLoss`."""
        error = predicted - target
        return (self.weights(error.detach()) * error.abs()).mean()

    def weights(self, error: Tensor) -> Tensor:
        """Return the weights in (0, 1] of errors ``(B, ...)`` in pixels, 1 of all if B is 1."""
        unit = self.unit
        deviation = error.std(dim=0, correction=0)
        one = deviation.square().mean().sqrt() if unit == "relative" else error.new_tensor(unit)
        one = one.clamp(min=torch.finfo(error.dtype).tiny)  # of a batch without any deviation
        return torch.exp(-(deviation / one) * (error - error.mean(dim=0)).abs() / one)


def _decompose(
    error: Tensor, target: Tensor, neighbours: Sequence[tuple[int, int]]
) -> tuple[Tensor, Tensor]:
    """Tangential and normal part of each error, ``(B, K)`` each; 0 and 0 without a tangent."""
    previous, following = torch.tensor(neighbours, device=target.device).unbind(dim=1)
    ray = target[:, following] - target[:, previous]
    length = ray.norm(dim=-1, keepdim=True)
    tangent = torch.where(length > SHORTEST, ray / length.clamp_min(SHORTEST), 0.0)
    along = (error * tangent).sum(dim=-1)
    across = error[..., 1] * tangent[..., 0] - error[..., 0] * tangent[..., 1]
    return along, across


def neighbours_among(
    neighbours: Sequence[tuple[int, int]], points: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """The neighbours table of a network that knows some of a markup's points, in its own order.

    Args:
        neighbours: Of all points, as :attr:`Markup.neighbours
            <groupnas.landmarks.markup.Markup.neighbours>`.
        points: The landmark index of each output, such as ``Markup.part_points``.

    Returns:
        For each output, the outputs that are its neighbours; where one is not among the outputs,
        the point itself takes its place, as at the end of an open curve.
    """
    place = {point: position for position, point in enumerate(points)}
    return tuple(
        (place.get(neighbours[point][0], own), place.get(neighbours[point][1], own))
        for own, point in enumerate(points)
    )
