"""Fields that a run records of its epochs, and their display: declared by its strategy."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, create_model

from groupnas.errors import InputError
from groupnas.runs.records import Epoch
from groupnas.saved import Saved
from groupnas.schema import validate

RECORDS = "records"  # the key of config.yaml
ERROR = "error"  # as a unit: the task's own, of its errors

_COLUMNS = 17  # of one table, in progress: more do not fit a line
ReadRecord = Mapping[str, Any]


@dataclass(frozen=True)
class RecordField:
    """One thing that the records of epochs hold.

    Attributes:
        key: In the record, where it may be missing or null; also its column in progress.
        title: What people call it, in plots and on the page.
        unit: Of its numbers; ``groupnas.runs.fields.ERROR`` stands for the task's.
        each: Empty for one number; ``"group"`` for a table with one a group, and perhaps the
            ``"mean"``; ``"name"`` for a table by other names.
        chart: Title of the chart that it shares with other fields; by default it has its own.
        drawn: Whether it is drawn.
        shown: Whether progress prints it.
        format: Of fractions in progress, as :func:`format` takes it.
        gap: Stands in progress for a null.
    """

    key: str
    title: str
    unit: str = ""
    each: Literal["", "group", "name"] = ""
    chart: str = ""
    drawn: bool = True
    shown: bool = True
    format: str = "#.4g"
    gap: str = ""

    def __post_init__(self) -> None:
        try:
            format(1.0, self.format)
        except ValueError as error:
            raise InputError(f"field {self.key!r}: format: {error}; expected e.g. '.3f'") from error

    def numbers(self, record: ReadRecord) -> dict[str, float]:
        """Return the finite numbers that a record has of it, by group or name, or by its title."""
        value = record.get(self.key)
        return numbers(value) if self.each else numbers({self.title: value})

    def cells(self, record: ReadRecord) -> Iterator[tuple[str, str]]:
        """Yield columns and texts of a record in progress; none where it lacks the key.

        A table of one group and the mean, which is the same, has one column; so has one of more
        groups than a line holds.
        """
        value = record.get(self.key)
        if self.each:
            table = dict(value) if isinstance(value, Mapping) else {}
            if "mean" in table and (len(table) == 2 or len(table) > _COLUMNS):
                table = {self.key: table["mean"]}
        else:
            table = {self.key: value} if self.key in record else {}
        for name, entry in table.items():
            number = isinstance(entry, float)
            text = self.gap if entry is None else f"{entry:{self.format}}" if number else str(entry)
            yield name, text


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Numbers over epochs, drawn together.

    Attributes:
        title: Says what they are, with their unit.
        epochs: ``(N,)``.
        lines: Name to ``(N,)`` numbers or gaps.
        unit: Of the numbers.
        groups: Whether the names are groups, which have colours of their own.
        step: The name of an epoch, as of :class:`Recorded`.
    """

    title: str
    epochs: Sequence[int]
    lines: Mapping[str, Sequence[float | None]]
    unit: str = ""
    groups: bool = False
    step: str = "epoch"


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The description of a run's records, known before it begins.

    Beside its fields a record may have ``health`` (a list of findings), ``phase`` (a word) and
    ``sizes`` (channels by unit and group).

    Attributes:
        fields: In the order in which they are shown.
        step: The name of what a record is of: an ``epoch``, or a ``trial``.
        planned: How many there will be; ``None`` where that is not known.
        health: Whether the run watches itself.
        sizes: Whether the records have sizes, and which: as the ``"epoch"`` left them, or the
            ``"best"`` so far.
        phases: Phases that pictures shade, and their names in them.
        plots: Kinds of ``groupnas plot`` that show such a run.
        error_unit: The task's, of errors; empty where it is not known yet.
    """

    fields: tuple[RecordField, ...] = ()
    step: str = "epoch"
    planned: Annotated[int, Field(ge=0)] | None = None
    health: bool = False
    sizes: Literal["", "epoch", "best"] = ""
    phases: Mapping[str, str] = dataclasses.field(default_factory=dict)
    plots: tuple[str, ...] = ("history",)
    error_unit: str = ""

    def filled(self, records: Sequence[ReadRecord]) -> Recorded:
        """Return itself, or if it has no fields, one with all numbers and tables of some records.

        Nothing else is known of a strategy that declares no fields.
        """
        if self.fields:
            return self
        found: dict[str, RecordField] = {}
        for record in records:
            for key, value in record.items():
                if numbers({key: value}):
                    found[key] = RecordField(key, key.replace("_", " "))
                elif numbers(value):
                    found[key] = RecordField(key, key.replace("_", " "), each="name", shown=False)
        found.pop("epoch", None)
        sized = any("sizes" in record for record in records)
        return replace(
            self,
            fields=tuple(found.values()),
            health=self.health or any("health" in record for record in records),
            sizes=self.sizes or ("epoch" if sized else ""),
        )

    @classmethod
    def from_dict(cls, data: Any, origin: str) -> Recorded:
        """Undo :meth:`to_dict`; raises :class:`InputError` where it is something else."""
        return validate(_Records, {RECORDS: data}, origin).records

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, without those that are as by default."""
        return {**_told(self), "fields": [_told(field) for field in self.fields]}

    def model(self) -> type[Epoch]:
        """Return the model that checks a record: its fields, where present, hold numbers."""
        types: dict[str, Any] = {"": float | None, "group": dict[str, float | None] | None}
        types["name"] = types["group"]
        known = [(field.key, types[field.each]) for field in self.fields]
        known += [("phase", str | None), ("health", list[str])]
        # Under names of their own: a key may be what pydantic has another use for.
        members = {
            f"field{place}": (kind, Field(default=None, alias=key))
            for place, (key, kind) in enumerate(known)
        }
        return create_model("RecordedEpoch", __base__=Epoch, **members)  # type: ignore[call-overload]

    def charts(self, records: Sequence[ReadRecord]) -> tuple[Chart, ...]:
        """Return charts of the drawn fields that the records, one an epoch, have numbers of."""
        shared: dict[str, list[RecordField]] = {}
        for field in self.fields:
            if field.drawn:
                shared.setdefault(field.chart or field.title, []).append(field)
        epochs = [record["epoch"] for record in records]
        made = []
        for title, fields in shared.items():
            lines: dict[str, list[float | None]] = {}
            for field in fields:
                tables = [field.numbers(record) for record in records]
                head = f"{field.title}: " if field.each and len(fields) > 1 else ""
                for name in dict.fromkeys(name for table in tables for name in table):
                    lines[head + name] = [table.get(name) for table in tables]
            if lines:
                of = self.error_unit if fields[0].unit == ERROR else fields[0].unit
                made.append(
                    Chart(
                        title=f"{title}, {of}" if of else title,
                        epochs=epochs,
                        lines=lines,
                        unit=of,
                        groups=fields[0].each == "group" and len(fields) == 1,
                        step=self.step,
                    )
                )
        return tuple(made)


def is_number(value: Any) -> bool:
    """Return whether a value of a JSON file is a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds, and no picture
        return False


def numbers(table: Any) -> dict[str, float]:
    """Return the entries of a table that are finite numbers; nothing, if it is no table."""
    if not isinstance(table, Mapping):
        return {}
    return {str(key): value for key, value in table.items() if is_number(value)}


def findings(told: ReadRecord) -> list[str]:
    """Return the texts under ``health`` of a record or a result."""
    found = told.get("health")
    return [str(text) for text in found] if isinstance(found, list) else []


class _Records(Saved):
    model_config = ConfigDict(strict=False)  # else of instances only

    records: Recorded


def _told(value: RecordField | Recorded) -> dict[str, Any]:
    members = {member.name: member for member in dataclasses.fields(value)}
    default = Recorded() if isinstance(value, Recorded) else RecordField("", "")
    told = {name: getattr(value, name) for name in members}
    needed = {"key", "title"}  # empty or not
    kept = {
        name: entry
        for name, entry in told.items()
        if name in needed or entry != getattr(default, name)
    }
    return {
        name: list(entry) if isinstance(entry, tuple) else entry for name, entry in kept.items()
    }
