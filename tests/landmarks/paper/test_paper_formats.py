"""Every table in every format, without runs and with one of every kind."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from groupnas.landmarks.paper import FORMATS, definition_names, is_figure, render
from groupnas.landmarks.paper.table import HERE, MISSING, PAPER, Line, PaperTable, TableCell

TABLES = [name for name in definition_names() if not is_figure(name)]
GIVEN = ("nothing", "everything")
NASTY = PaperTable(
    name="t",
    number="Table 0",
    title="100 % of a|b & c_d",
    caption="<i> *x* #1 ~ ^ \\ {} $ `q`",
    labels=("label",),
    columns=("x²", "α, °"),
    lines=(
        Line(("*a",), PAPER, (TableCell("1.0", notes=("one",)), TableCell("n/r"))),
        Line(
            ("[b]",), HERE, (TableCell("2.0", "0.1", "+5.0%", ("one", "two")), TableCell(MISSING))
        ),
    ),
    remarks=("--option",),
)


def given(which: str, request: pytest.FixtureRequest) -> list[Path]:
    return [] if which == "nothing" else request.getfixturevalue("everything")


@pytest.mark.parametrize("which", GIVEN)
@pytest.mark.parametrize("name", TABLES)
def test_all_formats_say_the_same(name: str, which: str, request: pytest.FixtureRequest) -> None:
    runs = given(which, request)
    table = list(csv.reader(io.StringIO(render(name, runs, "csv"))))
    assert len({len(row) for row in table}) == 1
    root = ElementTree.fromstring(render(name, runs, "html"))
    rows = [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")]
    markdown = [line for line in render(name, runs).splitlines() if line.startswith("| ")]
    latex = render(name, runs, "latex")
    body = latex.split("\\midrule\n")[1].split("\\bottomrule")[0].splitlines()
    assert len(table) - 1 == len(rows) - 1 == len(markdown) - 2 == len(body)
    # the same number of cells in each row; a bar or ampersand in a text is escaped
    assert {len(row) for row in rows} == {len(rows[0])}
    assert {len(re.findall(r"(?<!\\)\|", line)) - 1 for line in markdown} == {len(rows[0])}
    assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in body} == {len(rows[0])}
    figures = table[0].index("figures")
    for words, html_row in zip(table[1:], rows[1:], strict=True):
        assert html_row[figures].startswith(words[figures])
        for text in filter(None, words[figures + 1 : -1]):
            assert any(text in cell for cell in html_row)


@pytest.mark.parametrize("format", FORMATS)
def test_every_measured_figure_is_told_from_printed_ones(
    format: str, everything: list[Path]
) -> None:
    text = render("table9", everything, format)
    printed = {"markdown": "| paper |", "latex": "& paper &", "csv": ",paper,", "html": ">paper<"}
    assert text.count(printed[format]) == 4  # the paper's rows
    assert "2 of the 554 common test faces" in text
    assert "The paper does not say how its manual sets" in text or format == "csv"


def test_markdown_escapes() -> None:
    text = FORMATS["markdown"](NASTY)
    assert text.startswith("**Table 0. 100 % of a\\|b & c\\_d.** \\<i> \\*x\\* #1")
    assert "| [b] | here | 2.0 ± 0.1 (+5.0%) [a, b] | — |" in text
    assert "| \\*a | paper | 1.0 [a] | n/r |" in text
    assert text.endswith(
        "- [a] one\n- [b] two\n- paper: as the publication prints it.\n"
        "- here: measured by groupnas.\n- —: not measured; no run that was given has it.\n"
        "- n/r: not reported.\n- --option\n"
    )


def test_csv_holds_numbers_alone() -> None:
    assert FORMATS["csv"](NASTY) == (
        "label,figures,x²,x² spread,x² change,\"α, °\",\"α, ° spread\",\"α, ° change\",notes\n"
        '*a,paper,1.0,,,,,,"x²: one; α, °: not reported"\n'
        '[b],here,2.0,0.1,+5.0%,,,,"x²: one, two; α, °: not measured"\n'
    )  # fmt: skip


def test_html_is_ascii_and_well_formed() -> None:
    text = FORMATS["html"](NASTY)
    assert text.isascii()
    root = ElementTree.fromstring(text)
    (caption,) = root.iter("caption")
    assert "".join(caption.itertext()).endswith("<i> *x* #1 ~ ^ \\ {} $ `q`")
    marks = ["".join(mark.itertext()) for mark in root.iter("sup")]
    assert marks == ["a", "a, b", "a", "b"]
    # opens from disk alone
    assert "src=" not in text and "href=" not in text and "http" not in text


def test_latex_escapes() -> None:
    text = FORMATS["latex"](NASTY)
    assert r"\caption{100 \% of a|b \& c\_d. \textless{}i\textgreater{} {*}x{*} \#1" in text
    assert r"{*}a & paper & 1.0\textsuperscript{a} & n/r \\" in text
    assert r"{[}b] & here & 2.0 $\pm$ 0.1 (+5.0\%)\textsuperscript{a, b} & \textemdash{} \\" in text
    assert r"label & figures & x\textsuperscript{2} & $\alpha$, $^{\circ}$ \\" in text
    published = render("table9", [], "latex")
    assert "Wen et al. 2022, ``PicassoNet'', TNNLS, Table IX." in published
    assert "-{}-option" in text and text.count("\\begin{") == text.count("\\end{")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs a TeX")
@pytest.mark.parametrize("which", GIVEN)
def test_latex_compiles(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    tables = [render(name, given(which, request), "latex") for name in TABLES]
    document = "\n".join(
        [
            r"\documentclass[twocolumn]{article}",
            r"\usepackage{booktabs}",
            r"\begin{document}",
            *[FORMATS["latex"](NASTY), *tables],
            r"\end{document}",
        ]
    )
    (tmp_path / "all.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout[-2000:]
