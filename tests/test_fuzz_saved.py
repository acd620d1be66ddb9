"""Damaged copies of what groupnas writes are read or refused in one line; a slice of the fuzzer."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from groupnas.errors import InputError

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SLICE = {
    "checkpoint, gumbel": 25,
    "checkpoint, evolution": 20,
    "checkpoint, training": 20,
    "grouping.json": 60,
    "history.jsonl, training": 60,
    "model.json": 40,
    "model.json, own markup": 40,
    "model.safetensors": 30,
    "GroupBench table": 40,
    "latency table": 30,
}


@pytest.fixture(scope="module")
def fuzz_saved() -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module("fuzz_saved")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sound")


@pytest.mark.parametrize("name", SLICE)
def test_formats(fuzz_saved: ModuleType, place: Path, name: str) -> None:
    (one,) = (one for one in fuzz_saved.FORMATS if one.name == name)
    found = fuzz_saved.fuzz(one, one.make(place), SLICE[name], seed=1)
    assert found.failures == []
    assert found.ends["refused"] > SLICE[name] / 2


def test_it_notices(
    fuzz_saved: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.json").write_text('{"a": [1, 2, {"b": null}]}')
    calls = [0]

    def read(folder: Path) -> None:
        calls[0] += 1
        if calls[0] % 4 == 0:
            raise KeyError("a bug")
        if calls[0] % 4 == 1 and calls[0] > 1:
            raise InputError("x" * 2000)
        if calls[0] == 7:
            while True:
                pass

    monkeypatch.setattr(fuzz_saved, "LIMIT", 1)
    one = fuzz_saved.Format("a", "a.json", lambda place: place, read)
    found = fuzz_saved.fuzz(one, tmp_path, 12, seed=0)
    assert found.ends["traceback"] == 3 and found.ends["hang"] == 1
    assert found.ends["refused"] == 3 and len(found.failures) == 4  # InputError cuts messages
