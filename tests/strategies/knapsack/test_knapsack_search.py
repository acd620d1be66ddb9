"""The whole strategy on three drawn shapes: seeded, resumable, within every budget."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import groupnas
from groupnas.budget import Budget
from groupnas.engine.evaluate import mean_errors
from groupnas.engine.strategy import load_strategy
from groupnas.errors import InputError
from groupnas.schema import validate
from groupnas.spaces.measure import measure
from groupnas.strategies.knapsack.curves import MeasuredProfiles, fit_models
from groupnas.strategies.knapsack.job import SlimmableJob
from groupnas.strategies.knapsack.profiles import Family
from groupnas.strategies.knapsack.settings import Knapsack
from groupnas.strategies.knapsack.solution import Solution

SETTINGS = {
    "title": "test",
    "curves": "slimmable",
    "epochs": 2,
    "batch_size": 20,
    "validation": 0.3,
    "weights": {"lr": 0.01},
    "rounds": 3,
    "points": 4,
    "calibration": 2,
}


def settings(**changes: Any) -> Knapsack:
    return validate(Knapsack, {**SETTINGS, **changes}, "test")


Make = Callable[..., SlimmableJob]


@pytest.fixture
def make(shapes_space: Any, shapes: Any) -> Make:
    def job(seed: int = 0, **changes: Any) -> SlimmableJob:
        started = settings(**changes).start(shapes_space, shapes, seed=seed)
        assert isinstance(started, SlimmableJob)
        return started

    return job


@pytest.fixture(scope="module")
def finished(shapes_space: Any, shapes: Any) -> SlimmableJob:
    with torch.random.fork_rng():
        job = settings().start(shapes_space, shapes)
        assert isinstance(job, SlimmableJob)
        return run(job)


def run(job: SlimmableJob, epochs: int | None = None) -> SlimmableJob:
    for _ in range(job.total_epochs - len(job.history) if epochs is None else epochs):
        job.run_epoch()
    return job


def errors_of(job: SlimmableJob, network: torch.nn.Module) -> dict[str, float]:
    return mean_errors(network, job.task, job.split.validation, job.batch_size, job.device)


@pytest.mark.parametrize("stop", [1, 3])  # in the training, in the measurements
def test_a_stopped_search_goes_on_bit_for_bit(
    make: Make, finished: SlimmableJob, stop: int, tmp_path: Path
) -> None:
    torch.save(run(make(), stop).state_dict(), tmp_path / "state")
    other = make()
    other.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    run(other)
    assert other.history == finished.history
    assert other.allocation().grouping == finished.allocation().grouping
    assert json.dumps(other.outcome()) == json.dumps(finished.outcome())


def test_seeds_differ(make: Make, finished: SlimmableJob) -> None:
    assert run(make(seed=1)).curves != finished.curves


def test_history(finished: SlimmableJob) -> None:
    assert [record["epoch"] for record in finished.history] == [1, 2, 3, 4, 5]
    assert [record["steps"] for record in finished.history] == [3, 3, 0, 0, 0]
    assert [record["phase"] for record in finished.history] == ["train"] * 2 + ["curves"] * 3
    losses = finished.history[0]["train_loss"]
    assert set(losses) == {"widest", "smallest", "random"}
    assert finished.history[-1]["points"] == 12
    assert ["sizes" in record for record in finished.history] == [False] * 2 + [True] * 3
    counts = finished.allocation().grouping.counts()
    assert finished.history[-1]["sizes"] == {unit: [*row.values()] for unit, row in counts.items()}
    assert json.loads(json.dumps(finished.history)) == finished.history


def test_the_first_round_is_without_shape(finished: SlimmableJob) -> None:
    for curve in finished.curves.values():
        assert curve.profiles[:4] == finished.family.line(4).tolist()
        assert np.ptp(np.array(curve.profiles[4:])[:, 1]) > 0


def test_without_shapes_every_round_is(make: Make) -> None:
    job = run(make(profiles="uniform"))
    assert {len(profile) for curve in job.curves.values() for profile in curve.profiles} == {1}
    counts = job.allocation().grouping.counts()
    for group in job.space.groups:  # the same share in every unit, but for rounding
        shares = [row[group] / job.space.free_units[unit] for unit, row in counts.items()]
        assert max(shares) - min(shares) < 0.15


def test_a_measured_error_is_the_plain_networks(finished: SlimmableJob) -> None:
    """Parts are measured side by side; alone, with others' sizes changed, the error is the same."""
    group, *others = finished.space.groups
    profile = np.array(finished.curves[group].profiles[-1])
    sizes = {other: finished.family.widths(finished.family.line(3)[0]) for other in others}
    network = finished._plain({group: finished.family.widths(profile), **sizes})
    error = errors_of(finished, network)[group]
    assert error == pytest.approx(finished.curves[group].errors[-1], rel=1e-3)


@pytest.mark.parametrize("by", ["mac", "params"])
@pytest.mark.parametrize("total", [0.4, 1.0, 2.0])
def test_any_budget_is_met_without_training(finished: SlimmableJob, total: float, by: str) -> None:
    space = finished.space
    budget = Budget(measure=by, total=total, tolerance=0.03)
    design = finished.design(budget)
    even = groupnas.Allocation.even(space).costs(measure(by))
    assert sum(design.costs(by).values()) / sum(even.values()) == pytest.approx(total, rel=0.03)
    network = design.build()
    assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 9)


def test_budgets_of_single_parts_are_met(finished: SlimmableJob) -> None:
    budget = Budget(total=1.0, parts={"ring": 0.6}, tolerance=0.05)
    costs = finished.design(budget).costs()
    even = groupnas.Allocation(finished.space, finished.initial).costs()
    assert costs["ring"] / even["ring"] == pytest.approx(0.6, rel=0.05)
    assert sum(costs.values()) / sum(even.values()) == pytest.approx(1.0, rel=0.05)
    alone = finished.design(Budget(total=None, parts={"ring": 0.6}, tolerance=0.05)).costs()
    assert alone["ring"] / even["ring"] == pytest.approx(0.6, rel=0.05)


def test_even_before_anything_is_measured(make: Make) -> None:
    job = make()
    assert job.allocation().grouping.resized(job.initial) == 0


def test_what_a_network_is_taken_out_with(finished: SlimmableJob) -> None:
    network = finished.network()
    assert network is not None and not network.training
    outcome = finished.outcome()
    assert outcome["validation_errors"]["derived"] == errors_of(finished, network)
    assert json.loads(json.dumps(outcome)) == outcome
    assert sum(outcome["shares"].values()) == pytest.approx(1)


def test_a_curve_that_rises_is_told(make: Make) -> None:
    job = make()
    job.history = [{"epoch": epoch} for epoch in range(1, job.total_epochs + 1)]
    for group, curve in job.curves.items():
        for profile in job.family.line(5):
            slope = 0.3 if group == "ring" else -0.3
            curve.add(profile, float(np.exp(slope * profile[0])))
    (finding,) = job.outcome()["health"]
    assert finding.startswith("ring: wide sizes have no less error")


def test_no_network_where_it_would_be_wider_than_was_trained(finished: SlimmableJob) -> None:
    finished.strategy = finished.strategy.with_budget(Budget(total=12.0))
    try:
        assert finished.network() is None
    finally:
        finished.strategy = finished.strategy.with_budget(None)


def flat_and_steep(space: Any) -> Solution:
    """The error of the ring falls with its size, that of the other shapes does not depend on it."""
    family = Family.of(space, "depth", 0.4, 1.6, {"tilt": 0.5, "ratio": 0.3})
    profiles = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    flat = MeasuredProfiles(profiles.tolist(), [1.0] * 40)
    falling = np.exp(-profiles[:, 0] + 0.3 * (profiles[:, 1] - 0.5) ** 2)
    steep = MeasuredProfiles(profiles.tolist(), falling.tolist())
    return Solution(space, family, fit_models({"disc": flat, "square": flat, "ring": steep}))


def test_channels_go_where_they_help(shapes_space: Any) -> None:
    solution = flat_and_steep(shapes_space)
    found = solution.profiles(Budget(total=0.9))
    assert max(found["disc"][0], found["square"][0]) < -0.8
    assert found["ring"][0] > 0.8
    assert found["ring"][1] == pytest.approx(0.5, abs=0.26)
    assert solution.predicted(found)["disc"] == pytest.approx(1, rel=0.01)


def test_more_is_never_worse(shapes_space: Any) -> None:
    solution = flat_and_steep(shapes_space)
    budgets = [Budget(total=total) for total in (0.3, 0.5, 0.7, 0.9, 1.1)]
    errors = [solution.predicted(solution.profiles(budget))["mean"] for budget in budgets]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > errors[-1]


def test_the_curve_of_a_part_falls(shapes_space: Any) -> None:
    curve = flat_and_steep(shapes_space).curve("ring")
    assert len(curve) > 20
    assert all(b["macs"] > a["macs"] and b["error"] < a["error"] for a, b in pairwise(curve))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"smallest": 2.0}, "smallest: expected less than widest"),
        ({"sandwich": False, "passes": 0}, "passes: expected at least 1"),
        ({"profiles": "wild"}, "profiles"),
        ({"points": 3}, "points"),
    ],
)
def test_wrong_settings(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        settings(**changes)


@pytest.mark.parametrize(
    ("preset", "curves", "profiles"),
    [
        ("", "scratch", "depth"),
        (":quick", "scratch", "depth"),
        (":split", "scratch", "uniform"),
        (":slimmable", "slimmable", "free"),
        (":quick_slimmable", "slimmable", "free"),
    ],
)
def test_the_shipped_file(preset: str, curves: str, profiles: str) -> None:
    strategy = load_strategy(f"knapsack{preset}")
    assert isinstance(strategy, Knapsack)
    assert (strategy.curves, strategy.profiles) == (curves, profiles)


def test_in_a_run_folder(shapes_space: Any, shapes: Any, tmp_path: Path) -> None:
    found = groupnas.search(shapes_space, shapes, settings(), tmp_path / "run")
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["steps"] == 6
    assert set(result["curves"]) == {"disc", "square", "ring"}
    assert groupnas.Grouping.load(tmp_path / "run/grouping.json") == found.grouping
