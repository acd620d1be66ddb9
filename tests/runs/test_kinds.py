"""Folders are told for what they are, however far their run came, by every command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from groupnas.cli import main
from groupnas.errors import InputError
from groupnas.runs.folder import RunFolder
from groupnas.runs.kinds import KINDS, SEARCH, Kind, State, describe, expect, kind_of

SIGNS = [
    ("comparison", ["search/even-s0/config.yaml: strategy: {}", "train/"]),
    ("comparison", ["config.yaml: strategies: {}\ntraining: {}"]),
    ("family of cascades", ["config.yaml: {family: [], recipe: {}}", "full/"]),
    ("family of cascades", ["pruned/0.5.json"]),
    ("cascade", ["model.json"]),
    ("cascade", ["config.yaml: recipe: {}"]),
    ("cascade", ["global/config.yaml", "search/"]),
    ("evaluation", ["scores.json", "faces.csv"]),
    ("search", ["config.yaml: strategy: {}", "checkpoint.pt"]),
    ("search", ["config.yaml: '['", "initial_grouping.json", "history.jsonl"]),
    ("training", ["config.yaml: training: {}", "history.jsonl"]),
    ("training", ["history.jsonl"]),
    ("", ["notes.txt"]),
    ("", ["config.yaml: of: another program"]),
    ("", ["train/config.yaml: recipe: {}", "search/config.yaml: strategy: {}"]),  # of runs
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


@pytest.mark.parametrize(("name", "signs"), SIGNS)
def test_kinds(name: str, signs: list[str], tmp_path: Path) -> None:
    folder = make(tmp_path / "x", signs)
    kind = kind_of(folder)
    assert (kind.name if kind else "") == name.partition(" ")[0]
    article = "an" if name == "evaluation" else "a"
    assert describe(folder).startswith(f"is the folder of {article} {name} that ") == bool(name)


CELLS = "config.yaml: {strategies: {a: {}, b: {}}, seeds: [0], budgets: [1.0, 0.5], training: {}}"


@pytest.mark.parametrize(
    ("state", "signs"),
    [
        ("stopped", ["config.yaml: strategy: {}"]),
        ("finished", ["config.yaml: strategy: {}", 'result.json: {"epochs": 1}']),
        ("damaged", ["config.yaml: strategy: {}", 'result.json: {"epo']),
        ("damaged", ["config.yaml: '['", "initial_grouping.json", 'result.json: {"epochs": 1}']),
        ("damaged", ["initial_grouping.json"]),  # killed before it began
        ("finished", ['model.json: {"kind": "cascade"}']),  # as given to others
        ("finished", ['scores.json: {"scores": {}}']),
        ("damaged", ["scores.json: {"]),
        ("stopped", [CELLS, *(f"train/{name}/cell.json: {{}}" for name in "abc")]),
        ("finished", [CELLS, *(f"train/{name}/cell.json: {{}}" for name in "abcd")]),
        ("damaged", ["config.yaml: {strategies: {}, seeds: 3, budgets: [1.0]}"]),
    ],
)
def test_states(state: State, signs: list[str], tmp_path: Path) -> None:
    folder = make(tmp_path / "x", signs)
    kind = kind_of(folder)
    assert kind is not None and kind.state(folder) == state
    with RunFolder(folder).locked():
        assert kind.state(folder) == "running"
    assert kind.state(folder) == state


def test_a_running_search_is_told(tmp_path: Path) -> None:
    folder = make(tmp_path / "x", ["config.yaml: strategy: {}"])
    goes_on = "; `groupnas search --resume` goes on with it, `groupnas plot` draws it"
    assert describe(folder).startswith(f"is the folder of a search that was stopped{goes_on}")
    with RunFolder(folder).locked():
        told = "is the folder of a search that still runs; `groupnas plot` draws it, `groupnas r"
        assert describe(folder).startswith(told)


def test_only_another_kind_is_refused(tmp_path: Path) -> None:
    search = make(tmp_path / "s", ["config.yaml: strategy: {}"])
    assert expect("plot", search) is SEARCH and SEARCH.read(search) == {"strategy": {}}
    with pytest.raises(InputError, match="s: is the folder of a search .*, not of a comparison; `"):
        expect("compare", search)
    with pytest.raises(InputError, match="not of a cascade or a training; `groupnas search --res"):
        expect("plot --kind training", search)


def test_a_folder_of_runs_names_some(tmp_path: Path) -> None:
    for name in ("d", "b", "a", "c"):
        make(tmp_path / name, ["scores.json: {}"])
    make(tmp_path / "z", ["config.yaml: strategy: {}"])
    inside = "is no run's folder, but has some in it: "
    assert (
        describe(tmp_path) == f"{inside}a (an evaluation), b (an evaluation), c (an evaluation) ..."
    )
    with pytest.raises(
        InputError, match=r"z \(a search\), a \(an .* \.\.\.; expected the folder of a "
    ):
        expect("plot", tmp_path)


def test_what_is_no_folder(tmp_path: Path) -> None:
    assert describe(tmp_path) == "holds no run"
    assert describe(tmp_path / "none") == "does not exist"
    (tmp_path / "file").touch()
    assert describe(tmp_path / "file") == "is a file"
    make(tmp_path, ["config.yaml: of: another program"])
    assert describe(tmp_path) == "has a config.yaml that is of no kind of run"


# -- every command, given every kind --------------------------------------------------------------

COMMANDS: dict[str, Callable[[str], str]] = {
    "plot": lambda run: f"plot {run} -o p.svg",
    "plot --kind history": lambda run: f"plot {run} --kind history -o p.svg",
    "plot --kind curves": lambda run: f"plot {run} --kind curves -o p.svg",
    "plot --kind trajectory": lambda run: f"plot {run} --kind trajectory -o p.svg",
    "plot --kind training": lambda run: f"plot {run} --kind training -o p.svg",
    "report": lambda run: f"report {run} -o page",
    "report --paper": lambda run: f"report --paper table7 {run}",
    "compare": lambda run: f"compare {run}",
    "ceiling": lambda run: f"ceiling {run}",
    "eval --model": lambda run: f"eval --model {run} --data synthetic",
    "predict --model": lambda run: f"predict photo.png --model {run}",
    "export": lambda run: f"export {run} -o o.onnx",
    "search --resume": lambda run: f"search --resume --out {run}",
    "train --resume": lambda run: f"train --resume --out {run}",
    "compare --resume": lambda run: f"compare --resume --out {run}",
}
BEGIN = {
    "search": "search --space picasso_local --data synthetic --out",
    "cascade": "train --recipe synthetic --out",
    "comparison": "compare --recipe synthetic --strategies even --out",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of each kind, ended and stopped; of each, as much as says what it is."""
    place = tmp_path_factory.mktemp("kinds")
    shutil.copy(Path(__file__).parents[1] / "landmarks/small/small_global.yaml", place)
    (place / "photo.png").touch()
    for kind in KINDS:
        config: dict[str, Any] = {kind.key: {}, "seeds": [0], "budgets": [1.0]}
        if kind.name == "comparison":
            config["strategies"] = {"even": {}}
        for state in ("finished", "stopped"):
            if kind.key:
                make(place / f"{kind.name}_{state}", [f"config.yaml: {yaml.safe_dump(config)}"])
        last = kind.last or "train/even-s0-b1/cell.json"
        make(place / f"{kind.name}_finished", [f"{last}: {json.dumps({'kind': kind.name})}"])
    make(place / "empty", [])
    make(place / "parent", ["mine/config.yaml: {strategy: {}}"])
    return place


@pytest.fixture
def call(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """Runs a command line among the runs that is refused, in one line; returns that."""
    monkeypatch.chdir(runs)

    def refused(line: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            main(line.split())
        told = capsys.readouterr().err
        assert stopped.value.code == 2 and told.count("\n") == 1, told
        return told

    return refused


def test_the_commands_of_kinds_are_all_there_are() -> None:
    assert {use.command for kind in KINDS for use in kind.uses} == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_command_says_what_a_wrong_folder_is(
    command: str, kind: Kind, runs: Path, call: Callable[[str], str]
) -> None:
    states: dict[State, str] = {"finished": "has ended", "stopped": "was stopped"}
    resumes = command.endswith("--resume")
    for state, words in states.items():
        name = f"{kind.name}_{state}"
        takes = any(u.command == command and (resumes or state in u.states) for u in kind.uses)
        if takes or not (runs / name).exists():
            continue
        text = call(COMMANDS[command](name))
        assert text.startswith(f"groupnas: {name}: is the folder of {kind.title} that {words}")
        assert ", not of a" in text or text.endswith("; expected one that has ended\n")
        useful = [use for use in kind.uses if use.does and state in use.states]
        assert useful and all(f"`groupnas {use.command}` {use.does}" in text for use in useful)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_is_no_run(command: str, call: Callable[[str], str]) -> None:
    told = {
        "empty": "holds no run; expected the folder of a",
        "parent": "is no run's folder, but has some in it: mine (a search); expected the folder of",
    }
    for name, words in told.items():
        assert call(COMMANDS[command](name)).startswith(f"groupnas: {name}: {words}")


@pytest.mark.parametrize("begun", BEGIN)
def test_a_run_begins_in_no_folder_of_another_kind(begun: str, call: Callable[[str], str]) -> None:
    for kind in KINDS:
        text = call(f"{BEGIN[begun]} {kind.name}_finished")
        own = "holds a run already; --resume goes on, another --out begins\n"
        other = f"is the folder of {kind.title} that has ended; `groupnas "
        assert (own if kind.name == begun else other) in text
        assert "another --out begins" in text


def test_other_commands_say_it_too(call: Callable[[str], str]) -> None:
    """Those that take files, or folders of photos."""
    assert "is the folder of a search that has ended; `gr" in call("bench search_finished")
    text = call("predict training_stopped --model cascade_finished")
    assert "training_stopped: no photos in it; " in text and "; it is the folder of a tr" in text
