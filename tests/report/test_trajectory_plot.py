"""A pruning's picture: what it takes, and what it refuses."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from groupnas.errors import InputError
from groupnas.report import plot_trajectory, read_trajectory
from groupnas.report.trajectory import _spread


def result(arms: int = 2) -> dict[str, Any]:
    points = [
        {
            "cost": cost,
            "costs": {"a": 60 * cost, "b": 40 * cost},
            "errors": {"a": 1 / cost, "b": 2.0, "mean": 1.5 / cost},
            "sizes": {"stem": {"a": round(8 * cost), "b": 8}, "body": {"a": 4, "b": 2}},
        }
        for cost in (1.0, 0.9, 0.6, 0.5, 0.25)
    ]
    names = ["free", "uniform"][:arms]
    return {
        "trajectory": {name: deepcopy(points) for name in names},
        "validation_errors": {"free-0.5": {"mean": 2.0}, "full": {"mean": 1.4}},
        "tuned_costs": {"free-0.5": {"a": 30.0, "b": 20.0}, "full": {"a": 60.0, "b": 40.0}},
        "error_unit": "%",
    }


def written(folder: Path, data: Any) -> Path:
    path = folder / "result.json"
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize("arms", [1, 2])
def test_a_picture_is_drawn(tmp_path: Path, arms: int) -> None:
    found = read_trajectory(written(tmp_path, result(arms)))
    path = plot_trajectory(found, tmp_path / "p.svg")
    assert "<svg" in path.read_text()


def test_bars_are_at_even_steps_of_log_cost() -> None:
    points = result()["trajectory"]["free"]
    assert [point["cost"] for point in _spread(points)] == [1.0, 0.6, 0.5, 0.25]
    assert _spread(points[:1]) == points[:1]


def broken() -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["is not the result.json of a search that pruned"] = {"epochs": 3}
    found["trajectory.uniform.2.sizes: other units or groups"] = result()
    del found["trajectory.uniform.2.sizes: other units or groups"]["trajectory"]["uniform"][2][
        "sizes"
    ]["stem"]["b"]
    found["trajectory.free: has no mean"] = result()
    del found["trajectory.free: has no mean"]["trajectory"]["free"][0]["errors"]["mean"]
    found["validation_errors.full: has no mean"] = result()
    found["validation_errors.full: has no mean"]["validation_errors"]["full"] = {"a": 1.0}
    return found


@pytest.mark.parametrize("told", broken())
def test_damaged_results_are_refused(tmp_path: Path, told: str) -> None:
    with pytest.raises(InputError, match=told.replace(".", r"\.")):
        read_trajectory(written(tmp_path, broken()[told]))
