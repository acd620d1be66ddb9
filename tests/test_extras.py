"""How an extra is installed: with the tested versions in a checkout, for this interpreter."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from groupnas import extras


def test_in_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyproject.toml", "constraints.txt", "constraints-nni.txt"):
        (tmp_path / name).touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    monkeypatch.chdir(tmp_path)
    line = ".venv/bin/python -m pip install -c {} 'groupnas[{}]'"
    assert extras._hint("onnx", tmp_path) == line.format("constraints.txt", "onnx")
    assert extras._hint("nni", tmp_path) == line.format("constraints-nni.txt", "nni")
    monkeypatch.chdir("/")
    constraints = str(tmp_path / "constraints.txt")[1:]
    assert f"-c {constraints} 'groupnas[onnx]'" in extras._hint("onnx", tmp_path)


def test_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "constraints.txt").touch()  # another package's, beside it
    monkeypatch.setattr(sys, "executable", "/some where/python")
    assert extras._hint("onnx", tmp_path) == "'/some where/python' -m pip install 'groupnas[onnx]'"


def test_of_this_installation() -> None:
    *_, last = words = shlex.split(extras.install_hint("video"))
    assert words[1:4] == ["-m", "pip", "install"] and last == "groupnas[video]"
    assert Path(words[0]).absolute() == Path(sys.executable).absolute()
