"""Kinds of runs: how a folder is recognised, how far its run came, and which commands take it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from groupnas.errors import InputError
from groupnas.formats import check_folder
from groupnas.runs.folder import CONFIG, HISTORY, INITIAL, RESULT, RunFolder
from groupnas.saved import Saved, read_saved

State = Literal["running", "stopped", "finished", "damaged"]

_STATES: dict[State, str] = {
    "running": "that still runs",
    "stopped": "that was stopped",
    "finished": "that has ended",
    "damaged": "that is damaged",
}
_LOOKED_AT = 100  # folders in a folder that is no run


@dataclass(frozen=True)
class Use:
    """A command's use of the folder of a run.

    Attributes:
        command: What follows ``groupnas``, e.g. ``"train --resume"``.
        does: Completes a sentence, ``"draws it"``; empty where it is no use for every such run.
        states: Those in which there is something to do.
    """

    command: str
    does: str = ""
    states: tuple[State, ...] = ("running", "stopped", "finished", "damaged")


@dataclass(frozen=True)
class Kind:
    """A kind of run.

    Attributes:
        name: One word.
        title: The same with its article, as messages have it.
        key: What ``config.yaml`` of no kind before it in :data:`KINDS` has; empty where the kind
            has no ``config.yaml``.
        signs: Patterns of files, each of which tells the kind where ``config.yaml`` does not.
        last: The file that is written when the run ends; empty where that is one for each network.
        uses: What commands do with its folder.
    """

    name: str
    title: str
    key: str
    signs: tuple[str, ...]
    last: str
    uses: tuple[Use, ...]

    def read(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Return ``config.yaml`` of a folder of this kind.

        Raises:
            InputError: there is none, it is damaged, or of another kind.
        """
        folder = RunFolder(path)
        config = folder.read_config() if folder.exists else None
        if kind_of(folder.path, config) is not self:
            raise refusal(folder.path, [self])
        if config is None:
            raise InputError(f"{folder / CONFIG}: is missing; start again in a new folder")
        return config

    def check_free(self, path: str | os.PathLike[str]) -> None:
        """Raise :class:`InputError` where a run of this kind cannot begin: one is there already.

        So it is where what is named is a file.
        """
        folder = RunFolder(path)
        check_folder(folder.path, "a run")
        kind = kind_of(folder.path)
        if folder.exists and kind is self:
            raise InputError(
                f"{folder.path}: holds a run already; --resume goes on, another --out begins"
            )
        if folder.exists or kind not in (None, self):  # its own may have been killed at its start
            raise InputError(f"{folder.path}: {describe(folder.path)}; another --out begins a run")

    def state(self, path: str | os.PathLike[str]) -> State:
        """Return how far the run in a folder of this kind came."""
        folder = RunFolder(path)
        if folder.held:
            return "running"
        try:
            config = folder.read_config() if folder.exists else {}
            if self._ended(folder, config):
                return "finished"
        except (InputError, LookupError, TypeError):
            return "damaged"
        return "stopped" if config else "damaged"

    def _ended(self, folder: RunFolder, config: Mapping[str, Any]) -> bool:
        if self.last:
            there = os.path.exists(folder / self.last)
            return there and read_saved(folder / self.last, Saved) is not None  # or it is damaged
        lists = (config[key] for key in ("strategies", "seeds", "budgets"))
        strategies, seeds, budgets = map(len, lists)
        done = sum(1 for _ in folder.path.glob("train/*/cell.json")) + config.get("elsewhere", 0)
        return done >= strategies * seeds * budgets


_WAITING: tuple[State, ...] = ("stopped",)
_ENDED: tuple[State, ...] = ("finished",)
_REPORT, _PAPER = Use("report", "shows it"), Use("report --paper")

SEARCH = Kind(
    name="search",
    title="a search",
    key="strategy",
    signs=(INITIAL,),
    last=RESULT,
    uses=(
        Use("search --resume", "goes on with it", _WAITING),
        Use("plot", "draws it"),
        Use("plot --kind history"),  # of masks
        Use("plot --kind curves"),  # of a knapsack
        Use("plot --kind trajectory"),  # of a pruning
        Use("ceiling", states=_ENDED),  # of one that measures groups at several costs
        _REPORT,
        _PAPER,
    ),
)
TRAINING = Kind(
    name="training",
    title="a training",
    key="training",
    signs=(HISTORY, RESULT),
    last=RESULT,
    uses=(Use("plot --kind training", "draws it"), _REPORT),
)
# Networks that are trained stage by stage, each in a folder of its own.
CASCADE = Kind(
    name="cascade",
    title="a cascade",
    key="recipe",
    signs=("model.json", "global/config.yaml", "local/config.yaml"),
    last="model.json",
    uses=(
        Use("train --resume", "goes on with it", _WAITING),
        Use("eval --model", "scores it", _ENDED),
        Use("predict --model", "runs it", _ENDED),
        Use("export", "exports it", _ENDED),
        Use("plot --kind training", "draws its trainings"),
        _REPORT,
        Use("report --paper", states=_ENDED),
    ),
)
# Cascades of several sizes, each in a folder of its own.
FAMILY = Kind(
    name="family",
    title="a family of cascades",
    key="family",
    signs=("family.json", "pruned/*.json"),
    last="family.json",
    uses=(
        Use("train --resume", "goes on with it", _WAITING),
        _REPORT,
    ),
)
COMPARISON = Kind(
    name="comparison",
    title="a comparison",
    key="strategies",
    signs=("search/*-s*/config.yaml", "train/*-s*-b*/config.yaml"),
    last="",
    uses=(
        Use("compare --resume", "goes on with it", _WAITING),
        Use("compare", "prints it"),
        Use("ceiling"),  # of one with even groups at several budgets
        _REPORT,
        _PAPER,
    ),
)
EVALUATION = Kind(
    name="evaluation",
    title="an evaluation",
    key="",
    signs=("scores.json",),
    last="scores.json",
    uses=(_REPORT, _PAPER),
)

KINDS = (COMPARISON, FAMILY, CASCADE, EVALUATION, SEARCH, TRAINING)


def kind_of(path: str | os.PathLike[str], config: Mapping[str, Any] | None = None) -> Kind | None:
    """Return the kind of run that left a folder, however far it came; ``None`` where none did.

    Args:
        path: The folder.
        config: Its ``config.yaml``, where that was read already.
    """
    folder = RunFolder(path)
    if config is None and folder.exists:
        with suppress(InputError):  # its other files may tell
            config = folder.read_config()
    for kind in KINDS:
        if kind.key and kind.key in (config or {}):
            return kind
    signs = ((kind, sign) for kind in KINDS for sign in kind.signs)
    return next((kind for kind, sign in signs if _any(folder.path, sign)), None)


def expect(command: str, path: str | os.PathLike[str]) -> Kind:
    """Return the kind of a folder that a command was given.

    Args:
        command: What follows ``groupnas``, as a :class:`Use` has it.
        path: The folder.

    Raises:
        InputError: the command can do nothing with it; says what it is, and what can.
    """
    wanted = [kind for kind in KINDS if any(use.command == command for use in kind.uses)]
    kind, folder = kind_of(path), RunFolder(path)
    if kind is None and folder.exists:
        folder.read_config()  # where it is damaged, that says more
    if kind is None or kind not in wanted:
        raise refusal(path, wanted)
    return kind


def describe(path: str | os.PathLike[str], wanted: Sequence[Kind] = ()) -> str:
    """Say what a folder is and what can be done with it, to go behind its name in an error.

    Args:
        path: The folder.
        wanted: What it should be: of a folder that holds runs, those are named first.
    """
    if kind := kind_of(path):
        other = f", not of {_any_of(wanted)}" if wanted and kind not in wanted else ""
        state = kind.state(path)
        uses = [use for use in kind.uses if use.does and state in use.states]
        listed = ", ".join(f"`groupnas {use.command}` {use.does}" for use in uses)
        return f"is the folder of {kind.title} {_STATES[state]}{other}; {listed}"
    if RunFolder(path).exists:
        return f"has a {CONFIG} that is of no kind of run"
    try:
        inside = [entry for entry in islice(Path(path).iterdir(), _LOOKED_AT) if entry.is_dir()]
    except FileNotFoundError:
        return "does not exist"
    except NotADirectoryError:
        return "is a file"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    kinds = {entry.name: kind for entry in inside if (kind := kind_of(entry))}
    names = sorted(kinds, key=lambda name: (kinds[name] not in wanted, name))
    if not names:
        return "holds no run"
    some = ", ".join(f"{name} ({kinds[name].title})" for name in names[:3])
    return f"is no run's folder, but has some in it: {some}{' ...' if len(names) > 3 else ''}"


def refusal(path: str | os.PathLike[str], wanted: Sequence[Kind]) -> InputError:
    """Return the error for a folder that is not of a wanted kind, or whose run has not ended."""
    what, kind = describe(path, wanted), kind_of(path)
    if kind is None:
        what += f"; expected the folder of {_any_of(wanted)}"
    elif kind in wanted:
        what += "; expected one that has ended"
    return InputError(f"{os.fspath(path)}: {what}")


def _any_of(kinds: Sequence[Kind]) -> str:
    *others, last = (kind.title for kind in kinds)
    return f"{', '.join(others)} or {last}" if others else last


def _any(folder: Path, pattern: str) -> bool:
    try:
        return any(True for _ in folder.glob(pattern))
    except OSError:
        return False
