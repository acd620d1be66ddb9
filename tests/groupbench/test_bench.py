from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import groupnas as gn
from groupnas.budget import Budget, fit
from groupnas.errors import InputError
from groupnas.groupbench import FIT, GroupBench
from groupnas.grouping import Grouping

POINTS = {"left_eye": 11, "nose": 9, "mouth": 20}
SIZES = {"left_eye": (1, 2), "nose": (2, 3), "mouth": (4, 5)}


def allocation_of(bench: GroupBench, sizes: dict[str, tuple[int, int]]) -> gn.Allocation:
    return bench.allocation(np.array(list(sizes.values())))


def test_errors_are_the_parts_entries_and_their_mean_over_points(small: GroupBench) -> None:
    found = small.errors(allocation_of(small, SIZES), seed=1, split="test")
    by_hand = {
        part: float(small.table.test[index, a - 1, b - 1, 1])
        for index, (part, (a, b)) in enumerate(SIZES.items())
    }
    mean = sum(POINTS[part] * error for part, error in by_hand.items()) / 40
    assert found == pytest.approx({**by_hand, "mean": mean})


def test_without_a_seed_errors_are_means_over_the_trainings(small: GroupBench) -> None:
    allocation = allocation_of(small, SIZES)
    runs = [small.errors(allocation, seed=seed) for seed in range(2)]
    expected = {key: (runs[0][key] + runs[1][key]) / 2 for key in runs[0]}
    assert small.errors(allocation) == pytest.approx(expected)


def test_validation_errors_are_those_after_the_last_epoch(small: GroupBench) -> None:
    last = float(small.table.validation[2, 3, 4, 0, 2])
    assert small.errors(allocation_of(small, SIZES), seed=0)["mouth"] == pytest.approx(last)


def test_what_is_beyond_the_table_brings_nothing(small: GroupBench) -> None:
    beyond = allocation_of(small, {**SIZES, "mouth": (7, 9)})
    assert small.errors(beyond) == small.errors(allocation_of(small, SIZES))


def test_a_trial_is_one_training_after_some_epochs(small: GroupBench) -> None:
    allocation = allocation_of(small, SIZES)
    second = float(small.table.validation[1, 1, 2, 1, 1])
    assert small.evaluate(allocation, 2, 1)["nose"] == pytest.approx(second)
    assert small.evaluate(allocation, 2, 7) == small.evaluate(allocation, 2, 1)
    assert small.evaluate(allocation, 99, 1) == small.errors(allocation, seed=1)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda bench, g: bench.errors(g, seed=2), "seeds 0 to 1"),
        (lambda bench, g: bench.errors(g, split="train"), "split 'train'"),
        (lambda bench, g: bench.evaluate(g, 0, 0), "epochs: expected a whole number from 1 on"),
        (lambda bench, g: bench.regret(g, Budget(total=0.1)), "of the budget"),
        (lambda bench, g: bench.optimum(Budget(total=0.001)), "nothing|no grouping"),
        (lambda bench, g: bench.optimum(Budget(groups={"chin": 1.0})), "chin"),
    ],
)
def test_wrong_questions_are_refused(small: GroupBench, call: object, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        call(small, allocation_of(small, SIZES))  # type: ignore[operator]


def test_groupings_of_other_spaces_are_refused(small: GroupBench) -> None:
    other = gn.Allocation.even(gn.load_space("examples/three_parts.yaml"))
    with pytest.raises(InputError, match="groups disc, square, ring"):
        small.errors(other)


def brute_force(bench: GroupBench, budget: Budget, kept: bool) -> float:
    """The least test error, one grouping after the other, counted by the accountant."""
    space, best = bench.space(), float("inf")
    even = gn.flops(gn.Allocation.even(space)).per_group
    rows = [range(1, n + 1) for n in bench.table.test.shape[1:-1]]
    for sizes in itertools.product(itertools.product(*rows), repeat=3):
        if kept and [sum(column) for column in zip(*sizes, strict=True)] != [9, 12]:
            continue
        found = bench.allocation(np.array(sizes))
        macs = gn.flops(found).per_group
        limits = [(part, share * even[part]) for part, share in budget.groups.items()]
        if budget.total is not None:
            limits.append((None, budget.total * sum(even.values())))
        slack = 1 + budget.tolerance
        used = {None: sum(macs.values()), **macs}
        if all(used[part] <= limit * slack for part, limit in limits):
            best = min(best, bench.errors(found, split="test")["mean"])
    return best


@pytest.mark.parametrize("widths", ["kept", "free"])
@pytest.mark.parametrize(
    "budget",
    [
        Budget(),
        Budget(total=0.5, tolerance=0.05),
        Budget(total=None, groups={"left_eye": 1.0, "nose": 0.5, "mouth": 1.2}),
    ],
    ids=["even", "less", "parts"],
)
def test_the_optimum_is_the_least_of_all(
    make_table: object, budget: Budget, widths: Literal["kept", "free"]
) -> None:
    # Fewer sizes where every one of their combinations counts.
    bench = GroupBench(make_table((4, 5) if widths == "kept" else (3, 3)))  # type: ignore[operator]
    expected = brute_force(bench, budget, widths == "kept")
    if expected == float("inf"):
        with pytest.raises(InputError, match="no grouping"):
            bench.optimum(budget, widths)
        return
    found, error = bench.optimum(budget, widths)
    assert error == pytest.approx(expected, rel=1e-6)
    assert bench.errors(found, split="test")["mean"] == pytest.approx(expected, rel=1e-6)


@settings(
    deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(total=st.floats(0.3, 3.0))
def test_choices_are_within_the_budget_and_none_beats_the_optimum(
    small: GroupBench, total: float
) -> None:
    budget = Budget(total=total)
    choices = small.choices(budget)
    found, error = small.optimum(budget)
    even = gn.flops(gn.Allocation.even(small.space())).total
    assert choices.costs.max() <= 1.01 * total * even
    assert choices.errors.min() == error
    assert small.regret(found, budget) == pytest.approx(0, abs=1e-9)


def test_all_groupings_are_there(bench: GroupBench) -> None:
    everything = Budget(total=1000.0)
    assert len(bench.choices(everything).errors) == 70**3
    # 9 channels in 3 parts, at least one each: C(8, 2); 12: C(11, 2)
    assert len(bench.choices(everything, widths="kept").errors) == 28 * 55


def test_the_optimum_of_free_widths_is_no_worse(bench: GroupBench) -> None:
    assert bench.optimum()[1] <= bench.optimum(widths="kept")[1]
    assert bench.regret(bench.optimum()[0]) == pytest.approx(0, abs=1e-9)


def test_even_groups_leave_something_to_gain(bench: GroupBench) -> None:
    assert bench.regret(gn.Allocation.even(bench.space())) > 0.02


def test_the_fitting_budget_can_be_met(bench: GroupBench) -> None:
    even = gn.flops(gn.Allocation.even(bench.space())).total
    for seed in range(50):
        sizes = Grouping.random(bench.space(), seed).counts()
        found = fit(bench.space(), sizes, FIT)
        assert bench.regret(found) >= 0  # else it were not within the benchmark's
        assert gn.flops(found).total <= 1.01 * even


def test_looking_up_needs_no_torch() -> None:
    code = (
        "import sys, groupnas.groupbench as g; g.load_groupbench().optimum(); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
