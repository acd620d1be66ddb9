"""What all tests share: one thread per worker, pictures without a screen, examples that repeat.

Engine and strategies are tried on the example's three drawn shapes: an epoch takes a moment.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

# Before torch and matplotlib are imported; subprocesses inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import settings

import groupnas
from groupnas.schema import validate
from groupnas.strategies.masks.job import BilevelSearch
from groupnas.strategies.masks.settings import MaskSearch

ROOT = Path(__file__).parents[1]

# A test goes red because of a change, never because of luck or of a busy machine.
settings.register_profile("groupnas", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("groupnas")


@pytest.fixture(scope="session")
def own_parts() -> ModuleType:
    """examples/own_parts.py"""
    spec = importlib.util.spec_from_file_location("own_parts", ROOT / "examples/own_parts.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def shapes_space(own_parts: ModuleType) -> groupnas.SearchSpace:
    return groupnas.load_space(own_parts.SPACE)


@pytest.fixture(scope="session")
def shapes(own_parts: ModuleType) -> Any:
    """A task of 100 drawings, of which 70 train at the validation share of 0.3."""
    return own_parts.Shapes(samples=100)


@pytest.fixture(scope="session")
def brief(own_parts: ModuleType) -> Callable[..., MaskSearch]:
    """A strategy of one warm-up and two search epochs of 3 steps; settings replace its own."""

    def make(masks: dict[str, Any] | None = None, **changes: Any) -> MaskSearch:
        settings = own_parts.STRATEGY.model_dump()
        settings.update(warmup_epochs=1, epochs=2, batch_size=20, **changes)
        # Undecided at first, so that a few steps change the grouping.
        settings["masks"].update({"init": "ones", **(masks or {})})
        return validate(MaskSearch, settings, "test")

    return make


@pytest.fixture
def make_search(
    shapes_space: groupnas.SearchSpace, shapes: Any, brief: Callable[..., MaskSearch]
) -> Callable[..., BilevelSearch]:
    """A new search of the shapes; the global random state is put back after the test."""

    def make(task: Any = None, seed: int = 0, **changes: Any) -> BilevelSearch:
        return BilevelSearch(shapes_space, task or shapes, brief(**changes), seed)

    return make
