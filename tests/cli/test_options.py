"""Names that are recorded must mean the same wherever a run is resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from groupnas.cli.options import resolved


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gumbel", "gumbel"),
        ("gumbel:quick", "gumbel:quick"),
        ("own.yaml", "{here}/own.yaml"),
        ("in/own.yaml:quick", "{here}/in/own.yaml:quick"),
        ("manual=nose:0.8,mouth:1.2", "manual=nose:0.8,mouth:1.2"),
        ("manual=g.json", "manual={here}/g.json"),
        ("manual=/a/g_{seed}.json", "manual=/a/g_{{seed}}.json"),
        ("own.yaml=g.json", "{here}/own.yaml={here}/g.json"),
    ],
)
def test_paths_become_absolute_and_names_stay(
    name: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolved(name) == expected.format(here=tmp_path)


def test_a_file_whose_name_looks_like_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b:c.yaml").touch()
    assert resolved("a=b:c.yaml") == str(tmp_path / "a=b:c.yaml")
