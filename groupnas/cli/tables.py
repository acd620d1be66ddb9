"""Tables on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from groupnas.errors import InputError

T = TypeVar("T")


def print_table(rows: Sequence[Sequence[str]], numbers: bool = False) -> None:
    """Print rows under the first of them; ``numbers`` aligns all but the first column right."""
    header, *body = rows
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, title in enumerate(header):
        table.add_column(title, justify="right" if numbers and index else "left", no_wrap=numbers)
    for row in body:
        table.add_row(*row)
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:  # a pipe has no width to fit
        console.width = 10_000
    console.print(table)


def readable(names: Iterable[str], read: Callable[[str], Iterable[T]]) -> Iterator[T]:
    """Yield what is read of each name; a name that cannot be read is told on standard error."""
    for name in names:
        try:
            yield from list(read(name))
        except InputError as error:
            print(f"groupnas: left out: {error}", file=sys.stderr)
