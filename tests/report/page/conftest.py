"""A real search of the example's shapes, and copies of its folder for tests to spoil."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

from groupnas.comparison.rows import ResultRow, SearchCost
from groupnas.comparison.statistics import Difference
from groupnas.comparison.tables import Comparison
from groupnas.engine.search import search


@pytest.fixture(scope="session")
def searched(
    own_parts: ModuleType,
    shapes_space: Any,
    shapes: Any,
    brief: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of a finished search of three epochs."""
    out = tmp_path_factory.mktemp("report") / "shapes-run"
    arguments = {"space": "three_parts.yaml", "data": "drawn shapes", "seed": 0}
    search(shapes_space, shapes, brief(), out, arguments=arguments)
    return out


@pytest.fixture
def run_copy(searched: Path, tmp_path: Path) -> Path:
    """A copy of the search's folder."""
    return Path(shutil.copytree(searched, tmp_path / "copy"))


@pytest.fixture(scope="session")
def row() -> Callable[..., ResultRow]:
    """Builds a row of a comparison: two parts, 3 seeds, ``even`` as the baseline."""
    names = ("nose", "mouth", "mean")
    sure = Difference(-0.5, -0.8, -0.2, -0.6, -0.4, -0.9, -0.1, 20, 20, 3)
    unsure = Difference(
        0.1, 0.05, 0.2, 0.06, 0.15, -0.3, 0.5, 20, 20, 3
    )  # seeds do not leave out 0

    def build(strategy: str, samples: str = "validation", **changes: Any) -> ResultRow:
        told: dict[str, Any] = {"budget": 1.0, "count": 20, "sources": 20, "cost": 5e6}
        told |= {"counts": dict.fromkeys(names, 20), "seeds": (0, 1, 2), "diverged": ()}
        told |= {"unit": "NME %", "errors": dict.fromkeys(names, (4.0, 0.25))}
        told |= {"differences": {}, "relative": {}}
        if strategy != "even":
            told["differences"] = {"nose": unsure, "mouth": sure, "mean": sure}
            told["relative"] = dict.fromkeys(names, -0.125)
        return ResultRow(strategy=strategy, samples=samples, **{**told, **changes})

    return build


@pytest.fixture(scope="session")
def compared() -> Callable[..., Comparison]:
    """Builds a comparison of rows."""

    def build(*rows: ResultRow) -> Comparison:
        cost = SearchCost(strategy="own", seconds=30, steps=90, trainings=1.5, training_steps=1.25)
        return Comparison(
            folder=Path("runs/c"),
            task="shapes",
            groups=("nose", "mouth"),
            measure="mac",
            baseline="even",
            rows=rows,
            searches=(cost,),
            cells=(),
            missing=(),
        )

    return build


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.fixture(scope="session")
def spoiled() -> Callable[..., str]:
    """A function of a file's text and Hypothesis' data: junk under one of its keys, at any depth.

    Of a history it takes the first record.
    """

    def spoil(text: str, data: st.DataObject) -> str:
        record = yaml.safe_load(text.splitlines()[0] if text.startswith('{"epoch"') else text)
        place = record
        while True:
            key = data.draw(st.sampled_from(sorted(place)))
            if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
                break
            place = place[key]
        place[key] = data.draw(JUNK)
        return json.dumps(record) + "\n"

    return spoil
