"""Algorithms are found through entry points, other packages' like groupnas's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from helpers import install

import groupnas as gn
from groupnas.engine.strategy import ALGORITHMS, load_strategy, strategy_from
from groupnas.errors import InputError
from groupnas.files import shipped_names
from groupnas.schema import preset_names

PLUGIN = '''
from typing import Literal
from groupnas.engine.strategy import Strategy
from groupnas.grouping import Grouping
from groupnas.spaces import Allocation
from groupnas.strategies.controls import Even

class First(Even):
    """Gives the first group a double share."""
    algorithm: Literal["first"] = "first"
    share: float = 2.0

    def choose(self, space, seed):
        return Allocation(space, Grouping.manual(space, {space.groups[0]: self.share}))
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Another package with an algorithm, as pip would install it."""
    (tmp_path / "others.py").write_text(PLUGIN)
    install(tmp_path, "others", "groupnas.strategies", "first = others:First")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("others", None)


def test_another_packages_algorithm_works_as_ours(plugin: Path) -> None:
    (plugin / "mine.yaml").write_text("algorithm: first\ntitle: Mine\nshare: 3.0\n")
    found = load_strategy(plugin / "mine.yaml")
    space = gn.load_space("picasso_local")

    class Nothing:
        name, error_unit, sources = "nothing", "", ["a", "b"]
        inputs, outputs = space.inputs, space.outputs

    grouping = found.start(space, Nothing()).allocation().grouping  # type: ignore[arg-type]
    assert grouping.counts()["stem"] == {"left_eye": 12, "right_eye": 4, "nose": 4, "mouth": 4}
    (plugin / "wrong.yaml").write_text("algorithm: first\ntitle: Mine\nshre: 3.0\n")
    with pytest.raises(InputError, match=r"wrong\.yaml: shre: unknown key"):
        load_strategy(plugin / "wrong.yaml")


def test_two_packages_may_not_offer_one_name(plugin: Path) -> None:
    path = plugin / "others-1.0.dist-info/entry_points.txt"
    path.write_text("[groupnas.strategies]\neven = others:First\n")
    with pytest.raises(InputError, match="file: algorithm 'even' is offered twice: .*others:First"):
        strategy_from({"algorithm": "even"}, "file")
    assert strategy_from({"algorithm": "random", "title": "x"}, "file").algorithm == "random"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import not_there\n", "No module named 'not_there'"),
        ("1 / 0\n", "division by zero"),
        ("Second = 1\n", "module 'others' has no attribute 'First'"),
        ("First = dict\n", "is no class that inherits from Strategy"),
        ("First = 'first'\n", "is no class that inherits from Strategy"),
    ],
)
def test_a_broken_package_is_named(plugin: Path, code: str, reason: str) -> None:
    (plugin / "others.py").write_text(code)
    with pytest.raises(InputError) as caught:
        strategy_from({"algorithm": "first", "title": "x"}, "file")
    told = str(caught.value)
    assert told.startswith("file: algorithm 'first' cannot be loaded: others:First")
    assert reason in told and "\n" not in told


@pytest.mark.parametrize("data", [{}, {"algorithm": 3}, [], None])
def test_a_file_must_name_its_algorithm(data: object) -> None:
    with pytest.raises(InputError, match="^file: algorithm: missing; choose from: .*even, "):
        strategy_from(data, "file")
    with pytest.raises(InputError, match=r"^file: unknown algorithm 'evn'; did you mean 'even'\?"):
        strategy_from({"algorithm": "evn"}, "file")


def test_every_shipped_strategy_loads_and_every_algorithm_ships_one() -> None:
    names = [
        f"{name}:{preset}" if preset else name
        for name in shipped_names("strategies")
        for preset in [None, *preset_names("strategies", name)]
    ]
    shipped = {load_strategy(name).algorithm for name in names}
    ours = {
        entry.name
        for entry in metadata.entry_points(group=ALGORITHMS.group)
        if entry.value.startswith("groupnas.")
    }
    assert shipped == ours
