"""Numbers of networks as one JSON file: written by scripts, joined, damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groupnas.comparison import Evidence, read_comparison
from groupnas.comparison.plan import Piece
from groupnas.comparison.samples import SampleErrors
from groupnas.errors import InputError

GROUPS = ("eye", "mouth")
COSTS = {"mac": {"eye": 1.5e6, "mouth": 2.5e6}}


def errors(level: float, count: int = 20, seed: int = 0, **changed: Any) -> SampleErrors:
    """Errors of some level, drawn."""
    rng = np.random.default_rng(seed)
    given = {
        "errors": level * rng.lognormal(0, 0.3, (count, 2)),
        "groups": GROUPS,
        "weights": np.array([2.0, 3.0]),
        "sources": np.array([f"source {index:02d}" for index in range(count)]),
        "unit": "NME %",
        "subsets": {"hard": np.arange(count) % 2 == 0},
    }
    return SampleErrors(**{**given, **changed})


def evidence(seeds: tuple[int, ...] = (0, 1), **levels: float) -> Evidence:
    """Networks of some strategies."""
    made = Evidence.of("faces", GROUPS, training={"epochs": 3})
    for label, level in levels.items():
        for seed in seeds:
            told = {"test": errors(level, seed=seed)}
            made.add(label, seed, 0.5, COSTS, told, steps=30, seconds=2.0, arm=label)
    return made


def test_what_a_script_writes_is_read_and_printed(tmp_path: Path) -> None:
    made = evidence(even=3.0, free=2.7)
    made.add_search("free", 0, seconds=3.0, steps=90)
    made.save(tmp_path / "numbers.json")
    found = Evidence.load(tmp_path / "numbers.json")
    assert list(found.cells) == [Piece(s, n, 0.5) for s in ("even", "free") for n in (0, 1)]
    cell, kept = made.cells[Piece("free", 1, 0.5)], found.cells[Piece("free", 1, 0.5)]
    assert kept.told == cell.told and kept.told["arm"] == "free"
    np.testing.assert_allclose(kept.errors["test"].errors, cell.errors["test"].errors, rtol=5e-5)
    assert [f"{n:.5g}" for n in kept.errors["test"].errors.ravel()] == [
        f"{n:.5g}" for n in cell.errors["test"].errors.ravel()
    ]
    assert kept.errors["test"].sources.tolist() == cell.errors["test"].sources.tolist()
    assert kept.errors["test"].subsets["hard"].tolist() == [True, False] * 10
    shown, direct = found.comparison(draws=100), made.comparison(draws=100)
    assert shown.samples == ("test", "test/hard") and shown.baseline == "even"
    row, other = shown.row("free", 0.5, "test"), direct.row("free", 0.5, "test")
    assert row is not None and other is not None and row.cost == 4e6
    assert row.relative["mean"] == pytest.approx(other.relative["mean"], rel=1e-3)
    assert row.relative["mean"] == pytest.approx(-0.1, rel=1e-3)
    (search,) = shown.searches
    assert (search.strategy, search.trainings, search.training_steps) == ("free", 1.5, 3.0)
    again = read_comparison(tmp_path / "numbers.json", draws=100)
    assert again.to_dict() == shown.to_dict()
    found.save(tmp_path / "again.json")  # what is rounded stays
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "numbers.json").read_bytes()
    samples = json.loads((tmp_path / "numbers.json").read_text())["samples"]
    assert len(samples) == 1  # once for all networks


def test_numbers_that_are_missing_or_infinite_survive(tmp_path: Path) -> None:
    made, table = Evidence.of("faces", GROUPS), errors(1.0)
    table.errors[3, 0], table.errors[4, 1] = np.nan, np.inf
    made.add("even", 0, 1.0, COSTS, {"test": table}, steps=1)
    made.save(tmp_path / "n.json")
    json.loads((tmp_path / "n.json").read_text(), parse_constant=pytest.fail)  # plain JSON
    kept = Evidence.load(tmp_path / "n.json").cells[Piece("even", 0, 1.0)].errors["test"].errors
    assert np.isnan(kept[3, 0]) and np.isinf(kept[4, 1]) and np.isfinite(kept).sum() == 38


def test_seeds_of_two_files_add_up(tmp_path: Path) -> None:
    one, two = evidence(even=3.0, free=2.7), evidence((1, 2), even=3.0, free=2.7)
    one.save(tmp_path / "1.json")
    two.save(tmp_path / "2.json")
    both = read_comparison([tmp_path / "1.json", tmp_path / "2.json"], draws=100)
    row = both.row("free", 0.5, "test")
    assert row is not None and row.seeds == (0, 1, 2) and row.differences["mean"].seeds == 3
    whole = evidence((0, 1, 2), even=3.0, free=2.7).comparison(draws=100)
    expected = whole.row("free", 0.5, "test")
    assert expected is not None
    assert row.errors["mean"][0] == pytest.approx(expected.errors["mean"][0], rel=1e-4)


def test_strategies_of_two_files_add_up() -> None:
    both = evidence(even=3.0).joined(evidence(free=2.7))
    assert [*both.strategies] == ["even", "free"] and len(both.cells) == 4


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (evidence((1,), even=3.1), "train even-s1-b0.5 is there twice, with other errors on test"),
        (Evidence.of("birds", GROUPS, training={"epochs": 3}), "task is 'faces' and 'birds'"),
        (Evidence.of("faces", GROUPS, training={"epochs": 4}), "identity.training.epochs is 3 and"),
        (Evidence.of("faces", GROUPS, "params", training={"epochs": 3}), "measure is 'mac' and"),
    ],
)
def test_what_is_of_another_comparison_is_not_joined(other: Evidence, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        evidence(even=3.0).joined(other)


def test_what_does_not_belong_is_refused() -> None:
    made = evidence(even=3.0)
    given: dict[str, Any] = {"strategy": "free", "seed": 0, "budget": 0.5, "costs": COSTS}
    given |= {"errors": {"test": errors(1.0)}, "steps": 3}
    for changed, complaint in (
        ({"strategy": "a/b"}, "strategy: string should match"),
        ({"seed": -1}, "seed: expected"),
        ({"budget": 0}, "budget: expected"),
        ({"costs": {"params": {"all": 3}}}, "free-s0-b0.5: costs.mac: missing"),
        ({"steps": 0}, "steps: expected a whole number from 1 on"),
        ({"errors": {"test": errors(1.0, groups=("eye", "nose"))}}, "has errors of eye, nose, not"),
        (
            {"errors": {"test": errors(1.0, sources=np.array(["a"]))}},
            "test: expected .1, 2. errors",
        ),
        ({"strategy": "even", "costs": {"mac": {"all": 1.0}}}, "twice, with other costs"),
        ({"strategy": "even", "errors": {}}, "twice, with other sets of samples"),
    ):
        with pytest.raises(InputError, match=complaint):
            made.add(**{**given, **changed})
    assert len(made.cells) == 2
    with pytest.raises(InputError, match="baseline 'evn': did you mean 'even'"):
        made.comparison("evn")


@pytest.mark.parametrize(
    ("keys", "value", "complaint"),
    [
        (["evidence"], 2, "evidence: "),
        (["samples", 0, "weights"], [0, 0], "weights: expected 2 numbers, not all of them 0"),
        (["samples", 0, "weights"], [1.0], "weights: expected 2 numbers"),
        (["samples", 0, "groups"], ["eye", "eye"], "a group stands twice"),
        (["samples", 0, "subsets", "hard"], [20], "subsets.hard: 20 is none of 20 samples"),
        (["networks", 0, "errors", "test", "samples"], 1, "errors.test.samples: 1 is none of 1"),
        (["networks", 0, "errors", "test", "errors", 7], [1.0], "expected 2 numbers in each row"),
        (["networks", 0, "errors", "test", "errors", 7, 0], "none", "infinite"),
        (["networks", 0, "errors", "test", "errors"], [], "test: expected .20, 2. errors"),
        (["networks", 0, "told", "seed"], 1, "train even-s1-b0.5 is there twice"),
        (["networks", 0, "told", "costs"], {"params": {"a": 1}}, "costs.mac: missing"),
        (["networks", 0, "told", "strategy"], "a/b", "strategy: string should match"),
    ],
)
def test_a_damaged_file_is_told(
    tmp_path: Path, keys: list[Any], value: Any, complaint: str
) -> None:
    file = tmp_path / "n.json"
    evidence(even=3.0).save(file)
    told = place = json.loads(file.read_text())
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    file.write_text(json.dumps(told))
    with pytest.raises(InputError, match=f"n.json: .*{complaint}.*write it again") as caught:
        Evidence.load(file)
    assert str(caught.value).count("n.json") == 1
