"""Folders are told for what they are, however far their run came."""

from __future__ import annotations

from pathlib import Path

import pytest

from groupnas.errors import InputError
from groupnas.runs.kinds import check_kind, folder_kind, told_kind

SIGNS = [
    ("comparison", ["train/", "search/"]),
    ("comparison", ["config.yaml: strategies: {}\ntraining: {}"]),
    ("cascade", ["model.json"]),
    ("cascade", ["config.yaml: recipe: {}"]),
    ("cascade", ["global/config.yaml", "search/"]),
    ("evaluation", ["scores.json", "faces.csv"]),
    ("search", ["config.yaml: strategy: {}", "checkpoint.pt"]),
    ("search", ["config.yaml: '['", "initial_grouping.json", "history.jsonl"]),
    ("training", ["config.yaml: training: {}", "history.jsonl"]),
    ("training", ["history.jsonl"]),
    ("", ["notes.txt"]),
    ("", []),
]


def make(folder: Path, signs: list[str]) -> Path:
    for sign in signs:
        name, _, text = sign.partition(": ")
        path = folder / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_text(text)
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize(("kind", "signs"), SIGNS)
def test_kinds(kind: str, signs: list[str], tmp_path: Path) -> None:
    folder = make(tmp_path / "x", signs)
    assert folder_kind(folder) == kind
    article = "an" if kind == "evaluation" else "a"
    expected = f"is the folder of {article} {kind}; `groupnas " if kind else "holds no run"
    assert told_kind(folder).startswith(expected)


def test_only_another_kind_is_refused(tmp_path: Path) -> None:
    search = make(tmp_path / "s", ["initial_grouping.json"])
    check_kind(search, "search")
    check_kind(tmp_path, "search")  # what is nothing is for others to say
    with pytest.raises(InputError, match="s: is the folder of a search, not of an evaluation; `gr"):
        check_kind(search, "evaluation")


def test_a_folder_of_runs_names_some(tmp_path: Path) -> None:
    for name in ("d", "b", "a", "c"):
        make(tmp_path / name, ["scores.json"])
    assert told_kind(tmp_path) == "is no run's folder, but has some in it: a, b, c ..."
    assert told_kind(tmp_path / "none") == "cannot be read: No such file or directory"
    (tmp_path / "file").touch()
    assert told_kind(tmp_path / "file") == "is a file"
