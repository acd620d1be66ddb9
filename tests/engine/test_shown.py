"""Samples without parts: left out, told from networks that diverged, refused where none is left."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import groupnas as gn
from groupnas.engine.evaluate import mean_errors, sample_errors
from groupnas.engine.shown import check_groups, finite_loss, group_errors
from groupnas.engine.split import Split, split_by_source
from groupnas.engine.strategy import Optimizer, Strategy, load_strategy
from groupnas.engine.training import Trainer
from groupnas.engine.training_settings import Training
from groupnas.errors import InputError

NAN, INF = math.nan, math.inf
ALL = torch.arange(4)


class Points:
    """Four samples of parts ``a`` (one number) and ``b`` (two); ``truth`` is NaN where unknown."""

    name, error_unit = "points", "px"
    inputs: Mapping[str, int] = {"a": 1, "b": 1}
    outputs: Mapping[str, int] = {"a": 1, "b": 2}
    sources: Sequence[str] = ["p0", "p1", "p2", "p3"]
    truth = torch.tensor([[1.0, 1.0, 1.0], [2.0, NAN, NAN], [NAN, 0.0, 4.0], [NAN, NAN, NAN]])

    def batch(self, indices: Tensor, generator: torch.Generator | None = None) -> Any:
        return torch.zeros(len(indices), 2, 4, 4), self.truth[indices]

    def mean_output(self) -> Tensor | None:
        return None

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        known = target.isfinite()
        return (predicted - target)[known].square().sum() / known.sum().clamp(min=1)

    def errors(self, predicted: Tensor, target: Tensor) -> Tensor:
        off = (predicted - target).abs()
        return torch.stack([off[:, 0], off[:, 1:].mean(dim=1)], dim=1)

    def to(self, target: Tensor, device: torch.device) -> Tensor:
        return target

    def fingerprint(self) -> str:
        return str(self.truth.tolist())


FOUR: tuple[Any, ...] = (Points(), ALL, 3, "cpu")  # the last batch shows nothing at all


def same(found: Tensor, expected: list[list[float]]) -> None:
    torch.testing.assert_close(found, torch.tensor(expected).to(found), equal_nan=True)


def zeros(x: Tensor) -> Tensor:
    return torch.zeros(len(x), 3)


def test_errors_of_what_is_shown() -> None:
    same(sample_errors(zeros, *FOUR), [[1, 1], [2, NAN], [NAN, 2], [NAN, NAN]])
    # the samples' own means are 1, 2 and 2: the first's of both parts
    assert mean_errors(zeros, *FOUR) == pytest.approx({"a": 1.5, "b": 1.5, "mean": 5 / 3})


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_network_that_diverged_does_not_pass_for_missing_points(value: float) -> None:
    answer = torch.tensor([0.0, value, 0.0])  # of part b
    found = sample_errors(lambda x: answer.expand(len(x), -1), *FOUR)
    same(found, [[1, INF], [2, NAN], [NAN, INF], [NAN, NAN]])
    assert mean_errors(lambda x: answer.expand(len(x), -1), *FOUR) == {
        "a": 1.5,
        "b": INF,
        "mean": INF,
    }


def test_a_task_may_be_undefined_at_zero() -> None:
    class Angles(Points):
        def errors(self, predicted: Tensor, target: Tensor) -> Tensor:
            length = predicted.norm(dim=1, keepdim=True)
            return super().errors(predicted / length, target)  # of nothing there is no direction

    same(
        group_errors(Angles(), torch.full((2, 3), NAN), Points.truth[:2]), [[INF, INF], [INF, NAN]]
    )


def test_a_loss_that_is_not_finite_names_who_is_to_blame() -> None:
    task, target = Points(), Points.truth[:2]
    loss = finite_loss(task, torch.zeros(2, 3), target, "training")
    assert loss.item() == pytest.approx((1 + 1 + 1 + 4) / 4)
    for value in (NAN, INF):
        with pytest.raises(InputError, match="the training loss is .*: the run diverged; lower"):
            finite_loss(task, torch.full((2, 3), value), target, "training")

    class Mean(Points):
        def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
            return (predicted - target)[target.isfinite()].square().mean()

    wrong = "task points: its loss of 1 validation samples is nan, whatever is predicted; loss"
    with pytest.raises(InputError, match=wrong) as told:
        finite_loss(Mean(), torch.zeros(1, 3), Points.truth[3:], "validation")
    assert "diverged" not in str(told.value)


class Behind(Points):
    """Its loss selects what is known after computing: NaN times 0 is in the gradient."""

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        return torch.where(target.isfinite(), (predicted - target).square(), 0.0).mean()


def test_a_gradient_of_nan_is_told_before_the_weights_are() -> None:
    with pytest.raises(InputError, match="has no finite gradient, whatever .*torch.where"):
        check_groups(Behind(), Split(ALL, ALL), 4)


def test_parts_are_counted_and_refused_at_the_start() -> None:
    task = Points()
    assert check_groups(task, Split(ALL, ALL), 2) == {"a": 2, "b": 2, "mean": 3}
    assert check_groups(task, Split(ALL, ALL[:0]), 2) == {}
    none = "task points: none of the {} samples shows the part '{}'; give"
    with pytest.raises(InputError, match=none.format("2 validation", "a")):
        check_groups(task, Split(ALL, ALL[2:]), 1)
    with pytest.raises(InputError, match=none.format("1 training", "b")):
        check_groups(task, Split(ALL[1:2], ALL), 1)


# -- real runs ----------------------------------------------------------------------------------


@pytest.fixture
def gappy(own_parts: Any) -> Callable[..., Any]:
    """The example's task, of which some drawings lack the ring, and one drawing lacks all."""

    class Gappy(own_parts.Shapes):  # type: ignore[name-defined,misc]
        def __init__(self, samples: int = 60, gaps: slice = slice(0, None, 3)) -> None:
            super().__init__(samples)
            self._truth[gaps, 2] = NAN
            self._truth[gaps][:1] = NAN

        def mean_output(self) -> Tensor:
            return self._truth.nanmean(dim=0).flatten().nan_to_num()

        def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
            known = target.isfinite()
            return (predicted.view_as(target) - target)[known].square().sum() / known.sum()

    return Gappy


def test_a_training_counts_what_is_there(
    gappy: Any, shapes_space: gn.SearchSpace, tmp_path: Path
) -> None:
    task = gappy()
    settings = Training(epochs=1, batch_size=8, weights=Optimizer(lr=0.01))
    split = split_by_source(task.sources, 0.4, 0)
    network = gn.Allocation.even(shapes_space).build()
    found = gn.train(network, task, settings, tmp_path / "r", split=split)
    x, target = task.batch(split.validation)
    with torch.no_grad():
        errors = task.errors(found.network(x), target)
    told = found.result["validation_errors"]
    rings = errors[:, 2][~target[:, 2, 0].isnan()]
    assert told["ring"] == pytest.approx(rings.mean().item(), rel=1e-4)
    own = [row[~row.isnan()].mean().item() for row in errors if not row.isnan().all()]
    assert told["mean"] == pytest.approx(sum(own) / len(own), rel=1e-4)  # 3 outputs each
    assert found.result["validation_counts"] == {
        "disc": len(own),
        "square": len(own),
        "ring": len(rings),
        "mean": len(own),
    }
    assert all(math.isfinite(error) for error in found.history[0]["train_error"].values())


def test_an_epoch_without_a_part_has_no_training_error_of_it(
    gappy: Any, shapes_space: gn.SearchSpace
) -> None:
    task = gappy(gaps=slice(1, None))  # the first drawing alone has a ring
    network = gn.Allocation.even(shapes_space).build()
    settings = Training(epochs=1, batch_size=9, weights=Optimizer(lr=0.01))
    trainer = Trainer(network, task, settings, Split(torch.arange(2, 20), torch.arange(2)))
    error = trainer.run_epoch()["train_error"]
    assert error["ring"] is None and math.isfinite(error["disc"])


SHORT: dict[str, dict[str, Any]] = {
    "gumbel": {"warmup_epochs": 0, "epochs": 1},
    "flgc": {"epochs": 1},
    "kronecker": {"epochs": 1},
    "evolution": {"trials": 2, "epochs": 1, "population": 2, "tournament": 1},
    "halving": {"trials": 2, "epochs": 1, "rungs": 1},
    "optuna": {"trials": 2, "epochs": 1},
    "knapsack": {"trials": 4, "epochs": 1},
    "knapsack:slimmable": {"epochs": 1, "rounds": 1, "points": 4, "passes": 1},
}


def brief(name: str, **changes: Any) -> Strategy:
    """A shipped strategy at its shortest."""
    found = load_strategy(name)
    settings = {**found.model_dump(), **SHORT[name], **changes, "batch_size": 20}
    return type(found).model_validate(settings)


@pytest.mark.parametrize(("name", "order"), [*((name, None) for name in SHORT), ("gumbel", 2)])
def test_searches_have_finite_errors(
    name: str, order: int | None, gappy: Any, shapes_space: gn.SearchSpace, tmp_path: Path
) -> None:
    strategy = brief(name, **({} if order is None else {"order": order}))
    run = gn.search(shapes_space, gappy(), strategy, tmp_path / "run")
    errors = run.result.get("validation_errors") or {"found": run.result["predicted"]["found"]}
    assert all(math.isfinite(v) for table in errors.values() for v in table.values())
    assert run.result["validation_counts"]["ring"] < run.result["validation_counts"]["disc"]
    told = (run.folder / "history.jsonl").read_text() + (run.folder / "result.json").read_text()
    assert "NaN" not in told and "Infinity" not in told


@pytest.mark.parametrize("gaps", [slice(None), slice(1, None)])
def test_a_part_that_one_side_lacks_is_refused_before_anything_is_written(
    gaps: slice, gappy: Any, shapes_space: gn.SearchSpace, tmp_path: Path
) -> None:
    refused = "task shapes: none of the .* samples shows the part 'ring'"
    load = lambda: gappy(gaps=gaps)  # noqa: E731
    settings = Training(epochs=1, batch_size=8, weights=Optimizer(lr=0.01))
    with pytest.raises(InputError, match=refused):
        gn.search(shapes_space, load(), brief("gumbel"), tmp_path / "run")
    with pytest.raises(InputError, match=refused):
        gn.compare(shapes_space, load, ["even"], tmp_path / "run", training=settings, jobs=1)
    network = gn.Allocation.even(shapes_space).build()
    split = split_by_source(load().sources, 0.2, 0)
    with pytest.raises(InputError, match=refused):
        gn.train(network, load(), settings, tmp_path / "run", split=split)
    with pytest.raises(InputError, match="split: validation: expected at least one sample"):
        gn.train(network, load(), settings, tmp_path / "run", split=Split(split.train, ALL[:0]))
    assert not (tmp_path / "run").exists()
