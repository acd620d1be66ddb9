"""Means where samples lack parts, by hand and against pandas-like loops."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from groupnas.engine.missing import known_counts, known_means, with_mean

NAN, INF = math.nan, math.inf
Table = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
TABLES = arrays(
    np.float64, st.tuples(st.integers(1, 6), st.just(3)), elements=st.floats(0, 1e6) | st.just(NAN)
)


def test_by_hand() -> None:
    errors = np.array([[1.0, 4.0], [3.0, NAN], [NAN, NAN], [NAN, 10.0]])
    table = with_mean(errors, np.array([2.0, 1.0]))
    # (2 x 1 + 4) / 3; a sample's own mean is over what it shows
    np.testing.assert_array_equal(table[:, 2], [2.0, 3.0, NAN, 10.0])
    np.testing.assert_array_equal(table[:, :2], errors)
    assert known_means(table).tolist() == [2.0, 7.0, 5.0]
    assert known_counts(table).tolist() == [2, 2, 3]


def test_what_diverged_is_not_missing() -> None:
    table = with_mean(np.array([[INF, NAN], [1.0, 1.0]]), np.array([1.0, 1.0]))
    assert known_means(table).tolist() == [INF, 1.0, INF]
    assert known_counts(table).tolist() == [2, 1, 2]


def test_a_part_that_no_sample_shows() -> None:
    table = with_mean(np.array([[1.0, NAN], [2.0, NAN]]), np.array([1.0, 5.0]))
    np.testing.assert_array_equal(known_means(table), [1.5, NAN, 1.5])
    assert known_counts(table).tolist() == [2, 0, 2]


@given(TABLES)
def test_as_a_naive_loop_says(errors: Table) -> None:
    weights = [1.0, 2.0, 5.0]
    rows = []
    for row in errors.tolist():
        there = [(w, e) for w, e in zip(weights, row, strict=True) if not math.isnan(e)]
        total = sum(w for w, _ in there)
        rows.append([*row, sum(w * e for w, e in there) / total if there else NAN])
    columns = [[v for v in column if not math.isnan(v)] for column in zip(*rows, strict=True)]
    found = with_mean(errors, np.array(weights))
    np.testing.assert_allclose(found, rows, rtol=1e-12)
    means = [sum(column) / len(column) if column else NAN for column in columns]
    np.testing.assert_allclose(known_means(found), means, rtol=1e-12)
    assert known_counts(found).tolist() == [len(column) for column in columns]


@given(TABLES, st.integers(0, 5), st.integers(0, 2))
def test_a_part_that_a_sample_loses_changes_no_other_part(
    errors: Table, sample: int, part: int
) -> None:
    less = errors.copy()
    less[sample % len(less), part] = NAN
    others = [index for index in range(3) if index != part]
    np.testing.assert_array_equal(known_means(less)[others], known_means(errors)[others])
