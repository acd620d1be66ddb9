"""Names that are recorded must mean the same wherever a run is resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from groupnas.budget import Budget
from groupnas.cli.options import anchored, resolved, resolved_strategy
from groupnas.engine.strategy import load_strategy


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gumbel", "gumbel"),
        ("gumbel:quick", "gumbel:quick"),
        ("own.yaml", "{here}/own.yaml"),
        ("in/own.yaml:quick", "{here}/in/own.yaml:quick"),
        ("manual=nose:0.8,mouth:1.2", "manual=nose:0.8,mouth:1.2"),
        ("manual=g.json", "manual={here}/g.json"),
        ("manual=/a/g_{seed}.json", "manual=/a/g_{{seed}}.json"),
        ("own.yaml=g.json", "{here}/own.yaml={here}/g.json"),
    ],
)
def test_paths_become_absolute_and_names_stay(
    name: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolved_strategy(name) == expected.format(here=tmp_path)


def test_a_file_whose_name_looks_like_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b:c.yaml").touch()
    assert resolved("a=b:c.yaml") == str(tmp_path / "a=b:c.yaml")
    (tmp_path / "run=3").mkdir()
    (tmp_path / "run=3/own.yaml").touch()
    for name in ("run=3/own.yaml:quick", "run=3/own.yaml=nose:0.8"):
        assert resolved_strategy(name) == f"{tmp_path}/{name}"
    assert resolved("run=3/own.yaml:98") == f"{tmp_path}/run=3/own.yaml:98"
    assert resolved_strategy("manual=run=3/g_{seed}.json") == (
        f"manual={tmp_path}/run=3/g_{{seed}}.json"
    )


def test_files_of_a_strategy_are_the_same_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    manual = anchored(load_strategy("manual=mine-{seed}.json"))
    assert manual.model_dump()["file"] == f"{tmp_path}/mine-{{seed}}.json"
    budget = {"total": 0.5, "measure": "mine.json"}
    gumbel = load_strategy("gumbel").with_budget(Budget.model_validate(budget))
    assert anchored(gumbel).budget == Budget(total=0.5, measure=f"{tmp_path}/mine.json")
    evolution = load_strategy("evolution")
    assert anchored(evolution) == evolution
    for storage, kept in (("t.log", f"{tmp_path}/t.log"), ("postgresql://h/d",) * 2):
        shared = load_strategy("optuna").with_settings(storage=storage, study="s")
        assert anchored(shared).model_dump()["storage"] == kept
