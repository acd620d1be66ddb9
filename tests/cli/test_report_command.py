"""``groupnas report``: what it writes, prints and refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from helpers import caller

from groupnas.cli.report import report
from groupnas.errors import InputError
from groupnas.grouping import Grouping

call = caller(report)

START = Grouping("x", ("a", "b"), {"one": [0, 0, 0, 1], "two": [0, 1, 1]})


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A run that was killed behind its first epoch, and whose configuration is damaged."""
    folder = tmp_path / "killed"
    folder.mkdir()
    START.save(folder / "initial_grouping.json")
    (folder / "config.yaml").write_text("space: [")
    (folder / "history.jsonl").write_text(json.dumps({"epoch": 1, "train_loss": 2.0}) + "\n")
    return folder


def test_page_and_what_it_cannot_show(
    killed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(killed, "-o", tmp_path / "page")
    *notes, page = capsys.readouterr().out.splitlines()
    assert page == str(tmp_path / "page/index.html") and Path(page).is_file()
    assert all(note.startswith(f"not shown: {killed}") for note in notes)
    told = "\n".join(notes)
    for text in ("config.yaml", "grouping.json: is missing", "result.json: is missing"):
        assert text in told
    html = Path(page).read_text()
    assert "What is not shown, and why" in html and "result.json" in html


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "expected one run folder or more"),
        (["{run}"], "expected --output"),
        (["nowhere", "-o", "page"], "nowhere: does not exist"),
        (["{run}", "-o", "page", "--format", "csv"], "--format is of --paper"),
        (["{run}", "-o", "page.html"], "page.html: is to be a folder for the page"),
    ],
)
def test_wrong_calls(killed: Path, arguments: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        call(*(argument.format(run=killed) for argument in arguments))


def test_table_of_the_paper(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is passed on, and where the text goes; tables have tests of their own."""
    paper = ModuleType("paper")
    paper.is_figure = lambda name: name.startswith("figure")  # type: ignore[attr-defined]
    paper.render = lambda name, runs, format, searched: (  # type: ignore[attr-defined]
        f"{name} {[run.name for run in runs]} {format} {searched}\n"
    )
    paper.render_figure = lambda name, runs, path: path  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "groupnas.landmarks.paper", paper)
    call("a", "b", "--paper", "table7")
    assert capsys.readouterr().out == "table7 ['a', 'b'] markdown None\n"
    call("--paper", "table1", "--format", "csv", "--searched", "own", "-o", tmp_path / "t.csv")
    assert capsys.readouterr().out == f"{tmp_path / 't.csv'}\n"
    assert (tmp_path / "t.csv").read_text() == "table1 [] csv own\n"
    formats = {"t.TEX": "latex", "t.html": "html", "t.csv": "csv", "t.md": "markdown", "t": "mark"}
    for name, format in formats.items():  # the name says it
        call("--paper", "table1", "-o", tmp_path / name)
        assert (tmp_path / name).read_text().startswith(f"table1 [] {format}")
    for name, options in (("t.csv", ["--format", "latex"]), ("t.pdf", []), ("t.onnx", [])):
        with pytest.raises(InputError, match=r"the name of (latex|markdown) text must end in "):
            call("--paper", "table1", *options, "-o", tmp_path / name)
    capsys.readouterr()
    call("--paper", "figure7", "-o", tmp_path / "f.pdf")
    assert capsys.readouterr().out == f"{tmp_path / 'f.pdf'}\n"
    with pytest.raises(InputError, match="expected --output"):
        call("--paper", "figure7")


@pytest.mark.parametrize("library", ["vl_convert", "jinja2"])
def test_without_a_library_it_says_what_to_install(
    library: str, killed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from groupnas.report.page.render import vega

    vega.cache_clear()
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=r"'groupnas\[report\]'"):
        call(killed, "-o", tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_a_page_needs_no_torch(killed: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from groupnas.cli.report import report; from pathlib import Path\n"
        "report([Path(sys.argv[1])], output=Path(sys.argv[2]))\n"
        "assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(killed), str(tmp_path / "page")]
    assert subprocess.run(command, capture_output=True, text=True).stderr == ""
