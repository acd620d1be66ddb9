"""A table with two kinds of figures: what a paper prints, and what was measured here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

MISSING = "—"  # nothing measured it
UNREPORTED = "n/r"  # the paper does not say
_NO_FIGURE = (MISSING, UNREPORTED)
ORIGIN = "figures"  # header of the column that says whose figures a row has
PAPER, HERE, BOTH = "paper", "here", "both"


@dataclass(frozen=True)
class TableCell:
    """One figure, as text.

    Attributes:
        text: What is shown.
        spread: Standard deviation over seeds, empty where there is one run.
        change: Relative to the first row of the same origin, empty where that is not asked for.
        notes: What the reader must know of it; each becomes a letter and a line of the legend.
    """

    text: str
    spread: str = ""
    change: str = ""
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """All of it but the notes."""
        spread = f" ± {self.spread}" if self.spread else ""
        return f"{self.text}{spread}" + (f" ({self.change})" if self.change else "")


@dataclass(frozen=True)
class Line:
    """One row.

    Attributes:
        labels: What it is of.
        origin: :data:`PAPER`, :data:`HERE`, or :data:`BOTH` where the two are equal.
        cells: One for each column.
        notes: Of all its measured cells.
    """

    labels: tuple[str, ...]
    origin: str
    cells: tuple[TableCell, ...]
    notes: tuple[str, ...] = ()

    @property
    def texts(self) -> list[str]:
        """Labels, origin and figures, without the letters of notes."""
        return [*self.labels, self.origin, *(cell.shown for cell in self.cells)]


@dataclass(frozen=True)
class PaperTable:
    """A table and its legend; every format shows the same of it.

    Attributes:
        name: Of its definition, e.g. ``"table9"``.
        number: In the paper, e.g. ``"Table IX"``.
        title: One line.
        caption: What the columns mean, and their unit.
        labels: Headers of the rows' labels.
        columns: Headers of the figures.
        lines: The rows.
        remarks: Lines of the legend without a letter.
    """

    name: str
    number: str
    title: str
    caption: str
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    remarks: tuple[str, ...] = field(default=())

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers, which stand to the right."""
        columns = zip(*(line.cells for line in self.lines), strict=True)
        return [all(map(_is_number, cells)) for cells in columns]

    @property
    def notes(self) -> dict[str, str]:
        """Note to letter, in the order in which a reader meets them."""
        found: dict[str, str] = {}
        for line in self.lines:
            for note in (*line.notes, *(n for cell in line.cells for n in cell.notes)):
                found.setdefault(note, _letter(len(found)))
        return found

    def marks(self, line: Line) -> list[str]:
        """The letters of each text of a row (``"a, c"``); the whole row's stand at its origin."""
        letters = self.notes
        order = list(letters.values())
        notes = [*[()] * len(line.labels), line.notes, *(cell.notes for cell in line.cells)]
        return [
            ", ".join(sorted((letters[note] for note in some), key=order.index)) for some in notes
        ]

    @property
    def header(self) -> list[str]:
        """Above the texts of the rows."""
        return [*self.labels, ORIGIN, *self.columns]

    @property
    def legend(self) -> list[str]:
        """What is not marked by a letter: origins, missing figures and remarks."""
        shown = {cell.text for line in self.lines for cell in line.cells}
        origins = {line.origin for line in self.lines}
        lines = []
        if origins - {HERE}:
            lines.append(f"{PAPER}: as the publication prints it.")
        if HERE in origins:
            lines.append(f"{HERE}: measured by groupnas.")
        if BOTH in origins:
            lines.append(f"{BOTH}: the two are equal.")
        if MISSING in shown:
            lines.append(f"{MISSING}: not measured; no run that was given has it.")
        if UNREPORTED in shown:
            lines.append(f"{UNREPORTED}: not reported.")
        return [*lines, *self.remarks]


def gathered(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Lines whose notes stand once where all their measured cells share them."""
    return tuple(map(_gathered, lines))


def with_changes(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Lines whose figures say how they differ, in %, from the first row's of the same origin.

    They say nothing where that has no figure, or the same.
    """
    first: dict[tuple[str, int], str] = {}
    return tuple(replace(line, cells=tuple(_changed(line, first))) for line in lines)


def _is_number(cell: TableCell) -> bool:
    """Or no figure at all: tables print that as a dash, too."""
    text = cell.text.replace(".", "", 1)
    return cell.text in (*_NO_FIGURE, "-") or text.isdigit()


def _gathered(line: Line) -> Line:
    measured = [cell for cell in line.cells if cell.text != MISSING]
    if not measured or line.origin == PAPER:
        return line
    shared = [n for n in measured[0].notes if all(n in cell.notes for cell in measured)]
    cells = tuple(
        cell
        if cell.text == MISSING
        else replace(cell, notes=tuple(n for n in cell.notes if n not in shared))
        for cell in line.cells
    )
    return replace(line, cells=cells, notes=(*line.notes, *shared))


def _changed(line: Line, first: dict[tuple[str, int], str]) -> Iterator[TableCell]:
    for place, cell in enumerate(line.cells):
        base = first.setdefault((line.origin, place), cell.text)
        if cell.text in _NO_FIGURE or base in _NO_FIGURE or cell.text == base:
            yield cell
        else:
            yield replace(cell, change=f"{float(cell.text) / float(base) - 1:+.1%}")


def _letter(index: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    head, tail = divmod(index, 26)
    return (_letter(head - 1) if head else "") + "abcdefghijklmnopqrstuvwxyz"[tail]
