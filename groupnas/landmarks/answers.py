"""Answers: what the outputs of a stage's network mean."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from groupnas.landmarks.frames import Frame
from groupnas.schema import Settings


class PointsAnswer(Settings):
    """Outputs that are the points themselves, in the units of their own regions.

    Source: PicassoNet, section III-A.
    """

    name: Literal["points"] = "points"

    def shape(
        self,
        outputs: NDArray[np.float64],
        frame: Frame[NDArray[np.float64]],
        before: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """Points ``(B, K, 2)`` in pixels.

        Args:
            outputs: ``(B, K, 2)``, of the network.
            frame: ``(B, K)``, the region of each point.
            before: ``(B, K, 2)``, where the stages before have the points; of no use to these.
        """
        return frame.out(outputs)
