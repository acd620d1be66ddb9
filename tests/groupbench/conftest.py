"""A table of made-up errors, small enough to look through by hand; and the one that ships."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from groupnas.groupbench import GroupBench, Table, load_groupbench

PARTS = ("left_eye", "nose", "mouth")


def made_up(
    sizes: tuple[int, int] = (4, 5), seeds: int = 2, epochs: int = 3, seed: int = 0
) -> Table:
    """Random errors in [1, 2]."""
    draw = np.random.default_rng(seed)
    shape = (len(PARTS), *sizes, seeds)
    return Table(
        validation=draw.uniform(1, 2, (*shape, epochs)).astype(np.float32),
        test=draw.uniform(1, 2, shape).astype(np.float32),
        about={
            "format": 1,
            "parts": list(PARTS),
            "largest": {"stem": sizes[0], "body": sizes[1]},
            "seeds": seeds,
            "training": {"epochs": epochs},
        },
    )


@pytest.fixture
def make_table() -> Callable[..., Table]:
    """:func:`made_up`"""
    return made_up


@pytest.fixture
def small() -> GroupBench:
    """Parts of at most 4 and 5 channels, two seeds, three epochs."""
    return GroupBench(made_up())


@pytest.fixture(scope="session")
def bench() -> GroupBench:
    """What ships."""
    return load_groupbench()
