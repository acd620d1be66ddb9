"""The README's Python runs as it stands (its searches excepted: they take minutes)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
def test_python_block_runs(block: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GROUPNAS_CACHE", str(tmp_path))
    quick, _, _ = block.partition("run = gn.search(")
    exec(compile(quick, "README.md", "exec"), {})
    assert len(BLOCKS) == 2
