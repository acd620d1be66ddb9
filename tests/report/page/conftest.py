"""A real search of the example's shapes, and copies of its folder for tests to spoil."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

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
