"""The time of a kernel as a sum of work: one linear model for each way that kernels are computed.

A kernel of one regime takes  c . f  milliseconds, with f what it does and c >= 0
fitted to what was measured, by least squares of the relative error. So kernels that were never
measured have a cost, and costs never fall as channels are added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from groupnas.latency.kernel import KERNELS, Kernel, input_format, kernel_format, padded_kernel
from groupnas.spaces.layer import Layer

# What a kernel does: itself, a constant; multiply-accumulates; elements that its windows read;
# elements of its input, its output and its weights; rows of its output, for each block of channels.
WORK = ("node", "MAC", "read", "input", "output", "weight", "line")
_FILTERS = 4  # blocks of output channels that a blocked kernel computes in one go over its input


def regime_of(kernel: Kernel, block: int) -> str:
    """Return the way in which a kernel is computed: e.g. ``blocked pointwise``.

    A *first* kernel is a blocked one that reads a plain input of less than a block of channels.
    """
    layer = kernel.layer
    form = kernel_format(kernel, block)
    rule = KERNELS[layer.operation]
    if layer.operation.flat:
        return rule.regime
    if kernel.channelwise:
        return f"{form} {rule.regime}"
    if form == "blocked" and input_format(kernel, block) == "plain":
        return "blocked first"
    return f"{form} {'pointwise' if math.prod(layer.taps) == 1 else 'spatial'}"


def work_of(kernel: Kernel, block: int) -> tuple[Any, ...]:
    """Return a kernel's :data:`WORK`, with whole blocks of channels where it is blocked."""
    lanes = block if kernel_format(kernel, block) == "blocked" else 1
    padded = padded_kernel(kernel, block)
    turns = -(-padded.outputs // (_FILTERS * block)) if lanes > 1 else 1
    return _work(kernel.layer, padded.groups, padded.inputs, padded.outputs, lanes, turns)


def smooth_work(layer: Layer, a: Any, b: Any, block: int) -> tuple[Any, ...]:
    """Return what one group of ``a`` input and ``b`` output channels adds, without any padding.

    Takes numbers and tensors alike; grows with both.
    """
    if layer.mixes_channels:
        return _work(layer, 1, a, b, max(block, 1), 1)
    return _work(layer, a, 1, 1, max(block, 1), 1)


def _work(layer: Layer, groups: Any, a: Any, b: Any, lanes: int, turns: int) -> tuple[Any, ...]:
    area_in, area_out = layer.in_size[0] * layer.in_size[1], layer.out_size[0] * layer.out_size[1]
    window = math.prod(layer.taps)
    weights = groups * a * b * window
    outputs = groups * b * area_out
    return (
        1,
        weights * area_out,
        groups * a * window * area_out * turns,
        groups * a * area_in,
        outputs,
        weights,
        outputs / (layer.out_size[1] * lanes),
    )


@dataclass(frozen=True)
class Fit:
    """A linear model of milliseconds, and how far it is from what it was fitted to.

    Attributes:
        rates: Milliseconds of each kind of work; none negative.
        points: How many measurements there were.
        median: Of their relative errors.
        worst: The relative error that is largest, with its sign (-0.2: the model says a fifth
            less than was measured).
    """

    rates: tuple[float, ...]
    points: int
    median: float
    worst: float

    @classmethod
    def to(cls, work: Sequence[Sequence[float]], ms: Sequence[float]) -> Fit:
        """Fit non-negative rates to at least one measurement, all ``ms`` positive."""
        from scipy.optimize import nnls

        times = np.asarray(ms, dtype=float)
        relative = np.asarray(work, dtype=float) / times[:, None]
        scale = relative.max(axis=0)  # of very different sizes: MACs and nodes
        scale[scale == 0] = 1.0
        rates = nnls(relative / scale, np.ones(len(times)))[0] / scale
        errors = relative @ rates - 1
        worst = errors[np.argmax(abs(errors))]
        return cls(
            tuple(map(float, rates)), len(times), float(np.median(abs(errors))), float(worst)
        )

    def __call__(self, work: Sequence[Any]) -> Any:
        """Milliseconds of some work: a number, or a tensor where the work is."""
        return sum(rate * amount for rate, amount in zip(self.rates, work, strict=True) if rate)

    def formula(self, work: Sequence[str]) -> str:
        """The rates in nanoseconds, each with the name of its work."""
        terms = zip(self.rates, work, strict=True)
        return " + ".join(f"{1e6 * rate:.3g} a {name}" for rate, name in terms if rate)
