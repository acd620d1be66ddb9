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
    arguments = {"space": str(own_parts.SPACE), "data": "drawn shapes", "seed": 0}
    search(shapes_space, shapes, brief(), out, arguments=arguments)
    return out


@pytest.fixture
def run_copy(searched: Path, tmp_path: Path) -> Path:
    """A copy of the search's folder."""
    return Path(shutil.copytree(searched, tmp_path / "copy"))


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
