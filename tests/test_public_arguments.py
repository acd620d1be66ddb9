"""Arguments of the public names that run nothing: made what they are, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import groupnas
from groupnas import Grouping
from groupnas.budget import Budget, fit
from groupnas.errors import InputError
from groupnas.groupbench import load_groupbench
from groupnas.latency.measure import measure_table
from groupnas.spaces.allocation import Allocation
from groupnas.task import TaskParts, TaskSubset
from groupnas.tasks import load_task

SPACE = groupnas.load_space("groupbench")
EVEN = Grouping.even(SPACE)
BOTH = Allocation.even(SPACE)
BENCH = load_groupbench()
NET = groupnas.Supernet(SPACE)
SIZES = EVEN.counts()


def with_sizes(value: Any) -> dict[str, dict[str, Any]]:
    unit = next(iter(SIZES))
    return {**SIZES, unit: dict.fromkeys(SIZES[unit], value)}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Grouping.random(SPACE, True), "seed: expected a whole number"),
        (lambda: Grouping.random(SPACE, 2.0), "seed: expected a whole number"),
        (lambda: Grouping.random(SPACE, None), "seed: expected a whole number"),
        (lambda: Grouping.random(SPACE, "2"), "seed: expected a whole number"),
        (lambda: Grouping.random_sizes(SPACE, -1), "seed: expected a whole number"),
        (lambda: Grouping.random_sizes(SPACE, 2**80), "seed: expected a whole number"),
        (lambda: Grouping.manual(SPACE, {"nose": True}), "weight of group 'nose': expected a"),
        (lambda: Grouping.manual(SPACE, {"nose": "1"}), "weight of group 'nose': expected a"),
        (lambda: Grouping.manual(SPACE, ["nose"]), "weights: expected a mapping"),
        (lambda: Grouping.from_counts(SPACE, with_sizes(2.0)), "stem: left_eye: expected a whole"),
        (lambda: Grouping.from_counts(SPACE, with_sizes(True)), "stem: left_eye: expected a whole"),
        (lambda: Grouping.from_counts(SPACE, [1]), "units: expected a mapping"),
        (lambda: Grouping.from_scores(SPACE, {"stem": 1, "body": 2}), "stem: expected a list"),
        (lambda: Grouping("s", "ab", {"u": [0, 1]}), "groups: expected a list, got 'ab'"),
        (lambda: Grouping(5, ["a"], {"u": [0]}), "space: expected a text, got 5"),
        (lambda: Grouping("s\0", ["a"], {"u": [0]}), "space: expected a text, got 's.x00'"),
        (lambda: Grouping("s", ["a"], {"u": "0"}), "u: expected a list"),
        (
            lambda: Grouping("s", ["a", "b"], {"u": [0, 1.0]}),
            "unit 'u', channel 1: group index 1.0",
        ),
        (lambda: Grouping("s", ["a", "b"], {"u": [0, True]}), "unit 'u', channel 1: group index T"),
        (lambda: groupnas.load_space(5), "space: expected a name or a path, got 5"),
        (lambda: groupnas.load_space(""), "space: expected a name or a path, got ''"),
        (lambda: groupnas.load_space("picasso_local", 6.8), "variant: expected a text, got 6.8"),
        (lambda: SPACE.only("nose"), "groups: expected a list, got 'nose'"),
        (lambda: SPACE.resized({"stem": 9.0}), "unit 'stem': expected a whole number"),
        (lambda: groupnas.derive(NET, groups="nose"), "groups: expected a list, got 'nose'"),
        (lambda: groupnas.derive(SPACE), "net: expected a Supernet, got a SearchSpace"),
        (lambda: groupnas.Supernet("groupbench"), "space: expected a SearchSpace, got a str"),
        (lambda: groupnas.Supernet(SPACE, ["flgc"]), "relaxation: expected a text"),
        (lambda: groupnas.Supernet(SPACE, init=1), "init: expected a text, got 1"),
        (lambda: groupnas.Supernet(SPACE, confidence="0.9"), "confidence: expected a number"),
        (lambda: groupnas.Supernet(SPACE, confidence=np.nan), "confidence: expected a number"),
        (lambda: Allocation("groupbench", EVEN), "space: expected a SearchSpace, got a str"),
        (lambda: Allocation(SPACE, SIZES), "grouping: expected a Grouping, got a dict"),
        (lambda: Allocation.from_counts(SPACE, [1]), "counts: expected a Mapping, got a list"),
        (lambda: Allocation.from_counts(SPACE, with_sizes(2.0)), "stem: left_eye: expected a who"),
        (lambda: Allocation.from_widths(SPACE, {"nose": 1}), "widths.nose: expected a Mapping"),
        (lambda: Allocation.from_widths(SPACE, {"nose": {"stem": 9}}), "units: missing body"),
        (lambda: Allocation.even(SPACE).costs(3), "measure: expected a text"),
        (lambda: groupnas.flops(EVEN), "allocation: expected an Allocation, got a Grouping"),
        (lambda: BENCH.errors(EVEN), "allocation: expected an Allocation, got a Grouping"),
        (
            lambda: fit(SPACE, with_sizes(np.nan), Budget()),
            "sizes.stem.left_eye: expected a number",
        ),
        (lambda: fit(SPACE, with_sizes(0), Budget()), "sizes.stem.left_eye: expected a number"),
        (lambda: fit(SPACE, {"stem": {}}, Budget()), "sizes: expected exactly the units"),
        (lambda: fit(SPACE, SIZES, 1.0), "budget: expected a Budget, got a float"),
        (lambda: BENCH.search(groupnas.load_strategy("even"), 1.0), "seed: expected a whole"),
        (lambda: BENCH.search("even"), "strategy: expected a Strategy, got a str"),
        (lambda: BENCH.errors(BOTH, True), "seed: expected a whole number"),
        (lambda: BENCH.evaluate(BOTH, 2.0, 0), "epochs: expected a whole number from 1 on"),
        (lambda: BENCH.evaluate(BOTH, 1, "0"), "seed: expected a whole number"),
        (lambda: BENCH.optimum(widths="keep"), "widths 'keep': did you mean 'kept'"),
        (lambda: load_task("synthetic", limit=True), "limit: expected a whole number from 1 on"),
        (lambda: load_task("synthetic", limit=20.0), "limit: expected a whole number from 1 on"),
        (lambda: load_task(5), "data: expected a text, got 5"),
        (lambda: measure_table(SPACE, threads=1.0), "threads: expected a whole number from 1 on"),
        (lambda: groupnas.export_onnx(NET, "a.onnx", batch=True), "batch: expected a whole number"),
        (lambda: groupnas.flops(BOTH, ["mac"]), "convention: expected a text"),
        (lambda: groupnas.LayoutPlanner(5), "table: expected a LatencyTable, got a int"),
        (lambda: groupnas.LayoutPlanner(forms="dense"), "forms: expected a list, got 'dense'"),
        (lambda: groupnas.LayoutPlanner(forms=["x"]), "forms: 'x': "),
        (lambda: Grouping.load(None), "path: expected a name or a path, got None"),
        (lambda: Grouping.load(5), "path: expected a name or a path, got 5"),
        (lambda: EVEN.save(None), "path: expected a name or a path, got None"),
        (lambda: SPACE.save(5), "path: expected a name or a path, got 5"),
        (lambda: groupnas.export_onnx(groupnas.derive(NET), None), "path: expected a name or a"),
        (lambda: groupnas.export_onnx(3, "a.onnx"), "model: expected what derive"),
    ],
)
def test_what_is_refused(
    call: Callable[[], Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"^{said}"):
        call()
    assert list(tmp_path.iterdir()) == []


def test_what_is_taken_for_what_it_is(tmp_path: Path) -> None:
    assert Grouping.random(SPACE, np.int64(2)) == Grouping.random(SPACE, 2)
    assert Grouping.manual(SPACE, {"nose": np.float32(0.5)}) == Grouping.manual(
        SPACE, {"nose": 0.5}
    )
    arrays = {unit: np.array(row) for unit, row in EVEN.assignments.items()}
    made = Grouping(np.str_(SPACE.name), np.array(SPACE.groups), arrays)
    assert made == EVEN and hash(made) == hash(EVEN)
    made.save(bytes(tmp_path / "grouping.json"))
    assert Grouping.load(bytes(tmp_path / "grouping.json")) == EVEN
    tensors = {unit: torch.tensor(row) for unit, row in EVEN.assignments.items()}
    assert Grouping(SPACE.name, SPACE.groups, tensors) == EVEN
    counts = {u: {g: np.int64(n) for g, n in row.items()} for u, row in SIZES.items()}
    assert Grouping.from_counts(SPACE, counts) == Grouping.from_counts(SPACE, SIZES)
    scores = {unit: torch.eye(3)[list(row)] for unit, row in EVEN.assignments.items()}
    assert Grouping.from_scores(SPACE, scores) == EVEN
    assert groupnas.load_space("picasso_local", 98) == groupnas.load_space("picasso_local:98")
    assert SPACE.only(np.array(["nose"])).groups == ("nose",)
    assert BENCH.evaluate(BOTH, np.int64(3), np.int64(1)) == BENCH.evaluate(BOTH, 3, 1)


def test_views_of_tasks(shapes: Any) -> None:
    whole = TaskSubset(shapes, torch.tensor([3, 1]))
    for indices in ([3, 1], np.array([3, 1]), (n for n in (3, 1))):
        assert TaskSubset(shapes, indices).fingerprint() == whole.fingerprint()  # type: ignore[arg-type]
    for wrong in ([100], [-1], [1.0], [True], "01"):
        with pytest.raises(InputError, match="^indices: expected "):
            TaskSubset(shapes, wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="^groups: expected a list, got 'disc'"):
        TaskParts(shapes, "disc")
