"""The settings of the strategy ``nni``, which need no NNI."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from groupnas.errors import InputError
from groupnas.schema import validate
from groupnas.strategies.nni.settings import Nni

SETTINGS = {
    "title": "test",
    "trials": 2,
    "epochs": 1,
    "batch_size": 8,
    "validation": 0.3,
    "weights": {"lr": 0.01},
}


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"levels": 4}, "odd number"),
        ({"levels": 1}, "levels"),
        ({"population": 2, "tournament": 3}, "at most the population, 2"),
        ({"exploration": "darts"}, "exploration"),
        ({"mutation": 0}, "mutation"),
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        validate(Nni, {**SETTINGS, **wrong}, "mine.yaml")


def test_without_nni_says_what_to_install(
    shapes_space: Any, shapes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nni", None)
    for module in ("space", "proposer"):
        monkeypatch.delitem(sys.modules, f"groupnas.strategies.nni.{module}", raising=False)
    strategy = validate(Nni, SETTINGS, "mine.yaml")
    with pytest.raises(InputError, match=r"'groupnas\[nni\]'") as raised:
        strategy.start(shapes_space, shapes)
    assert "\n" not in str(raised.value)
