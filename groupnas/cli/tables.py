"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table


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
