"""What the files of runs hold, format by format: every reader of one checks it by these."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from groupnas.errors import InputError
from groupnas.saved import Saved, read_records

Finite = Annotated[float, Field(allow_inf_nan=False)]
PartValues = Annotated[dict[str, float], Field(min_length=1)]  # by part
Costs = Annotated[dict[str, Finite], Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]
Sizes = dict[str, list[Count]]  # channels by unit and group


class Epoch(Saved):
    """A record of ``history.jsonl``, of any job."""

    epoch: Annotated[int, Field(ge=1)]


class SearchEpoch(Epoch):
    """Of any search."""

    steps: Count


class Sides(Saved):
    """``split.json``: the sources on either side."""

    train: list[str]
    validation: list[str]


class EpochTiming(Saved):
    """A record of ``timings.jsonl``."""

    epoch: Annotated[int, Field(ge=1)]
    cpu_seconds: Annotated[Finite, Field(ge=0)]


def read_epochs(
    path: str | os.PathLike[str],
    model: type[Epoch] = Epoch,
    on_damage: Callable[[InputError], None] | None = None,
) -> list[dict[str, Any]]:
    """Read the records of a ``history.jsonl``, one an epoch, in order; none where it is empty.

    Args:
        path: The file.
        model: What each record must hold.
        on_damage: Told the error below instead of its being raised: the epochs before the damage
            are returned.

    Raises:
        InputError: the file cannot be read; a line is damaged, not of such a run, or its epoch not
            after the one before.
    """
    found: list[dict[str, Any]] = []
    try:
        for record in read_records(path, model):
            if found and record["epoch"] <= found[-1]["epoch"]:
                raise InputError(
                    f"{os.fspath(path)}, line {len(found) + 1}: epoch {record['epoch']} does not "
                    f"follow epoch {found[-1]['epoch']}"
                )
            found.append(record)
    except InputError as error:
        if on_damage is None:
            raise
        on_damage(error)
    return found


def read_begun(path: str | os.PathLike[str], model: type[Epoch] = Epoch) -> list[dict[str, Any]]:
    """Read as :func:`read_epochs`; an :class:`InputError` also where there is no epoch yet."""
    found = read_epochs(path, model)
    if not found:
        raise InputError(f"{os.fspath(path)}: holds no epoch yet; expected one JSON object a line")
    return found
