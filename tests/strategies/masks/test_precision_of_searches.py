"""A mask search in bfloat16 takes the same steps, in other numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch


@pytest.mark.parametrize(
    "changes", [{}, {"order": 2}, {"levels": 1, "masks": {"optimizer": None}}], ids=str
)
def test_a_search_in_bfloat16(make_search: Callable[..., Any], changes: dict[str, Any]) -> None:
    records = []
    for precision in ("float32", "bfloat16"):  # one after the other: each sets the random state
        search = make_search(precision=precision, **changes)
        records.append([search.run_epoch(lambda *_: None) for _ in range(3)])
    (first, *_), (same, *_) = records
    # After the first epoch they part: masks decide otherwise
    assert same["train_loss"] == pytest.approx(first["train_loss"], rel=0.05)
    assert same["train_loss"] != first["train_loss"]
    for parameter in search.net.parameters():
        assert parameter.dtype == torch.float32 and parameter.isfinite().all()
