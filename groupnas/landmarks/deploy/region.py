"""Regions of a face inside an ONNX graph: squares, or what five points turn and stretch.

The numbers are those of :class:`groupnas.landmarks.frames.Frame`, of one face. Small tensors have
five dimensions, as in :mod:`groupnas.landmarks.deploy.resample`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groupnas.arrays import Floats
from groupnas.landmarks.deploy.graph import FLOAT, GraphTensor
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.pose import five_points
from groupnas.landmarks.roles import LEAST_AREA


@dataclass(frozen=True)
class Region:
    """P upright squares, or a single region that may be turned.

    Attributes:
        centre: ``(P, 2, 1, 1, 1)`` float32, in pixel-centre coordinates.
        half: ``(P, 1, 1, 1, 1)`` float32, half of each square's side.
        linear: ``(2, 2)`` float32, from units to pixels, of a single region that may be turned.
    """

    centre: GraphTensor
    half: GraphTensor
    linear: GraphTensor | None = None

    def of(self, markup: Markup) -> Region:
        """The regions of a markup's points, each part's being one of these."""
        if len(markup.parts) == 1:
            return self
        owners = list(markup.owners)
        return Region(self.centre.take(owners), self.half.take(owners))

    def out(self, points: GraphTensor) -> GraphTensor:
        """Points ``(K, 2, 1, 1, 1)`` in units, each of its own region or all of one, in pixels."""
        if self.linear is None:
            return self.centre + points * self.half
        graph = points.graph
        pixels = graph.op("MatMul", points.reshape(-1, 2), self.linear.transpose(1, 0))
        return self.centre + pixels.reshape(-1, 2, 1, 1, 1)

    def upright(self, pixels: int) -> Region:
        """The squares that are cut, a turned region's with a rim of one of its ``pixels``."""
        if self.linear is None:
            return self
        graph = self.centre.graph
        reach = graph.op("Abs", self.linear).reduce("Sum", 1).reduce("Max", 0)
        return Region(self.centre, (reach * (pixels / (pixels - 2))).reshape(1, 1, 1, 1, 1))


def fitted(points: GraphTensor, plain: Region, weights: Floats, markup: Markup) -> Region:
    """The region of five points, or the plain one; as :meth:`groupnas.landmarks.roles.Gaze.frames`.

    Args:
        points: ``(K, 2, 1, 1, 1)`` float32, all of the face.
        plain: That of its box.
        weights: ``(6, 10)``, of the five.
        markup: Of the points.
    """
    graph, count = points.graph, markup.points
    each = np.stack([np.eye(count), np.zeros((count, count))], axis=-1)  # one point at 1 at a time
    shares = graph.constant(five_points(each, markup)[..., 0].T, FLOAT)  # (5, K)
    five = graph.op("MatMul", shares, points.reshape(count, 2)).reshape(10, 1)
    values = graph.op("MatMul", graph.constant(weights, FLOAT), five)
    a, b, c, d, *_ = graph.split(values.reshape(6), 6, axis=0)
    half = plain.half.reshape(1)
    fits = graph.op("Greater", a * d - b * c, half * half * LEAST_AREA, dtype=np.bool_)
    eye = graph.constant(np.eye(2), FLOAT)
    linear = graph.op(
        "Where", fits, values.take([[0, 1], [2, 3]]).reshape(2, 2), eye * half, dtype=FLOAT
    )
    origin = values.take([4, 5]).reshape(1, 2, 1, 1, 1)
    centre = graph.op("Where", fits.reshape(1, 1, 1, 1, 1), origin, plain.centre, dtype=FLOAT)
    return Region(centre, plain.half, linear)


def read_off(crops: GraphTensor, linear: GraphTensor, half: GraphTensor, size: int) -> GraphTensor:
    """A turned region ``(1, C, size, size)``, read off the upright square around it, bilinear.

    Args:
        crops: ``(1, C, N, N)`` float32, the square.
        linear: ``(2, 2)``, of the region.
        half: ``(1, 1, 1, 1, 1)``, half of the square's side.
        size: Of the result.
    """
    units = (2 * np.arange(size) + 1) / size - 1
    places = np.stack(np.meshgrid(units, units), axis=-1).reshape(-1, 2)
    graph = crops.graph
    within = linear.transpose(1, 0) / half.reshape(1, 1)
    grid = graph.op("MatMul", graph.constant(places, FLOAT), within).reshape(1, size, size, 2)
    return graph.op(
        "GridSample", crops, grid, mode="bilinear", padding_mode="border", align_corners=0
    )
