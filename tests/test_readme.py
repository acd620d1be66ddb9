"""The Python of README and docs runs as it stands, its searches on a few faces and for an epoch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import ROOT

import groupnas

BLOCKS = [
    pytest.param(block, id=f"{file.name}-{number}")
    for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for number, block in enumerate(
        re.findall(r"```python\n(.*?)```", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    )
]


# What the README says, and the same in seconds instead of minutes.
BRIEF = {
    'load_task("synthetic")': 'load_task("synthetic", limit=40)',
    'strategy="saliency:demo"': (
        'strategy=gn.load_strategy("saliency:demo").with_settings('
        'epochs=1, prune_epochs=1, tune_epochs=1, arms=["free"], batch_size=8)'
    ),
}


def run(block: str) -> dict[str, Any]:
    """Run a block, and return the names that it made."""
    names: dict[str, Any] = {}
    exec(compile(block, "block", "exec"), names)
    return names


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where blocks run: holds what ``python examples/own_parts.py --out runs/shapes`` leaves."""
    monkeypatch.setenv("GROUPNAS_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # some write files
    space = groupnas.load_space(ROOT / "examples/three_parts.yaml")
    (tmp_path / "runs/shapes").mkdir(parents=True)
    groupnas.Grouping.random(space).save("runs/shapes/grouping.json")
    return tmp_path


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.id != "README.md-0"])
def test_python_block_runs(block: str) -> None:
    assert "gn.search(" not in block, "takes minutes: give it a test of its own"
    assert len(run(block)) > 1


def test_the_readmes_search_and_what_follows_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = next(param.values for param in BLOCKS if param.id == "README.md-0")
    assert isinstance(block, str)
    for said, brief in BRIEF.items():
        assert block.count(said) == 1, said
        block = block.replace(said, brief)
    made = run(block)
    assert groupnas.Grouping.load(folder / "runs/mine/grouping.json") == made["run"].grouping
    assert [record["phase"] for record in made["run"].history] == ["train", "prune", "tune"]
    half, even = made["half"].costs(), made["run"].result["macs_before"]
    assert sum(half.values()) == pytest.approx(0.5 * sum(even.values()), rel=0.01)
    x = torch.zeros(1, 4, 64, 64)
    assert made["half"].build()(x).shape == made["model"](x).shape == (1, 102)
    printed = capsys.readouterr().out
    assert "| stage4.block6.project |" in printed  # the table
    assert f"\n{half} GroupedNetwork(" in printed  # the last line
    assert (folder / "local.onnx").stat().st_size > 300_000  # a quarter of the MACs


def test_there_are_blocks() -> None:
    assert {param.id for param in BLOCKS} >= {"README.md-0", "own_parts.md-0", "deploy.md-0"}
