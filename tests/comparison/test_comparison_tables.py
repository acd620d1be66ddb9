"""Tables of a comparison that is written by hand, so that every number can be checked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from groupnas.cli.compare import _show
from groupnas.comparison import Comparison, Evidence, read_comparison
from groupnas.comparison.plan import Piece
from groupnas.comparison.rows import ResultRow
from groupnas.comparison.samples import SampleErrors
from groupnas.comparison.tables import (
    errors_table,
    front_table,
    groups_table,
    remarks,
    search_table,
    sections,
)
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
            _write_training(folder, Piece(label, seed, 1.0), level + 0.2 * seed)
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


def _write_training(out: Path, piece: Piece, level: float) -> None:
    folder, label = out / piece.folder, piece.strategy
    folder.mkdir(parents=True)
    hard = np.array([False, True, True, False] * 5)
    errors = level * np.where(hard, 2.0, 1.0)[:, None] * np.array([[0.5, 1.5]])
    for name in ("validation", "test"):
        SampleErrors(
            errors=errors if name == "test" else errors + 1,
            groups=GROUPS,
            weights=np.array([2.0, 2.0]),
            sources=np.array([f"source {index:02d}" for index in range(20)]),
            unit="NME %",
            subsets={"common": ~hard, "challenging": hard} if name == "test" else {},
        ).save(folder / f"errors-{name}.npz")
    share = 1.5 if label == "own" else 1.0
    flops = {
        "initial": {"eye": 2_000_000, "mouth": 2_100_000},
        "found": {"eye": 2_000_000 / share, "mouth": 2_100_000 * share},
    }
    told = {
        **vars(piece),
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
        "strategy", "seeds", "cost M", "eye", "mouth", "mean", "to even", "95 %", "sources",
        "seeds", "sources x seeds", "better", "detectable",
    ]  # fmt: skip
    rows = {row[0]: row[1:] for row in table[1:]}
    # even: levels 2.0 and 2.2, samples 1, 2, 2, 1 of it: 3.0 and 3.3; eye is half, mouth 1.5 times
    assert rows["even"][:5] == ["2", "4", "1.575 ± 0.106", "4.725 ± 0.318", "3.150 ± 0.212"]
    assert rows["even"][5:] == [""] * 7
    # own: 0.2 less on easy samples, 0.4 on hard ones, with each seed
    assert rows["own"][5] == "-0.300 (-9.5%)*"
    assert rows["random"][5] == "+0.600 (+19.0%)*"
    low, high = map(float, rows["own"][6].split(" .. "))
    assert -0.4 <= low < -0.3 < high <= -0.2 and rows["own"][7] == rows["own"][6]
    assert rows["own"][8:] == ["-0.300 .. -0.300", "20 x 2", "100.0%", "0.000"]  # with either seed
    hard = comparison.row("own", 1.0, "test/challenging")
    assert hard is not None and (hard.count, hard.sources) == (10, 10)
    assert hard.differences["mouth"].mean == pytest.approx(-0.6)
    with pytest.raises(InputError, match="nothing of other at budget 1"):
        errors_table(comparison, "other", 1.0)


def test_parts(comparison: Comparison) -> None:
    table = groups_table(comparison, "test", 1.0)
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
    assert groups_table(both, "test", 1.0) == []


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
    (folder / "config.yaml").write_text("strategies: {}\nseeds: [0]")
    with pytest.raises(InputError, match="config.yaml: is damaged: measure: missing"):
        read_comparison(folder)


def test_samples_in_and_out(tmp_path: Path) -> None:
    write(tmp_path / "c", {"even": 1.0})
    found = SampleErrors.load(tmp_path / "c/train/even-s0-b1/errors-test.npz")
    assert found.groups == GROUPS and found.unit == "NME %"
    assert found.means() == {"eye": 0.75, "mouth": 2.25, "mean": 1.5}
    assert found.table("challenging").tolist() == [[1.0, 3.0, 2.0]] * 10
    assert found.sources_of("challenging").tolist()[:2] == ["source 01", "source 02"]
    with pytest.raises(InputError, match="cannot be read"):
        SampleErrors.load(tmp_path / "none.npz")


def change(folder: Path, name: str, label: str, **changes: Any) -> None:
    """Replace what the networks of a strategy have on a set of samples."""
    for path in folder.glob(f"train/{label}-s*/errors-{name}.npz"):
        found = SampleErrors.load(path)
        told = {key: make(getattr(found, key)) for key, make in changes.items()}
        replace(found, **told).save(path)


def rows_of(folder: Path, samples: str) -> dict[str, ResultRow]:
    found = read_comparison(folder, draws=50)
    return {row.strategy: row for row in found.rows if row.samples == samples}


def printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    _show([folder], None, folder / "figure.png", as_json=False)
    return capsys.readouterr().out


def test_one_source_is_told_and_has_no_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "c", {"even": 1.0, "own": 2.0})
    change(folder, "validation", "*", sources=lambda sources: np.full(len(sources), "a"))
    row = rows_of(folder, "validation")["own"]
    assert (row.count, row.sources, row.seeds) == (20, 1, (0, 1))
    told = row.to_dict()["differences"]["mean"]
    assert told["mean"] == pytest.approx(1.5) and told["sources"] == 1
    assert [told[key] for key in ("low", "sources_low", "seeds_low")] == [None] * 3
    text = printed(folder, capsys)
    first = text[: text.index("test:")]
    assert "validation: 20 samples of 1 source, NME %, cost 1" in first
    table, _, remark = first.partition(
        "validation: samples of 1 source only: no intervals and no *"
    )
    assert "*" not in table and remark.startswith(", which take at least 10")
    assert "+1.500 (+56.6%) - - - 1 x 2" in " ".join(table.split())


def test_means_and_differences_skip_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of samples with errors x and 2 x in turn, those that lack the mouth are the first 9."""
    folder = write(tmp_path / "c", {"even": 1.0, "own": 2.0})

    def less(errors: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
        errors = errors.copy()
        errors[:9, 1] = np.nan
        return errors

    whole = rows_of(folder, "test")
    change(folder, "test", "*", errors=less)
    rows = rows_of(folder, "test")
    own = rows["own"]
    assert own.counts == {"eye": 20, "mouth": 11, "mean": 20} and own.count == 20
    assert own.errors["eye"] == whole["own"].errors["eye"]
    assert own.differences["eye"] == whole["own"].differences["eye"]
    # seeds 2.0 and 2.2, times 1.5; of the last 11 samples 5 are easy and 6 are hard
    assert own.errors["mouth"][0] == pytest.approx(1.5 * 2.1 * (5 + 6 * 2) / 11)
    # the first 9, of which 4 are hard, count with the eye alone: half the level
    mean = (0.5 * (5 + 4 * 2) + (5 + 6 * 2)) / 20
    assert own.errors["mean"][0] == pytest.approx(2.1 * mean)
    assert own.differences["mean"].mean == pytest.approx(mean)
    assert (own.differences["mouth"].sources, own.differences["mouth"].samples) == (11, 11)
    text = printed(folder, capsys)
    assert "means are over those that do: n = eye 20, mouth 11, mean 20" in text
    assert "sources" in text and json.loads(json.dumps(own.to_dict()))["counts"]["mouth"] == 11
    # of the 10 hard ones 6 show a mouth: too few for an interval of that part alone
    assert "test/challenging: mouth of 6 sources only: no intervals there" in text


def test_a_subset_without_a_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "c", {"even": 1.0, "own": 2.0})
    hard = np.array([False, True, True, False] * 5)
    change(folder, "test", "*", errors=lambda e: np.where(hard[:, None] & [False, True], np.nan, e))
    row = rows_of(folder, "test/challenging")["own"]
    assert list(row.errors) == list(row.differences) == ["eye", "mean"]
    assert row.counts == {"eye": 10, "mouth": 0, "mean": 10}
    assert "n = eye 10, mouth 0, mean 10" in printed(folder, capsys)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_network_that_diverged_is_told_and_others_are_shown(
    value: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """NaN where all other networks have errors is no missing point."""
    folder = write(tmp_path / "c", {"even": 1.0, "own": 2.0, "random": 1.5})
    path = folder / "train/own-s1-b1/errors-test.npz"
    found = SampleErrors.load(path)
    errors = found.errors.copy()
    errors[3, 1] = value
    replace(found, errors=errors).save(path)
    rows = rows_of(folder, "test")
    assert rows["own"].diverged == (1,) and rows["own"].differences == {}
    assert rows["own"].errors["mouth"] == (np.inf, None)
    assert rows["random"].differences["mean"].mean == pytest.approx(0.75)
    assert rows_of(folder, "validation")["own"].diverged == ()
    told = json.dumps(read_comparison(folder, draws=10).to_dict(), allow_nan=False)
    assert '"diverged": [1]' in told
    text = printed(folder, capsys)
    assert "test: own diverged (seeds: 1): errors are not finite" in text and "inf" in text
    # the baseline's own: nothing is left to compare with
    path.rename(folder / "train/even-s0-b1/errors-test.npz")
    (folder / "train/own-s1-b1/cell.json").unlink()
    assert rows_of(folder, "test")["random"].differences == {}
    assert "even diverged (seeds: 0)" in printed(folder, capsys)


def test_a_baseline_without_error_has_no_relative_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "c", {"even": 1.0, "own": 1.0})
    change(folder, "test", "even", errors=np.zeros_like)
    row = rows_of(folder, "test")["own"]
    assert row.relative == {} and row.differences["mean"].mean == pytest.approx(1.65)
    assert " +1.650  " in printed(folder, capsys)


def test_equal_strategies_have_no_star(tmp_path: Path) -> None:
    rows = rows_of(write(tmp_path / "c", {"even": 1.0, "own": 1.0}), "test")
    for of in rows["own"].differences.values():
        assert (of.mean, of.low, of.high) == (0.0, 0.0, 0.0) and not of.significant
    assert remarks([rows["own"]]) == []


def test_a_file_of_another_network_is_told(tmp_path: Path) -> None:
    """Copied from one folder to the other, it would be read as what it is not."""
    folder = write(tmp_path / "c", LEVELS)
    other, own = (folder / f"train/{name}-s0-b1/cell.json" for name in ("even", "own"))
    own.write_bytes(other.read_bytes())
    with pytest.raises(InputError, match="cell.json: is of train even-s0-b1, not of train own-s0"):
        read_comparison(folder, draws=10)


# -- fronts ---------------------------------------------------------------------------------------


def fronts(**levels: tuple[float, ...]) -> Comparison:
    """Strategies of an error at each of some budgets, with two seeds."""
    made = Evidence.of("faces", GROUPS)
    hard = np.linspace(0.5, 1.5, 20)[:, None]
    for label, errors in levels.items():
        for budget, level in zip((1.0, 0.5, 0.25), errors, strict=False):
            for seed in (0, 1):
                found = SampleErrors(
                    errors=level * hard * np.full((1, 2), 1 + 1e-12 * seed),
                    groups=GROUPS,
                    weights=np.ones(2),
                    sources=np.array([f"source {index}" for index in range(20)]),
                    unit="NME %",
                )
                costs = {"mac": {"all": 8e6 * budget}}
                made.add(label, seed, budget, costs, {"test": found}, steps=1, fall=0.02 * budget)
    return made.comparison(draws=20)


def test_macs_at_equal_error() -> None:
    """own has at a budget what even has at twice of it."""
    found = fronts(even=(2.0, 3.0, 4.5), own=(2 / 1.5, 2.0, 3.0), bad=(9.0, 8.0), short=(2.0,))
    table, told = front_table(found, "test")
    assert table[0][:4] == ["strategy", "MACs at equal error", "95 %", "cheaper"]
    assert table[1:] == [
        ["own", "0.500", "0.500 .. 0.500", "100.0%", "2.000 .. 3.000", "20 x 2"],
    ]
    assert told == [
        "bad: fronts share no error: even has less at its cheapest than bad at its dearest",
        "short: short has one budget only; a front takes two and more",
    ]
    (title, tables, remarks_) = [s for s in sections(found) if "equal error" in s[0]][0]
    assert title == "test: MACs at equal error, relative to even" and tables == [table]
    assert remarks_[:2] == told
    assert "0.500 .. 0.500" in str(found) or "more lines" in str(found)
    json.dumps(found.to_dict(), allow_nan=False)


def test_how_far_from_level_is_told() -> None:
    found = fronts(even=(2.0, 3.0))
    title, tables, (told,) = list(sections(found))[-1]
    assert title == "How far from level" and tables == []
    assert "fell by 1.5% (1.0% to 2.0%)" in told
