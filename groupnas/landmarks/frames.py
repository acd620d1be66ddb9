"""Frames: where regions lie, as affine maps from a region's own units into what it is cut from.

A region spans -1 to 1 in its own units; their (0, 0) is its centre. Everything here is ``@`` and
arithmetic, so that a frame's arrays may be NumPy's or torch's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

ArrayT = TypeVar("ArrayT", NDArray[np.float64], "Tensor")


@dataclass(frozen=True)
class Frame(Generic[ArrayT]):
    """P regions: ``pixel = linear @ unit + origin``.

    Attributes:
        linear: ``(..., P, 2, 2)``, of which none is singular.
        origin: ``(..., P, 2)``, the regions' centres.
    """

    linear: ArrayT
    origin: ArrayT

    @property
    def scale(self) -> ArrayT:
        """``(..., P)``: pixels of one unit, the geometric mean of both axes'."""
        return abs(self._determinant) ** 0.5

    @property
    def side(self) -> ArrayT:
        """``(..., P)``: the sides of squares of the regions' areas, in pixels."""
        return 2 * self.scale

    def out(self, points: ArrayT) -> ArrayT:
        """Points ``(..., P, 2)`` in units, one of each region, in pixels."""
        return self.vectors(points) + self.origin

    def vectors(self, steps: ArrayT) -> ArrayT:
        """Steps ``(..., P, 2)`` in units, one in each region, in pixels."""
        return _times(self.linear, steps)

    def into(self, points: ArrayT) -> ArrayT:
        """Points ``(..., P, 2)`` in pixels, one of each region, in units."""
        # By the theorem of Cayley and Hamilton A's inverse is (trace(A) - A) / det(A). With A's
        # scale taken out first, an upright square's is exactly the division by half its side.
        scale = self.scale
        turn, away = self.linear / scale[..., None, None], points - self.origin
        trace = turn[..., 0, 0] + turn[..., 1, 1]
        sign = self._determinant / abs(self._determinant)
        return (trace[..., None] * away - _times(turn, away)) / (scale * sign)[..., None]

    def then(self, inner: Frame[ArrayT]) -> Frame[ArrayT]:
        """The frame of regions that lie at ``inner`` in this one's units: this map after inner's.

        Source: progressive reinitialisation (paper 002), eq. 7: the shape in the photo is that of
        the region's region, through both maps in turn.
        """
        return Frame(self.linear @ inner.linear, self.out(inner.origin))

    def of(self, owners: Sequence[int]) -> Frame[ArrayT]:
        """The frames of some regions, in their order; one may stand several times."""
        return Frame(self.linear[..., list(owners), :, :], self.origin[..., list(owners), :])

    def grown(self, factor: float) -> Frame[ArrayT]:
        """The same regions, larger by a factor around their centres."""
        return Frame(self.linear * factor, self.origin)

    @property
    def _determinant(self) -> ArrayT:
        a = self.linear
        return a[..., 0, 0] * a[..., 1, 1] - a[..., 0, 1] * a[..., 1, 0]


def upright(centre: NDArray[np.float64], side: NDArray[np.float64]) -> Frame[NDArray[np.float64]]:
    """Upright squares of centres ``(..., P, 2)`` and sides ``(..., P)``."""
    return Frame((side / 2)[..., None, None] * np.eye(2), centre)


def around(boxes: NDArray[np.float64], margin: float) -> Frame[NDArray[np.float64]]:
    """The upright squares around boxes, enlarged by ``margin``.

    Args:
        boxes: ``(..., P, 4)``: x0, y0, x1, y1 in pixel-centre coordinates.
        margin: Side of the square over the longer side of the box.
    """
    low, high = boxes[..., :2], boxes[..., 2:]
    return upright((low + high) / 2, (high - low).max(axis=-1) * margin)


def _times(linear: ArrayT, points: ArrayT) -> ArrayT:
    return (linear @ points[..., None])[..., 0]
