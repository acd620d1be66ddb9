"""The whole strategy on three drawn shapes: stages, budgets, weights that are kept, resumption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import groupnas
from groupnas import Budget
from groupnas.engine.evaluate import mean_errors
from groupnas.engine.state import StateError
from groupnas.errors import InputError
from groupnas.schema import validate
from groupnas.strategies.saliency.job import SaliencyJob
from groupnas.strategies.saliency.settings import Saliency
from groupnas.strategies.saliency.weights import load_network

SETTINGS = {
    "title": "test",
    "budget": {"total": 0.6},
    "arms": ["free", "uniform", "full"],
    "budgets": [0.4],
    "epochs": 2,
    "prune_epochs": 2,
    "tune_epochs": 1,
    "batch_size": 20,
    "validation": 0.3,
    "weights": {"lr": 0.01, "schedule": "cosine", "end_lr": 0.004},
    "every": 1,
    "points": 4,
}


def settings(**changes: Any) -> Saliency:
    return validate(Saliency, {**SETTINGS, **changes}, "test")


def start(space: Any, task: Any, seed: int = 0, **changes: Any) -> SaliencyJob:
    job = settings(**changes).start(space, task, seed=seed)
    assert isinstance(job, SaliencyJob)
    return job


def run(job: SaliencyJob, epochs: int | None = None) -> SaliencyJob:
    for _ in range(job.total_epochs - len(job.history) if epochs is None else epochs):
        job.run_epoch()
    return job


def relative(space: Any, found: groupnas.Allocation) -> float:
    return sum(found.costs().values()) / sum(groupnas.Allocation.even(space).costs().values())


@pytest.fixture(scope="module")
def whole(shapes_space: Any, shapes: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return groupnas.search(
        shapes_space, shapes, settings(), tmp_path_factory.mktemp("runs") / "a", quiet=True
    )


def test_stages(whole: Any) -> None:
    told = [(record["phase"], record["arm"]) for record in whole.history]
    pruned = [*[("prune", "free")] * 2, *[("tune", "free")] * 2]
    assert told == [
        *[("train", "free")] * 2,
        *pruned,
        *[(phase, "uniform") for phase, _ in pruned],
        *[("prune", "full")] * 2,
        ("tune", "full"),
    ]
    assert len(told) == whole.job.strategy.planned == whole.job.total_epochs
    costs = [record["cost"] for record in whole.history]
    assert costs[:2] == [1, 1] and costs[-3:] == [1, 1, 1]
    assert 1 > costs[2] > costs[3] and costs[3] <= 0.4
    assert all(len(record["validation"]) == 4 for record in whole.history)


@pytest.mark.parametrize("total", [1.5, 0.9, 0.6, 0.45, 0.3])
def test_one_trajectory_answers_every_budget(shapes_space: Any, whole: Any, total: float) -> None:
    found = whole.design(Budget(total=total, tolerance=0.1))
    assert relative(shapes_space, found) == pytest.approx(total, rel=0.1)
    inherited = whole.job.inherited(found)
    assert (inherited is None) == (total > 1)
    if inherited is not None:
        assert inherited.sizes == found.build().sizes


def test_networks_are_kept_with_their_weights(whole: Any, shapes: Any, shapes_space: Any) -> None:
    files = sorted((whole.folder / "networks").iterdir())
    labels = ["free-0.4", "free-0.6", "full", "uniform-0.4", "uniform-0.6"]
    assert [file.stem for file in files] == labels
    for file in files:
        network = load_network(file, groupnas.Allocation.even(shapes_space)).eval()
        errors = mean_errors(network, shapes, whole.job.split.validation, 20, "cpu")
        assert errors == whole.result["validation_errors"][file.stem]
    network = whole.network()
    assert network.sizes == whole.allocation.build().sizes


def test_the_trajectory_tells_costs_errors_and_sizes(whole: Any, shapes_space: Any) -> None:
    for arm, points in whole.result["trajectory"].items():
        costs = [point["cost"] for point in points]
        assert len(points) == 5 and costs[0] == 1 and costs == sorted(costs, reverse=True)
        last = groupnas.Allocation.from_counts(shapes_space, points[-1]["sizes"])
        assert sum(last.costs().values()) == sum(points[-1]["costs"].values())
        # The last is the end of the last epoch of pruning.
        ends = [r for r in whole.history if (r["phase"], r["arm"]) == ("prune", arm)]
        assert points[-1]["errors"] == ends[-1]["validation"]


@pytest.mark.parametrize("done", range(13))
def test_a_stopped_search_goes_on_alike(
    shapes_space: Any, shapes: Any, whole: Any, tmp_path: Path, done: int
) -> None:
    stopped = run(start(shapes_space, shapes), done)
    torch.save(stopped.state_dict(), tmp_path / "state")
    other = start(shapes_space, shapes)
    other.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert run(other).history == list(whole.history)
    assert other.allocation().grouping == whole.grouping
    for label, network in other.networks().items():
        kept = whole.job.networks()[label].state_dict()
        assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())


def test_a_state_that_is_not_its_own_is_refused(shapes_space: Any, shapes: Any) -> None:
    state = run(start(shapes_space, shapes), 5).state_dict()
    free = state["trajectories"]["free"]
    wrong: list[dict[str, Any]] = [
        {"trained": {}},
        {"trajectories": {}},
        {"trajectories": {"free": {**free, "order": free["order"] * 0}}},
        {"trajectories": {"free": {**free, "order": free["order"][1:]}}},
        {"trajectories": {"free": {**free, "snapshots": []}}},
        {"trajectories": {"free": {**free, "snapshots": [{**free["snapshots"][0], "removed": 9}]}}},
        {"tuned": {}},
        {"tuned": {"free-0.6": {"network": {}, "errors": {}}}},
    ]
    for changes in wrong:
        with pytest.raises(StateError):
            start(shapes_space, shapes).load_state_dict({**state, **changes})


def test_a_single_group_is_a_search_of_widths(
    shapes_space: Any, shapes: Any, tmp_path: Path
) -> None:
    from groupnas.task import TaskParts

    space, task = shapes_space.only(["ring"]), TaskParts(shapes, ["ring"])
    found = groupnas.search(space, task, settings(arms=["free"]), tmp_path / "run", quiet=True)
    assert relative(space, found.allocation) <= 0.6
    with pytest.raises(InputError, match="has one group .ring., so that even has nothing"):
        groupnas.search(space, task, "even", tmp_path / "other", quiet=True)


def test_another_runs_weights_are_a_start(
    shapes_space: Any, shapes: Any, whole: Any, tmp_path: Path
) -> None:
    from groupnas.strategies.saliency.pruning import Pruning

    given = whole.folder / "networks/uniform-0.6.safetensors"
    changes = {"pretrained": str(given), "epochs": 0, "arms": ["free"], "budget": {"total": 0.4}}
    job = start(shapes_space, shapes, **changes, budgets=[])
    like = load_network(given, groupnas.Allocation.even(shapes_space))
    job.run_epoch()
    assert isinstance(job._running, Pruning)
    first = job._running.snapshots[0]["network"]
    assert all(torch.equal(value, first[name]) for name, value in like.state_dict().items())
    assert relative(shapes_space, run(job).allocation()) <= 0.4
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    for wrong, told in (
        (tmp_path / "other.safetensors", "no file of weights that can be read"),
        (tmp_path / "none.safetensors", "no file of weights that can be read"),
    ):
        with pytest.raises(InputError, match=told):
            start(shapes_space, shapes, **{**changes, "pretrained": str(wrong)})


def test_it_may_start_wider_than_the_space(shapes_space: Any, shapes: Any) -> None:
    job = run(start(shapes_space, shapes, widen=1.5, budget={"total": 1.0}, arms=["free"]))
    assert job.history[0]["cost"] > 1.5
    assert relative(shapes_space, job.allocation()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"arms": ["free", "free"]}, "arms: expected each once"),
        ({"epochs": 0}, "epochs: expected 1 or more, as there is nothing pretrained"),
        ({"weights": {"lr": 0.01, "schedule": "cosine"}}, "weights.end_lr: expected more than 0"),
    ],
)
def test_settings_that_do_not_go_together(changes: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        settings(**changes)


def test_a_budget_that_the_start_is_within_is_refused(shapes_space: Any, shapes: Any) -> None:
    with pytest.raises(InputError, match="budget: the network is within it before anything"):
        start(shapes_space, shapes, budget={"total": 1.0})
