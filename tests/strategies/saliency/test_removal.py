"""Which channels go: by hand on a small space, and what holds for all ties and budgets."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from groupnas import Budget
from groupnas.engine.state import StateError
from groupnas.spaces import load_space
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.measure import measure
from groupnas.strategies.saliency.removal import Removal
from groupnas.strategies.saliency.settings import Ties
from groupnas.strategies.saliency.trajectory import rows, table

SPACE = load_space("groupbench")
START = table(Allocation.even(SPACE.resized({"stem": 24, "body": 24})).grouping.counts(), SPACE)


def cost(sizes: Any, by: str = "mac") -> dict[str, float]:
    return Allocation.from_counts(SPACE, rows(sizes, SPACE)).costs(by)


def removal(ties: Ties = "free", total: float = 0.5, least: int = 1, **groups: float) -> Removal:
    budget = Budget(total=total, groups=groups)
    return Removal(SPACE, START, ties, budget.limits(SPACE), measure("mac"), least)


def some_importance(seed: int = 0) -> Any:
    drawn = np.random.default_rng(seed).random((2, int(START.sum())))
    return drawn[0] * np.repeat(np.exp(3 * drawn[1, : START.size]), START.ravel())


def test_the_first_to_go_has_the_least_importance_per_cost() -> None:
    found, importance = removal(), some_importance()
    (first, *_) = found.step(importance, 1.0)
    cells = np.repeat(np.arange(START.size), START.ravel())
    scores = []
    for channel, cell in enumerate(cells):
        sizes = START.copy().ravel()
        sizes[cell] -= 1
        saved = sum(cost(START).values()) - sum(cost(sizes.reshape(START.shape)).values())
        scores.append(importance[channel] / START.ravel()[cell] / saved)
    assert first == int(np.argmin(scores))


@pytest.mark.parametrize("ties", get_args(Ties))
def test_costs_fall_to_the_limit_and_no_further_than_one_step(ties: Ties) -> None:
    found, importance = removal(ties), some_importance()
    begun, limit = sum(cost(START).values()), 0.5 * sum(Allocation.even(SPACE).costs().values())
    for progress in (0.25, 0.5, 1.0):
        before = sum(cost(found.sizes).values())
        went = found.step(importance, progress)
        now, target = sum(cost(found.sizes).values()), begun * (limit / begun) ** progress
        assert now <= target < before
        assert now == pytest.approx(target, rel=0.25)  # whole steps, of all cells of a bundle
        assert len(went) == len(set(went))
    assert (found.sizes.sum(), found.alive.sum()) == (START.sum() - len(found.removed),) * 2
    assert found.cost((0, 1, 2)) == pytest.approx(sum(cost(found.sizes).values()))


@pytest.mark.parametrize("ties", get_args(Ties))
def test_ties(ties: Ties) -> None:
    found = removal(ties, 1.5)
    importance = some_importance()
    importance[: START[0].sum()] *= 20  # the first unit matters more
    found.step(importance, 1.0)
    even = (found.sizes == found.sizes[:, :1]).all()
    profile = np.ptp(found.sizes / START, axis=0)  # over depth
    assert even == (ties in ("depth", "uniform"))
    if ties in ("parts", "uniform"):
        assert (profile <= 1 / START.min()).all()
    else:
        assert profile.max() > 1 / START.min()


def test_within_a_cell_the_least_important_go_first() -> None:
    found, importance = removal("uniform"), some_importance(1)
    found.step(importance, 1.0)
    for cell in np.split(np.arange(len(importance)), START.ravel().cumsum()[:-1]):
        gone, left = (importance[cell][found.alive[cell] == alive] for alive in (False, True))
        assert gone.max() < left.min()


def test_groups_have_budgets_of_their_own() -> None:
    found = removal(total=0.6, nose=0.3)
    found.step(some_importance(), 1.0)
    even, now = Allocation.even(SPACE).costs(), cost(found.sizes)
    assert now["nose"] <= 0.3 * even["nose"]
    others = [group for group in SPACE.groups if group != "nose"]
    limit = 0.6 * sum(even.values()) - 0.3 * even["nose"]
    assert 0.8 * limit < sum(now[group] for group in others) <= limit


def test_no_cell_gets_smaller_than_the_fewest_channels() -> None:
    found = removal(total=0.01, least=2)
    found.step(some_importance(), 1.0)
    assert found.sizes.min() == found.sizes.max() == 2  # and it ends


def test_a_saved_removal_goes_on_alike() -> None:
    whole, first, other = removal("parts"), removal("parts"), removal("parts")
    for one in (whole, first):
        one.step(some_importance(0), 0.5)
    other.load_state_dict(first.state_dict())
    for one in (whole, other):
        one.step(some_importance(2), 1.0)
    assert other.removed == whole.removed
    assert (other.sizes == whole.sizes).all()
    for wrong in ({"removed": [0, 0]}, {"removed": [48]}, {"factors": [0.5]}):
        with pytest.raises(StateError):
            removal("parts").load_state_dict({**first.state_dict(), **wrong})
