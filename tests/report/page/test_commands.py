"""The command that a page gives: what it is made of, and that a shell reads it as it was meant."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from groupnas.engine.strategy import load_strategy
from groupnas.report.page.command import compare_command, search_command, train_command
from groupnas.report.page.model import Run
from groupnas.report.page.render import command_line

FOLDER = Path("runs/mine")


def config(strategy: str, **arguments: Any) -> dict[str, Any]:
    told = {"space": "picasso_local", "data": "synthetic", "seed": 4, "limit": None}
    described = load_strategy(strategy).model_dump(mode="json")
    return {"arguments": {**told, **arguments}, "strategy": described}


def test_search_of_a_shipped_strategy() -> None:
    words, files = search_command(config("gumbel:demo", allow_partial=True), FOLDER, "mine")
    assert shlex.join(words) == (
        "groupnas search --space picasso_local --data synthetic --allow-partial --seed 4 "
        "--strategy gumbel:demo --out runs/mine-again"
    )
    assert files == {}


def test_search_with_epochs_of_its_own() -> None:
    told = config("gumbel:demo")
    told["strategy"]["epochs"] = 77
    words, files = search_command(told, FOLDER, "mine")
    assert words[-6:-2] == ("--strategy", "gumbel", "--epochs", "77") or words[-5:-2] == (
        "gumbel:demo",
        "--epochs",
        "77",
    )
    name = words[words.index("--strategy") + 1]
    assert load_strategy(name).with_epochs(77) == load_strategy("gumbel:demo").with_epochs(77)
    assert files == {}


def test_search_with_other_settings_brings_them_along(tmp_path: Path) -> None:
    told = config("gumbel:demo")
    told["strategy"]["batch_size"] = 13
    words, files = search_command(told, FOLDER, "a/b run")
    assert list(files) == ["a_b_run-strategy.yaml"] and "a_b_run-strategy.yaml" in words
    path = tmp_path / "s.yaml"
    path.write_text(files["a_b_run-strategy.yaml"])
    assert load_strategy(str(path)).model_dump(mode="json") == told["strategy"]


def test_settings_that_an_older_version_lacked_have_their_defaults() -> None:
    told = config("knapsack")
    for key in ("divisor",):
        told["strategy"]["budget"].pop(key, None)
    assert "knapsack" in search_command(told, FOLDER, "mine")[0]


@pytest.mark.parametrize("told", [{}, {"arguments": None}, {"arguments": {"space": "x"}}])
def test_no_command_was_recorded(told: dict[str, Any]) -> None:
    assert search_command(told, FOLDER, "mine") == ((), {})
    assert train_command(told, FOLDER) == () and compare_command(told, FOLDER) == ((), {})


def test_seeds_that_the_command_cannot_say() -> None:
    told = {"arguments": {"recipe": "300w"}, "seeds": [5], "budgets": [1.0], "strategies": {}}
    assert compare_command(told, FOLDER) == ((), {})


@settings(max_examples=20)
@given(text=st.text(min_size=1).filter(lambda text: "\x00" not in text))
def test_a_shell_reads_every_argument_whole(text: str) -> None:
    told = config("gumbel:demo", space=text)
    words, files = search_command(told, Path(text), "mine")
    run = Run(name="r", folder="f", kind="search", state="", finished=True, command=words)
    read = shlex.split(command_line(run, None))
    assert read == list(words) and read[3] == text and read[-1] == f"{Path(text)}-again"
    assert files == {}


def test_files_are_named_where_they_are_written() -> None:
    words = ("groupnas", "search", "--strategy", "own.yaml")
    run = Run(name="r", folder="f", kind="search", state="", finished=True, command=words)
    with_file = Run(**{**vars(run), "files": {"own.yaml": yaml.safe_dump({})}})
    assert command_line(with_file, Path("my page")) == (
        "groupnas search --strategy 'my page/own.yaml'"
    )
