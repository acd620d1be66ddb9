"""Begin a run or resume one: the order, what is recorded, and what must not change."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groupnas._version import __version__
from groupnas.errors import InputError, escaped, shown
from groupnas.machine import machine
from groupnas.runs.folder import CONFIG, SPACE, RunFolder
from groupnas.runs.kinds import Kind
from groupnas.saved import Saved
from groupnas.schema import validate

if TYPE_CHECKING:
    from groupnas.spaces.space import SearchSpace
    from groupnas.task import Task

command: ContextVar[Sequence[str]] = ContextVar("command", default=())
"""The words of the command that runs, for the run that it begins; none in Python."""

BEGUN = "begun"  # key of config.yaml: where and by which command the run began

# Keys of a budget that were renamed: old name of each. Checkpoints of older runs have the old ones.
OLD_NAMES = {"divisor": "multiple", "groups": "parts"}
_NEW_NAMES = {old: new for new, old in OLD_NAMES.items()}

# Of a URL, which may stand in a command: what is recorded is shown and passed on.
_PASSWORD = re.compile(r"(://[^/@:]*:).*(?=@)|([?&]password=)[^&]*")

# Keys that tell one run from another.
_IDENTITY = ("space", "task", "seed", "strategy", "training")


class Begun(Saved):
    """The record of a beginning, as far as it is read back.

    Attributes:
        command: Words of the command; none where it was called from Python.
        then: Of those that gave the run more to do.
    """

    command: list[str]
    then: list[list[str]] = []


class Beginning:
    """A run that begins in a free folder, or resumes in its own.

    The order is the same for all kinds of runs: a folder that will not do is refused first; then
    the caller makes the job, which is refused where it is not what the folder holds; only then is
    the folder made and locked. So a mistake leaves no folder behind.

    Args:
        kind: Of the run.
        out: Its folder.
        resume: Whether it resumes.

    Attributes:
        folder: Its files.
        recorded: ``config.yaml`` of the run that resumes; ``None`` where one begins.

    Raises:
        InputError: there is a run already, or none to resume.
    """

    def __init__(self, kind: Kind, out: str | os.PathLike[str], resume: bool) -> None:
        self.kind, self.folder = kind, RunFolder(out)
        self.recorded = kind.read(out) if resume else None
        if self.recorded is None:
            kind.check_free(out)

    def check(self, config: Mapping[str, Any], same: Sequence[str]) -> None:
        """Raise :class:`InputError` where a resumed run is not what it was in some keys."""
        self.folder.identity = identity(config)
        if self.recorded is not None:
            check_same(self.recorded, config, same, self.folder)

    @contextmanager
    def locked(
        self, config: Mapping[str, Any], prepare: Callable[[bool], object]
    ) -> Iterator[None]:
        """Hold the folder, with all in it that the run needs to be resumed.

        Runs that begin inside belong to this one: they record no command.

        Args:
            config: What ``config.yaml`` is to hold besides versions and surroundings.
            prepare: Told whether the run begins: writes its other files then, and else reads them.

        Raises:
            InputError: another process holds the folder, or has begun a run there meanwhile.
        """
        with self.folder.locked():
            begins = self.recorded is None
            if begins:
                self.kind.check_free(self.folder.path)  # another process may have been faster
            prepare(begins)
            if begins:
                # Last, since it makes the folder a run: all that it resumes from is there.
                self.folder.write_config({**config, **origin()})
            words = command.set(())
            try:
                yield
            finally:
                command.reset(words)

    def widen(self, config: Mapping[str, Any]) -> None:
        """Replace ``config.yaml`` of a run that resumes with more to do than it was begun with.

        What was recorded at its beginning stays, and the command that widens it is added.
        """
        recorded = self.recorded or {}
        kept = {key: recorded[key] for key in ("versions", BEGUN) if key in recorded}
        widened = any(recorded.get(key) != value for key, value in config.items())
        if widened and command.get() and (begun := _begun(recorded)):
            kept[BEGUN] = {**kept[BEGUN], "then": [*begun.then, _words()]}
        self.folder.write_config({**config, **kept})


def again(config: Mapping[str, Any], folder: Path) -> tuple[tuple[str, ...], ...]:
    """Return the recorded commands that make a run again, in a free folder beside its own.

    Args:
        config: What was recorded with :func:`origin`.
        folder: The run's.

    Returns:
        Words of each command; none where none was recorded.
    """
    begun = _begun(config)
    commands = [begun.command, *begun.then] if begun and begun.command else []
    return tuple(tuple(_freed(words, f"{folder}-again")) for words in commands)


def origin() -> dict[str, Any]:
    """Return plain values, for ``config.yaml``, that say where and by which command a run begins.

    Under :data:`BEGUN`, ``command`` has its words, none where it was called from Python;
    ``directory`` is where it works, ``data_root`` what ``GROUPNAS_DATA`` says, ``processor`` the
    system and its processor.
    """
    root, here = os.environ.get("GROUPNAS_DATA"), None
    with suppress(OSError):  # the working directory is not there any more
        here = _text(os.getcwd())
    begun = {
        "command": _words(),
        "directory": here,
        "data_root": root and _text(root),
        "processor": _text(machine()),
    }
    return {"versions": versions(), BEGUN: begun}


def _begun(config: Mapping[str, Any]) -> Begun | None:
    try:
        return validate(Begun, config.get(BEGUN), BEGUN)
    except InputError:  # an older version recorded none, or it is damaged
        return None


def _freed(words: Sequence[str], out: str) -> list[str]:
    """Return the words of a command with another ``--out``."""
    split = [word.split("=", 1) if word.startswith("--out=") else [word] for word in words]
    found = [piece for pieces in split for piece in pieces]
    at = found.index("--out") if "--out" in found else len(found)
    return [*found[:at], "--out", out, *found[at + 2 :]]


def _words() -> list[str]:
    return [_PASSWORD.sub(r"\1\2***", _text(word)) for word in command.get()]


def _text(value: str) -> str:
    """Return the text as files hold it: odd bytes of names are escaped."""
    return re.sub("[\0\ud800-\udfff]", lambda found: escaped(found[0]), value)


def versions() -> dict[str, str]:
    """Return the versions that a result may depend on."""
    import torch

    return {
        "groupnas": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def describe_task(task: Task) -> dict[str, Any]:
    """Return what identifies a task in ``config.yaml``."""
    # numpy's texts are of a class that YAML does not know
    name, fingerprint = str(task.name), str(task.fingerprint())
    return {"name": name, "samples": len(task.sources), "fingerprint": fingerprint}


def describe_space(space: SearchSpace) -> dict[str, Any]:
    """Return what identifies a space in ``config.yaml``."""
    return {"name": space.name, "fingerprint": space.fingerprint()}


def recorded_space(path: str | os.PathLike[str]) -> SearchSpace:
    """Return the space that a run searches, from its folder alone.

    The file that it was started with may have changed or gone since.

    Raises:
        InputError: there is no run, or its records are damaged.
    """
    from groupnas.spaces.space import load_space  # it takes longer than all else here

    folder = RunFolder(path)
    recorded = folder.read_config().get("space")
    name = recorded.get("name") if isinstance(recorded, dict) else None
    if not isinstance(name, str):
        raise InputError(f"{folder / CONFIG}: space.name: expected a name, got {name!r}")
    return replace(load_space(folder / SPACE), name=name)


def identity(config: Mapping[str, Any]) -> str:
    """Return a hash of the run that a ``config.yaml`` describes; its checkpoint holds the same.

    A checkpoint of another seed would fit as well, and resume as a run that nobody described.
    """
    found = {key: config[key] for key in _IDENTITY if key in config}
    found = what_counts({"strategy": None, **found}, OLD_NAMES)
    text = json.dumps(found, sort_keys=True, default=str)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def what_counts(config: Mapping[str, Any], names: Mapping[str, str] = _NEW_NAMES) -> dict[str, Any]:
    """Return a ``config.yaml`` without what changes nothing: strategies' titles and sources.

    Nor has it a training's ``keep: whole``, which older versions did not write. A budget's keys are
    renamed as ``names`` says: by default, old ones to today's.
    """
    found = dict(config)
    if "strategy" in found:
        found["strategy"] = _counted(found["strategy"], names)
    if isinstance(told := found.get("training"), Mapping) and told.get("keep") == "whole":
        found["training"] = {key: value for key, value in told.items() if key != "keep"}
    if isinstance(several := found.get("strategies"), Mapping):
        found["strategies"] = {label: _counted(told, names) for label, told in several.items()}
    return found


def _counted(settings: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(settings, Mapping):  # of a damaged file
        return settings
    found = {key: value for key, value in settings.items() if key not in ("title", "source")}
    if isinstance(budget := found.get("budget"), Mapping):
        found["budget"] = {names.get(key, key): value for key, value in budget.items()}
    return found


def check_same(
    recorded: Mapping[str, Any], now: Mapping[str, Any], keys: Sequence[str], folder: RunFolder
) -> None:
    """Raise :class:`InputError` where a resumed run's config differs from the recorded one."""
    recorded, now = what_counts(recorded), what_counts(now)
    for key in keys:
        difference = first_difference(recorded.get(key), now[key], key)
        if difference:
            path, was, is_now = difference
            raise InputError(
                f"{folder.path}: the run was started with {path} = {shown(was)}, not "
                f"{shown(is_now)}; a resumed run must not change it"
            )


def first_difference(was: Any, now: Any, path: str) -> tuple[str, Any, Any] | None:
    """Return where two plain values differ first, and both values there; ``None`` if nowhere."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in {**now, **was}:
            found = first_difference(was.get(key), now.get(key), f"{path}.{key}")
            if found:
                return found
        return None
    same = was == now and isinstance(was, bool) == isinstance(now, bool)  # True == 1
    return None if same else (path, was, now)


def check_recorded(recorded: Mapping[str, Any], names: Sequence[str], origin: str) -> None:
    """Raise :class:`InputError` where a run lacks a record that resuming needs.

    Older versions did not record all of them.
    """
    for name in names:
        if name not in recorded:
            raise InputError(
                f"{origin}: {name} is missing, as where another version of groupnas began the run; "
                "start again in a new folder, or use the groupnas that began it"
            )
