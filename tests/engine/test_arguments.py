"""What callers of searches and trainings give: made what it is, or refused before it is used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn

import groupnas
from groupnas.engine.split import Split, split_by_source
from groupnas.engine.strategy import Optimizer
from groupnas.engine.training import Trained
from groupnas.engine.training_settings import Training
from groupnas.errors import InputError

SETTINGS = Training(epochs=1, batch_size=20, weights=Optimizer(lr=0.01))
ANYTHING_ELSE = [True, 2.0, np.float64(2), "2", b"2", float("nan"), -1, 2**80, [2], object()]


@pytest.fixture
def go(shapes_space: Any, shapes: Any, tmp_path: Path) -> Callable[..., Any]:
    """Even groups of the shapes, "found" in ``tmp_path/run``."""

    def run(**changes: Any) -> Any:
        usual = {"strategy": "even", "out": tmp_path / "run", "quiet": True}
        return groupnas.search(shapes_space, shapes, **{**usual, **changes})

    return run


@pytest.fixture
def learn(shapes: Any, tmp_path: Path) -> Callable[..., Trained]:
    """A training of one epoch in ``tmp_path/run``."""

    def run(**changes: Any) -> Trained:
        torch.manual_seed(0)  # of the network's weights
        usual: dict[str, Any] = {
            "network": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 9)),
            "task": shapes,
            "settings": SETTINGS,
            "out": tmp_path / "run",
            "split": split_by_source(shapes.sources, 0.3, 0),
            "quiet": True,
        }
        return groupnas.train(**{**usual, **changes})

    return run


@pytest.mark.parametrize("seed", [np.int64(2), np.uint8(2), np.array(2), torch.tensor(2)])
def test_a_seed_of_an_array_is_that_number(go: Any, tmp_path: Path, seed: Any) -> None:
    run = go(strategy="random", seed=seed)
    assert "seed: 2\n" in (tmp_path / "run/config.yaml").read_text()
    again = go(strategy=None, seed=2, resume=np.True_)
    assert again.grouping == run.grouping


@pytest.mark.parametrize("seed", ANYTHING_ELSE)
def test_other_seeds_are_refused_and_leave_nothing(
    go: Any, learn: Any, tmp_path: Path, seed: Any
) -> None:
    for call in (go, learn):
        with pytest.raises(InputError, match=r"^seed: expected a whole number from 0 to 2\*\*63"):
            call(seed=seed)
    assert list(tmp_path.iterdir()) == []


def test_the_largest_seed(go: Any, tmp_path: Path) -> None:
    go(strategy="random", seed=2**63 - 1)
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["seed"] == 2**63 - 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"out": 5}, "the run folder: expected a name or a path, got 5"),
        ({"out": ""}, "the run folder: expected a name or a path"),
        ({"out": None}, "the run folder: expected a name or a path"),
        ({"device": 5}, "device: expected the name of a torch device, got 5"),
        ({"device": None}, "device: expected the name of a torch device, got None"),
        ({"resume": "no"}, "resume: expected True or False, got 'no'"),
        ({"quiet": 1}, "quiet: expected True or False, got 1"),
        ({"observers": 3}, "observers: expected a list, got 3"),
        ({"arguments": {"a": {"b": object()}}}, "arguments.a.b: expected numbers, texts"),
        ({"arguments": {"a": np.arange(3)}}, "arguments.a: expected numbers, texts"),
    ],
)
def test_arguments_of_both(
    go: Any, learn: Any, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    for call in (go, learn):
        with pytest.raises(InputError, match=f"^{said}"):
            call(**changes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strategy": 5}, "strategy: expected a name or a path, got 5"),
        ({"strategy": ["even"]}, "strategy: expected a name or a path, got"),
        ({"strategy": "gumbel", "epochs": True}, "masks: epochs: expected a number, got True"),
        ({"strategy": "gumbel", "epochs": 2.0}, "masks: epochs: "),
        ({"strategy": "gumbel", "epochs": "2"}, "masks: epochs: "),
        ({"strategy": "gumbel", "epochs": -1}, "masks: epochs: "),
        ({"epochs": 3}, "epochs: even has none; leave it out"),
    ],
)
def test_arguments_of_a_search(go: Any, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=f"^{said}"):
        go(**changes)
    assert list(tmp_path.iterdir()) == []


def test_a_search_needs_a_space_not_its_name(shapes: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="^space: expected a SearchSpace, got a str$"):
        groupnas.search("three_parts", shapes, "even", tmp_path / "run")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": "net"}, "network: expected a Module, got a str"),
        ({"settings": {"epochs": 1}}, "settings: expected a Training, got a dict"),
        ({"split": ([0], [1])}, "split: expected a Split, got a tuple"),
        ({"split": Split([0, 1], [])}, "split: validation: expected at least one sample"),
        ({"split": Split([0], [100])}, "split: validation: sample 100 is not among the task's 100"),
        ({"sampling": [1.0]}, "sampling: expected 70 numbers, one for each training sample"),
        ({"sampling": "often"}, "sampling: expected numbers"),
        ({"sampling": np.zeros(70)}, "sampling: expected numbers from 0 on, not all of them 0"),
        ({"sampling": np.full(70, -1.0)}, "sampling: expected numbers from 0 on"),
        ({"sampling": torch.full((70,), torch.nan)}, "sampling: expected numbers from 0 on"),
    ],
)
def test_arguments_of_a_training(
    learn: Any, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=f"^{said}"):
        learn(**changes)
    assert list(tmp_path.iterdir()) == []


def test_arrays_serve_as_split_and_sampling(learn: Any, tmp_path: Path) -> None:
    whole = learn(out=tmp_path / "a", sampling=torch.ones(70))
    split = Split(whole_indices(whole, "train", np.array), whole_indices(whole, "validation", list))
    other = learn(out=bytes(tmp_path / "b"), split=split, sampling=np.ones(70), device="cpu")
    assert other.result == whole.result
    config = yaml.safe_load((tmp_path / "b/config.yaml").read_text())
    assert config["device"] == "cpu"


def whole_indices(run: Trained, side: str, kind: Callable[[list[int]], Any]) -> Any:
    sources = json.loads((run.folder / "split.json").read_text())[side]
    return kind([int(source.split()[1]) for source in sources])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([0.5], "split: train: expected a whole number, got 0.5"),
        ([True], "split: train: expected a whole number, got True"),
        (np.array([True, False]), "split: train: expected a whole number, got "),
        (torch.tensor([True]), "split: train: expected the indices of samples"),
        (torch.tensor(3), "split: train: expected the indices of samples"),
        ([-1], "split: train: expected indices from 0 on, got -1"),
        ("01", "split: train: expected a list, got '01'"),
    ],
)
def test_what_is_no_side_of_a_split(given: Any, said: str) -> None:
    with pytest.raises(InputError, match=f"^{said}"):
        Split(given, [1])


@pytest.mark.parametrize(("share", "seed"), [(0.0, 0), (1.0, 0), (True, 0), (0.5, 1.0), (0.5, -1)])
def test_what_no_split_is_made_by(share: Any, seed: Any) -> None:
    with pytest.raises(InputError, match="^(share|seed): expected "):
        split_by_source(["a", "b"], share, seed)


def test_a_device_may_be_torchs_own(learn: Any, tmp_path: Path) -> None:
    learn(device=torch.device("cpu"))
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["device"] == "cpu"


def test_recorded_arguments_are_plain(go: Any, tmp_path: Path) -> None:
    go(arguments={"rate": np.float32(0.5), "sizes": (np.int64(3), Path("a"))})
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert config["arguments"] == {"rate": 0.5, "sizes": [3, "a"]}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Training(epochs=True, batch_size=2, weights={"lr": 1}), "Training: epochs: "),
        (lambda: Training(epochs=1, batch_size=2.0, weights={"lr": 1}), "Training: batch_size: "),
        (lambda: Optimizer(lr=True), "Optimizer: lr: expected a number, got True"),
        (lambda: Optimizer(lr=float("nan")), "Optimizer: lr: "),
        (lambda: Optimizer(lr=0.1, betas=(True, 0.9)), "Optimizer: betas: expected a number"),
        (lambda: groupnas.Budget(total=np.True_), "Budget: total: expected a number, got "),
        (lambda: groupnas.Budget(total=-1.0), "Budget: total: "),
        (lambda: groupnas.Budget(total=10**400), "Budget: total: "),
        (lambda: groupnas.Budget(divisor=True), "Budget: divisor: expected a number, got True"),
        (lambda: groupnas.Budget(groups={"a": True}), "Budget: groups: expected a number"),
        (lambda: groupnas.Budget(totl=1.0), "Budget: totl: unknown key"),
        (lambda: groupnas.load_strategy("gumbel").with_settings(order=True), "masks: order: "),
        (lambda: groupnas.load_strategy("even").with_budget(0.5), "budget: expected a Budget, got"),
        (lambda: groupnas.load_strategy(None), "strategy: expected a name or a path, got None"),
    ],
)
def test_settings_made_in_python(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(InputError, match=f"^{said}"):
        make()


def test_settings_take_numbers_of_arrays() -> None:
    budget = groupnas.Budget(total=np.float32(0.5), divisor=np.int64(8))
    assert (budget.total, budget.divisor) == (0.5, 8)
    assert type(budget.total) is float and type(budget.divisor) is int
    weights = Optimizer(lr=torch.tensor(0.5), momentum=np.array(0.25))  # type: ignore[arg-type]
    assert (weights.lr, weights.momentum) == (0.5, 0.25)
    strategy = groupnas.load_strategy("gumbel").with_epochs(np.int32(3))  # type: ignore[arg-type]
    assert strategy.model_dump(mode="json")["epochs"] == 3


@pytest.mark.parametrize("given", [[1], [None], [groupnas.engine.observer.Observer]])
def test_what_is_no_observer(given: Any) -> None:
    with pytest.raises(InputError, match="^observers: expected instances of Observer, got "):
        groupnas.engine.observer.observers_from(given)
