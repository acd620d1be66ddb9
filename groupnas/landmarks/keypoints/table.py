"""CSV files: a table with a row for each object, or as DeepLabCut writes it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from groupnas.errors import InputError, shown
from groupnas.files import nearest, read_text
from groupnas.landmarks.keypoints.entry import (
    Entry,
    check_box,
    check_pairs,
    image_path,
    number,
)
from groupnas.landmarks.keypoints.settings import Columns, KeypointFile

Line = tuple[int, list[str]]  # number of the line in the file, its cells
_TOP, _LAST = "scorer", "coords"  # the first cells of DeepLabCut's header rows


def read_table(path: Path, settings: KeypointFile) -> list[Entry]:
    """The objects of a CSV file, in its order.

    DeepLabCut's files have three header rows, ``scorer``, ``bodyparts`` and ``coords``; its images'
    paths may be spread over several columns.

    Raises:
        InputError: it cannot be read or is damaged, or lacks a column; ``file:line: why``.
    """
    lines = _lines(path)
    if lines[0][1][0].strip().lower() == _TOP:
        if settings.columns is not None:
            raise InputError(
                f"{path}: has DeepLabCut's header rows, whose columns are known; leave out columns"
            )
        return _deeplabcut(path, lines, settings.names)
    return _plain(path, lines, settings)


def _lines(path: Path) -> list[Line]:
    reader = csv.reader(read_text(path).split("\n"))
    lines: list[Line] = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                lines.append((reader.line_num, cells))
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: is not CSV: {error}") from error
    if not lines:
        raise InputError(f"{path}:1: empty; expected a header row")
    return lines


def _plain(path: Path, lines: Sequence[Line], settings: KeypointFile) -> list[Entry]:
    columns, names = settings.columns or Columns(), settings.names
    head, header = lines[0][0], [cell.strip() for cell in lines[0][1]]
    for name, count in Counter(header).items():
        if count > 1 and name:
            raise InputError(f"{path}:{head}: column {shown(name)} stands {count} times")

    def at(name: str) -> int:
        if name not in header:
            raise InputError(f"{path}:{head}: no column {name!r}; {nearest(name, header)}")
        return header.index(name)

    image = at(columns.image)
    places = [
        [at(pattern.replace("{point}", name)) for pattern in (columns.x, columns.y)]
        for name in names
    ]
    sides = [at(name) for name in columns.box or ()]
    entries = []
    for line, cells in lines[1:]:
        place = f"{path}:{line}"
        _check_length(place, cells, len(header))

        def value(column: int, place: str = place, cells: list[str] = cells) -> float:
            return number(f"{place}: {header[column]}", cells[column])

        points = np.array([[value(x), value(y)] for x, y in places])
        check_pairs(place, points, names)
        box = None
        if settings.box == "listed":
            box = np.array([value(side) for side in sides])
            check_box(place, box)
        fields = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        entries.append(Entry(place, image_path(place, cells[image]), points, box, fields))
    return entries


def _deeplabcut(path: Path, lines: Sequence[Line], names: tuple[str, ...]) -> list[Entry]:
    heads: dict[str, Line] = {}
    for line, cells in lines:
        heads[cells[0].strip().lower()] = (line, [cell.strip() for cell in cells])
        if cells[0].strip().lower() == _LAST:
            break
    if "individuals" in heads:
        raise InputError(
            f"{path}:{heads['individuals'][0]}: holds several animals an image "
            "(individuals), which is not read; write a row for each animal, with columns such as "
            "nose_x and nose_y"
        )
    if [*heads] != [_TOP, "bodyparts", _LAST]:
        raise InputError(
            f"{path}:{lines[0][0]}: expected DeepLabCut's header rows scorer, bodyparts and "
            f"coords, got {shown(', '.join(heads))}"
        )
    (head, parts), (_, coords) = heads["bodyparts"], heads[_LAST]
    if len(parts) != len(coords):
        raise InputError(f"{path}:{head}: expected {len(coords)} values, got {len(parts)}")
    first = next((at for at, cell in enumerate(coords) if at and cell), len(coords))
    columns = _columns(path, head, list(zip(parts, coords, strict=True))[first:])
    for name in names:
        if {(name, "x"), (name, "y")} - {*columns}:
            known = {part for part, _ in columns}
            raise InputError(f"{path}:{head}: no body part {name!r}; {nearest(name, known)}")
    entries = []
    for line, cells in lines[len(heads) :]:
        place = f"{path}:{line}"
        _check_length(place, cells, len(coords))
        points = np.array(
            [
                [
                    number(f"{place}: {name} {way}", cells[first + columns[name, way]])
                    for way in ("x", "y")
                ]
                for name in names
            ]
        )
        check_pairs(place, points, names)
        image = image_path(place, "/".join(cell.strip() for cell in cells[:first] if cell.strip()))
        entries.append(Entry(place, image, points, None, {}))
    return entries


def _columns(
    path: Path, head: int, found: Sequence[tuple[str, str]]
) -> Mapping[tuple[str, str], int]:
    """Where each body part's ``x`` and ``y`` (and ``likelihood``) stand."""
    columns = {column: at for at, column in enumerate(found)}
    if len(columns) < len(found):
        part, way = next(column for column, count in Counter(found).items() if count > 1)
        raise InputError(f"{path}:{head}: {way} of body part {shown(part)} stands twice")
    return columns


def _check_length(place: str, cells: Sequence[str], expected: int) -> None:
    if len(cells) != expected:
        raise InputError(f"{place}: expected {expected} values, got {len(cells)}")
