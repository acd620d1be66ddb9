"""``groupnas report``: runs as one page, or a table of the paper from runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from groupnas.errors import InputError


def report(
    runs: Annotated[
        list[Path] | None,
        Parameter(help="Folders that search, train, compare or eval wrote, finished or not."),
    ] = None,
    /,
    *,
    output: Annotated[
        Path | None,
        Parameter(name=["--output", "-o"], help="A folder for the page; of a table, a file."),
    ] = None,
    paper: Annotated[
        str | None, Parameter(help="Print this table of the paper instead, e.g. table7.")
    ] = None,
    format: Annotated[
        Literal["markdown", "latex", "csv", "html"] | None,
        Parameter(help="Of --paper; markdown by default."),
    ] = None,
) -> None:
    """Show runs: groupings, costs, epochs, errors, settings, and how to run them again.

    Writes index.html, one file that opens from disk and asks nothing of a network; several runs
    stand side by side. It reads run folders as far as they go, and says what is missing and why.
    """
    if paper is None:
        if format is not None:
            raise InputError("--format is of --paper; the page is always HTML")
        _page(runs or [], output)
        return
    from groupnas.files import write_text
    from groupnas.report.paper import render

    text = render(paper, runs or [], format or "markdown")
    if output is None:
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        write_text(output, text)
        print(output)


def _page(runs: list[Path], output: Path | None) -> None:
    if not runs:
        raise InputError("report: expected one run folder or more (or --paper)")
    if output is None:
        raise InputError("report: expected --output, the folder that the page is written to")
    from groupnas.report.page import write_page

    written = write_page(runs, output)
    for note in written.notes:
        print(f"not shown: {note}")
    for path in (*written.files, written.page):
        print(path)
