"""Drawn parts: eight bright spots on a ring that is deformed, in few ways or in many.

The spots move in 16 *modes*, vector waves along the ring: first the ring shifts, then it stretches
and shears, then it bends. A mode's amplitude is normal, and its variance falls geometrically from
mode to mode. A part's *difficulty* is the effective number of its modes, ``(sum v)**2 / sum v**2``
of their variances v: 1 where the first is all there is, 16 where all are alike; the sum of the
variances is the same for all parts. So difficulty is what a network's width is needed for: of c
features, whatever they are, linear outputs vary in c ways at most.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from groupnas.arrays import Floats
from groupnas.errors import InputError
from groupnas.values import number, seed, whole

SIDE = 12  # pixels of a crop
POINTS = 8  # spots of a part
MODES = 2 * POINTS
EASIEST, HARDEST = 1.0, float(MODES)

_RADIUS = 0.55  # of the ring; lengths are in halves of the side
_MOVED = 0.12  # root mean square of a coordinate's way from its mean
_SPOT = 0.16  # a spot's deviation
_NOISE = 0.2  # of a pixel; a spot's middle is 1

Singles = NDArray[np.float32]


def draw_part(difficulty: float, draw: int, samples: int) -> tuple[Singles, Singles]:
    """Return crops of a part, and where its spots are; the same arguments, the same crops.

    Args:
        difficulty: Effective number of the modes, 1 to 16; need not be whole.
        draw: Which of the endless many sets of samples, from 0.
        samples: N.

    Returns:
        Grey crops ``(N, 12, 12)``, about 0 to 1, and points ``(N, 8, 2)``, x then y, from -1 to 1
        at the crop's borders.

    Raises:
        InputError: a difficulty, a draw or a number of samples that is none.
    """
    return _drawn(checked_difficulty(difficulty), seed("draw", draw), whole("samples", samples, 1))


@lru_cache(maxsize=32)  # a table's trainings ask for the same ones again and again
def _drawn(difficulty: float, draw: int, samples: int) -> tuple[Singles, Singles]:
    rng = np.random.default_rng([draw, round(1e6 * difficulty)])
    amplitudes = rng.standard_normal((samples, MODES)) * np.sqrt(mode_variances(difficulty))
    points = _ring() + _MOVED * np.einsum("nm,mpa->npa", amplitudes, _modes())
    pixels = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    across, down = np.moveaxis(np.exp(-0.5 * ((pixels - points[..., None]) / _SPOT) ** 2), 2, 0)
    crops = np.einsum("npy,npx->nyx", down, across)
    crops += _NOISE * rng.standard_normal(crops.shape)
    found = crops.astype(np.float32), points.astype(np.float32)
    for array in found:
        array.setflags(write=False)
    return found


def checked_difficulty(value: float) -> float:
    """Return the same; raise :class:`InputError` unless it is a number from 1 to 16."""
    difficulty = number("difficulty", value, most=HARDEST)
    if difficulty < EASIEST:
        raise InputError(f"difficulty: expected a number from 1 to 16, got {difficulty:g}")
    return difficulty


def mode_variances(difficulty: float) -> Floats:
    """Return the modes' variances ``(16,)``, which fall geometrically; their mean is 1."""

    def falling(ratio: float) -> Floats:
        variances = ratio ** np.arange(MODES)
        return variances * (MODES / variances.sum())

    def missed(ratio: float) -> float:
        return MODES**2 / float((falling(ratio) ** 2).sum()) - difficulty

    if difficulty in (EASIEST, HARDEST):
        return falling(float(difficulty == HARDEST))
    return falling(brentq(missed, 0.0, 1.0))


@cache
def _ring() -> Floats:
    """Return the spots' mean places, ``(8, 2)``."""
    angles = _angles()
    return _RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)


@cache
def _modes() -> Floats:
    """Return an orthogonal basis of what eight spots can do, ``(16, 8, 2)``: waves, x and y."""
    angles, root = _angles(), np.sqrt(2)
    waves = [np.ones(POINTS)]
    for count in range(1, POINTS // 2):
        waves += [root * np.cos(count * angles), root * np.sin(count * angles)]
    waves.append(np.cos(POINTS // 2 * angles))
    modes = np.zeros((MODES, POINTS, 2))
    for index, wave in enumerate(waves):
        modes[2 * index, :, 0] = modes[2 * index + 1, :, 1] = wave / np.sqrt(POINTS)
    return modes


def _angles() -> Floats:
    return np.arange(float(POINTS)) * (2 * np.pi / POINTS)
