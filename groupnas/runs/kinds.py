"""What a folder is: the kinds of runs, told by their files, for whoever was given another kind."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from groupnas.errors import InputError
from groupnas.schema import read_yaml

SEARCH, TRAINING, CASCADE = "search", "training", "cascade"
COMPARISON, EVALUATION = "comparison", "evaluation"

# What config.yaml of each has; the first that fits says which it is.
_KEYS = {"strategies": COMPARISON, "recipe": CASCADE, "training": TRAINING, "strategy": SEARCH}
_USES = {
    SEARCH: "`groupnas plot` draws it, `groupnas search --resume` goes on with it",
    TRAINING: "`groupnas plot --kind training` draws it",
    CASCADE: "`groupnas report` shows it, `groupnas train --resume` goes on with it",
    COMPARISON: "`groupnas compare FOLDER` prints it, `groupnas compare --resume` goes on with it",
    EVALUATION: "`groupnas report` shows it",
}
_LOOKED_AT = 100  # folders in a folder that is no run


def folder_kind(path: str | os.PathLike[str], config: Mapping[str, Any] | None = None) -> str:
    """The kind of run that left a folder, however far it came; empty where none did.

    Args:
        path: The folder.
        config: Its ``config.yaml``, where that was read already.
    """
    folder = Path(path)

    def has(name: str) -> bool:
        return os.path.exists(folder / name)  # Path.exists lets some errors out

    if config is None and has("config.yaml"):
        with suppress(InputError):  # its other files may tell
            config = read_yaml(folder / "config.yaml")
    if isinstance(config, Mapping):
        for key, kind in _KEYS.items():
            if key in config:
                return kind
    if (folder / "train").is_dir() and (folder / "search").is_dir():
        return COMPARISON
    if has("model.json") or has("global/config.yaml") or has("local/config.yaml"):
        return CASCADE
    if has("scores.json"):
        return EVALUATION
    if has("initial_grouping.json"):
        return SEARCH
    if any(map(has, ("history.jsonl", "result.json", "grouping.json"))):
        return TRAINING
    return SEARCH if config is not None or has("config.yaml") else ""


def told_kind(path: str | os.PathLike[str]) -> str:
    """What a folder is, and what can be done with it, to go behind its name in an error."""
    if kind := folder_kind(path):
        return f"is the folder of {_article(kind)}; {_USES[kind]}"
    try:
        entries = list(islice(Path(path).iterdir(), _LOOKED_AT))
    except NotADirectoryError:
        return "is a file"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    inside = sorted(entry.name for entry in entries if entry.is_dir() and folder_kind(entry))
    if inside:
        more = " ..." if len(inside) > 3 else ""
        return f"is no run's folder, but has some in it: {', '.join(inside[:3])}{more}"
    return "holds no run"


def check_kind(
    path: str | os.PathLike[str], wanted: str, config: Mapping[str, Any] | None = None
) -> None:
    """Raise :class:`InputError` where a folder is of another kind than what is wanted."""
    kind = folder_kind(path, config)
    if kind and kind != wanted:
        raise InputError(
            f"{os.fspath(path)}: is the folder of {_article(kind)}, not of {_article(wanted)}; "
            f"{_USES[kind]}"
        )


def _article(kind: str) -> str:
    return f"an {kind}" if kind == EVALUATION else f"a {kind}"
