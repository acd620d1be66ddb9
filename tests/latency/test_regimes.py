"""groupnas.latency.regimes: work by hand, fits of what obeys the model, costs that never fall."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupnas.latency import Kernel
from groupnas.latency.grid import plain_layer
from groupnas.latency.regimes import Fit, regime_of, smooth_work, work_of
from groupnas.spaces.layer import INPUT

CONV = plain_layer("conv", 8, 8, 4, kernel=3)
POINTWISE = plain_layer("conv", 8, 8, 4, kernel=1)
STRIDED = plain_layer("depthwise", 8, 8, 8, kernel=3, stride=2)
LINEAR = plain_layer("linear", 8, 8, 4)


@pytest.mark.parametrize(
    ("kernel", "regime"),
    [
        (Kernel(CONV, 1, 16, 8), "blocked spatial"),
        (Kernel(CONV, 2, 6, 8), "plain spatial"),
        (Kernel(CONV, 1, 3, 8), "blocked first"),
        (Kernel(POINTWISE, 4, 16, 16), "blocked pointwise"),
        (Kernel(POINTWISE, 4, 6, 16), "plain pointwise"),
        (Kernel(STRIDED, 24, 1, 1), "blocked depthwise"),
        (Kernel(CONV, 22, 1, 1), "plain depthwise"),
        (Kernel(plain_layer("avgpool", 8, 8, 4, kernel=2, stride=2), 8, 1, 1), "plain pooling"),
        (Kernel(LINEAR, 1, 8, 8), "linear"),
    ],
)
def test_regimes(kernel: Kernel, regime: str) -> None:
    assert regime_of(kernel, 16) == regime


# node, MACs, read, input, output, weights, rows of a block
@pytest.mark.parametrize(
    ("kernel", "work"),
    [
        # as they are: 2 groups of 6 -> 8, 3x3 windows on 4x4
        (Kernel(CONV, 2, 6, 8), (1, 864 * 16, 108 * 16, 12 * 16, 16 * 16, 864, 16 * 4)),
        # padded to 32 -> 80, whose 5 blocks of outputs take two turns of four
        (Kernel(POINTWISE, 1, 20, 70), (1, 2560 * 16, 32 * 32, 512, 1280, 2560, 5 * 4)),
        # padded to 32 channels
        (Kernel(STRIDED, 20, 1, 1), (1, 288 * 16, 288 * 16, 2048, 512, 288, 2 * 4)),
        (Kernel(LINEAR, 1, 3, 5), (1, 240, 48, 48, 5, 240, 5)),
    ],
)
def test_work_by_hand(kernel: Kernel, work: tuple[int, ...]) -> None:
    assert work_of(kernel, 16) == work


@given(a=st.integers(1, 6), b=st.integers(1, 6))
def test_smooth_work_is_that_of_whole_blocks(a: int, b: int) -> None:
    # up to four blocks of outputs, which take one turn
    kernel = Kernel(POINTWISE, 1, 16 * a, 16 * min(b, 4))
    assert smooth_work(POINTWISE, 16 * a, 16 * min(b, 4), 16) == work_of(kernel, 16)
    first = replace(CONV, in_unit=INPUT)
    assert smooth_work(first, a, 64, 16) == work_of(Kernel(first, 1, a, 64), 16)
    assert smooth_work(STRIDED, 16 * a, b, 16) == work_of(Kernel(STRIDED, 16 * a, 1, 1), 16)


@given(seed=st.integers(0, 1000))
def test_a_fit_finds_what_obeys_it(seed: int) -> None:
    generator = np.random.default_rng(seed)
    work = generator.uniform(0, [1, 1e6, 1e3], (12, 3))
    rates = generator.uniform(0, [1, 1e-5, 1e-3])
    fit = Fit.to(work.tolist(), (work @ rates).tolist())
    assert fit.rates == pytest.approx(tuple(rates), rel=1e-6)
    assert fit.points == 12 and fit.median < 1e-6 and abs(fit.worst) < 1e-6
    assert fit(work[0].tolist()) == pytest.approx(work[0] @ rates)


def test_a_fit_says_how_far_off_it_is() -> None:
    # One rate r for times 1, 1 and 2: minimise 2 (r - 1)^2 + (r / 2 - 1)^2,
    # r = (2 + 1/2) / (2 + 1/4) = 10/9
    fit = Fit.to([[1], [1], [1]], [1.0, 1.0, 2.0])
    assert fit.rates == pytest.approx((10 / 9,))
    assert fit.median == pytest.approx(1 / 9)
    assert fit.worst == pytest.approx(-4 / 9)
    assert fit.formula(["node"]) == "1.11e+06 a node"


def test_no_rate_is_negative() -> None:
    # The larger is quicker: the slope that would fit is not allowed
    fit = Fit.to([[1, 1], [1, 2], [1, 3]], [3.0, 2.0, 1.0])
    assert fit.rates[1] == 0 and fit.rates[0] > 0
