"""A definition and some runs become a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.landmarks.paper.compared import comparison_errors, comparison_operations
from groupnas.landmarks.paper.counted import bench, layers, operations
from groupnas.landmarks.paper.definition import Publication, TableDefinition, load_published
from groupnas.landmarks.paper.evaluated import evaluation
from groupnas.landmarks.paper.runs import Runs
from groupnas.landmarks.paper.table import (
    BOTH,
    HERE,
    MISSING,
    PAPER,
    Line,
    PaperTable,
    TableCell,
    gathered,
    with_changes,
)
from groupnas.landmarks.paper.values import Answer, Question, TableRow, Value

# The kinds of sources that a definition may name
SOURCES: Mapping[str, Callable[[Runs, Question], Answer]] = {
    "bench": bench,
    "comparison_errors": comparison_errors,
    "comparison_operations": comparison_operations,
    "evaluation": evaluation,
    "layers": layers,
    "operations": operations,
}
_DIGITS = 2  # behind the point, where the paper has no number to round like


def build_table(
    name: str, definition: TableDefinition, runs: Runs, searched: str | None = None
) -> PaperTable:
    """The paper's rows, each with what the runs say below it.

    Raises:
        InputError: the definition names a source or published table that does not exist, or
            ``searched`` is no strategy of the comparison.
    """
    published = load_published(definition.paper)
    if definition.published not in published.tables:
        raise InputError(f"{name}: published: {nearest(definition.published, published.tables)}")
    answer, others = _answer(name, definition, published, runs, searched)
    lines = list(_lines(definition, published, answer))
    if others:
        lines += _other_lines(definition, published, answer)
    if definition.changes:
        lines = list(with_changes(lines))
    printed = published.tables[definition.published]
    spread = any(cell.spread for line in lines for cell in line.cells)
    missing = any(cell.text == MISSING for line in lines for cell in line.cells)
    remarks = [
        f"Printed figures: {published.source}, {printed.where}.",
        f"Measured figures: {', '.join(answer.used)}." if answer.used else "",
        "±: standard deviation over seeds." if spread else "",
        f"To measure it all: {definition.needs}." if missing and definition.needs else "",
        definition.limits,
    ]
    return PaperTable(
        name=Path(name).stem,
        number=definition.table,
        title=definition.title,
        caption=definition.caption,
        labels=definition.labels,
        columns=tuple(definition.columns.values()),
        lines=gathered(lines),
        remarks=tuple(filter(None, remarks)),
    )


def _answer(
    name: str,
    definition: TableDefinition,
    published: Publication,
    runs: Runs,
    searched: str | None,
) -> tuple[Answer, bool]:
    """Return each figure of the first source that has it, and True where other rows are shown."""
    answer = Answer()
    for measured in definition.measured:
        if measured.source not in SOURCES:
            raise InputError(f"{name}: measured.source: {nearest(measured.source, SOURCES)}")
        found = SOURCES[measured.source](
            runs,
            Question(
                definition=definition,
                measured=measured,
                published=published.tables[definition.published],
                protocols=published.protocols,
                searched=searched,
            ),
        )
        for key, row in found.rows.items():
            answer.rows[key] = {**row, **answer.rows.get(key, {})}
        answer.others += found.others
        answer.used.update(found.used)
    return answer, any(measured.others for measured in definition.measured)


def _lines(definition: TableDefinition, published: Publication, answer: Answer) -> Iterator[Line]:
    """Each printed row, and below it the measured one; one line where they are equal."""
    table = published.tables[definition.published]
    for row in table.rows:
        printed = dict(zip(table.columns, row.texts, strict=True))
        cells = tuple(
            TableCell(printed[column], notes=tuple(filter(None, [row.notes.get(column)])))
            for column in definition.columns
        )
        if not row.key:
            yield Line(row.label, PAPER, cells)
            continue
        found = answer.rows.get(row.key, {})
        measured = _cells(definition, found, printed)
        if measured == cells:
            yield Line(row.label, BOTH, cells)
            continue
        yield Line(row.label, PAPER, cells)
        yield Line(row.label, HERE, measured)


def _other_lines(
    definition: TableDefinition, published: Publication, answer: Answer
) -> Iterator[Line]:
    """Measured rows that the paper does not have."""
    table = published.tables[definition.published]
    like = dict(zip(table.columns, table.rows[0].texts, strict=True))
    for label, row in answer.others:
        if not row:  # nothing to say, such as parts that share their channels
            continue
        labels = (label, *[""] * (len(definition.labels) - 1))
        yield Line(labels, HERE, _cells(definition, row, like))


def _cells(
    definition: TableDefinition, row: TableRow, like: dict[str, str]
) -> tuple[TableCell, ...]:
    return tuple(
        _cell(row[column], like[column]) if column in row else TableCell(MISSING)
        for column in definition.columns
    )


def _cell(value: Value, like: str) -> TableCell:
    """A figure with as many digits as the printed one beside it."""
    if isinstance(value.value, str):
        return TableCell(value.value, notes=value.notes)
    digits = _digits(like)
    spread = "" if value.deviation is None else f"{value.deviation:.{digits}f}"
    return TableCell(f"{value.value:.{digits}f}", spread=spread, notes=value.notes)


def _digits(like: str) -> int:
    """Behind the point of a printed number."""
    if not like.replace(".", "", 1).isdigit():
        return _DIGITS
    return len(like.partition(".")[2])
