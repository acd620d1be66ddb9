"""groupnas.nn.temperature: schedules, computed by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupnas.errors import InputError
from groupnas.nn import Temperature


@pytest.mark.parametrize(
    ("schedule", "progress", "expected"),
    [
        ("constant", 0.0, 8.0),
        ("constant", 1.0, 8.0),
        ("linear", 0.25, 6.5),  # 8 - 6 / 4
        ("linear", 0.5, 5.0),
        ("exponential", 0.5, 4.0),  # the geometric mean of 8 and 2
        ("exponential", 0.25, 8 / math.sqrt(2)),
        ("cosine", 0.5, 5.0),
        ("cosine", 1 / 3, 6.5),  # (1 - cos 60 deg) / 2 = 1/4 of the way
    ],
)
def test_values_between(schedule: Any, progress: float, expected: float) -> None:
    assert Temperature(8.0, 2.0, schedule)(progress) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["linear", "exponential", "cosine"])
def test_ends_are_met_and_held(schedule: Any) -> None:
    falling = Temperature(5.0, 0.5, schedule)
    assert falling(0.0) == falling(-1.0) == 5.0
    assert falling(1.0) == falling(7.0) == pytest.approx(0.5, abs=1e-12)


@given(
    st.sampled_from(["linear", "exponential", "cosine"]),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_it_never_rises_again(schedule: Any, first: float, second: float) -> None:
    falling = Temperature(5.0, 0.5, schedule)
    assert falling(min(first, second)) >= falling(max(first, second)) - 1e-12


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"start": 0.0}, "temperature.start"),
        ({"end": -1.0}, "temperature.end"),
        ({"start": math.inf}, "temperature.start"),
        ({"end": math.nan}, "temperature.end"),
        ({"schedule": "step"}, "temperature.schedule"),
    ],
)
def test_settings_at_fault_are_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=f"^{named}: "):
        Temperature(**settings)
