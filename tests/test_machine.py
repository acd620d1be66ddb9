"""How many cores a process may use: by its affinity and its container's quota."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from groupnas import machine


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of sixteen cores, of which the process may use eight; the folder of its quotas."""
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "_QUOTAS", tmp_path)
    return tmp_path


def test_affinity(eight: Path) -> None:
    assert machine.cores() == 8


def test_no_affinity_on_this_system(eight: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert machine.cores() == 16
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.cores() == 1


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),  # one and a half: two threads have something to do
        ("20000 100000\n", 1),
        ("1600000 100000\n", 8),
        ("", 8),
        ("0 0", 8),
    ],
)
def test_a_container_with_a_quota(eight: Path, quota: str, cores: int) -> None:
    (eight / "cpu.max").write_text(quota)
    assert machine.cores() == cores


@pytest.mark.parametrize(("quota", "cores"), [("300000", 3), ("-1", 8)])
def test_a_quota_of_the_first_version(eight: Path, quota: str, cores: int) -> None:
    (eight / "cpu").mkdir()
    (eight / "cpu/cpu.cfs_quota_us").write_text(f"{quota}\n")
    (eight / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert machine.cores() == cores


def test_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "processor\t: 0\nmodel name\t: A fast: one\nflags\t\t: sse avx2\n\nmodel name\t: Other\n"

    def shown(content: str) -> None:
        machine._cpuinfo.cache_clear()
        monkeypatch.setattr(machine, "read_text", lambda path: content)

    shown(text)
    assert machine.machine().endswith("A fast: one") and machine.lacks_avx512()
    shown(text.replace("avx2", "avx512f avx2"))
    assert not machine.lacks_avx512()
    shown("")  # nothing is known
    assert machine.machine() and not machine.lacks_avx512()
    machine._cpuinfo.cache_clear()
