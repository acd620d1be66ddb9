"""How many seeds show a difference: printed tables, and by trying."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from groupnas.ceilings.power import achieved, seeds_needed


@pytest.mark.parametrize(
    ("effect", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10), (1.5, 6), (100.0, 2)]
)
def test_against_printed_tables(effect: float, pairs: int) -> None:
    """Of G*Power: a paired t-test, two-sided 5 %, power 80 %."""
    assert seeds_needed(effect * 3, 3) == pairs == seeds_needed(-effect, 1)


def test_what_no_number_of_seeds_shows() -> None:
    assert seeds_needed(0.001, 1) is None and seeds_needed(0.0, 1) is None


def test_chances_are_those_of_tests() -> None:
    draws = np.random.default_rng(0).normal(0.7, 1, size=(20_000, 12))
    succeeded = np.mean(ttest_1samp(draws, 0, axis=1).pvalue < 0.05)
    assert achieved(0.7, 12) == pytest.approx(succeeded, abs=0.01)
