"""A paper's table as Markdown, LaTeX, CSV or HTML."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable, Mapping

from groupnas.report.paper.table import MISSING, UNREPORTED, Line, PaperTable

ORIGIN = "figures"  # header of the column that says whose figures a row has


def to_markdown(table: PaperTable) -> str:
    """A pipe table under its title; letters in brackets are explained below it."""
    head = [*table.labels, ORIGIN, *table.columns]
    rule = ["---"] * (len(table.labels) + 1) + ["---:" if n else "---" for n in table.numeric]
    rows = [head, rule, *(_texts(table, line, "{} [{}]") for line in table.lines)]
    title, caption = _escape_markdown(table.title), _escape_markdown(table.caption)
    lines = [f"**{table.number}. {title}.** {caption}", ""]
    lines += [f"| {' | '.join(map(_escape_markdown, row))} |" for row in rows]
    legend = [*(f"[{letter}] {note}" for note, letter in table.notes.items()), *table.legend]
    return "\n".join([*lines, "", *(f"- {_escape_markdown(line)}" for line in legend)]) + "\n"


def to_latex(table: PaperTable) -> str:
    """A ``table*`` with the rules of ``booktabs``; nothing else is needed to compile it."""
    columns = "l" * (len(table.labels) + 1) + "".join("r" if n else "l" for n in table.numeric)
    body = []
    for line in table.lines:
        texts = [_escape_latex(text) for text in _texts(table, line, "{}")]
        marks = _marks(table, line)
        ends = [f"\\textsuperscript{{{mark}}}" if mark else "" for mark in marks]
        body.append(" & ".join(text + end for text, end in zip(texts, ends, strict=True)) + r" \\")
    notes = [rf"\textsuperscript{{{k}}}~{_escape_latex(n)}" for n, k in table.notes.items()]
    legend = [*notes, *map(_escape_latex, table.legend)]
    head = " & ".join(map(_escape_latex, [*table.labels, ORIGIN, *table.columns]))
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            r"\begin{table*}",
            r"\centering",
            r"\footnotesize",
            rf"\caption{{{_escape_latex(f'{table.title}. {table.caption}')}}}",
            rf"\label{{tab:{table.name}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            rf"{head} \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
            r"\smallskip",
            r"\begin{minipage}{\textwidth}\scriptsize\raggedright",
            "\\\\\n".join(legend),
            r"\end{minipage}",
            r"\end{table*}",
            "",
        ]
    )


def to_csv(table: PaperTable) -> str:
    """Plain numbers, a line for each row; the last columns say what they are and what is missing.

    Deviations and changes have columns of their own where there are any. A figure that is missing
    or not reported is empty; ``notes`` tells which and why.
    """
    has = {
        extra: any(getattr(cell, extra) for line in table.lines for cell in line.cells)
        for extra in ("spread", "change")
    }
    head = [*(label.lower() for label in table.labels), ORIGIN]
    for column in table.columns:
        head += [column, *(f"{column} {extra}" for extra, any_ in has.items() if any_)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*head, "notes"])
    for line in table.lines:
        row = [*line.labels, line.origin]
        for cell in line.cells:
            row.append("" if cell.text in (MISSING, UNREPORTED) else cell.text)
            row += [getattr(cell, extra) for extra, any_ in has.items() if any_]
        writer.writerow([*row, "; ".join(_told(table, line))])
    return text.getvalue()


def to_html(table: PaperTable) -> str:
    """A ``<figure>`` of its own, well-formed and in ASCII, to open or to put into a page."""
    labels = len(table.labels) + 1
    head = [*table.labels, ORIGIN, *table.columns]
    lines = [
        f'<figure class="paper-table" id="{html.escape(table.name)}">',
        "<table>",
        f"<caption><strong>{_escape_html(table.number)}. {_escape_html(table.title)}.</strong> "
        f"{_escape_html(table.caption)}</caption>",
        "<thead>",
        "<tr>",
        *(f'<th scope="col">{_escape_html(text)}</th>' for text in head),
        "</tr>",
        "</thead>",
        "<tbody>",
    ]
    for line in table.lines:
        parts = zip(_texts(table, line, "{}"), _marks(table, line), strict=True)
        cells = [
            _escape_html(text) + (f"<sup>{mark}</sup>" if mark else "") for text, mark in parts
        ]
        row = [f'<th scope="row">{cell}</th>' for cell in cells[:labels]]
        row += [f"<td>{cell}</td>" for cell in cells[labels:]]
        lines.append(f'<tr class="{line.origin}">{"".join(row)}</tr>')
    lines += ["</tbody>", "</table>", "<figcaption>", "<ul>"]
    lines += [f"<li><sup>{k}</sup> {_escape_html(n)}</li>" for n, k in table.notes.items()]
    lines += [f"<li>{_escape_html(line)}</li>" for line in table.legend]
    return "\n".join([*lines, "</ul>", "</figcaption>", "</figure>", ""])


FORMATS: Mapping[str, Callable[[PaperTable], str]] = {
    "markdown": to_markdown,
    "latex": to_latex,
    "csv": to_csv,
    "html": to_html,
}


def _texts(table: PaperTable, line: Line, marked: str) -> list[str]:
    """Labels, origin and figures of a row; ``marked`` joins a text and its letters."""
    texts = [*line.labels, line.origin, *(cell.shown for cell in line.cells)]
    return [
        marked.format(text, mark) if mark else text
        for text, mark in zip(texts, _marks(table, line), strict=True)
    ]


def _marks(table: PaperTable, line: Line) -> list[str]:
    """The letters of each of a row's texts; the notes of the whole row stand at its origin."""
    cells = [table.marks(cell.notes) for cell in line.cells]
    return [*[""] * len(line.labels), table.marks(line.notes), *cells]


def _told(table: PaperTable, line: Line) -> list[str]:
    """A row's notes in words."""
    told = list(line.notes)
    for column, cell in zip(table.columns, line.cells, strict=True):
        state = {MISSING: "not measured", UNREPORTED: "not reported"}.get(cell.text, "")
        words = ", ".join(filter(None, [state, *cell.notes]))
        told += [f"{column}: {words}"] if words else []
    return told


def _escape_markdown(text: str) -> str:
    return "".join(f"\\{char}" if char in "\\|*_<`" else char for char in text)


def _escape_html(text: str) -> str:
    return html.escape(text).encode("ascii", "xmlcharrefreplace").decode()


_LATEX = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': "''",
    "±": r"$\pm$",
    "×": r"$\times$",
    "α": r"$\alpha$",
    "°": r"$^{\circ}$",
    "²": r"\textsuperscript{2}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "[": "{[}",  # behind a row's end it would be a length, and a star the row's own
    "*": "{*}",
}


def _escape_latex(text: str) -> str:
    escaped = "".join(_LATEX.get(char, char) for char in text)
    return escaped.replace("--", "-{}-")  # an option's dashes stay two
