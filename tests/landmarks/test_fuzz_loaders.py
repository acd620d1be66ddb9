"""Damaged copies of every format are read or refused in one line, whatever the damage."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks/fuzz_loaders.py"


@pytest.fixture(scope="module")
def benchmark() -> dict[str, Any]:
    return runpy.run_path(str(BENCHMARK))


def damage_all(benchmark: dict[str, Any], root: Path, times: int) -> None:
    """Read damaged copies of every file; most must be refused, and nothing else may happen."""
    files = benchmark["files_in"]([root])
    assert files
    for path, read in files:
        read(path)
        ends = list(benchmark["fuzz"](path, read, times, seed=0))
        assert [f"{path.name}: {end}" for end in ends if end[2]] == []
        assert any(end == "refused" for _, end, _ in ends)


def test_wflw(benchmark: dict[str, Any], wflw_root: Path) -> None:
    damage_all(benchmark, wflw_root, times=60)


def test_aflw(benchmark: dict[str, Any], aflw_root: Path) -> None:
    damage_all(benchmark, aflw_root, times=150)


def test_cofw(benchmark: dict[str, Any], cofw_root: Path) -> None:
    pytest.importorskip("h5py", reason="COFW's files need h5py")
    damage_all(benchmark, cofw_root, times=150)


def test_300w(benchmark: dict[str, Any], copy_300w: Any) -> None:
    damage_all(benchmark, copy_300w() / "300w/helen", times=30)


def test_it_notices(benchmark: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "some.pts"
    path.write_text("1 2\n" * 68)
    ends = list(benchmark["fuzz"](path, lambda copy: 1 // 0, 5, seed=0))
    assert all("ZeroDivisionError" in end[2] for end in ends) and len(ends) == 5
