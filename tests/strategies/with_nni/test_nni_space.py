"""NNI beside groupnas: the same networks, the same costs, its strategies one trial at a time.

Runs where the extra ``nni`` is installed, which is not where the others do: see CONTRIBUTING.md.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import SMALL_SPACES

pytest.importorskip("nni", reason="needs the extra nni")

from groupnas.accountant import flops
from groupnas.budget import Budget
from groupnas.engine.search_job import SearchJob
from groupnas.engine.strategy import Optimizer
from groupnas.grouping import Grouping
from groupnas.spaces import SearchSpace, load_space
from groupnas.spaces.allocation import Allocation
from groupnas.strategies.nni.settings import Nni
from groupnas.strategies.nni.space import GroupingModelSpace, profile
from groupnas.strategies.trials.encoding import Encoding
from groupnas.strategies.trials.job import TrialsJob

import nni  # isort: skip
from nni.nas.evaluator import FunctionalEvaluator  # isort: skip
from nni.nas.execution import SequentialExecutionEngine  # isort: skip
from nni.nas.space import SimplifiedModelSpace  # isort: skip
from nni.nas.strategy import TPE, GridSearch, Random, RegularizedEvolution  # isort: skip

SEED = 3

# NNI's own strategies as the settings below have them.
THEIRS = {
    "random": lambda: Random(seed=SEED),
    "evolution": lambda: RegularizedEvolution(
        population_size=4, sample_size=2, mutation_prob=0.5, seed=SEED
    ),
    "tpe": lambda: TPE(optimize_mode="maximize", seed=SEED, tpe_args={"n_startup_jobs": 2}),
    "grid": lambda: GridSearch(seed=SEED),
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.getLogger("nni").setLevel(logging.ERROR)
    with torch.random.fork_rng():
        yield


def _wants_ring(found: Allocation, epochs: int = 0, seed: int = 0) -> dict[str, float]:
    """Errors that fall with a group's channels, the ring's most of all."""
    counts = found.grouping.counts()
    sizes = {group: sum(row[group] for row in counts.values()) for group in found.space.groups}
    errors = {group: (8 if group == "ring" else 1) / size for group, size in sizes.items()}
    return {**errors, "mean": sum(errors.values())}


def _settings(exploration: str, **changes: Any) -> Nni:
    return Nni(
        title="test",
        exploration=exploration,  # type: ignore[arg-type]
        **{
            "trials": 6,
            "epochs": 1,
            "batch_size": 16,
            "validation": 0.3,
            "weights": Optimizer(lr=0.01),
            "population": 4,
            "tournament": 2,
            "mutation": 0.5,
            "startup": 2,
            "spread": 0.5,
            **changes,
        },
    )


def _finished(job: SearchJob) -> TrialsJob:
    assert isinstance(job, TrialsJob)
    while len(job.history) < job.total_epochs:
        job.run_epoch()
    return job


# -- the space ----------------------------------------------------------------------------------


def test_unfrozen_is_the_even_network(shapes_space: SearchSpace) -> None:
    space = GroupingModelSpace(shapes_space)
    assert space.allocation.grouping == Grouping.even(shapes_space)
    assert space(torch.zeros(2, 3, 16, 16)).shape == (2, 9)
    choices = space.simplify()
    assert list(choices) == ["split.1", "split.2", "tilt.disc", "tilt.square", "tilt.ring"]
    assert choices["split.1"].values == [-0.5, -0.25, 0.0, 0.25, 0.5]


@pytest.mark.parametrize("resolution", ["part", "depth", "unit"])
def test_frozen_is_the_derived_network_of_equal_cost(
    shapes_space: SearchSpace, resolution: Any
) -> None:
    space = GroupingModelSpace(shapes_space, resolution, levels=3)
    encoding = Encoding(space=shapes_space, budget=Budget(), resolution=resolution, spread=0.5)
    even = flops(Allocation.even(shapes_space)).total
    for turn in range(3):
        sample = {
            name: 0.5 * ((position + turn) % 3 - 1)
            for position, name in enumerate(space.simplify())
        }
        frozen = space.freeze(sample)
        assert frozen.allocation == encoding.decode(sample)
        assert frozen.allocation != space.allocation
        assert flops(frozen.allocation).total == pytest.approx(even, rel=0.01)
        plain = frozen.allocation.build()
        frozen.network.load_state_dict(plain.state_dict())  # the same layers
        x = torch.randn(2, 3, 16, 16)
        assert torch.equal(frozen.eval()(x), plain.eval()(x))


def test_a_sample_that_is_not_of_the_space_is_refused(shapes_space: SearchSpace) -> None:
    space = GroupingModelSpace(shapes_space, "part")
    with pytest.raises(Exception, match=r"0\.1"):
        space.freeze({"split.1": 0.1, "split.2": 0.0})


# -- NNI's strategies ---------------------------------------------------------------------------


def _run_by_nni(space: SearchSpace, exploration: str, trials: int) -> list[dict[str, float]]:
    """The samples that NNI itself runs, in its own sequential engine."""
    samples = []

    def evaluate(model: GroupingModelSpace) -> None:
        samples.append(dict(nni.get_current_parameter().sample))
        nni.report_final_result(-_wants_ring(model.allocation)["mean"])

    engine = SequentialExecutionEngine(max_model_count=trials)
    model_space = GroupingModelSpace(space, levels=3)
    THEIRS[exploration]()(
        SimplifiedModelSpace.from_model(model_space, FunctionalEvaluator(evaluate)), engine
    )
    return samples


@pytest.mark.parametrize("exploration", list(THEIRS))
def test_trial_by_trial_is_what_nni_runs_in_one_go(
    shapes_space: SearchSpace, shapes: Any, exploration: str
) -> None:
    theirs = _run_by_nni(shapes_space, exploration, 5)
    job = _finished(
        _settings(exploration, levels=3).start(
            shapes_space, shapes, seed=SEED, evaluate=_wants_ring
        )
    )
    even, *asked = [record["point"] for record in job.history]
    assert set(even.values()) == {0.0}
    assert asked[: len(theirs)] == [sample for sample in theirs if sample != even]


@pytest.mark.parametrize("exploration", list(THEIRS))
def test_resumed_after_every_trial_ends_the_same(
    shapes_space: SearchSpace, shapes: Any, exploration: str
) -> None:
    def start() -> SearchJob:
        settings = _settings(exploration, trials=9)
        return settings.start(shapes_space, shapes, seed=SEED, evaluate=_wants_ring)

    whole, piecewise = _finished(start()), start()
    while len(piecewise.history) < piecewise.total_epochs:
        piecewise.run_epoch()
        resumed = start()
        resumed.load_state_dict(piecewise.state_dict())
        piecewise = resumed
    assert piecewise.history == whole.history
    assert piecewise.allocation() == whole.allocation()


def _least_errors(space: SearchSpace, task: Any, exploration: str) -> float:
    """The best trial's error, mean over seeds."""
    settings = _settings(exploration, trials=24)
    jobs = [
        _finished(settings.start(space, task, seed=seed, evaluate=_wants_ring))
        for seed in (1, 2, 3)
    ]
    return sum(job.history[-1]["best"] for job in jobs) / len(jobs)


def test_evolution_and_tpe_learn_what_is_better(shapes_space: SearchSpace, shapes: Any) -> None:
    """With the wrong sign, they would end worse than random."""
    random = _least_errors(shapes_space, shapes, "random")
    assert _least_errors(shapes_space, shapes, "evolution") < random
    assert _least_errors(shapes_space, shapes, "tpe") < random


def test_where_nothing_is_left_to_try_the_first_trial_is_repeated(
    shapes_space: SearchSpace, shapes: Any
) -> None:
    settings = _settings("grid", resolution="part", levels=3, trials=11)
    job = _finished(settings.start(shapes_space, shapes, evaluate=_wants_ring))
    points = [tuple(record["point"].values()) for record in job.history]
    assert len(set(points[:9])) == 9  # three levels of two coordinates
    assert points[9:] == [points[0]] * 2


def test_trains(shapes_space: SearchSpace, shapes: Any) -> None:
    job = _finished(_settings("random", trials=2).start(shapes_space, shapes))
    assert [record["steps"] for record in job.history] == [4, 4]  # 70 samples by 16
    assert job.history[0]["errors"] != job.history[1]["errors"]
    assert set(job.history[0]["errors"]) == {"disc", "square", "ring", "mean"}


# -- NNI's profiler -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", SMALL_SPACES, ids=lambda path: path.stem)
def test_nni_counts_what_the_accountant_counts(path: Path) -> None:
    space = load_space(path)
    for grouping in (Grouping.even(space), Grouping.random(space, 1)):
        table = flops(Allocation(space, grouping))
        bare = {"count_bias": False, "count_normalization": False, "count_activation": False}
        operations, _ = profile(Allocation(space, grouping).build(), space, **bare)
        everything, parameters = profile(Allocation(space, grouping).build(), space)
        assert operations == table.total
        assert parameters == table.total_params
        assert everything - operations == sum(
            layer.out_channels
            * layer.out_size[0]
            * layer.out_size[1]
            * (layer.bias + 4 * bool(layer.norm) + (layer.act in ("relu", "relu6")))
            for layer in space.layers
        )


def test_nni_counts_the_local_network_as_the_accountant_does() -> None:
    space = load_space("picasso_local")
    grouping = Grouping.random(space, 0)
    bare = {"count_bias": False, "count_normalization": False, "count_activation": False}
    operations, _ = profile(Allocation(space, grouping).build(), space, **bare)
    assert operations == flops(Allocation(space, grouping)).total
