"""``groupnas flops``: text, Markdown and JSON of one table."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from helpers import exit_code

import groupnas

call = partial(exit_code, "flops")

SPACE = str(Path(__file__).parents[2] / "examples/three_parts.yaml")


def test_the_three_forms_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--space", SPACE, "--json") == 0
    table = json.loads(capsys.readouterr().out)
    assert table["per_group"] == {"disc": 11456, "square": 11456, "ring": 11456}
    assert call("--space", SPACE) == 0
    text = capsys.readouterr().out
    assert call("--space", SPACE, "--markdown") == 0
    markdown = capsys.readouterr().out
    for layer in ("stem", "head", "output"):
        assert layer in text and layer in markdown
    assert "11,456" in text and markdown.startswith("|")


def test_of_a_grouping(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = groupnas.load_space(SPACE)
    grouping = groupnas.Grouping.random(space, seed=1)
    grouping.save(tmp_path / "g.json")
    options = ["--grouping", str(tmp_path / "g.json"), "--convention", "thop", "--json"]
    assert call("--space", SPACE, *options) == 0
    expected = groupnas.flops(groupnas.Allocation(space, grouping), "thop").per_group
    assert json.loads(capsys.readouterr().out)["per_group"] == expected


def test_published_figures_are_printed_beside(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--space", "picasso_local") == 0
    assert "Published, Table VII, searched: left_eye 2.27 M" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--space", "picaso_local"], "did you mean 'picasso_local'"),
        (["--space", "picasso_local:69"], "variant '69': choose from: 106, 19, 29, 68, 98"),
        (["--space", SPACE, "--convention", "macs"], "convention 'macs': did you mean 'mac'"),
        (["--space", SPACE, "--grouping", "none.json"], "none.json: cannot be read: No such file"),
        (["--space", SPACE, "--grouping", SPACE], "three_parts.yaml:1: is not JSON"),
        (["--space", SPACE, "--json", "--markdown"], "--json, --markdown: give one of them"),
    ],
)
def test_wrong_input(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*options) == 2
    output = capsys.readouterr()
    assert message in output.err and output.err.count("\n") == 1 and output.out == ""
