"""The contents of a run's records, by its ``config.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from groupnas.engine.strategy import strategy_from
from groupnas.engine.training_settings import Training
from groupnas.errors import InputError
from groupnas.runs.fields import RECORDS, Recorded
from groupnas.schema import validate


def recorded_by(config: Mapping[str, Any], origin: str) -> Recorded:
    """Return what the records of a run hold: by its own word, else by its strategy or training.

    It has no fields where neither is known: of an older run, of a strategy that is not installed.

    Args:
        config: Its ``config.yaml``.
        origin: That file, named in errors.

    Raises:
        InputError: what it says is damaged.
    """
    if RECORDS in config:
        return Recorded.from_dict(config[RECORDS], f"{origin}: is damaged")
    with suppress(InputError):
        if "training" in config:
            return validate(Training, config["training"], "training").recorded()
        return strategy_from(config.get("strategy"), "strategy").recorded()
    return Recorded()
