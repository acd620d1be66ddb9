"""Tables of a comparison that is written by hand, so that every number can be checked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from groupnas.comparison import Comparison, read_comparison
from groupnas.comparison.plan import Piece
from groupnas.comparison.samples import SampleErrors
from groupnas.comparison.tables import errors_table, parts_table, search_table
from groupnas.errors import InputError

GROUPS = ("eye", "mouth")
# Mean errors on the samples that are easy; those that are hard have twice as much.
LEVELS = {"separate": 2.5, "ungrouped": 2.6, "even": 2.0, "random": 2.4, "manual": 2.2, "own": 1.8}


def write(folder: Path, levels: dict[str, float], task: str = "300w") -> Path:
    """A finished comparison of two seeds, which differ by 0.2, at one budget."""
    config = {
        "strategies": {label: {} for label in levels},
        "seeds": [0, 1],
        "budgets": [1.0],
        "groups": list(GROUPS),
        "measure": "mac",
        "task": {"name": task},
    }
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    for label, level in levels.items():
        for seed in (0, 1):
            _write_search(folder / Piece(label, seed).folder, label)
            _write_training(folder / Piece(label, seed, 1.0).folder, label, level + 0.2 * seed)
    return folder


def _write_search(folder: Path, label: str) -> None:
    folder.mkdir(parents=True)
    (folder / "result.json").write_text("{}")
    epochs = 4 if label == "own" else 0
    lines = [{"epoch": n + 1, "steps": 50} for n in range(epochs)]
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    # what the last epoch took was lost
    times = [{"epoch": n + 1, "cpu_seconds": 10.0} for n in range(epochs - 1)]
    (folder / "timings.jsonl").write_text("".join(json.dumps(line) + "\n" for line in times))


def _write_training(folder: Path, label: str, level: float) -> None:
    folder.mkdir(parents=True)
    hard = np.array([False, True, True, False])
    errors = level * np.array([1.0, 2.0, 2.0, 1.0])[:, None] * np.array([[0.5, 1.5]])
    for name in ("validation", "test"):
        SampleErrors(
            errors=errors if name == "test" else errors + 1,
            groups=GROUPS,
            weights=np.array([2.0, 2.0]),
            sources=np.array(["a", "b", "c", "d"]),
            unit="NME %",
            subsets={"common": ~hard, "challenging": hard} if name == "test" else {},
        ).save(folder / f"errors-{name}.npz")
    share = 1.5 if label == "own" else 1.0
    flops = {
        "initial": {"eye": 2_000_000, "mouth": 2_100_000},
        "found": {"eye": 2_000_000 / share, "mouth": 2_100_000 * share},
    }
    told = {
        "costs": {"mac": {"eye": 1.5e6, "mouth": 2.5e6}},
        "flops": {} if label == "ungrouped" else {**flops, "trained": flops["found"]},
        "seconds": 80.0,
        "steps": 400,
        "errors": {"validation": {}, "test": {}},
    }
    (folder / "cell.json").write_text(json.dumps(told))


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return read_comparison(write(tmp_path_factory.mktemp("c") / "c", LEVELS), draws=200)


def test_errors(comparison: Comparison) -> None:
    table = errors_table(comparison, "test", 1.0)
    assert table[0] == [
        "strategy", "seeds", "cost M", "eye", "mouth", "mean", "to even", "95 %", "photos",
        "seeds",
    ]  # fmt: skip
    rows = {row[0]: row[1:] for row in table[1:]}
    # even: levels 2.0 and 2.2, samples 1, 2, 2, 1 of it: 3.0 and 3.3; eye is half, mouth 1.5 times
    assert rows["even"][:5] == ["2", "4", "1.575 ± 0.106", "4.725 ± 0.318", "3.150 ± 0.212"]
    assert rows["even"][5:] == ["", "", "", ""]
    # own: 0.2 less on easy samples, 0.4 on hard ones, with each seed
    assert rows["own"][5] == "-0.300 (-9.5%)*"
    assert rows["random"][5] == "+0.600 (+19.0%)*"
    low, high = map(float, rows["own"][6].split(" .. "))
    assert -0.4 <= low < -0.3 < high <= -0.2 and rows["own"][7] == rows["own"][6]
    assert rows["own"][8] == "-0.300 .. -0.300"  # with either seed
    hard = comparison.row("own", 1.0, "test/challenging")
    assert hard is not None and hard.count == 2
    assert hard.differences["mouth"].mean == pytest.approx(-0.6)
    with pytest.raises(InputError, match="nothing of other at budget 1"):
        errors_table(comparison, "other", 1.0)


def test_parts(comparison: Comparison) -> None:
    table = parts_table(comparison, "test", 1.0)
    assert table[0] == ["to even", "eye", "mouth", "mean"] and len(table) == len(LEVELS)
    own = {row[0]: row for row in table}["own"]
    assert own[1].startswith("-0.150 [") and own[2].startswith("-0.450 [") and own[2][-1] == "*"


def test_searches(comparison: Comparison) -> None:
    rows = {row[0]: row[1:] for row in search_table(comparison)}
    assert rows["even"] == ["0 s", "0.00", "0", "0.00"]
    # 3 epochs of 10 s and one that was lost; 80 s and 400 steps are one training
    assert rows["own"] == ["40 s", "0.50", "200", "0.50"]


def test_no_baseline_no_differences(tmp_path: Path) -> None:
    both = read_comparison(write(tmp_path / "c", {"gumbel": 1.0, "ours": 1.0}), draws=10)
    assert both.baseline is None and both.rows[0].differences == {}
    assert parts_table(both, "test", 1.0) == []


def test_all_of_it_is_json(comparison: Comparison) -> None:
    told = json.loads(json.dumps(comparison.to_dict()))
    row = next(r for r in told["rows"] if (r["strategy"], r["samples"]) == ("own", "test"))
    assert row["errors"]["mean"]["mean"] == pytest.approx(2.85)
    assert row["differences"]["mean"]["significant"] is True
    assert told["searches"][-1]["trainings"] == 0.5 and told["missing"] == []


def test_errors_of_other_samples_are_not_compared(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", {"even": 1.0, "own": 1.0})
    path = folder / "train/own-s1-b1/errors-test.npz"
    found = SampleErrors.load(path)
    SampleErrors(**{**vars(found), "sources": found.sources[::-1]}).save(path)
    with pytest.raises(
        InputError, match="train own-s1-b1: its errors on 'test' are not of the same"
    ):
        read_comparison(folder)
    (folder / "config.yaml").write_text("seeds: [0]")
    with pytest.raises(InputError, match="config.yaml: is damaged, or not of a comparison"):
        read_comparison(folder)


def test_samples_in_and_out(tmp_path: Path) -> None:
    write(tmp_path / "c", {"even": 1.0})
    found = SampleErrors.load(tmp_path / "c/train/even-s0-b1/errors-test.npz")
    assert found.groups == GROUPS and found.unit == "NME %"
    assert found.means() == {"eye": 0.75, "mouth": 2.25, "mean": 1.5}
    assert found.table("challenging").tolist() == [[1.0, 3.0, 2.0]] * 2
    assert found.photos("challenging").tolist() == ["b", "c"]
    with pytest.raises(InputError, match="cannot be read"):
        SampleErrors.load(tmp_path / "none.npz")
