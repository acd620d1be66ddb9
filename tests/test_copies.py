"""What users hold in their hands can be pickled, copied, and sent to another process."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import groupnas
from groupnas.comparison.samples import SampleErrors
from groupnas.engine.split import split_by_source
from groupnas.groupbench import load_groupbench
from groupnas.landmarks.comparing import FaceData
from groupnas.landmarks.data.synthetic import FACES
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.recipe import load_recipe
from groupnas.task import Task, TaskParts, TaskSubset
from groupnas.tasks import DATASETS, find_dataset, load_task

COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda one: pickle.loads(pickle.dumps(one)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}
how = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("synthetic", limit=6, cache=False)


def values() -> dict[str, Any]:
    """Public objects that are equal to what has the same contents."""
    space = groupnas.load_space("groupbench")
    grouping = groupnas.Grouping.random(space, 1)
    recipe = load_recipe("300w")
    return {
        "grouping": grouping,
        "space": space,
        "allocation": groupnas.Allocation(space, grouping),
        "budget": groupnas.Budget(total=0.8),
        "strategy": groupnas.load_strategy("gumbel:quick"),
        "recipe": recipe,
        "training": recipe.steps["local"].training,
        "face data": FaceData(recipe=recipe, root=Path("data"), limit=3),
        "flops": groupnas.flops(groupnas.Allocation(space, grouping)),
        **{f"markup of {points}": markup for points, markup in MARKUPS.items()},
        **{f"data set {name}": find_dataset(name) for name in DATASETS},
    }


VALUES = values()


@how
@pytest.mark.parametrize("one", VALUES.values(), ids=VALUES)
def test_values(one: Any, copied: Callable[[Any], Any]) -> None:
    other = copied(one)
    assert other == one and type(other) is type(one) and repr(other) == repr(one)


@how
@pytest.mark.parametrize("part", ["task", "subset", "parts", "parts of a subset"])
def test_tasks(task: Task, part: str, copied: Callable[[Any], Any]) -> None:
    subset = TaskSubset(task, torch.tensor([4, 1, 2]))
    one: Task = {
        "task": task,
        "subset": subset,
        "parts": TaskParts(task, ["nose", "mouth"]),
        "parts of a subset": TaskParts(subset, ["nose"]),
    }[part]
    other = copied(one)
    assert isinstance(other, Task) and other.fingerprint() == one.fingerprint()
    assert (other.name, other.inputs, other.outputs) == (one.name, one.inputs, one.outputs)
    assert list(other.sources) == list(one.sources)
    indices = torch.tensor([2, 0])
    for draw in (lambda: None, lambda: torch.Generator().manual_seed(3)):
        (x, target), (y, same) = one.batch(indices, draw()), other.batch(indices, draw())
        assert torch.equal(x, y) and torch.equal(target.points, same.points)
        guess = torch.zeros(2, sum(one.outputs.values()))
        assert torch.equal(one.errors(guess, target), other.errors(guess, same))


def test_pixels_are_sent_once(task: Any) -> None:
    assert len(pickle.dumps(task)) < 1.2 * task.patches.pixels.nbytes


@how
def test_faces_and_data_sets(copied: Callable[[Any], Any]) -> None:
    face = FACES.faces(Path(), "test", False)[3]
    other = copied(face)
    assert other.place == face.place and np.array_equal(other.points, face.points)
    entry = copied(find_dataset("synthetic"))
    made = entry.load(root=None, allow_partial=False, limit=2, cache=False)
    assert len(made.sources) == 2


@how
def test_splits_benches_and_errors(copied: Callable[[Any], Any]) -> None:
    split = split_by_source([str(number) for number in range(9)], 0.3, 0)
    other = copied(split)
    assert torch.equal(other.train, split.train)
    assert torch.equal(other.validation, split.validation)
    bench = load_groupbench()
    even = groupnas.Allocation.even(bench.space())
    assert copied(bench).errors(even) == bench.errors(even)
    errors = SampleErrors(
        errors=np.ones((2, 1)),
        groups=("a",),
        weights=np.ones(1),
        sources=np.array(["x", "y"]),
        unit="px",
    )
    assert copied(errors).means() == errors.means() and copied(errors).subsets == {}


@how
def test_networks(copied: Callable[[Any], Any]) -> None:
    space = groupnas.load_space("groupbench")
    x = torch.randn(2, sum(space.inputs.values()), *space.input_size)
    torch.manual_seed(0)
    for one in (groupnas.Allocation.even(space).build(), groupnas.Supernet(space)):
        one.eval()
        with torch.no_grad():
            assert torch.equal(copied(one)(x), one(x))


class Samples(Dataset[Tensor]):
    """How a user hands a task to PyTorch's own loader."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __len__(self) -> int:
        return len(self.task.sources)

    def __getitem__(self, index: int) -> Tensor:
        return self.task.batch(torch.tensor([index]))[0][0]


def test_a_loader_that_spawns_its_worker(task: Task) -> None:
    loader = DataLoader(Samples(task), batch_size=3, num_workers=1, multiprocessing_context="spawn")
    found = torch.cat(list(loader))
    assert torch.equal(found, task.batch(torch.arange(len(task.sources)))[0])
