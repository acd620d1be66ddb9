"""Run folders of every kind, read for a page without ever failing on what is in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from groupnas.errors import InputError
from groupnas.landmarks.page.cascades import collect_cascade
from groupnas.landmarks.page.evaluations import collect_evaluation
from groupnas.report.page.comparisons import collect_comparison
from groupnas.report.page.model import Run
from groupnas.report.page.reading import Reader
from groupnas.report.page.runs import collect_search, collect_training
from groupnas.runs.kinds import (
    CASCADE,
    COMPARISON,
    EVALUATION,
    SEARCH,
    TRAINING,
    folder_kind,
    told_kind,
)


def collect(paths: Sequence[str | os.PathLike[str]]) -> tuple[Run, ...]:
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


def _collect(path: Path, name: str) -> Run:
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise InputError(f"{path}: {what}; report reads run folders")
    kind = folder_kind(path)
    if not kind:
        raise InputError(
            f"{path}: {told_kind(path)}; expected the folder of a search, train, compare or eval"
        )
    return _COLLECT[kind](Reader(path), name)


def _names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]


_COLLECT: Mapping[str, Callable[[Reader, str], Run]] = {
    SEARCH: collect_search,
    TRAINING: collect_training,
    CASCADE: collect_cascade,
    COMPARISON: collect_comparison,
    EVALUATION: collect_evaluation,
}
