"""A paper's table as Markdown, LaTeX, CSV or HTML."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping

from groupnas.landmarks.paper.table import MISSING, ORIGIN, UNREPORTED, Line, PaperTable
from groupnas.landmarks.paper.web import to_html


def to_markdown(table: PaperTable) -> str:
    """A pipe table under its title; letters in brackets are explained below it."""
    rule = ["---"] * (len(table.labels) + 1) + ["---:" if n else "---" for n in table.numeric]
    rows = [table.header, rule]
    for line in table.lines:
        pairs = zip(line.texts, table.marks(line), strict=True)
        rows.append([f"{text} [{mark}]" if mark else text for text, mark in pairs])
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
        texts = map(_escape_latex, line.texts)
        ends = [f"\\textsuperscript{{{mark}}}" if mark else "" for mark in table.marks(line)]
        body.append(" & ".join(text + end for text, end in zip(texts, ends, strict=True)) + r" \\")
    notes = [rf"\textsuperscript{{{k}}}~{_escape_latex(n)}" for n, k in table.notes.items()]
    legend = [*notes, *map(_escape_latex, table.legend)]
    head = " & ".join(map(_escape_latex, table.header))
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


FORMATS: Mapping[str, Callable[[PaperTable], str]] = {
    "markdown": to_markdown,
    "latex": to_latex,
    "csv": to_csv,
    "html": to_html,
}


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


_LATEX = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
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
    quoted = re.sub(r'"([^"]*)"', r"``\1''", text)
    escaped = "".join(_LATEX.get(char, char) for char in quoted)
    return escaped.replace("--", "-{}-")  # an option's dashes stay two
