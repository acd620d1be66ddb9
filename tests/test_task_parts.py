"""Some groups of a task: what they see, and that they learn as they do among all."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from groupnas.errors import InputError
from groupnas.task import Task, TaskParts, TaskSubset


def test_it_is_a_task_with_those_groups_alone(shapes: Any) -> None:
    parts = TaskParts(shapes, ["ring", "disc"])
    assert isinstance(parts, Task)
    assert list(parts.inputs) == list(parts.outputs) == ["disc", "ring"]  # the task's order
    rows = torch.arange(4)
    x, target = parts.batch(rows)
    whole, _ = shapes.batch(rows)
    assert torch.equal(x, whole[:, [0, 2]])
    assert torch.equal(parts.mean_output(), shapes.mean_output()[[0, 1, 2, 6, 7, 8]])
    predicted = torch.randn(4, 6)
    errors = parts.errors(predicted, target)
    among_all = shapes.errors(
        torch.cat([predicted[:, :3], torch.randn(4, 3), predicted[:, 3:]], 1), target
    )
    assert torch.equal(errors, among_all[:, [0, 2]])
    assert parts.fingerprint() != TaskParts(shapes, ["disc"]).fingerprint() != shapes.fingerprint()


def test_its_gradient_is_that_of_the_whole_loss(shapes: Any) -> None:
    rows = torch.arange(5)
    predicted = torch.randn(5, 9, requires_grad=True)
    target = shapes.batch(rows)[1]
    (whole,) = torch.autograd.grad(shapes.loss(predicted, target), predicted)
    some = predicted.detach()[:, 3:6].clone().requires_grad_()
    (part,) = torch.autograd.grad(TaskParts(shapes, ["square"]).loss(some, target), some)
    torch.testing.assert_close(part, whole[:, 3:6])


def test_subsets_and_parts_go_together(shapes: Any) -> None:
    chosen = TaskParts(TaskSubset(shapes, torch.tensor([5, 7])), ["square"])
    x, _ = chosen.batch(torch.tensor([1]))
    assert torch.equal(x, shapes.batch(torch.tensor([7]))[0][:, 1:2])
    assert len(chosen.sources) == 2


def test_groups_that_are_not_there(shapes: Any) -> None:
    with pytest.raises(InputError, match="group 'dsic': did you mean 'disc'"):
        TaskParts(shapes, ["dsic"])
    with pytest.raises(InputError, match="at least one"):
        TaskParts(shapes, [])
