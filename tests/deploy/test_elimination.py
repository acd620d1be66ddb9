"""The minimum found by elimination is the one that trying everything finds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupnas.deploy import elimination
from groupnas.deploy.elimination import minimise
from groupnas.errors import InputError


@given(data=st.data(), count=st.integers(1, 5))
def test_as_trying_everything(data: st.DataObject, count: int) -> None:
    names = "abcde"[:count]
    choices = {name: data.draw(st.integers(1, 3)) for name in names}
    edges = data.draw(st.lists(st.tuples(*[st.sampled_from(names)] * 2), max_size=8, unique=True))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    pairs = {(a, b): rng.random((choices[a], choices[b])) for a, b in edges}

    def cost(chosen: dict[str, int]) -> float:
        return sum(costs[chosen[a], chosen[b]] for (a, b), costs in pairs.items())

    everything = [
        dict(zip(names, picks, strict=True))
        for picks in itertools.product(*(range(choices[name]) for name in names))
    ]
    found = minimise(choices, pairs)
    assert found.keys() == choices.keys()
    assert cost(found) == pytest.approx(min(map(cost, everything)))


def test_a_variable_with_itself_counts_its_diagonal() -> None:
    assert minimise({"a": 2}, {("a", "a"): np.array([[3.0, -9.0], [-9.0, 2.0]])}) == {"a": 1}


def test_no_choice_at_all() -> None:
    with pytest.raises(InputError, match="no layout goes with all layers"):
        minimise({"a": 1, "b": 2}, {("a", "b"): np.full((1, 2), np.inf)})


def test_too_much_depends_on_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elimination, "MOST", 100)
    ends = list(itertools.combinations("abcde", 2))
    with pytest.raises(InputError, match="4 units depend on each other"):
        minimise(dict.fromkeys("abcde", 3), {pair: np.ones((3, 3)) for pair in ends})
