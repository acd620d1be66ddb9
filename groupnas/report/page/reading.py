"""One folder of a run of any kind, read as far as it goes: what cannot be read becomes a note."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from groupnas.engine.recorded import recorded_by
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.report.page.model import Note, PageRun, TetrisData
from groupnas.runs.begin import BEGUN, again
from groupnas.runs.fields import RECORDS, Chart, Recorded, findings
from groupnas.runs.folder import CONFIG, FOUND, HISTORY, RESULT, SPACE, RunFolder
from groupnas.runs.records import read_epochs
from groupnas.saved import Saved, read_saved
from groupnas.spaces.space import SearchSpace, load_space

T = TypeVar("T")

# What writes a damaged file anew: a checkpoint has all that these say.
_RESUME = "resuming the run writes it anew"
_REMEDIES = {
    HISTORY: _RESUME,
    RESULT: _RESUME,
    FOUND: _RESUME,
    "model.json": "groupnas train --resume writes it anew",
    "scores.json": "groupnas eval writes it anew",
}
_SURROUNDINGS = ("versions", "device", "threads", BEGUN)


class Reader:
    """The files of a folder, each read once, and notes of what could not be read.

    Args:
        path: The folder.
        notes: Where notes go; another reader's, to share them.
    """

    def __init__(self, path: Path, notes: list[Note] | None = None) -> None:
        self.path = path
        self.notes: list[Note] = [] if notes is None else notes

    def note(self, name: str, text: str) -> None:
        """Keep a note of a file."""
        self.notes.append(Note(str(self.path / name), text))

    def inside(self, name: str) -> Reader:
        """A reader of a folder in this one, with the same notes."""
        return Reader(self.path / name, self.notes)

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return (self.path / name).is_file()

    def read(self, name: str, load: Callable[[Path], T], otherwise: str = "") -> T | None:
        """What a file holds, or nothing; ``otherwise`` is the note where it is missing."""
        if not self.has(name):
            if otherwise:
                self.note(name, f"is missing: {otherwise}")
            return None
        try:
            return load(self.path / name)
        except InputError as error:
            self._fault(name, error, "left out")
            return None

    def json(self, name: str, otherwise: str = "") -> dict[str, Any]:
        """A JSON object, or an empty one."""
        return dict(self.read(name, lambda path: read_saved(path, Saved), otherwise) or {})

    def grouping(self, name: str, otherwise: str = "") -> Grouping | None:
        """A grouping, or none."""
        return self.read(name, Grouping.load, otherwise)

    @cached_property
    def config(self) -> dict[str, Any]:
        """``config.yaml``, or nothing."""
        folder, otherwise = RunFolder(self.path), "settings, environment and command are not known"
        return self.read(CONFIG, lambda _: folder.read_config(), otherwise) or {}

    @cached_property
    def result(self) -> dict[str, Any]:
        """``result.json``, or nothing."""
        return self.json(RESULT)

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The epochs up to the first damaged line."""

        def damaged(error: InputError) -> None:
            self._fault(HISTORY, error, "the epochs before it are shown")

        otherwise = "there are no epochs to show"
        return (
            self.read(HISTORY, lambda path: read_epochs(path, on_damage=damaged), otherwise) or []
        )

    @cached_property
    def recorded(self) -> Recorded:
        """What the records hold."""
        found = Recorded()
        try:
            found = recorded_by(self.config, str(self.path / CONFIG))
        except InputError as error:
            self._fault(CONFIG, error, "charts show what numbers there are")
        unit = found.error_unit or str(self.result.get("error_unit", ""))
        return replace(found.filled(self.records), error_unit=unit)

    @cached_property
    def space(self) -> SearchSpace | None:
        """The space that the run was made in: the folder's own file, or the shipped one."""
        recorded = mapping(self.config.get("space"))
        own = [self.path / SPACE] if self.has(SPACE) else []
        reasons = []
        for name in map(str, [*own, *filter(None, [recorded.get("name")])]):
            try:
                space = load_space(name)
            except InputError as error:
                reasons.append(str(error))
                continue
            if space.fingerprint() == recorded.get("fingerprint"):
                return space
            reasons.append(f"{name} is not the space of this run any more")
        reason = reasons[0] if reasons else "config.yaml names none"
        self.note(
            "", f"MACs of layers are left out, since the search space was not found: {reason}"
        )
        return None

    @property
    def charts(self) -> tuple[Chart, ...]:
        """What is drawn of the records."""
        return self.recorded.charts(self.records)

    @property
    def health(self) -> tuple[tuple[str, str], ...] | None:
        """What the run said of itself, with the epoch or ``end``; what repeats, once.

        ``None`` where it does not watch itself.
        """
        if not self.recorded.health:
            return None
        said: dict[str, list[str]] = {}
        for when, told in [*((str(r["epoch"]), r) for r in self.records), ("end", self.result)]:
            for text in findings(told):
                said.setdefault(text, []).append(when)
        return tuple(
            (whens[0] if len(whens) == 1 else f"{whens[0]} to {whens[-1]} ({len(whens)} times)", t)
            for t, whens in said.items()
        )

    @property
    def state(self) -> str:
        """How far the epochs went, or trials, in a sentence."""
        done, step, planned = self.result.get("epochs"), self.recorded.step, self.recorded.planned
        done = done if type(done) is int else len(self.records)  # the history may be cut
        if self.has(RESULT):
            told = f"Finished after {done} {step}{'' if done == 1 else 's'}."
            return told if done else f"Finished; it takes no {step}s."
        of = "" if planned is None else f" of {planned}"
        now = "still runs" if RunFolder(self.path).held else "was stopped or killed"
        return f"Not finished: {done}{of} {step}s are done; it {now}."

    @property
    def environment(self) -> dict[str, str] | None:
        """Versions, device, threads and the beginning as recorded."""
        return surroundings(self.config)

    def run(self, name: str, kind: str, network: TetrisData | None = None, **told: Any) -> PageRun:
        """What a page shows of the folder: what is told, and what every kind has."""
        left = {k: v for k, v in self.config.items() if k not in (*_SURROUNDINGS, "task", RECORDS)}
        every: dict[str, Any] = {
            "groups": network.groups if network else (),
            "settings": flat(left) or None,
            "environment": self.environment,
            "data": flat(mapping(self.config.get("task"))) or None,
            "commands": again(self.config, self.path),
            "notes": tuple(self.notes),
        }
        folder = str(self.path)
        return PageRun(name=name, folder=folder, kind=kind, network=network, **{**every, **told})

    def _fault(self, name: str, error: InputError, done: str) -> None:
        """Note what is wrong with a file, what is done about it, and what the user can do."""
        text = " ".join(str(error).split()).removeprefix(str(self.path / name)).lstrip(":, ")
        if text.startswith("format:"):
            text += ", so that another version of groupnas wrote it"
        remedy = _REMEDIES.get(name)
        line = "line " if text[:1].isdigit() else ""
        self.note(name, f"{line}{text}; {done}{f'; {remedy}' if remedy else ''}")


def surroundings(config: Mapping[str, Any]) -> dict[str, str] | None:
    """What a run's result depends on besides its settings, as recorded."""
    return flat({key: config[key] for key in _SURROUNDINGS if key in config}) or None


def mapping(value: Any) -> dict[str, Any]:
    """The value where it is a mapping, else nothing."""
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}


def flat(value: Any, path: str = "") -> dict[str, str]:
    """Nested settings as dotted keys and short texts; a grouping becomes one line."""
    if isinstance(value, Mapping) and {"groups", "units"} <= set(value):
        return {path: f"a grouping of {len(mapping(value['units']))} units"}
    if isinstance(value, Mapping) and (value or not path):
        found: dict[str, str] = {}
        for key, item in value.items():
            found.update(flat(item, f"{path}.{key}" if path else str(key)))
        return found
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return {path: text if len(text) <= 200 else text[:199] + "…"}
