"""What the files of runs hold, format by format: every reader of one checks it by these."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from groupnas.errors import InputError
from groupnas.saved import Saved, read_records

Finite = Annotated[float, Field(allow_inf_nan=False)]
Table = Annotated[dict[str, float], Field(min_length=1)]  # by part
Costs = Annotated[dict[str, Finite], Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]
Sizes = dict[str, list[Count]]  # channels by unit and group


class Epoch(Saved):
    """A record of ``history.jsonl``, of any job."""

    epoch: Annotated[int, Field(ge=1)]


class SearchEpoch(Epoch):
    """Of any search."""

    steps: Count


class TrainingEpoch(Epoch):
    """Of the training of one network."""

    train_loss: float
    train_error: Table | None = None
    validation: Annotated[dict[str, float], Field(min_length=2)]


class MaskEpoch(Epoch):
    """Of a mask search."""

    phase: Literal["warmup", "search"]
    train_loss: float
    mask_loss: float | None
    temperature: float
    entropy: float
    changed: float
    moved: float
    channels: Costs
    macs: Costs
    health: list[str]


class Sides(Saved):
    """``split.json``: the sources on either side."""

    train: list[str]
    validation: list[str]


class Timing(Saved):
    """A record of ``timings.jsonl``."""

    epoch: Annotated[int, Field(ge=1)]
    cpu_seconds: Annotated[Finite, Field(ge=0)]


def check_follows(
    record: Mapping[str, Any], before: Sequence[Mapping[str, Any]], origin: str
) -> None:
    """Raise :class:`InputError` where an epoch is not after those before it."""
    if before and record["epoch"] <= before[-1]["epoch"]:
        raise InputError(
            f"{origin}, line {len(before) + 1}: epoch {record['epoch']} does not follow epoch "
            f"{before[-1]['epoch']}"
        )


def read_epochs(path: str | os.PathLike[str], model: type[Epoch] = Epoch) -> list[dict[str, Any]]:
    """The records of a ``history.jsonl``, one an epoch, in order.

    Raises:
        InputError: the file cannot be read, or holds no epoch; or a line is damaged, not of such a
            run, or its epoch not after the one before.
    """
    found: list[dict[str, Any]] = []
    for record in read_records(path, model):
        check_follows(record, found, os.fspath(path))
        found.append(record)
    if not found:
        raise InputError(f"{os.fspath(path)}: holds no epoch yet; expected one JSON object a line")
    return found
