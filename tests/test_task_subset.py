"""groupnas.task: a subset of a task passes everything on, and is a task of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from groupnas.errors import InputError
from groupnas.task import Task, TaskSubset, chosen_by


class Numbers:
    """Sample i is the number 10 i; a generator adds a random fraction."""

    name = "numbers"
    inputs: Mapping[str, int] = {"a": 1}
    outputs: Mapping[str, int] = {"a": 1}
    error_unit = "px"

    def __init__(self, samples: int = 6) -> None:
        self.sources: Sequence[str] = [f"photo {index // 2}" for index in range(samples)]

    def mean_output(self) -> None:
        return None

    def batch(
        self, indices: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Any]:
        noise = 0 if generator is None else torch.rand(len(indices), generator=generator)
        return 10.0 * indices + noise, indices

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        return (predicted - target).sum()

    def errors(self, predicted: Tensor, target: Tensor) -> Tensor:
        return (predicted - target)[:, None]

    def to(self, target: Tensor, device: torch.device) -> Tensor:
        return target.to(device)

    def fingerprint(self) -> str:
        return f"numbers {len(self.sources)}"


def subset(*indices: int, samples: int = 6) -> TaskSubset:
    return TaskSubset(Numbers(samples), torch.tensor(indices))


def test_it_is_a_task_with_the_wholes_description() -> None:
    task, whole = subset(4, 1, 5), Numbers()
    assert isinstance(task, Task)
    for attribute in ("name", "inputs", "outputs", "error_unit"):
        assert getattr(task, attribute) == getattr(whole, attribute)
    assert task.sources == ["photo 2", "photo 0", "photo 2"]


def test_indices_count_within_the_subset() -> None:
    x, target = subset(4, 1, 5).batch(torch.tensor([2, 0, 0]))
    assert x.tolist() == [50.0, 40.0, 40.0] and target.tolist() == [5, 4, 4]


def test_the_generator_is_passed_on() -> None:
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    x, _ = subset(4, 1, 5).batch(torch.tensor([1, 2]), generators[0])
    expected, _ = Numbers().batch(torch.tensor([1, 5]), generators[1])
    assert torch.equal(x, expected) and x[0] != 10
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


def test_loss_errors_and_target_are_the_wholes() -> None:
    task, predicted, target = subset(0, 1), torch.tensor([3.0, 5.0]), torch.tensor([1, 2])
    assert task.loss(predicted, target).item() == 5.0
    assert task.errors(predicted, target).tolist() == [[2.0], [3.0]]
    assert task.to(target, torch.device("meta")).device.type == "meta"


def test_a_subset_of_a_subset() -> None:
    task = TaskSubset(subset(4, 1, 5), torch.tensor([2, 1]))
    assert task.batch(torch.tensor([0, 1]))[1].tolist() == [5, 1]
    assert task.sources == ["photo 2", "photo 0"]


def test_fingerprints_tell_subsets_and_wholes_apart() -> None:
    made = [subset(0, 1), subset(1, 0), subset(0, 2), subset(0), subset(0, 1, samples=4)]
    prints = [*(task.fingerprint() for task in made), Numbers().fingerprint()]
    assert len(set(prints)) == len(prints)
    assert subset(0, 1).fingerprint() == prints[0]


def test_a_task_says_which_error_chooses_between_epochs() -> None:
    class Chosen(Numbers):
        chosen_by = "a"

    assert chosen_by(Numbers()) == "mean" and chosen_by(Chosen()) == "a"
    assert chosen_by(TaskSubset(Chosen(), torch.arange(2))) == "a"
    Chosen.chosen_by = "b"
    with pytest.raises(InputError, match="^task numbers: chosen_by: choose from: a"):
        chosen_by(Chosen())
