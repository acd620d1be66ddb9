"""What sources are asked, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from groupnas.landmarks.paper.definition import Measured, Protocol, PublishedTable, TableDefinition


@dataclass(frozen=True)
class Value:
    """A measured figure: a number that is rounded as the paper rounds, or a text.

    Attributes:
        value: In the unit of the column.
        deviation: Standard deviation over seeds.
        notes: How it differs from what the paper measured.
    """

    value: float | str
    deviation: float | None = None
    notes: tuple[str, ...] = ()


TableRow = dict[str, Value]  # by column


@dataclass(frozen=True)
class Question:
    """What a table wants to know of the runs.

    Attributes:
        definition: The table.
        measured: The source, and how rows and columns are meant.
        published: The table as printed.
        protocol: How the paper measured on the table's data set.
        protocols: Likewise on each data set.
        searched: The label of the strategy in the role of the paper's search.
    """

    definition: TableDefinition
    measured: Measured
    published: PublishedTable
    protocols: Mapping[str, Protocol]
    searched: str | None = None

    @property
    def protocol(self) -> Protocol | None:
        """How the paper measured on the table's data set."""
        return self.protocols.get(self.definition.data or "")

    @property
    def columns(self) -> Sequence[str]:
        """Keys of the columns."""
        return list(self.definition.columns)

    @property
    def keys(self) -> list[str]:
        """Keys of the rows that can be measured."""
        return [row.key for row in self.published.rows if row.key]


@dataclass
class Answer:
    """Measured rows.

    Attributes:
        rows: By key.
        others: Label and figures of rows that the paper does not have.
        used: The runs that figures are of, as keys in their order.
    """

    rows: dict[str, TableRow] = field(default_factory=dict)
    others: list[tuple[str, TableRow]] = field(default_factory=list)
    used: dict[str, None] = field(default_factory=dict)


def among(count: int, expected: int | None, what: str) -> str:
    """``"330 of the 554 common faces"``; empty where all are there, or nobody knows."""
    if expected is None or count == expected:
        return ""
    return f"{count:,} of the {expected:,} {what}"
