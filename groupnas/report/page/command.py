"""The command that runs a recorded run again, word by word."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from groupnas.errors import InputError
from groupnas.files import shipped_names
from groupnas.report.page.reading import mapping
from groupnas.schema import preset_names

if TYPE_CHECKING:
    pass

Words = tuple[str, ...]
Files = dict[str, str]

_SEARCH = ("space", "data", "data_root", "allow_partial", "limit", "seed", "threads", "device")
_TRAIN = (
    "recipe",
    "grouping",
    "epochs",
    "global_from",
    "data_root",
    "allow_partial",
    "limit",
    "seed",
    "device",
    "threads",
)
_COMPARE = (
    "recipe",
    "space",
    "epochs",
    "search_epochs",
    "tolerance",
    "data_root",
    "allow_partial",
    "limit",
    "device",
    "cascade",
    "test",
)
_EVALUATE = ("model", "data", "split", "data_root", "allow_partial", "normaliser", "threshold")


def search_command(config: Mapping[str, Any], folder: Path, name: str) -> tuple[Words, Files]:
    """``groupnas search`` for a recorded ``config.yaml``.

    Args:
        config: Its content.
        folder: Of the run; the command writes beside it.
        name: Of the run, for the file of its strategy.

    Returns:
        The command's words, none where the run was not started by a command; and the strategy's
        file by its name, where no shipped one has the same settings.
    """
    arguments, settings = mapping(config.get("arguments")), mapping(config.get("strategy"))
    if not arguments.get("space") or not arguments.get("data"):
        return (), {}
    strategy = _shipped(settings)
    if strategy:
        return _words("search", arguments, _SEARCH, folder, "--strategy", strategy), {}
    epochs = settings.get("epochs")
    if isinstance(epochs, int) and (strategy := _shipped(settings, epochs)):
        more = ("--strategy", strategy, "--epochs", str(epochs))
        return _words("search", arguments, _SEARCH, folder, *more), {}
    file, text = _file(settings, name)
    return _words("search", arguments, _SEARCH, folder, "--strategy", file), {file: text}


def train_command(config: Mapping[str, Any], folder: Path) -> Words:
    """``groupnas train`` for a recorded ``config.yaml``; nothing where it does not say enough."""
    arguments = mapping(config.get("arguments"))
    return _words("train", arguments, _TRAIN, folder) if arguments.get("recipe") else ()


def compare_command(config: Mapping[str, Any], folder: Path) -> tuple[Words, Files]:
    """``groupnas compare`` likewise, and the files of strategies that are not shipped."""
    arguments, seeds = mapping(config.get("arguments")), _listed(config.get("seeds"))
    # The command counts its seeds from 0.
    if not arguments.get("recipe") or seeds != [str(seed) for seed in range(len(seeds))]:
        return (), {}
    names, files = [], {}
    epochs = arguments.get("search_epochs")
    for label, told in mapping(config.get("strategies")).items():
        settings = mapping(told)
        name = _shipped(settings, epochs if isinstance(epochs, int) else None, label)
        if not name:
            name, text = _file(settings, label)
            files[name] = text
        names.append(name)
    more = ("--strategies", *names, "--seeds", str(len(seeds)))
    more += ("--budgets", *_listed(config.get("budgets")))
    return _words("compare", arguments, _COMPARE, folder, *more), files


def evaluation_command(scores: Mapping[str, Any], folder: Path) -> Words:
    """``groupnas eval`` for a recorded ``scores.json``; nothing where it does not say enough."""
    enough = scores.get("model") and scores.get("data")
    return _words("eval", scores, _EVALUATE, folder) if enough else ()


def _words(
    command: str, arguments: Mapping[str, Any], names: tuple[str, ...], folder: Path, *more: str
) -> Words:
    """The command with every argument that was given, and a folder that is free."""
    words = ["groupnas", command]
    for name in names:
        value = arguments.get(name)
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            words += [option, str(value)]
    return (*words, *more, "--out", f"{folder}-again")


def _listed(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _shipped(settings: Mapping[str, Any], epochs: int | None = None, label: str = "") -> str:
    """The name of a shipped strategy with these settings, at so many epochs; empty if none has.

    Args:
        settings: As recorded; what an older groupnas did not record has its default.
        epochs: Replaces the shipped one's.
        label: What a comparison calls it: that is tried first.
    """
    from groupnas.engine.strategy import load_strategy, strategy_from
    from groupnas.runs.folder import what_counts

    try:
        wanted = what_counts(strategy_from(settings, "strategy").model_dump(mode="json"))
    except InputError:
        return ""
    stems = sorted(shipped_names("strategies"), key=lambda stem: not label.startswith(stem))
    for stem in stems:
        try:
            presets = preset_names("strategies", stem)
            for choice in (stem, *(f"{stem}:{preset}" for preset in presets)):
                strategy = load_strategy(choice)
                if epochs is not None and "epochs" in type(strategy).model_fields:
                    strategy = strategy.with_epochs(epochs)
                if what_counts(strategy.model_dump(mode="json")) == wanted:
                    return choice
        except InputError:  # a file of the user's own folder, or of a library that is not here
            continue
    return ""


def _file(settings: Mapping[str, Any], name: str) -> tuple[str, str]:
    """Name and text of a strategy file with these settings."""
    stem = re.sub(r"[^\w.+=,-]+", "_", name)
    return f"{stem}-strategy.yaml", yaml.safe_dump(dict(settings), sort_keys=False)
