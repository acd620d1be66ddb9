from __future__ import annotations

import numpy as np
import pytest

from groupnas.engine.strategy import load_strategy
from groupnas.partbench import load_partbench
from groupnas.partbench.training import TRAINING, train
from groupnas.spaces.allocation import Allocation
from groupnas.tabular.bench import FIT

BENCH = load_partbench(16, weights=[1, 1, 1, 1])
SIZES = ((2, 9), (3, 8), (5, 4), (1, 13))


def allocation() -> Allocation:
    return BENCH.allocation(np.array(SIZES))


def test_the_table_is_what_training_gives() -> None:
    """Of four parts side by side, each with its own sizes and draw."""
    seed = 3
    errors = train(allocation(), BENCH.drawn_parts(seed))
    for epoch in (1, 2):
        looked_up = BENCH.evaluate(allocation(), epoch, seed)
        for group, curve in errors.validation.items():
            # Other processors and versions round differently; a training's steps blow that up.
            assert curve[epoch - 1] == pytest.approx(looked_up[group], rel=0.01)
    at_end = BENCH.errors(allocation(), seed=seed, split="test")
    for group, error in errors.test.items():
        assert error == pytest.approx(at_end[group], rel=0.1)


def test_a_part_knows_nothing_of_the_others() -> None:
    brief = TRAINING.model_copy(update={"epochs": 2})
    sizes = [list(row) for row in SIZES]
    first = train(BENCH.allocation(np.array(sizes)), BENCH.drawn_parts(), brief)
    sizes[0], sizes[3] = [5, 5], [2, 2]
    other = train(BENCH.allocation(np.array(sizes)), BENCH.drawn_parts(), brief)
    for group in ("part2", "part3"):
        assert first.test[group] == pytest.approx(other.test[group], rel=1e-3)
    for group in ("part1", "part4"):
        assert first.test[group] != pytest.approx(other.test[group], rel=1e-3)


def test_searches_reach_no_test_sample() -> None:
    every, searched = BENCH.all_samples(1), BENCH.task(1)
    samples = BENCH.table.about["samples"]
    assert len(every.sources) == sum(samples.values())
    assert searched.sources == every.sources[: samples["train"] + samples["validation"]]


def test_a_seed_has_samples_of_its_own() -> None:
    assert BENCH.task(0).fingerprint() == BENCH.task(0).fingerprint()
    assert BENCH.task(0).fingerprint() != BENCH.task(1).fingerprint()


def test_a_search_by_looking_up_gains_where_parts_differ() -> None:
    knapsack = load_strategy("knapsack").with_settings(trials=12, epochs=BENCH.epochs)
    even = BENCH.errors(Allocation.even(BENCH.space()), split="test")["mean"]
    for seed in range(2):
        found = BENCH.search(knapsack.with_budget(FIT), seed).design(FIT)
        assert isinstance(found, Allocation)
        assert BENCH.errors(found, split="test")["mean"] < 0.97 * even
        assert BENCH.regret(found) >= 0
