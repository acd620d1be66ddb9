from __future__ import annotations

import pytest

import groupnas
from groupnas.errors import InputError
from groupnas.partbench import load_partbench
from groupnas.tasks import find_dataset, load_task


def test_a_ratio_is_a_variant() -> None:
    task = load_task("partbench:16")
    assert task.fingerprint() == load_partbench(16).task().fingerprint()
    assert load_task("partbench").fingerprint() == load_partbench(8).task().fingerprint()
    groupnas.check_task(groupnas.load_space("partbench"), task)


def test_a_limit_takes_evenly_spread_samples() -> None:
    task = load_task("partbench:2", limit=3)
    every = load_task("partbench:2").sources
    assert task.sources == [every[0], every[608], every[-1]]


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("partbench:hard", "partbench:hard: expected a ratio of difficulty, 1 to 16"),
        ("partbench:32", "ratio: expected a number up to 16, got 32"),
        ("partbench:", "partbench:: expected a ratio"),
        ("synthetic:8", "synthetic:8: .*'8'"),
        ("partbank:8", "unknown data set 'partbank'; did you mean 'partbench'"),
    ],
)
def test_other_variants_are_refused(name: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        find_dataset(name)
