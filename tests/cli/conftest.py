"""What commands share: curves behind them are fitted in a tenth of the steps."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial

import pytest

import groupnas.ceilings  # noqa: F401  (its function has the name of the module that is patched)
from groupnas.ceilings.curves import fit_curves


@pytest.fixture(autouse=True)
def _roughly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = sys.modules["groupnas.ceilings.ceiling"]
    monkeypatch.setattr(module, "fit_curves", partial(fit_curves, steps=250))
    yield
