"""How settings become a job: found by its place, judged by what the caller gives, or refused."""

from __future__ import annotations

import sys
from typing import Any, ClassVar, Literal

import pytest

from groupnas.engine.search_job import SearchJob
from groupnas.engine.strategy import ALGORITHMS, Strategy, load_strategy
from groupnas.errors import InputError
from groupnas.strategies.controls import Even

TRAIN_CANDIDATES = ("evolution", "halving", "optuna", "knapsack")
TRAIN_NONE = ("even", "separate", "gumbel", "flgc", "kronecker", "knapsack:slimmable")


def judge(grouping: Any, epochs: int, seed: int) -> dict[str, float]:
    return {"disc": 1.5, "square": 2.5, "ring": 3.5, "mean": 2.5}


def test_the_job_of_every_algorithm_is_where_its_settings_say() -> None:
    for name in ALGORITHMS:
        settings = ALGORITHMS.find(name)
        module, _, job = settings.job.partition(":")
        __import__(module)
        assert issubclass(getattr(sys.modules[module], job), SearchJob), name


@pytest.mark.parametrize("name", TRAIN_CANDIDATES)
def test_what_the_caller_gives_judges_in_place_of_trainings(
    name: str, shapes_space: Any, shapes: Any
) -> None:
    asked: list[tuple[int, int]] = []

    def noted(grouping: Any, epochs: int, seed: int) -> dict[str, float]:
        asked.append((epochs, seed))
        return judge(grouping, epochs, seed)

    strategy = load_strategy(name)
    epochs = strategy.plan[0][1] if name == "halving" else strategy.epochs  # type: ignore[attr-defined]
    record = strategy.start(shapes_space, shapes, evaluate=noted).run_epoch()
    assert asked == [(epochs, 0)]
    assert record["errors"] == judge(None, 1, 0)
    assert record["steps"] == 0


@pytest.mark.parametrize("name", TRAIN_NONE)
def test_where_no_candidate_is_trained_nothing_can_be_judged(
    name: str, shapes_space: Any, shapes: Any
) -> None:
    strategy = load_strategy(name)
    told = f"^evaluate: {strategy.algorithm} trains no candidates that it could judge; leave it out"
    with pytest.raises(InputError, match=told):
        strategy.start(shapes_space, shapes, evaluate=judge)


class _Missing(Even):
    job: ClassVar[str] = "not_there:Job"


class _Extra(_Missing):
    extra: ClassVar[str] = "optuna"


def test_an_extra_that_is_not_installed_is_named(shapes_space: Any, shapes: Any) -> None:
    told = r"^algorithm even: No module named 'not_there'; install it with: .*'groupnas\[optuna\]'$"
    with pytest.raises(InputError, match=told):
        _Extra(title="t").start(shapes_space, shapes)


def test_any_other_module_that_is_missing_is_a_bug(shapes_space: Any, shapes: Any) -> None:
    with pytest.raises(ModuleNotFoundError):
        _Missing(title="t").start(shapes_space, shapes)


def test_a_strategy_may_start_its_job_itself(shapes_space: Any, shapes: Any) -> None:
    class Own(Strategy):
        algorithm: Literal["own"] = "own"

        def start(self, space: Any, task: Any, **settings: Any) -> SearchJob:
            return load_strategy("even").start(space, task, **settings)

    job = Own(title="t").start(shapes_space, shapes, seed=3)
    assert job.seed == 3 and job.design().grouping == job.initial
