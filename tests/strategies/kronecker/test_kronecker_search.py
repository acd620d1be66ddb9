"""The search by Kronecker products: what it learns from, its record, its state, its design."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import groupnas
from groupnas.engine.strategy import load_strategy, strategy_from
from groupnas.errors import InputError
from groupnas.strategies.kronecker.job import KroneckerSearch
from groupnas.strategies.kronecker.settings import Kronecker

Make = Callable[..., KroneckerSearch]


def settings(**changes: Any) -> Kronecker:
    data = {
        "algorithm": "kronecker",
        "title": "test",
        "epochs": 2,
        "batch_size": 20,
        "validation": 0.3,
        "weights": {"name": "adam", "lr": 0.01},
        "budget": {"total": 1.2, "tolerance": 0.05},
        **changes,
    }
    found = strategy_from(data, "test")
    assert isinstance(found, Kronecker)
    return found


@pytest.fixture
def make(shapes_space: groupnas.SearchSpace, shapes: Any) -> Make:
    def start(seed: int = 0, **changes: Any) -> KroneckerSearch:
        job = settings(**changes).start(shapes_space, shapes, seed=seed)
        assert isinstance(job, KroneckerSearch)
        return job

    return start


def searched(job: KroneckerSearch) -> KroneckerSearch:
    while len(job.history) < job.total_epochs:
        job.run_epoch()
    return job


def test_record_and_outcome(make: Make) -> None:
    job = searched(make())
    record = job.history[-1]
    assert (record["epoch"], record["steps"]) == (2, 3)
    assert record["groups"] == {name: layer.groups for name, layer in job.layers.items()}
    even = sum(groupnas.Allocation(job.space, job.initial).costs().values())
    cost = record["cost"] * 1.2 * even
    unfitted = make(budget=None)
    unfitted.load_state_dict(job.state_dict())
    assert unfitted.design().costs()["all"] == pytest.approx(cost)
    errors = job.outcome()["validation_errors"]["derived"]
    assert list(errors) == ["disc", "square", "ring", "mean"]


def test_the_design_meets_the_budget_and_is_no_grouping(make: Make) -> None:
    job = searched(make())
    even = sum(groupnas.Allocation(job.space, job.initial).costs().values())
    assert job.design().costs()["all"] == pytest.approx(1.2 * even, rel=0.05)
    assert job.design().grouping is None
    assert job.allocation().grouping == groupnas.Grouping.even(job.space)


def test_the_plain_network_computes_what_was_learned(make: Make) -> None:
    job = searched(make())
    job.net.eval()
    x = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(job.network()(x), job.net(x))


def test_the_penalty_brings_the_cost_down(make: Make) -> None:
    def cost(penalty: float) -> float:
        tight = {"total": 0.6, "tolerance": 0.05}
        job = searched(make(penalty=penalty, epochs=4, budget=tight))
        return float(job.history[-1]["cost"])

    assert cost(100.0) < 0.6 * cost(0.0)


def test_weights_and_gates_learn_from_training_samples_alone(
    make: Make, shapes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make()
    train, seen = set(job.split.train.tolist()), []
    batch = shapes.batch

    def watched(indices: Tensor, generator: torch.Generator | None = None) -> Any:
        seen.append(set(indices.tolist()))
        return batch(indices, generator)

    monkeypatch.setattr(shapes, "batch", watched)
    before = {name: layer.logits.detach().clone() for name, layer in job.layers.items()}
    job.run_epoch()
    assert len(seen) == 3 and all(indices <= train for indices in seen)
    assert all(not torch.equal(before[n], layer.logits) for n, layer in job.layers.items())


def test_state_goes_on_bit_for_bit(make: Make) -> None:
    whole, half = searched(make()), make()
    half.run_epoch()
    buffer = io.BytesIO()
    torch.save(half.state_dict(), buffer)
    buffer.seek(0)
    other = make()
    other.run_epoch()
    other.load_state_dict(torch.load(buffer, weights_only=True))
    searched(other)
    assert other.history == whole.history
    assert other.design() == whole.design()
    assert searched(make(seed=1)).history != whole.history


def test_as_a_run(shapes_space: groupnas.SearchSpace, shapes: Any, tmp_path: Path) -> None:
    run = groupnas.search(shapes_space, shapes, settings(), tmp_path / "run")
    assert set(run.result["macs_after"]) == {"all"}
    assert run.grouping == groupnas.Grouping.even(shapes_space)
    assert run.result["groups"] == run.history[-1]["groups"]


def test_settings() -> None:
    shipped = load_strategy("kronecker")
    assert isinstance(shipped, Kronecker)
    assert shipped.budget is not None and shipped.budget.total == 1.0
    assert shipped.with_epochs(3).epochs == 3
    with pytest.raises(InputError, match="test: penalty: "):
        settings(penalty=-1)


def test_a_budget_of_parts(make: Make) -> None:
    with pytest.raises(InputError, match="kronecker keeps no groups apart; give a total alone"):
        make(budget={"parts": {"ring": 1.0}})
