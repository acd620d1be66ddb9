"""Evolution and successive halving, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from groupnas.engine.strategy import load_strategy
from groupnas.strategies.trials.encoding import Encoding
from groupnas.strategies.trials.evolution import AgingEvolution
from groupnas.strategies.trials.halving import SuccessiveHalving
from groupnas.strategies.trials.settings import Evolution, Halving

Make = Callable[..., Encoding]


def evolution(encoding: Encoding, seed: int = 0, **settings: Any) -> AgingEvolution:
    shipped = load_strategy("evolution")
    return AgingEvolution(
        encoding, Evolution.model_validate({**shipped.model_dump(), **settings}), seed
    )


def halving(**settings: Any) -> Halving:
    return Halving.model_validate({**load_strategy("halving").model_dump(), **settings})


def record(trial: int, error: float, point: dict[str, float]) -> dict[str, Any]:
    return {"trial": trial, "errors": {"mean": error}, "point": point}


def test_children_are_near_the_best_of_the_latest(encoding: Make) -> None:
    points = encoding()
    names = list(points.bounds)
    # The best of all has left the population; the best alive is at 0.1 everywhere.
    errors = [0.0, 5.0, 1.0, 3.0]
    places = [0.6, -0.5, 0.1, 0.4]
    history = [
        record(i, error, dict.fromkeys(names, place))
        for i, (error, place) in enumerate(zip(errors, places, strict=True))
    ]
    for seed in range(20):
        propose = evolution(points, seed, population=3, tournament=3)
        child = propose(history).point
        changed = [name for name in names if child[name] != 0.1]
        assert 1 <= len(changed) <= 2
        assert all(low <= child[name] <= high for name, (low, high) in points.bounds.items())


def test_a_tournament_of_one_lets_all_alive_have_children(encoding: Make) -> None:
    points = encoding(resolution="part")
    history = [record(i, float(i), dict.fromkeys(points.bounds, i / 10)) for i in range(6)]
    parents = set()
    for seed in range(60):
        child = evolution(points, seed, population=4, tournament=1)(history).point
        parents |= {value for value in child.values() if value in {i / 10 for i in range(6)}}
    assert parents == {0.2, 0.3, 0.4, 0.5}


def test_the_size_of_mutations(encoding: Make) -> None:
    points = encoding(spread=100.0)
    even = record(0, 1.0, points.even)
    changes = []
    for seed in range(400):
        propose = evolution(points, seed, population=1, tournament=1, mutation=0.01)
        changes += [v for v in propose([even]).point.values() if v]
    deviation = (sum(v * v for v in changes) / len(changes)) ** 0.5
    assert deviation == pytest.approx(1.0, rel=0.1)  # 0.01 of 100
    assert 550 < len(changes) < 650  # one and two coordinates are as likely


@pytest.mark.parametrize(
    ("settings", "plan"),
    [
        ({}, [(81, 2), (27, 5), (9, 15)]),
        ({"trials": 12, "rungs": 2, "epochs": 3}, [(12, 1), (4, 3)]),
        ({"trials": 3, "rungs": 3, "epochs": 2}, [(3, 1), (2, 1), (2, 2)]),
        ({"trials": 1, "rungs": 2, "epochs": 3}, [(1, 1), (1, 3)]),
        ({"rungs": 1}, [(81, 15)]),
    ],
)
def test_rungs(settings: dict[str, Any], plan: list[tuple[int, int]]) -> None:
    assert halving(**settings).plan == plan
    assert halving(**settings).planned == sum(trials for trials, _ in plan)


def test_the_better_go_on_and_even_always(encoding: Make) -> None:
    points = encoding(resolution="part")
    propose = SuccessiveHalving(points, halving(trials=6, rungs=2, eta=2, epochs=4), seed=0)
    history: list[dict[str, Any]] = []
    for trial, error in enumerate([9.0, 3.0, 8.0, 2.0, 7.0, 1.0]):
        proposal = propose(history)
        assert proposal.epochs == 2
        history.append(record(trial, error, proposal.point))
    assert history[0]["point"] == points.even
    assert len({tuple(r["point"].values()) for r in history}) == 6
    second = []
    for error in (0.3, 0.2, 0.1):
        proposal = propose(history)
        assert proposal.epochs == 4
        second.append(proposal.point)
        history.append(record(len(history), error, proposal.point))
    # Even, though it is the worst; then the best two.
    assert second == [history[0]["point"], history[5]["point"], history[3]["point"]]
    with pytest.raises(StopIteration):
        propose(history)
