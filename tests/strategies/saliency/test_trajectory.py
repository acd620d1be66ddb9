"""Sizes at any budget, by the order in which channels went; and networks of these sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from groupnas import Budget
from groupnas.errors import InputError
from groupnas.spaces import load_space
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.measure import measure
from groupnas.strategies.saliency.removal import Removal
from groupnas.strategies.saliency.trajectory import Trajectory, rows, table

SPACE = load_space("groupbench")
EVEN = sum(Allocation.even(SPACE).costs().values())
WHOLE = Allocation.even(SPACE.resized({"stem": 24, "body": 24}))
START = table(WHOLE.grouping.counts(), SPACE)


def pruned(total: float = 0.5, least: int = 1, snapshots: int = 6) -> Trajectory:
    """A pruning by random importances, with snapshots of networks that were never trained."""
    removal = Removal(
        SPACE, START, "free", Budget(total=total).limits(SPACE), measure("mac"), least
    )
    importance = np.random.default_rng(0).random(int(START.sum()))
    kept = []
    for step in range(snapshots + 1):
        removal.step(importance, step / snapshots)
        network = Allocation.from_counts(SPACE, rows(removal.sizes, SPACE)).build()
        state = {"removed": len(removal.removed), "errors": {}, "network": network.state_dict()}
        kept.append(state)
    rest = [c for c in np.argsort(importance) if removal.alive[c]]
    order = torch.tensor([*removal.removed, *rest])
    return Trajectory(SPACE, START, order, kept, least)


def relative(found: Allocation) -> float:
    return sum(found.costs().values()) / EVEN


@pytest.mark.parametrize("total", [3.0, 2.0, 1.5, 1.0, 0.7, 0.5])
def test_sizes_are_those_of_the_moment_when_the_budget_was_met(total: float) -> None:
    trajectory = pruned()
    found = trajectory.allocation(Budget(total=total))
    assert relative(found) <= total
    sizes = table(found.grouping.counts(), SPACE)
    for cell in np.ndindex(*sizes.shape):  # one channel more of any would be too much, or too early
        if sizes[cell] < START[cell]:
            more = sizes.copy()
            more[cell] += 1
            early = Allocation.from_counts(SPACE, rows(more, SPACE))
            base = trajectory.network(early)
            assert relative(early) > total or base is not None
    assert total - relative(found) < 0.15  # a channel's worth


def test_weights_are_of_the_last_snapshot_before() -> None:
    trajectory = pruned()
    for total in (2.5, 1.5, 0.8):
        found = trajectory.allocation(Budget(total=total))
        network = trajectory.network(found)
        assert network is not None and network.sizes == found.build().sizes
        costs = [
            sum(Allocation.from_counts(SPACE, point["sizes"]).costs().values()) / EVEN
            for point in trajectory.points(measure("mac"))
        ]
        last = max(place for place, cost in enumerate(costs) if cost >= total)
        kept = stem(trajectory.snapshots[last]["network"])
        assert stem(network.state_dict()) <= kept


def stem(state: Any) -> set[float]:
    """The weights of the first layer, whatever module holds them."""
    held = [value for name, value in state.items() if name.startswith("blocks.stem.0.0")]
    return {round(number, 6) for value in held for number in value.flatten().tolist()}


def test_above_the_start_and_below_the_end_sizes_are_in_proportion() -> None:
    trajectory = pruned(total=1.0)
    wide = table(trajectory.allocation(Budget(total=6, tolerance=0.1)).grouping.counts(), SPACE)
    assert np.ptp(wide / START) <= 0.13  # of 8 channels one
    end = table(trajectory.allocation(Budget(total=1.0)).grouping.counts(), SPACE)
    narrow = table(trajectory.allocation(Budget(total=0.7, tolerance=0.1)).grouping.counts(), SPACE)
    factor = (narrow.sum() / end.sum()).item()
    assert (np.abs(narrow - factor * end) <= 1.01).all()
    assert trajectory.network(trajectory.allocation(Budget(total=6, tolerance=0.1))) is None


def test_no_part_gets_less_than_the_fewest_channels() -> None:
    trajectory = pruned(total=1.0, least=3)
    for total in (1.5, 1.0, 0.9):
        sizes = trajectory.allocation(Budget(total=total, tolerance=0.1)).grouping.counts()
        assert table(sizes, SPACE).min() >= 3
    with pytest.raises(InputError, match="is less than the fewest channels cost"):
        trajectory.allocation(Budget(total=0.3, tolerance=0.1))


def test_a_divisor_rounds_within_the_start() -> None:
    trajectory = pruned()
    for total in (3.0, 2.0, 1.3):
        found = trajectory.allocation(Budget(total=total, divisor=4, tolerance=0.3))
        sizes = table(found.grouping.counts(), SPACE)
        steps = [Budget(divisor=4).step(n / 3) for n in SPACE.free_units.values()]
        assert (sizes % np.array(steps)[:, None] == 0).all()
        assert (sizes <= START).all() and relative(found) <= 1.3 * total
        assert trajectory.network(found) is not None


def test_groups_may_have_budgets_of_their_own() -> None:
    trajectory = pruned(total=0.3)
    found = trajectory.allocation(Budget(total=1.0, groups={"nose": 0.6}))
    even = Allocation.even(SPACE).costs()
    assert found.costs()["nose"] <= 0.6 * even["nose"]
    assert relative(found) == pytest.approx(1.0, abs=0.1)


def test_groups_within_their_own_budget_at_the_start_do_not_keep_others_from_theirs() -> None:
    trajectory = pruned(total=0.3)
    budget = Budget(total=4.5, groups={"nose": 0.6}, tolerance=0.25)
    found = trajectory.allocation(budget)
    even = Allocation.even(SPACE).costs()
    assert found.costs()["nose"] == pytest.approx(0.6 * even["nose"], rel=0.25)
    assert relative(found) == pytest.approx(4.5, rel=0.25)  # the start's other parts cost less


def test_states(tmp_path: Any) -> None:
    trajectory = pruned()
    again = Trajectory.of(SPACE, START, trajectory.state_dict(), "state", networks=True)
    budget = Budget(total=0.9)
    assert again.allocation(budget).grouping == trajectory.allocation(budget).grouping
    assert trajectory.told().snapshots[0]["network"] == {}
    told = Trajectory.of(SPACE, START, trajectory.told().state_dict(), "state", networks=False)
    assert told.allocation(budget).grouping == trajectory.allocation(budget).grouping
