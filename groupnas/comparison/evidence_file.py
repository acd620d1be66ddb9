"""The JSON file of a comparison's numbers: what it holds, and how it is written and read."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from groupnas.comparison.plan import Label, Piece
from groupnas.comparison.records import CellFile, SetName
from groupnas.comparison.rows import Cell
from groupnas.comparison.samples import SampleErrors
from groupnas.comparison.tables import finite
from groupnas.errors import InputError
from groupnas.runs.records import Count, Finite
from groupnas.saved import Saved, check_plain, read_saved
from groupnas.writing import write_text

_VERSION = 1  # of the format
_DIGITS = 5  # significant, of an error
_INFINITE = "infinite"  # JSON has no number for it

_Error = Finite | Literal["infinite"] | None
_Seed = Annotated[int, Field(ge=0)]


class _Samples(Saved):
    """Samples that errors are of: several networks share them."""

    groups: Annotated[list[str], Field(min_length=1)]
    weights: list[Annotated[Finite, Field(ge=0)]]
    sources: Annotated[list[str], Field(min_length=1)]
    unit: str
    subsets: dict[SetName, list[Count]] = {}  # indices of members


class _Errors(Saved):
    samples: Count
    errors: list[list[_Error]]


class _Network(Saved):
    told: CellFile
    errors: dict[SetName, _Errors]


class _Search(Saved):
    strategy: Label
    seed: _Seed
    seconds: Annotated[Finite, Field(ge=0)]
    steps: Count


class _Missing(Saved):
    strategy: Label
    seed: _Seed
    budget: Annotated[Finite, Field(gt=0)]


class EvidenceFile(Saved):
    """The numbers of a comparison, as :class:`.Evidence` writes them."""

    evidence: Literal[1]  # the version of the format
    task: str
    groups: Annotated[list[str], Field(min_length=1)]
    measure: str
    identity: dict[str, Any]
    strategies: dict[Label, dict[str, Any]]
    samples: list[_Samples]
    networks: list[_Network]
    searches: list[_Search]
    missing: list[_Missing]


def write(path: str | os.PathLike[str], told: Mapping[str, Any]) -> None:
    """Write the values of an :class:`EvidenceFile`, with a line for each network."""
    told = finite({"evidence": _VERSION, **told})
    check_plain(told, os.fspath(path))
    lines = ",\n".join(f"{json.dumps(key)}: {_lines(value)}" for key, value in told.items())
    write_text(path, f"{{\n{lines}\n}}\n")


def read(path: str | os.PathLike[str]) -> tuple[EvidenceFile, list[Cell]]:
    """Return the values of a file, and its networks; raise where they do not belong together."""
    data = read_saved(path, EvidenceFile, said="expected the numbers of a comparison")
    file = EvidenceFile.model_validate(data)
    tables = [_samples(one, f"samples.{number}") for number, one in enumerate(file.samples)]
    cells = {}
    for number, network in enumerate(file.networks):
        where, told = f"networks.{number}", network.told
        piece = Piece(told.strategy, told.seed, told.budget)
        if piece in cells:
            raise InputError(f"{where}: {piece} is there twice")
        errors = {
            name: _errors(tables, one, f"{where}.errors.{name}")
            for name, one in network.errors.items()
        }
        told_of = data["networks"][number]["told"]  # with what the model does not know
        cells[piece] = Cell(piece=piece, told=told_of, errors=errors)
    return file, list(cells.values())


@contextmanager
def damage(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let errors inside begin with the file, and end with what to do."""
    try:
        yield
    except InputError as error:
        name, told = os.fspath(path), str(error)
        told = told if told.startswith(name) else f"{name}: is damaged: {told}"
        raise InputError(
            f"{told}; write it again: groupnas compare FOLDER --export FILE"
        ) from error


def stored(found: SampleErrors, samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Return errors as the file has them; samples that are new are appended."""
    table = {
        "groups": list(found.groups),
        "weights": found.weights.tolist(),
        "sources": found.sources.tolist(),
        "unit": found.unit,
        "subsets": {k: np.flatnonzero(members).tolist() for k, members in found.subsets.items()},
    }
    if table not in samples:
        samples.append(table)
    rows = [[_rounded(error) for error in row] for row in found.errors.tolist()]
    return {"samples": samples.index(table), "errors": rows}


def _rounded(error: float) -> float | str | None:
    if math.isfinite(error):
        return float(f"{error:.{_DIGITS}g}")
    return None if math.isnan(error) else _INFINITE


def _samples(entry: _Samples, where: str) -> SampleErrors:
    """Return samples without errors."""
    rows, columns = len(entry.sources), len(entry.groups)
    if len(set(entry.groups)) < columns:
        raise InputError(f"{where}.groups: a group stands twice")
    if len(entry.weights) != columns or not any(entry.weights):
        raise InputError(f"{where}.weights: expected {columns} numbers, not all of them 0")
    subsets = {}
    for name, members in entry.subsets.items():
        if members and max(members) >= rows:
            raise InputError(f"{where}.subsets.{name}: {max(members)} is none of {rows} samples")
        subsets[name] = np.isin(np.arange(rows), members)
    return SampleErrors(
        errors=np.empty((0, columns)),
        groups=tuple(entry.groups),
        weights=np.array(entry.weights, dtype=np.float64),
        sources=np.array(entry.sources, dtype=np.str_),
        unit=entry.unit,
        subsets=subsets,
    )


def _errors(tables: Sequence[SampleErrors], one: _Errors, where: str) -> SampleErrors:
    """Return the errors of samples that several networks share."""
    if one.samples >= len(tables):
        raise InputError(f"{where}.samples: {one.samples} is none of {len(tables)}")
    table = tables[one.samples]
    if any(len(row) != len(table.groups) for row in one.errors):
        raise InputError(f"{where}.errors: expected {len(table.groups)} numbers in each row")
    known = {None: math.nan, _INFINITE: math.inf}
    errors = [[e if isinstance(e, float) else known[e] for e in row] for row in one.errors]
    return SampleErrors(**{**vars(table), "errors": np.array(errors, dtype=np.float64)})


def _lines(value: Any) -> str:
    """Return JSON with each entry of a list on a line of its own."""
    if not isinstance(value, list) or not value:
        return json.dumps(value, allow_nan=False)
    return "[\n" + ",\n".join(json.dumps(v, separators=(",", ":")) for v in value) + "\n]"
