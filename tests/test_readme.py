"""The Python of README and docs runs as it stands, but for searches that would take minutes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers import ROOT

import groupnas

BLOCKS = [
    pytest.param(block, id=f"{file.name}-{number}")
    for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for number, block in enumerate(
        re.findall(r"```python\n(.*?)```", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    )
]


@pytest.mark.parametrize("block", BLOCKS)
def test_python_block_runs(block: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GROUPNAS_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # some write files
    # What `python examples/own_parts.py --out runs/shapes` would have left behind.
    space = groupnas.load_space(ROOT / "examples/three_parts.yaml")
    (tmp_path / "runs/shapes").mkdir(parents=True)
    groupnas.Grouping.random(space).save("runs/shapes/grouping.json")
    quick = block.replace('"gumbel:quick"', '"random"').replace(
        '("synthetic")', '("synthetic", limit=60)'
    )
    exec(compile(quick, "README.md", "exec"), {})


def test_there_are_blocks() -> None:
    assert {param.id for param in BLOCKS} >= {"README.md-0", "README.md-1", "deploy.md-0"}
