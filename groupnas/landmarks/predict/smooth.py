"""Less jitter between the frames of a video.

Source: Casiez, Roussel, Vogel, "1 Euro Filter", CHI 2012.
"""

from __future__ import annotations

import math

import numpy as np

from groupnas.landmarks.located import Points


class OneEuroFilter:
    """A low-pass filter whose cutoff rises with speed: still points hold, moving ones do not lag.

    Speeds are in face sizes per second, so that near and far faces are filtered alike.

    Args:
        least: Cutoff of still points, Hz.
        slope: What a speed of one face size per second adds to the cutoff, Hz.
        speed_cutoff: Of the filter on the speed itself, Hz.
    """

    def __init__(self, least: float = 1.5, slope: float = 20.0, speed_cutoff: float = 1.0) -> None:
        self.least, self.slope, self.speed_cutoff = least, slope, speed_cutoff
        self._points: Points | None = None
        self._speed: Points | None = None
        self._time = 0.0

    def __call__(self, points: Points, time: float) -> Points:
        """The filtered points ``(K, 2)`` of the frame at ``time``, in seconds."""
        passed = time - self._time
        self._time = time
        if self._points is None or self._speed is None or passed <= 0:
            self._points, self._speed = points, np.zeros_like(points)
            return points
        size = max(float(np.ptp(points, axis=0).max()), 1e-6)
        speed = (points - self._points) / size / passed
        self._speed = self._speed + _share(self.speed_cutoff, passed) * (speed - self._speed)
        moving = np.linalg.norm(self._speed, axis=1, keepdims=True)
        share = _share(self.least + self.slope * moving, passed)
        self._points = self._points + share * (points - self._points)
        return self._points


def _share(cutoff: float | Points, passed: float) -> float | Points:
    """Return the share of the way to a new value that the filter goes (the paper's alpha)."""
    ratio = 2 * math.pi * cutoff * passed
    return ratio / (ratio + 1)
