"""Measurements from the folders of runs, and from GroupBench."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import groupnas
from groupnas.ceilings import Measurements, has_measurements, on_table, read_measurements
from groupnas.ceilings.sources import shapes_of
from groupnas.comparison.compare import compare
from groupnas.engine.strategy import Optimizer
from groupnas.engine.training_settings import Training
from groupnas.errors import InputError
from groupnas.groupbench import load_groupbench
from groupnas.schema import validate
from groupnas.strategies.knapsack.profiles import Family
from groupnas.strategies.knapsack.settings import Knapsack

SETTINGS = {
    "title": "test",
    "curves": "scratch",
    "trials": 5,
    "epochs": 1,
    "batch_size": 20,
    "validation": 0.3,
    "weights": {"lr": 0.01},
    "profiles": "depth",
}


@pytest.fixture
def searched(shapes_space: Any, shapes: Any, tmp_path: Path) -> groupnas.engine.search.Run:
    settings = validate(Knapsack, SETTINGS, "test")
    return groupnas.search(shapes_space, shapes, settings, tmp_path / "k", quiet=True)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_of_a_knapsack_search(searched: Any, shapes_space: Any) -> None:
    folder = searched.folder.path
    assert has_measurements(folder)
    found = read_measurements(folder)
    assert (found.groups, len(found), found.trainings) == (shapes_space.groups, 15, 5)
    assert found.even == searched.result["macs_before"]
    for index, (group, curve) in enumerate(searched.result["curves"].items()):
        own = found.owner == index
        assert np.array(found.cost)[own].tolist() == curve["macs"]
        assert np.array(found.error)[own].tolist() == curve["errors"]
        assert np.array(found.training)[own].tolist() == list(range(5))
        assert found.weights[group] == pytest.approx(1 / 3)
        # whole channels are near what the knob asked for
        assert np.array(found.shapes["tilt"])[own] == pytest.approx(
            np.array(curve["profiles"])[:, 1], abs=0.6
        )
    assert groupnas.ceiling(folder).levers["both"].error.low >= 0


def test_damaged_and_other_searches_are_refused(searched: Any, tmp_path: Path) -> None:
    folder, result = searched.folder.path, searched.folder / "result.json"
    curves = searched.result["curves"]
    for changes, said in (
        ({"curves": {**curves, "ring": {**curves["ring"], "errors": [1.0] * 4}}}, "expected 5"),
        ({"curves": {"ring": curves["ring"]}}, "is not of the search in config.yaml"),
        ({"curves": {**curves, "ring": {**curves["ring"], "errors": [-1.0] * 5}}}, "is damaged"),
        ({"curves": {}}, "its strategy measures no groups at several costs"),
    ):
        edit(result, **changes)
        with pytest.raises(InputError, match=re.escape(said)):
            read_measurements(folder)
    assert not has_measurements(folder)
    result.unlink()
    with pytest.raises(InputError, match="that was stopped; .* expected one that has ended"):
        read_measurements(folder)
    with pytest.raises(InputError, match="does not exist"):
        read_measurements(tmp_path / "none")


def test_of_a_trajectory(searched: Any) -> None:
    """Arms in even proportions are one end of a knob, those with a free profile the other."""
    even = searched.result["macs_before"]
    steps = np.exp(np.linspace(0, np.log(0.1), 30))

    def arm(better: float) -> list[dict[str, Any]]:
        return [
            {
                "cost": r,
                "costs": {g: r * cost for g, cost in even.items()},
                "errors": {**dict.fromkeys(even, better * 2 * r**-0.1), "mean": 9.0},
            }
            for r in steps
        ]

    arms = {"full": arm(1)[:1], "uniform": arm(1.0), "depth": arm(0.9)}
    edit(searched.folder / "result.json", curves={}, trajectory=arms)
    found = read_measurements(searched.folder.path)
    # all arms start from one network, which counts once
    assert len(found) == (8 + 7) * 3 and found.trainings == 1 and len(found.cautions) == 2
    assert found.shapes == {"profile": (0.0,) * 24 + (1.0,) * 21}
    told = groupnas.ceiling(found)
    assert told.levers["depth"].error.value == pytest.approx(0.1, abs=0.01)
    assert told.exponents["ring"].value == pytest.approx(0.1, abs=0.01)
    assert told.deviation is None and told.cautions[:2] == found.cautions
    del arms["uniform"]
    edit(searched.folder / "result.json", trajectory=arms)
    alone = groupnas.ceiling(searched.folder.path)
    assert set(alone.levers) == {"split"}
    assert any("run the arm uniform, too" in caution for caution in alone.cautions)
    del arms["depth"][0]["costs"]["ring"]
    edit(searched.folder / "result.json", trajectory=arms)
    with pytest.raises(InputError, match=r"trajectory\.depth: ring: missing"):
        read_measurements(searched.folder.path)


def test_of_a_comparison(own_parts: Any, shapes_space: Any, tmp_path: Path) -> None:
    training = Training(epochs=1, batch_size=16, weights=Optimizer(lr=0.01))

    def run(name: str, budgets: tuple[float, ...]) -> Path:
        compare(
            shapes_space,
            lambda: own_parts.Shapes(samples=40),
            ("even", "manual=ring:2"),
            tmp_path / name,
            training=training,
            seeds=(0, 1),
            validation=0.3,
            budgets=budgets,
            jobs=1,
        )
        return tmp_path / name

    folder = run("c", (1.0, 0.4))
    assert has_measurements(folder)
    found = read_measurements(folder)
    # even groups alone, two seeds at two budgets
    assert len(found) == 12 and found.trainings == 4 and not found.shapes
    assert sorted(np.round(found.ratios, 1)) == [0.4] * 6 + [1.0] * 6
    single = run("one", (1.0,))
    assert not has_measurements(single)
    with pytest.raises(InputError, match="no even groups at two budgets or more"):
        read_measurements(single)


def test_of_groupbench() -> None:
    bench = load_groupbench()
    found = on_table(bench, trainings=12, seed=3)
    assert isinstance(found, Measurements) and len(found) == 36 and found.trainings == 12
    assert found.even == {"left_eye": 4864, "nose": 4608, "mouth": 6016}
    known = {
        (group, cost, error)
        for seed in range(bench.seeds)
        for group, curve in bench.curves(seed, "test").items()
        for cost, error in zip(curve.costs.tolist(), curve.errors.tolist(), strict=True)
    }
    assert set(zip(found.group, found.cost, found.error, strict=True)) <= known
    again, other = on_table(bench, 12, 3), on_table(bench, 12, 4)
    assert again.error == found.error != other.error


def test_shapes_of_sizes_are_the_knobs_that_made_them() -> None:
    space = groupnas.load_space("picasso_local")
    family = Family.of(space, "free", 0.5, 1.5, {"tilt": 0.5, "ratio": 0.3})
    profiles = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    assert shapes_of(family, family.sizes(profiles)) == pytest.approx(profiles[:, 1:], abs=0.1)
