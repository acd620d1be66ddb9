"""``groupnas plot``: what it draws of which paths, and that it never loads torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import caller

import groupnas.report
from groupnas.cli.plot import plot
from groupnas.errors import InputError
from groupnas.grouping import Grouping

call = caller(plot)

START = Grouping("x", ("a", "b"), {"one": [0, 0, 0, 1], "two": [0, 1, 1]})
END = Grouping("x", ("a", "b"), {"one": [0, 0, 1, 1], "two": [0, 1, 1]})
OTHER = Grouping("x", ("a", "b"), {"one": [1, 0, 1, 1], "two": [0, 1, 1]})
EPOCH = {
    "epoch": 1,
    "phase": "search",
    "train_loss": 1.0,
    "mask_loss": 1.0,
    "temperature": 1.0,
    "entropy": 1.0,
    "changed": 0.0,
    "moved": 0.0,
    "channels": {"a": 4, "b": 3},
    "macs": {"a": 4, "b": 3},
    "health": [],
}


def run_folder(path: Path, start: Grouping = START, end: Grouping = END) -> Path:
    start.save(path / "initial_grouping.json")
    end.save(path / "grouping.json")
    (path / "history.jsonl").write_text(json.dumps(EPOCH) + "\n")
    return path


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command would draw."""
    caught: dict[str, Any] = {}

    def catch(panels: Any, path: Path, since: Any) -> Path:
        caught.update(panels=panels, path=path, since=since)
        return path

    monkeypatch.setattr(groupnas.report, "plot_tetris", catch)
    return caught


def test_a_run_gives_start_and_end(tmp_path: Path, seen: dict[str, Any]) -> None:
    call(run_folder(tmp_path / "run"), "-o", tmp_path / "plot.png")
    assert seen["panels"] == [("initial", START), ("found", END)]
    assert seen["since"] == [None, 0] and seen["path"] == tmp_path / "plot.png"


def test_runs_that_started_alike_share_the_start(tmp_path: Path, seen: dict[str, Any]) -> None:
    runs = [run_folder(tmp_path / "1"), run_folder(tmp_path / "2", end=OTHER)]
    call(*runs, "--output", tmp_path / "plot.png")
    titles = ["initial", f"{runs[0]}: found", f"{runs[1]}: found"]
    assert seen["panels"] == list(zip(titles, [START, END, OTHER], strict=True))
    assert seen["since"] == [None, 0, 0]


def test_other_runs_are_compared_with_their_own(tmp_path: Path, seen: dict[str, Any]) -> None:
    call(run_folder(tmp_path / "1"), run_folder(tmp_path / "2", OTHER), "-o", tmp_path / "p.png")
    assert [grouping for _, grouping in seen["panels"]] == [START, END, OTHER, END]
    assert seen["since"] == [None, 0, None, 2]


def test_grouping_files(tmp_path: Path, seen: dict[str, Any]) -> None:
    START.save(tmp_path / "a.json")
    END.save(tmp_path / "b.json")
    call(tmp_path / "a.json", tmp_path / "b.json", "-o", tmp_path / "p.svg")
    assert seen["panels"] == [(str(tmp_path / "a"), START), (str(tmp_path / "b"), END)]
    assert seen["since"] == [None, 0]


@pytest.mark.parametrize("kind", ["tetris", "history"])
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_writes_the_picture_and_prints_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, suffix: str
) -> None:
    output = tmp_path / f"plot.{suffix}"
    call(run_folder(tmp_path / "run"), "-o", output, "--kind", kind)
    assert output.stat().st_size > 1000
    assert capsys.readouterr().out == f"{output}\n"


def test_history_by_its_file(tmp_path: Path) -> None:
    call(run_folder(tmp_path) / "history.jsonl", "--kind", "history", "-o", tmp_path / "p.png")
    assert (tmp_path / "p.png").is_file()


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    run, empty, output = run_folder(tmp_path / "run"), tmp_path / "empty", tmp_path / "p.png"
    empty.mkdir()
    half = tmp_path / "half"
    END.save(half / "grouping.json")
    (tmp_path / "bad.json").write_text("{}")
    other = run_folder(tmp_path / "other")
    (other / "config.yaml").write_text("strategy: {algorithm: gone}\nrecords: {fields: []}\n")
    wrong: list[tuple[list[object], str]] = [
        ([run, "-o", "plot.jpg"], "plot.jpg: the name of a picture must end in .png, .svg, .pdf"),
        ([empty, "-o", output], f"{empty}: holds no run; expected the folder of a search"),
        ([half, "-o", output], f"give {half / 'grouping.json'} to draw that alone"),
        ([tmp_path / "none.json", "-o", output], "none.json: cannot be read"),
        ([tmp_path / "bad.json", "-o", output], "bad.json: keys: missing"),
        ([run / "history.jsonl", "-o", output], "is a history, not a grouping; add --kind history"),
        ([run, run, "--kind", "history", "-o", output], "--kind history draws one run, got 2"),
        ([empty, "--kind", "history", "-o", output], f"{empty}: holds no run; expected"),
        ([empty, "--kind", "curves", "-o", output], f"{empty}: holds no run; expected"),
        ([other, "--kind", "curves", "-o", output], "its search has no curves to draw; it has: hi"),
    ]
    for arguments, message in wrong:
        with pytest.raises(InputError) as caught:
            call(*arguments)
        assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not output.exists()


def test_no_torch_and_no_pyplot(tmp_path: Path) -> None:
    run_folder(tmp_path / "run")
    code = (
        "import sys; from pathlib import Path\n"
        "from groupnas.cli.plot import plot\n"
        "print('matplotlib' in sys.modules)\n"
        "for kind in ('tetris', 'history'):\n"
        "    plot([Path('run')], output=Path(f'{kind}.png'), kind=kind)\n"
        "print({'torch', 'matplotlib.pyplot'} & set(sys.modules))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout.split("\n")[0], done.stdout.split("\n")[-2]) == ("False", "set()")
    assert {file.name for file in tmp_path.glob("*.png")} == {"tetris.png", "history.png"}
