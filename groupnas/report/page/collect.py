"""Run folders of every kind, read for a page without ever failing on what is in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from groupnas.errors import InputError
from groupnas.registry import Registry
from groupnas.report.page.comparisons import collect_comparison
from groupnas.report.page.model import PageRun
from groupnas.report.page.reading import Reader
from groupnas.report.page.runs import collect_search, collect_training
from groupnas.runs.kinds import COMPARISON, SEARCH, TRAINING, Kind, expect

Collector = Callable[[Reader, str], PageRun]

# What reads the folders of other kinds
PAGES: Registry[Collector] = Registry("groupnas.pages", "page", callable, "function")

_OWN: Mapping[str, Collector] = {
    SEARCH.name: collect_search,
    TRAINING.name: collect_training,
    COMPARISON.name: collect_comparison,
}


def collect(paths: Sequence[str | os.PathLike[str]]) -> tuple[PageRun, ...]:
    """What the run folders hold, each read as far as it goes.

    Args:
        paths: Folders of searches, trainings, cascades, comparisons and evaluations.

    Raises:
        InputError: no folder, or one that holds no run of any kind.
    """
    if not paths:
        raise InputError("report: expected at least one run folder")
    folders = list(dict.fromkeys(Path(path) for path in paths))
    names = _names(folders)
    return tuple(_collect(path, name) for path, name in zip(folders, names, strict=True))


def _collect(path: Path, name: str) -> PageRun:
    return _collector(expect("report", path), path)(Reader(path), name)


def _collector(kind: Kind, path: Path) -> Collector:
    """What reads a kind's folders; entry points of the group ``groupnas.pages`` add kinds."""
    if kind.name in _OWN:
        return _OWN[kind.name]
    if kind.name in PAGES:
        return PAGES.find(kind.name)
    raise InputError(f"{path}: is the folder of {kind.title}, and nothing installed shows those")


def _names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]
