from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import groupnas as gn
import groupnas.partbench
from groupnas.errors import InputError
from groupnas.partbench import LEVELS, PartBench, load_partbench
from groupnas.tabular.bench import FIT
from groupnas.tabular.levers import best_by
from groupnas.tabular.table import Table

SHIPPED = Path(groupnas.partbench.__file__).parent / "table.npz"


def small(difficulties: Sequence[float], weights: tuple[int, ...]) -> PartBench:
    """Random errors in [1, 2] for sizes of up to 3 and 8, the even ones among them."""
    draw = np.random.default_rng(0)
    shape = (len(LEVELS), 3, 8, 2)
    table = Table(
        validation=draw.uniform(1, 2, (*shape, 2)).astype(np.float32),
        test=draw.uniform(1, 2, shape).astype(np.float32),
        about={"seeds": 2, "training": {"epochs": 2}},
    )
    found = load_partbench(difficulties=difficulties, weights=weights)
    return replace(found, table=table)


def test_the_optimum_is_the_least_of_all() -> None:
    bench = small([1, 4, 16], (1, 3, 2))
    space = bench.space()
    limit = 1.01 * gn.flops(gn.Allocation.even(space)).total
    own: list[list[tuple[float, float]]] = []
    for group, level, weight in zip(space.groups, (0, 4, 8), (1, 3, 2), strict=True):
        rows: list[tuple[float, float]] = []
        for stem, features in itertools.product(range(1, 4), range(1, 9)):
            widths = dict.fromkeys(space.groups, {"stem": 1, "features": 1})
            widths[group] = {"stem": stem, "features": features}
            cost = gn.flops(gn.Allocation.from_widths(space, widths)).per_group[group]
            error = bench.table.test[level, stem - 1, features - 1].astype(float).mean()
            rows.append((cost, weight / 6 * error))
        own.append(rows)
    expected = min(
        sum(error for _, error in picks)
        for picks in itertools.product(*own)
        if sum(cost for cost, _ in picks) <= limit
    )
    found, error = bench.optimum()
    assert error == pytest.approx(expected, rel=1e-6)
    assert gn.flops(found).total <= limit
    assert bench.regret(found) == pytest.approx(0, abs=1e-9)
    assert bench.choices().errors.min() == pytest.approx(error)


def test_the_levers_alone_are_within_both() -> None:
    bench = load_partbench(16)
    even = gn.Allocation.even(bench.space())
    split, depth, both = (best_by(bench, lever) for lever in ("split", "depth", "both"))
    for group, cost in depth.costs().items():
        assert cost <= 1.01 * even.costs()[group]
    for sizes in zip(*(row.values() for row in split.grouping.counts().values()), strict=True):
        stem, features = sizes  # proportions of 3 to 8, rounded
        assert any(
            (stem, features) == (max(1, round(3 * k)), max(1, round(8 * k)))
            for k in np.linspace(0.1, 3, 5000)
        )
    worth = [bench.errors(a, split="test")["mean"] for a in (even, split, depth, both)]
    assert worth[3] < min(worth[1], worth[2]) and max(worth[1:]) < worth[0]
    assert bench.regret(both) == pytest.approx(0, abs=1e-9)


def test_a_training_combines_trainings_of_the_parts() -> None:
    bench = small([2, 2], (1, 1))
    even = gn.Allocation.even(bench.space())
    for seed in range(bench.seeds):
        found = bench.errors(even, seed=seed, split="test")
        own = sorted(float(value) for value in bench.table.test[2, 2, 7])
        assert sorted([found["part1"], found["part2"]]) == pytest.approx(own)  # none twice
        assert bench.evaluate(even, 9, seed) == bench.errors(even, seed=seed)
    assert bench.seeds == 2


def test_weights_are_outputs() -> None:
    bench = load_partbench(1, 2, [1, 3])
    assert dict(bench.space().outputs) == {"part1": 16, "part2": 48}
    errors = bench.errors(gn.Allocation.even(bench.space()))
    assert errors["part1"] == errors["part2"] == pytest.approx(errors["mean"])
    costs = gn.Allocation.even(bench.space()).costs()
    assert costs["part2"] - costs["part1"] == 8 * 32  # features to more outputs


@pytest.mark.parametrize(
    ("arguments", "difficulties"),
    [
        ({"ratio": 1}, (4, 4, 4, 4)),
        ({"ratio": 8}, (1.4142, 2.8284, 5.6569, 11.3137)),
        ({"ratio": 16, "parts": 3}, (1, 4, 16)),
        ({"ratio": 16, "parts": 1}, (4,)),
        ({"difficulties": [1.1, 3.9, 16]}, (1, 4, 16)),
    ],
)
def test_parts_spread_around_the_middle(
    arguments: dict[str, Any], difficulties: tuple[float, ...]
) -> None:
    bench = load_partbench(**arguments)
    assert bench.difficulties == difficulties
    assert len(bench.space().groups) == len(difficulties)
    even = gn.Allocation.even(bench.space()).grouping.counts()
    assert {tuple(row.values()) for row in even.values()} == {
        (3,) * len(difficulties),
        (8,) * len(difficulties),
    }


def test_the_shipped_space_is_that_of_four_parts() -> None:
    assert load_partbench().space() == gn.load_space("partbench")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"ratio": 0.5}, "ratio: expected a number from 1 to 16, got 0.5"),
        ({"ratio": 17}, "ratio: expected a number up to 16"),
        ({"parts": 0}, "parts: expected a whole number from 1"),
        ({"weights": [1, 2]}, "weights: expected 4, one for each part; got 2"),
        ({"weights": [1, 2, 0, 1]}, "weights: expected a whole number from 1"),
        ({"difficulties": []}, "difficulties: expected 1 to 64, got 0"),
        ({"difficulties": [0]}, "difficulty: expected a number from 1 to 16"),
    ],
)
def test_what_is_no_benchmark_is_refused(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        load_partbench(**arguments)


# -- the table that ships -----------------------------------------------------------------------


def test_the_table_is_small_and_complete() -> None:
    table = load_partbench().table
    assert SHIPPED.stat().st_size < 1_000_000
    assert [float(part) for part in table.about["parts"]] == list(LEVELS)
    assert table.test.shape == (len(LEVELS), 5, 20, table.about["seeds"])
    assert table.about["seeds"] >= 4  # parts may differ in their draw
    assert np.isfinite(table.test).all()


def test_difficulty_is_the_need_for_width() -> None:
    """The harder, the larger the error, and the more of it goes with more features."""
    test = load_partbench().table.test.mean(axis=-1)[:, 2]  # a stem of 3
    few, even, many = test[:, 3], test[:, 7], test[:, 15]
    assert (np.diff(even) > 0).all()
    assert (np.diff((few - many)[::2]) > 0).all()
    exponents = np.log(few / many) / np.log(16 / 4)
    assert exponents[0] < 0.05 and exponents[-1] > 0.3
    assert exponents[1:-2].max() < exponents[-2] < exponents[-1]


def test_more_is_to_be_gained_the_more_parts_differ() -> None:
    gains = []
    for ratio in (1, 4, 16):
        bench = load_partbench(ratio)
        even = bench.errors(gn.Allocation.even(bench.space()), split="test")["mean"]
        gains.append(1 - bench.optimum()[1] / even)
    assert gains[0] < 0.01 < gains[1] - gains[0] and gains[2] > gains[1] + 0.05


def test_many_parts_are_solved() -> None:
    bench = load_partbench(16, 8, [1, 2, 1, 2, 1, 2, 1, 2])
    found, error = bench.optimum(FIT)
    assert error < bench.errors(gn.Allocation.even(bench.space()), split="test")["mean"]
    assert bench.regret(found, FIT) == pytest.approx(0, abs=1e-9)
    with pytest.raises(InputError, match="too many to list; ask for the optimum"):
        bench.choices()


def test_seeds_are_other_combinations() -> None:
    bench = load_partbench(1)
    assert bench.seeds == math.perm(bench.table.about["seeds"], 4)
    even = gn.Allocation.even(bench.space())
    seen = {tuple(bench.errors(even, seed=seed).values()) for seed in range(10)}
    assert len(seen) > 5


def test_looking_up_needs_no_torch() -> None:
    code = (
        "import sys, groupnas.partbench as p; p.load_partbench().optimum(); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
