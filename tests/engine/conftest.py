"""The engine is tried on the example's three drawn shapes, so that an epoch takes a moment."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import groupnas
from groupnas.engine.bilevel import BilevelSearch
from groupnas.engine.strategy import Strategy
from groupnas.schema import validate

ROOT = Path(__file__).parents[2]


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
def brief(own_parts: ModuleType) -> Callable[..., Strategy]:
    """A strategy of one warm-up and two search epochs of 3 steps; settings replace its own."""

    def make(masks: dict[str, Any] | None = None, **changes: Any) -> Strategy:
        settings = own_parts.STRATEGY.model_dump()
        settings.update(warmup_epochs=1, epochs=2, batch_size=20, **changes)
        # Undecided at first, so that a few steps change the grouping.
        settings["masks"].update({"init": "ones", **(masks or {})})
        return validate(Strategy, settings, "test")

    return make


@pytest.fixture
def make_search(
    shapes_space: groupnas.SearchSpace, shapes: Any, brief: Callable[..., Strategy]
) -> Callable[..., BilevelSearch]:
    """A new search of the shapes; the global random state is put back after the test."""

    def make(task: Any = None, seed: int = 0, **changes: Any) -> BilevelSearch:
        return BilevelSearch(shapes_space, task or shapes, brief(**changes), seed)

    return make


@pytest.fixture(autouse=True)
def _own_random_state() -> Any:
    with torch.random.fork_rng():
        yield
