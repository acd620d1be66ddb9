"""Trials are judged by a formula, so that a search of many takes a moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from groupnas.budget import Budget
from groupnas.engine.strategy import load_strategy
from groupnas.spaces.allocation import Allocation
from groupnas.strategies.trials.encoding import Encoding
from groupnas.strategies.trials.job import TrialsJob

NEEDS = {"disc": 1.0, "square": 2.0, "ring": 6.0}


def formula(found: Allocation, epochs: int, seed: int) -> dict[str, float]:
    """Falls with a group's channels, most where the need is greatest and late in the network."""
    counts = found.grouping.counts().values()
    errors = {
        group: need * sum((i + 1) / unit[group] for i, unit in enumerate(counts)) + 1 / epochs
        for group, need in NEEDS.items()
    }
    return {**errors, "mean": sum(errors.values()) / len(errors)}


@pytest.fixture
def encoding(shapes_space: Any) -> Callable[..., Encoding]:
    """An encoding of the shapes' space: three groups, four free units."""

    def make(budget: Budget | None = None, **settings: Any) -> Encoding:
        settings = {"resolution": "depth", "spread": 0.7, **settings}
        return Encoding(space=shapes_space, budget=budget or Budget(), **settings)

    return make


@pytest.fixture
def make_job(shapes_space: Any, shapes: Any) -> Callable[..., TrialsJob]:
    """A search of the shapes by a shipped strategy, judged by the formula."""

    def make(name: str, evaluate: Any = formula, seed: int = 0, **settings: Any) -> TrialsJob:
        shipped = load_strategy(name)
        strategy = type(shipped).model_validate({**shipped.model_dump(), **settings})
        job = strategy.start(shapes_space, shapes, seed=seed, evaluate=evaluate)
        assert isinstance(job, TrialsJob)
        return job

    return make


@pytest.fixture
def judge() -> Any:
    """What trials are judged by."""
    return formula


@pytest.fixture
def finish() -> Callable[[TrialsJob], TrialsJob]:
    """Run what is left."""

    def run(job: TrialsJob) -> TrialsJob:
        while len(job.history) < job.total_epochs:
            job.run_epoch()
        return job

    return run
