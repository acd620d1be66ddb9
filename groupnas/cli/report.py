"""``groupnas report``: runs as one page, or a table of the paper from runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from groupnas.cli.output import courtesy, working
from groupnas.errors import InputError
from groupnas.formats import TEXTS, check_folder, check_suffix


def report(
    runs: list[Path] | None = None,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    paper: str | None = None,
    format: Literal["markdown", "latex", "csv", "html"] | None = None,
    searched: str | None = None,
) -> None:
    """Show runs: groupings, costs, epochs, errors, settings, and how to run them again.

    Writes index.html, one file that opens from disk and asks nothing of a network; several runs
    stand side by side. It reads run folders as far as they go, and says what is missing and why.

    Args:
        runs: Folders that search, train, compare or eval wrote, finished or not.
        output: A folder for the page; with --paper, a file.
        paper: This table or figure of the paper instead: table7; figure7 with -o F.pdf.
        format: Of --paper; by default as -o's name says, else markdown.
        searched: Which strategy --paper calls searched, if there are several.
    """
    if paper is None:
        for name, value in (("format", format), ("searched", searched)):
            if value is not None:
                raise InputError(f"--{name} is of --paper; leave it out")
        _page(runs or [], output)
    else:
        _paper(paper, runs or [], output, format, searched)


def _paper(
    name: str, runs: list[Path], output: Path | None, format: str | None, searched: str | None
) -> None:
    from groupnas.landmarks.paper import is_figure, render, render_figure
    from groupnas.writing import write_text

    if is_figure(name):
        if output is None:
            raise InputError(f"{name}: expected --output, a .pdf, .svg or .png file")
        render_figure(name, runs, output)
        with courtesy("the picture's name was not printed", output):
            print(output)
        return
    text = render(name, runs, _format(format, output), searched=searched)
    if output is None:
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        write_text(output, text)
        with courtesy("the file's name was not printed", output):
            print(output)


def _format(asked: str | None, output: Path | None) -> str:
    """Return the format that was asked for, or that the file's name says."""
    if output is None:
        return asked or "markdown"
    if asked is None:
        suffix = output.suffix.lower()
        asked = next((name for name, ends in TEXTS.items() if suffix in ends), "markdown")
    check_suffix(output, TEXTS[asked], f"{asked} text")
    return asked


def _page(runs: list[Path], output: Path | None) -> None:
    if not runs:
        raise InputError("report: expected one run folder or more (or --paper)")
    if output is None:
        raise InputError("report: expected --output, the folder that the page is written to")
    check_folder(output, "the page")
    from groupnas.report.page import write_page

    with working("Writing the page"):
        written = write_page(runs, output)
    with courtesy("the page's name was not printed"):
        for note in written.notes:
            print(f"not shown: {note}")
        print(written.page)
