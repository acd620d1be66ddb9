"""``groupnas spaces`` and ``groupnas strategies``: the user's own first, then the shipped ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT

from groupnas.cli.spaces import spaces
from groupnas.cli.strategies import strategies


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "search_spaces").mkdir()
    example = (ROOT / "examples/three_parts.yaml").read_text()
    (tmp_path / "search_spaces/mine.yaml").write_text(example)
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies/fast.yaml").write_text(
        "algorithm: masks\ntitle: Fast\nwarmup_epochs: 1\nepochs: 2\n"
        "batch_size: 4\nvalidation: 0.3\n"
        "weights: {lr: 0.1}\nmasks: {optimizer: {lr: 0.2}}\npresets: {faster: {epochs: 1}}\n"
    )


def test_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    spaces(as_json=True)
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    names = list(rows)
    assert names[0] == "mine" and {"picasso_local:68", "picasso_local:98"} <= set(names)
    assert rows["mine"]["groups"] == ["disc", "square", "ring"]
    assert rows["mine"]["macs_even"] == 3 * 11456
    assert rows["picasso_local:68"]["outputs"] == 102
    spaces()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[0] == "space" and lines[1].startswith("mine ")
    assert len(lines) == 1 + len(rows)


def test_strategies(capsys: pytest.CaptureFixture[str]) -> None:
    strategies(as_json=True)
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows)[:2] == ["fast", "fast:faster"] and "gumbel" in rows
    assert (rows["fast"]["epochs"], rows["fast:faster"]["epochs"]) == (2, 1)
    strategies()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[0] == "strategy" and lines[1].startswith("fast ")
    assert len(lines) == 1 + len(rows)


@pytest.mark.parametrize(
    ("command", "kind", "ours"),
    [(strategies, "strategies", "gumbel:quick"), (spaces, "search_spaces", "picasso_local:98")],
)
@pytest.mark.parametrize("text", ["broker: none\nrules: [1, 2]\n", "- 1", "", "\x00", "a: ["])
def test_files_of_others_are_told_and_left_out(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: Any,
    kind: str,
    ours: str,
    text: str,
) -> None:
    (tmp_path / kind / "trading.yaml").write_text(text)
    (tmp_path / kind / "folder.yaml").mkdir()
    (tmp_path / kind / "notes.txt").write_text("notes")
    command()
    said = capsys.readouterr()
    assert ours in said.out and "folder" not in said.out + said.err
    (told,) = said.err.splitlines()
    assert told.startswith("groupnas: left out: ") and "trading.yaml" in told
