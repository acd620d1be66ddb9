from __future__ import annotations

import pytest
import torch

import groupnas
from groupnas.partbench.drawing import draw_part
from groupnas.partbench.space import space_of
from groupnas.partbench.task import DrawnPart, DrawnParts

PARTS = {"a": DrawnPart(1.0, 0), "b": DrawnPart(4.0, 1, weight=2)}


@pytest.fixture(scope="module")
def task() -> DrawnParts:
    return DrawnParts("parts", PARTS, 20)


def test_it_does_what_a_task_must(task: DrawnParts) -> None:
    groupnas.check_task(space_of(task.outputs), task)


def test_parts_are_their_own_drawings(task: DrawnParts) -> None:
    crops, target = task.batch(torch.tensor([3, 7]))
    for channel, part in enumerate(PARTS.values()):
        expected, _ = draw_part(part.difficulty, part.draw, 20)
        assert torch.equal(crops[:, channel], torch.tensor(expected)[[3, 7]])
    points = torch.tensor(draw_part(4.0, 1, 20)[1])[[3, 7]].flatten(1)
    assert torch.equal(target[:, 16:], torch.cat([points, points], dim=1))  # asked for twice


def test_errors_are_distances_in_percent_of_the_side(task: DrawnParts) -> None:
    _, target = task.batch(torch.arange(5))
    moved = target.clone()
    moved[:, 16:] += torch.tensor([0.06, 0.08]).repeat(16)  # 0.1 of half a side
    errors = task.errors(moved, target)
    assert torch.allclose(errors, torch.tensor([0.0, 5.0]).expand(5, 2), atol=1e-4)
    assert task.loss(moved, target) == pytest.approx(0.07 * 32 / 48)
