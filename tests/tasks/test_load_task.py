"""``load_task``: by name, training samples only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from groupnas.errors import InputError
from groupnas.tasks import DATASETS, load_task


@pytest.fixture(autouse=True)
def _no_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GROUPNAS_CACHE", str(tmp_path / "cache"))


def test_unknown_names_get_a_hint() -> None:
    with pytest.raises(InputError, match="unknown data set '300W'; did you mean '300w'"):
        load_task("300W")


def test_a_missing_root_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROUPNAS_DATA", raising=False)
    with pytest.raises(InputError, match="set --data-root or GROUPNAS_DATA"):
        load_task("300w")


def test_synthetic_needs_nothing() -> None:
    task = load_task("synthetic", limit=2)
    assert task.name == "synthetic" and len(task.sources) == 2
    assert load_task("synthetic", limit=2).fingerprint() == task.fingerprint()


def test_entries_are_named_after_their_key() -> None:
    assert {name: entry.name for name, entry in DATASETS.items()} == {n: n for n in DATASETS}


def test_the_registry_costs_no_heavy_import() -> None:
    code = "import sys, groupnas.tasks; print([m for m in ('torch', 'numpy') if m in sys.modules])"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert done.stdout.strip() == "[]"


def test_real_copy() -> None:
    root = os.environ.get("GROUPNAS_DATA")
    if not root or not (Path(root) / "300w").is_dir():
        pytest.skip("GROUPNAS_DATA does not name a folder with 300w")
    task = load_task("300w", allow_partial=True, limit=20)
    assert len(task.sources) == 20
    assert not any("testset" in source or "ibug" in source for source in task.sources)
