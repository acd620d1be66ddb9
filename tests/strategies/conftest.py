"""Every test has its own random state."""

from __future__ import annotations

from typing import Any

import pytest
import torch


@pytest.fixture(autouse=True)
def _own_random_state() -> Any:
    with torch.random.fork_rng():
        yield
