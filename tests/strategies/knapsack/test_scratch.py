"""Curves from trainings from scratch: every trial measures every part, each at its own size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import groupnas
from groupnas.budget import Budget
from groupnas.engine.training import Trainer
from groupnas.engine.training_settings import Training
from groupnas.schema import validate
from groupnas.strategies.knapsack.scratch import ScratchJob
from groupnas.strategies.knapsack.settings import Knapsack

SETTINGS = {
    "title": "test",
    "curves": "scratch",
    "trials": 5,
    "epochs": 1,
    "batch_size": 20,
    "validation": 0.3,
    "weights": {"lr": 0.01},
    "profiles": "depth",
}


def start(space: Any, task: Any, seed: int = 0, evaluate: Any = None, **changes: Any) -> ScratchJob:
    settings = validate(Knapsack, {**SETTINGS, **changes}, "test")
    job = settings.start(space, task, seed=seed, evaluate=evaluate)
    assert isinstance(job, ScratchJob)
    return job


def run(job: ScratchJob, epochs: int | None = None) -> ScratchJob:
    for _ in range(job.total_epochs - len(job.history) if epochs is None else epochs):
        job.run_epoch()
    return job


def needy_ring(found: groupnas.Allocation, epochs: int, seed: int) -> Mapping[str, float]:
    """The ring's error falls with its channels, that of the others does not."""
    ring = sum(row["ring"] for row in found.grouping.counts().values())
    return {"disc": 1.0, "square": 1.0, "ring": 40 / ring, "mean": 0.0}


def test_a_trial_is_one_training_of_all_parts(shapes_space: Any, shapes: Any) -> None:
    job = run(start(shapes_space, shapes), 2)
    record, profiles = job.history[1], {g: np.array(c.profiles[1]) for g, c in job.curves.items()}
    widths = {group: job.family.widths(z) for group, z in profiles.items()}
    tried = groupnas.Allocation.from_widths(shapes_space, widths)
    assert len({tuple(z) for z in profiles.values()}) > 1
    torch.manual_seed(0)
    network = tried.build(shapes.mean_output())
    training = Training(epochs=1, batch_size=20, weights=job.strategy.weights)
    trainer = Trainer(network, shapes, training, job.split, 0)
    trainer.run_epoch()
    assert trainer.history[0]["validation"] == record["errors"]
    assert [curve.errors[1] for curve in job.curves.values()] == list(record["errors"].values())[:3]
    even = sum(groupnas.Allocation(shapes_space, job.initial).costs().values())
    assert record["cost"] == sum(tried.costs().values()) / even
    assert record["steps"] == 3


def test_a_stopped_search_goes_on_alike(shapes_space: Any, shapes: Any, tmp_path: Path) -> None:
    whole = run(start(shapes_space, shapes))
    torch.save(run(start(shapes_space, shapes), 2).state_dict(), tmp_path / "state")
    other = start(shapes_space, shapes)
    other.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert run(other).history == whole.history
    assert other.allocation().grouping == whole.allocation().grouping


def test_every_knob_is_spread_evenly(shapes_space: Any, shapes: Any) -> None:
    job = run(start(shapes_space, shapes, evaluate=needy_ring, trials=10))
    for curve in job.curves.values():
        slices = np.floor((np.array(curve.profiles) + 1) * 5)
        assert (np.sort(slices, axis=0) == np.arange(10)[:, None]).all()


@pytest.mark.parametrize("seed", range(3))
def test_channels_go_where_they_help(shapes_space: Any, shapes: Any, seed: int) -> None:
    job = run(start(shapes_space, shapes, seed, needy_ring, trials=12))
    costs = job.design(Budget(tolerance=0.05)).costs()
    even = groupnas.Allocation(shapes_space, job.initial).costs()
    assert costs["ring"] > 1.3 * even["ring"]
    assert sum(costs.values()) == pytest.approx(sum(even.values()), rel=0.05)


def test_before_there_is_anything_to_fit_groups_are_even(shapes_space: Any, shapes: Any) -> None:
    job = run(start(shapes_space, shapes, evaluate=needy_ring), 3)
    assert job.allocation().grouping == job.initial
    even = {unit: [*row.values()] for unit, row in job.initial.counts().items()}
    assert [record["sizes"] for record in job.history] == [even] * 3
    found = run(job, 1).allocation().grouping
    assert found != job.initial
    sizes = {unit: [*row.values()] for unit, row in found.counts().items()}
    assert job.history[-1]["sizes"] == sizes


def test_in_a_run_folder(shapes_space: Any, shapes: Any, tmp_path: Path) -> None:
    settings = validate(Knapsack, SETTINGS, "test")
    found = groupnas.search(shapes_space, shapes, settings, tmp_path / "run")
    assert found.result["steps"] == 5 * 3
    assert set(found.result["curves"]) == {"disc", "square", "ring"}
    assert found.network() is None


def test_another_seed_measures_other_sizes(shapes_space: Any, shapes: Any) -> None:
    first, other = (run(start(shapes_space, shapes, seed, needy_ring)) for seed in (0, 1))
    assert first.curves != other.curves
