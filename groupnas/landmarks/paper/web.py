"""A paper's table as an HTML document."""

from __future__ import annotations

import html

from groupnas.landmarks.paper.table import Line, PaperTable
from groupnas.palette import INK, MUTED, PALE, PAPER, WASH

_STYLE = f"""\
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.4 system-ui, sans-serif; color: {INK}; background: {PAPER};
  margin: 2rem auto; max-width: 60rem; padding: 0 1rem }}
figure {{ margin: 0 }}
.scroll {{ overflow-x: auto }}
table {{ border-collapse: collapse; border-block: 2px solid {INK};
  font-variant-numeric: tabular-nums }}
caption {{ text-align: left; padding-bottom: .6rem }}
caption div {{ position: sticky; left: 0; max-width: calc(100vw - 2rem) }}
h1 {{ font-size: inherit; margin: 0 }}
thead {{ border-bottom: 1px solid {INK} }}
th, td {{ padding: .15rem .7rem; text-align: left; font-weight: normal; white-space: nowrap }}
thead th {{ font-weight: 600; vertical-align: bottom }}
.number {{ text-align: right }}
tr.here {{ background: {WASH} }}
sup {{ line-height: 0 }}
ul {{ font-size: 85%; padding-left: 0; list-style: none; color: {MUTED} }}
@media (prefers-color-scheme: dark) {{
  body {{ color: {PALE}; background: #16181c }}
  table, thead {{ border-color: {PALE} }}
  tr.here {{ background: #262a31 }}
  ul {{ color: #a9adb5 }}
}}
"""


def to_html(table: PaperTable) -> str:
    """A document that opens from disk: well-formed, in ASCII, light and dark."""
    title = _escape(f"{table.number}. {table.title}")
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            f"<title>{title}</title>",
            f"<style>\n{_STYLE}</style>",
            "</head>",
            "<body>",
            "<main>",
            _figure(table),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _figure(table: PaperTable) -> str:
    notes = (f"<sup>{letter}</sup> {_escape(note)}" for note, letter in table.notes.items())
    legend = [*notes, *map(_escape, table.legend)]
    return "\n".join(
        [
            "<figure>",
            # Reached by keyboard, since it scrolls where the window is narrow.
            f'<div class="scroll" tabindex="0" role="region" aria-label="{_escape(table.number)}">',
            "<table>",
            f"<caption><div><h1>{_escape(table.number)}. {_escape(table.title)}.</h1> "
            f"{_escape(table.caption)}</div></caption>",
            "<thead>",
            _head(table),
            "</thead>",
            "<tbody>",
            *(_row(table, line) for line in table.lines),
            "</tbody>",
            "</table>",
            "</div>",
            "<figcaption>",
            "<ul>",
            *(f"<li>{text}</li>" for text in legend),
            "</ul>",
            "</figcaption>",
            "</figure>",
        ]
    )


def _head(table: PaperTable) -> str:
    cells = (
        f'<th scope="col"{kind}>{_escape(text)}</th>'
        for text, kind in zip(table.header, _kinds(table), strict=True)
    )
    return f"<tr>{''.join(cells)}</tr>"


def _row(table: PaperTable, line: Line) -> str:
    """Labels and origin are headers of their row."""
    labels = len(table.labels) + 1
    texts = [
        _escape(text) + (f"<sup>{mark}</sup>" if mark else "")
        for text, mark in zip(line.texts, table.marks(line), strict=True)
    ]
    heads = [f'<th scope="row">{text}</th>' if text else "<td></td>" for text in texts[:labels]]
    kinds = _kinds(table)[labels:]
    cells = [f"<td{kind}>{text}</td>" for text, kind in zip(texts[labels:], kinds, strict=True)]
    return f'<tr class="{line.origin}">{"".join([*heads, *cells])}</tr>'


def _kinds(table: PaperTable) -> list[str]:
    """The class of each column's cells."""
    labels = [""] * (len(table.labels) + 1)
    return [*labels, *(' class="number"' if number else "" for number in table.numeric)]


def _escape(text: str) -> str:
    return html.escape(text).encode("ascii", "xmlcharrefreplace").decode()
