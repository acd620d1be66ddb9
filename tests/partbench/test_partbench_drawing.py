from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupnas.errors import InputError
from groupnas.partbench.drawing import draw_part, mode_variances


def effective(variances: np.ndarray) -> float:
    """How many equal ones they are worth."""
    return float(variances.sum() ** 2 / (variances**2).sum())


@given(difficulty=st.floats(1, 16))
def test_difficulty_is_the_effective_number_of_modes(difficulty: float) -> None:
    variances = mode_variances(difficulty)
    assert effective(variances) == pytest.approx(difficulty, rel=1e-6)
    assert variances.mean() == pytest.approx(1)
    assert (np.diff(variances) <= 0).all()


@pytest.mark.parametrize("difficulty", [1.0, 2.0, 5.0, 16.0])
def test_drawn_points_move_in_as_many_ways(difficulty: float) -> None:
    points = draw_part(difficulty, 0, 4000)[1].reshape(4000, 16)
    covariance = np.cov(points, rowvar=False)
    assert effective(np.linalg.eigvalsh(covariance)) == pytest.approx(difficulty, rel=0.05)
    # As far in all, however hard: a root mean square of 0.12 a coordinate
    assert np.trace(covariance) / 16 == pytest.approx(0.12**2, rel=0.1)


def test_spots_are_where_the_points_are() -> None:
    crops, points = draw_part(4, 0, 500)
    columns, rows = np.moveaxis(np.floor((points + 1) / 2 * 12).astype(int), 2, 0)
    inside = (np.minimum(rows, columns) >= 0) & (np.maximum(rows, columns) < 12)
    sample = np.arange(500)[:, None].repeat(8, axis=1)
    at_points = crops[sample[inside], rows[inside], columns[inside]]
    swapped = crops[sample[inside], columns[inside], rows[inside]]
    assert at_points.mean() > 0.9 and swapped.mean() < 0.75 and crops.mean() < 0.4


def test_draws_are_seeded() -> None:
    first, again = draw_part(3, 1, 10), draw_part(3.0, 1, 10)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    for other in (draw_part(3, 2, 10), draw_part(3.01, 1, 10)):
        assert not np.array_equal(first[1], other[1])
    with pytest.raises(ValueError, match="read-only"):  # they are kept for who asks next
        first[0][0] = 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((0.5, 0, 1), "difficulty: expected a number from 1 to 16, got 0.5"),
        ((17, 0, 1), "difficulty: expected a number up to 16, got 17"),
        ((2, -1, 1), "draw: expected a whole number from 0"),
        ((2, 0, 0), "samples: expected a whole number from 1 on"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments: tuple[float, int, int], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        draw_part(*arguments)
