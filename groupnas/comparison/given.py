"""Numbers that a comparison goes on from: they must be of the same one, and complete."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from groupnas import values
from groupnas.comparison.evidence import Evidence
from groupnas.comparison.plan import Piece
from groupnas.comparison.records import VALIDATION
from groupnas.comparison.samples import Scorer
from groupnas.comparison.summary import EVIDENCE, StrPath, identity, read_evidence
from groupnas.errors import InputError
from groupnas.runs.folder import RunFolder


def fingerprint(maker: Callable[[], Scorer]) -> str | None:
    """Return what a measurement says that it is; ``None`` where it does not say."""
    told = getattr(maker, "fingerprint", None)
    return str(told()) if callable(told) else None


def given_evidence(
    folder: RunFolder, config: Mapping[str, Any], paths: Sequence[StrPath]
) -> Evidence:
    """Return the numbers that a comparison goes on from, those of its folder included.

    Raises:
        InputError: they are of another comparison.
    """
    kept = folder / EVIDENCE
    paths = [*values.listed("evidence", paths), *([kept] if kept.is_file() else [])]
    found = Evidence(
        task=config["task"]["name"],
        groups=tuple(config["groups"]),
        measure=config["measure"],
        identity=identity(config),
        strategies=dict(config["strategies"]),
        path=folder.path,
    )
    for path in paths:
        found = found.joined(read_evidence(path))
    return found


def usable(given: Evidence, planned: set[Piece], sets: Collection[str]) -> list[Piece]:
    """Return the planned trainings whose numbers are given.

    Raises:
        InputError: one was not measured on all sets; its weights are not there.
    """
    found = [piece for piece in given.cells if piece in planned]
    for piece in found:
        for name in (VALIDATION, *sets):
            if name not in given.cells[piece].errors:
                raise InputError(
                    f"evidence: {piece} was not measured on {name!r}, and its weights are not "
                    "there: leave out the evidence, or what measures that"
                )
    return found
