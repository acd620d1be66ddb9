from __future__ import annotations

import numpy as np
import pytest
import torch

from groupnas.groupbench import GroupBench
from groupnas.groupbench.training import GROUPS, TRAINING, build_seeded, search_task, train
from groupnas.nn import UnevenGroupConv2d
from groupnas.spaces import load_space
from groupnas.spaces.allocation import Allocation

SPACE = load_space("groupbench")
BRIEF = TRAINING.model_copy(update={"epochs": 2})


def sizes(*rows: tuple[int, int]) -> Allocation:
    """Stem and body channels of left eye, nose and mouth."""
    widths = (dict(zip(SPACE.free_units, row, strict=True)) for row in rows)
    return Allocation.from_widths(SPACE, dict(zip(GROUPS, widths, strict=True)))


def weights(allocation: Allocation, seed: int = 0) -> list[torch.Tensor]:
    """The stem's weights of each part."""
    conv = next(
        m
        for m in build_seeded(allocation, seed).modules()
        if isinstance(m, (torch.nn.Conv2d, UnevenGroupConv2d))
    )
    if isinstance(conv, UnevenGroupConv2d):
        return [part.weight for part in conv.parts]  # type: ignore[misc]
    return list(conv.weight.chunk(3))


def test_a_parts_fresh_weights_depend_on_its_own_sizes_and_the_seed() -> None:
    alone = weights(sizes((2, 3), (3, 4), (4, 5)))
    among_others = weights(sizes((2, 3), (1, 1), (4, 5)))
    among_equals = weights(sizes((3, 4), (3, 4), (3, 4)))
    assert torch.equal(alone[0], among_others[0])
    assert torch.equal(alone[2], among_others[2])
    assert torch.equal(alone[1], among_equals[1])
    assert not torch.equal(among_equals[0], among_equals[1])
    assert not torch.equal(alone[1], weights(sizes((2, 3), (3, 4), (4, 5)), seed=1)[1])


def test_nobody_elses_draws_are_shifted() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    build_seeded(Allocation.even(SPACE), 5)
    assert torch.equal(torch.rand(1), expected)


def test_joint_training_is_part_by_part_training() -> None:
    """What the table rests on: a part's error knows nothing of the other parts' sizes."""
    rows = [(2, 3), (3, 4), (4, 5)]
    joint = train(sizes(*rows), 0, BRIEF)
    for part, row in zip(GROUPS, rows, strict=True):
        apart = train(sizes(row, row, row), 0, BRIEF)  # as the table was made
        # Only sums in another order, which a training's steps blow up slowly.
        assert joint.validation[part] == pytest.approx(apart.validation[part], rel=1e-3)
        assert joint.test[part] == pytest.approx(apart.test[part], rel=1e-3)
    assert joint.test["mouth"] != pytest.approx(
        train(sizes((2, 3), (3, 4), (5, 5)), 0, BRIEF).test["mouth"], rel=1e-3
    )


def test_the_shipped_table_is_what_training_gives(bench: GroupBench) -> None:
    errors = train(sizes((2, 6), (5, 3), (4, 4)), 1)
    cells = {"left_eye": (0, 1, 5, 1), "nose": (1, 4, 2, 1), "mouth": (2, 3, 3, 1)}
    for part, cell in cells.items():
        shipped = bench.table.validation[cell]
        # Other processors and versions round differently; a training's steps blow that up.
        assert np.allclose(errors.validation[part][:2], shipped[:2], rtol=0.01)
        assert errors.test[part] == pytest.approx(float(bench.table.test[cell]), rel=0.1)


def test_searches_reach_no_test_face(bench: GroupBench) -> None:
    faces = bench.table.about["faces"]
    sources = search_task().sources
    assert len(sources) == faces["train"] + faces["validation"]
    assert len(set(sources)) == len(sources)
