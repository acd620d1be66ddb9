"""The whole strategy on three drawn shapes: stages, budgets, weights that are kept, resumption."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from helpers import SMALL_SPACES

import groupnas
from groupnas import Budget
from groupnas.engine.evaluate import mean_errors
from groupnas.engine.job import Means
from groupnas.engine.split import Split
from groupnas.engine.state import StateError
from groupnas.errors import InputError
from groupnas.schema import validate
from groupnas.spaces.measure import measure
from groupnas.strategies.saliency.importance import Gates
from groupnas.strategies.saliency.job import SaliencyJob
from groupnas.strategies.saliency.pruning import Pruning
from groupnas.strategies.saliency.removal import Removal
from groupnas.strategies.saliency.settings import Saliency
from groupnas.strategies.saliency.trajectory import table
from groupnas.strategies.saliency.weights import load_network, save_network

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
    given = whole.folder / "networks/uniform-0.6.safetensors"
    changes: dict[str, Any] = {
        "pretrained": str(given),
        "epochs": 0,
        "arms": ["free"],
        "budget": {"total": 0.4},
    }
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
        ({"arms": ["full", "free"]}, "arms: full prunes nothing, and is a control"),
        ({"tune_epochs": 0}, "arms: full is of no use without tune_epochs"),
        ({"budgets": [0.6000001]}, "budgets: expected each once, to six digits"),
        ({"budget": {"total": None, "groups": {"ring": 0.5}}}, "budget.total: missing"),
        ({"epochs": 0}, "epochs: expected 1 or more, as there is nothing pretrained"),
        ({"weights": {"lr": 0.01, "schedule": "cosine"}}, "weights.end_lr: expected more than 0"),
    ],
)
def test_settings_that_do_not_go_together(changes: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        settings(**changes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"budget": {"total": 1.0}}, "budget: disc, square, ring: within it before anything"),
        ({"budget": {"total": 0.6, "groups": {"ring": 1.2}}}, "budget: ring: within it before"),
        ({"budgets": [0.0001]}, "is less than the fewest channels cost"),
        ({"budgets": [0.2], "min": 4}, "is less than the fewest channels cost"),
        ({"down_to": 0.0001}, "^down_to: budget: .* is less than the fewest channels cost"),
    ],
)
def test_budgets_that_cannot_be_are_refused_before_anything_is_trained(
    shapes_space: Any, shapes: Any, changes: Any, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        start(shapes_space, shapes, **changes)


def test_a_divisor_holds_from_start_to_end(shapes_space: Any, shapes: Any) -> None:
    budget = {"total": 0.6, "divisor": 4, "tolerance": 0.3}
    job = run(start(shapes_space, shapes, budget=budget, budgets=[], arms=["free"]))
    for unit, row in job.allocation().grouping.counts().items():
        step = Budget(divisor=4).step(shapes_space.free_units[unit] / 3)
        assert all(size % step == 0 for size in row.values())
    network = job.networks()["free-0.6"]
    assert network.sizes == job.allocation().build().sizes


def test_given_weights_stay_those_that_the_run_began_with(
    shapes_space: Any, shapes: Any, whole: Any, tmp_path: Path
) -> None:
    given = tmp_path / "given.safetensors"
    given.write_bytes((whole.folder / "networks/full.safetensors").read_bytes())
    changes: dict[str, Any] = {"pretrained": str(given), "epochs": 0, "arms": ["free", "uniform"]}
    straight = run(start(shapes_space, shapes, **changes))
    state = run(start(shapes_space, shapes, **changes), 2).state_dict()
    other = groupnas.Allocation.even(shapes_space).build()
    save_network(other, given)
    resumed = start(shapes_space, shapes, **changes)
    resumed.load_state_dict(state)
    assert run(resumed).history == straight.history


def test_weights_of_other_groups_are_refused(shapes_space: Any, tmp_path: Path) -> None:
    even = groupnas.Allocation.even(shapes_space)
    network = even.build()
    network.groups = tuple(reversed(network.groups))
    save_network(network, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="its groups are not disc, square, ring, in this order"):
        load_network(tmp_path / "w.safetensors", even)


def pruning(path: Path) -> Pruning:
    """A pruning after an epoch, in which channels went."""
    space = groupnas.load_space(path)
    whole = groupnas.Allocation.even(space.resized({u: 3 * n for u, n in space.free_units.items()}))
    sizes = table(whole.grouping.counts(), space)
    removal = Removal(space, sizes, "free", Budget(total=1.0).limits(space), measure("mac"))
    everything = torch.arange(40)
    split = Split(everything[:30], everything[30:])
    torch.manual_seed(0)
    network = whole.build()
    job = Pruning(
        network, removal, cast(Any, Drawn(space)), settings(), split, 0, torch.device("cpu")
    )
    job.run_epoch(lambda done, total: None)
    assert removal.removed
    return job


@pytest.mark.parametrize("path", SMALL_SPACES, ids=lambda path: path.stem)
def test_without_its_removed_channels_a_training_goes_on_alike(path: Path) -> None:
    compact, gated = pruning(path), pruning(path)
    compact._compact()
    for weight, state in compact._optimizer.state.items():
        assert state["exp_avg"].stride() == weight.stride()  # fused kernels do not look at them
    for job in (compact, gated):  # its only step so far was the first of the warm-up
        job._optimizer.param_groups[0]["lr"] = 0.004
    assert gated.removal is not None and compact.removal is not None
    with Gates(gated.network, gated.removal.space.free_units) as gates:
        gates.set(torch.from_numpy(gated.removal.alive))
        gated._step(Means())
    with Gates(compact.network, compact.removal.space.free_units):
        compact._step(Means())
    wanted = gated.narrowed().state_dict()
    for name, value in compact.network.state_dict().items():
        assert torch.allclose(value, wanted[name], rtol=1e-3, atol=2e-4), name  # a step is 0.004


class Drawn:
    """Random inputs and outputs of a space."""

    name, error_unit = "drawn", "units"

    def __init__(self, space: Any) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (40, sum(space.inputs.values()), *space.input_size)
        self.x = torch.randn(shape, generator=generator)
        self.y = torch.randn((40, sum(space.outputs.values())), generator=generator)
        self.inputs, self.outputs = space.inputs, space.outputs
        self.sources = [str(index) for index in range(40)]

    def batch(self, indices: Any, generator: Any = None) -> Any:
        return self.x[indices], self.y[indices]

    def loss(self, predicted: Any, target: Any) -> Any:
        return (predicted - target).square().mean()

    def errors(self, predicted: Any, target: Any) -> Any:
        pieces = (predicted - target).abs().split(list(self.outputs.values()), dim=1)
        return torch.stack([piece.mean(dim=1) for piece in pieces], dim=1)

    def to(self, target: Any, device: Any) -> Any:
        return target.to(device)
