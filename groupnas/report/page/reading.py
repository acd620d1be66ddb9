"""Run folders as they are found: what cannot be read becomes a note, never an exception."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from groupnas.errors import InputError
from groupnas.files import read_text
from groupnas.grouping import Grouping
from groupnas.report.page.model import Note
from groupnas.runs.folder import CONFIG, FOUND, HISTORY, RESULT, RunFolder
from groupnas.runs.records import Epoch, check_follows
from groupnas.saved import Saved, parse_records, read_saved

# What writes a damaged file anew: a checkpoint has all that these say.
_RESUME = "resuming the run writes it anew"
_REMEDIES = {
    HISTORY: _RESUME,
    RESULT: _RESUME,
    FOUND: _RESUME,
    "model.json": "groupnas train --resume writes it anew",
    "scores.json": "groupnas eval writes it anew",
}


class Reader:
    """Reads the files of one folder and keeps notes of what it could not read.

    Args:
        path: The folder.
        notes: Where notes go; another reader's, to share them.
    """

    def __init__(self, path: Path, notes: list[Note] | None = None) -> None:
        self.path = path
        self.notes: list[Note] = [] if notes is None else notes

    def note(self, name: str, text: str) -> None:
        """Keep a note of a file."""
        where = str(self.path / name) if name else str(self.path)
        self.notes.append(Note(where, text))

    def inside(self, name: str) -> Reader:
        """A reader of a folder in this one, with the same notes."""
        return Reader(self.path / name, self.notes)

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return (self.path / name).is_file()

    def config(self) -> dict[str, Any]:
        """``config.yaml``, or nothing."""
        if not self.has(CONFIG):
            self.note(CONFIG, "is missing: settings, environment and command are not known")
            return {}
        try:
            return RunFolder(self.path).read_config()
        except InputError as error:
            self._fault(CONFIG, error)
            return {}

    def json(self, name: str, otherwise: str = "") -> dict[str, Any]:
        """A JSON object, or nothing; ``otherwise`` is the note where the file is missing."""
        if not self.has(name):
            if otherwise:
                self.note(name, f"is missing: {otherwise}")
            return {}
        try:
            return dict(read_saved(self.path / name, Saved))
        except InputError as error:
            self._fault(name, error)
        return {}

    def grouping(self, name: str, otherwise: str = "") -> Grouping | None:
        """A grouping, or none; ``otherwise`` is the note where the file is missing."""
        if not self.has(name):
            if otherwise:
                self.note(name, f"is missing: {otherwise}")
            return None
        try:
            return Grouping.load(self.path / name)
        except InputError as error:
            self._fault(name, error)
            return None

    def history(self) -> list[dict[str, Any]]:
        """Records of the epochs up to the first damaged line."""
        if not self.has(HISTORY):
            self.note(HISTORY, "is missing: there are no epochs to show")
            return []
        try:
            text = read_text(self.path / HISTORY)
        except InputError as error:
            self._fault(HISTORY, error)
            return []
        records: list[dict[str, Any]] = []
        try:
            for record in parse_records(text, HISTORY, Epoch):
                check_follows(record, records, HISTORY)
                records.append(record)
        except InputError:
            place = f"line {len(records) + 1} is damaged"
            self.note(HISTORY, f"{place}: the epochs before it are shown; {_RESUME}")
        return records

    def _fault(self, name: str, error: InputError) -> None:
        text = " ".join(str(error).split()).removeprefix(f"{self.path / name}:").strip()
        if text.startswith("format:"):
            text += ", so that another version of groupnas wrote it"
        self._left_out(name, f"line {text}" if text[:1].isdigit() else text)

    def _left_out(self, name: str, text: str) -> None:
        remedy = _REMEDIES.get(name)
        self.note(name, f"{text}; left out{f'; {remedy}' if remedy else ''}")


def called(records: Sequence[Mapping[str, Any]]) -> str:
    """What a run's records are of: of trials where they number them, else of epochs."""
    return "trial" if any("trial" in record for record in records) else "epoch"


def numbers(table: Any) -> dict[str, float]:
    """The entries of a table that are finite numbers; nothing, if it is no table."""
    if not isinstance(table, Mapping):
        return {}
    return {str(key): value for key, value in table.items() if is_number(value)}


def is_number(value: Any) -> bool:
    """Whether a value of a JSON file is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def mapping(value: Any) -> dict[str, Any]:
    """The value where it is a mapping, else nothing."""
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}


def flat(value: Any, path: str = "") -> dict[str, str]:
    """Nested settings as dotted keys and short texts; a grouping becomes one line."""
    if isinstance(value, Mapping) and {"groups", "units"} <= set(value):
        return {path: f"a grouping of {len(mapping(value['units']))} units"}
    if isinstance(value, Mapping) and value:
        found: dict[str, str] = {}
        for key, item in value.items():
            found.update(flat(item, f"{path}.{key}" if path else str(key)))
        return found
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return {path: text if len(text) <= 200 else text[:199] + "…"}
