"""A run begins or goes on: the order, what is recorded, and what must not change."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from groupnas.errors import InputError
from groupnas.runs.begin import (
    Beginning,
    again,
    check_same,
    command,
    describe_task,
    identity,
    origin,
    recorded_space,
    versions,
    what_counts,
)
from groupnas.runs.folder import RunFolder
from groupnas.runs.kinds import COMPARISON, SEARCH

CONFIG = {"seed": 3, "strategy": {"title": "Short", "epochs": 2}}
SAME = ("seed", "strategy")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


@contextmanager
def started_by(*words: str) -> Iterator[None]:
    before = command.set(words)
    try:
        yield
    finally:
        command.reset(before)


def begin(out: Path, resume: bool = False, config: dict[str, Any] = CONFIG) -> list[str]:
    """Begin a run, or go on with it; returns what was in its folder when it was prepared."""
    seen: list[str] = []

    def prepare(begins: bool) -> None:
        seen.append("begins" if begins else "goes on")
        seen.extend(sorted(path.name for path in out.iterdir()))
        if begins:
            (out / "initial_grouping.json").write_text("{}")

    run = Beginning(SEARCH, out, resume)
    run.check(config, SAME)
    with run.locked(config, prepare):
        assert run.folder.held and (out / "config.yaml").is_file()
    return seen


def recorded(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((out / "config.yaml").read_text())
    return found


# -- the order ----------------------------------------------------------------------------------


def test_config_is_written_last(tmp_path: Path) -> None:
    assert begin(tmp_path / "run") == ["begins", ".lock"]
    assert {key: recorded(tmp_path / "run")[key] for key in CONFIG} == CONFIG
    assert not RunFolder(tmp_path / "run").held


def test_it_goes_on(tmp_path: Path) -> None:
    begin(tmp_path / "run")
    before = (tmp_path / "run/config.yaml").read_bytes()
    seen = begin(tmp_path / "run", resume=True)
    assert seen[0] == "goes on" and {"config.yaml", "initial_grouping.json"} < set(seen)
    assert (tmp_path / "run/config.yaml").read_bytes() == before


def test_what_fails_before_config_is_no_run(tmp_path: Path) -> None:
    run = Beginning(SEARCH, tmp_path / "run", False)
    with pytest.raises(KeyError), run.locked(CONFIG, lambda begins: CONFIG["none"]):
        raise AssertionError
    assert not run.folder.exists and not run.folder.held
    assert begin(tmp_path / "run")[0] == "begins"  # so that it can be begun again


@pytest.mark.parametrize("resume", [False, True])
def test_what_is_refused_leaves_no_folder(tmp_path: Path, resume: bool) -> None:
    (tmp_path / "file").write_text("mine")
    if resume:
        with pytest.raises(
            InputError, match="none: does not exist; expected the folder of a search"
        ):
            Beginning(SEARCH, tmp_path / "none", True)
    else:
        with pytest.raises(InputError, match="file: is a file; expected a folder for a run"):
            Beginning(SEARCH, tmp_path / "file", False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_folder_that_holds_a_run(tmp_path: Path) -> None:
    begin(tmp_path / "run")
    with pytest.raises(InputError, match="run: holds a run already; --resume goes on, another --o"):
        Beginning(SEARCH, tmp_path / "run", False)
    with pytest.raises(InputError, match="is the folder of a search that was stopped; .*begins"):
        Beginning(COMPARISON, tmp_path / "run", False)
    with pytest.raises(InputError, match="is the folder of a search .*, not of a comparison; "):
        Beginning(COMPARISON, tmp_path / "run", True)


def test_another_process_was_faster(tmp_path: Path) -> None:
    slow = Beginning(SEARCH, tmp_path / "run", False)
    begin(tmp_path / "run", config={**CONFIG, "seed": 4})
    before = (tmp_path / "run/config.yaml").read_bytes()
    with pytest.raises(InputError, match="holds a run already"), slow.locked(CONFIG, print):
        raise AssertionError
    assert (tmp_path / "run/config.yaml").read_bytes() == before


def test_another_process_is_there(tmp_path: Path) -> None:
    slow = Beginning(SEARCH, tmp_path / "run", False)
    with (
        RunFolder(tmp_path / "run").locked(),
        pytest.raises(InputError, match="another run is writing to this folder"),
        slow.locked(CONFIG, print),
    ):
        raise AssertionError


def test_a_run_that_differs_is_refused(tmp_path: Path) -> None:
    begin(tmp_path / "run")
    before = (tmp_path / "run/config.yaml").read_bytes()
    for change, message in (
        ({"seed": 4}, "seed = 3, not 4"),
        ({"strategy": {"epochs": 3}}, "strategy.epochs = 2, not 3"),
    ):
        with pytest.raises(InputError, match=f"run: the run was started with {message}; a resumed"):
            begin(tmp_path / "run", resume=True, config={**CONFIG, **change})
    assert (tmp_path / "run/config.yaml").read_bytes() == before
    begin(tmp_path / "run", resume=True, config={**CONFIG, "strategy": {"epochs": 2}})


# -- what is recorded ---------------------------------------------------------------------------


def test_where_and_how_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROUPNAS_DATA", "/some/data")
    with started_by("groupnas", "search", "--out", "run"):
        begin(tmp_path / "run")
    config = recorded(tmp_path / "run")
    assert config["begun"].pop("processor").split()[0] == os.uname().sysname
    assert config["begun"] == {
        "command": ["groupnas", "search", "--out", "run"],
        "directory": str(tmp_path),
        "data_root": "/some/data",
    }
    assert config["versions"] == versions()
    monkeypatch.setenv("GROUPNAS_DATA", "/other/data")
    before = (tmp_path / "run/config.yaml").read_bytes()
    with started_by("groupnas", "search", "--resume", "--out", "run"):
        begin(tmp_path / "run", resume=True)
    assert (tmp_path / "run/config.yaml").read_bytes() == before


def test_none_of_it_counts() -> None:
    assert identity({**CONFIG, **origin()}) == identity(CONFIG)
    assert identity({**CONFIG, "seed": 4}) != identity(CONFIG)
    titled = {**CONFIG, "strategy": {"title": "Longer", "source": "A paper", "epochs": 2}}
    assert identity(titled) == identity(CONFIG)


def test_the_identity_of_older_checkpoints() -> None:
    for config, told in (
        (
            {"seed": 1, "training": {"epochs": 2}, "device": "cpu"},
            b'{"seed": 1, "strategy": null, "training": {"epochs": 2}}',
        ),
        (
            {"seed": 1, "strategy": {"title": "t", "epochs": 2}},
            b'{"seed": 1, "strategy": {"epochs": 2}}',
        ),
        (
            {"strategy": {"budget": {"divisor": 2, "groups": {"nose": 0.5}, "total": 1.0}}},
            b'{"strategy": {"budget": {"multiple": 2, "parts": {"nose": 0.5}, "total": 1.0}}}',
        ),
    ):
        assert identity(config) == sha256(told).hexdigest()


def test_words_that_are_no_text(tmp_path: Path) -> None:
    with started_by("groupnas", "search", "--out", "\udce9t\0\ud800\n"):
        begin(tmp_path / "run")
    words = SEARCH.read(tmp_path / "run")["begun"]["command"]
    assert words[-1] == "\\xe9t\\x00\\ud800\n"


def test_runs_inside_a_run_record_no_command(tmp_path: Path) -> None:
    with started_by("groupnas", "compare"):
        outer = Beginning(SEARCH, tmp_path / "outer", False)
        with outer.locked(CONFIG, lambda begins: None):
            begin(tmp_path / "outer/inner")
        begin(tmp_path / "next")
    for name, words in (("outer", 2), ("outer/inner", 0), ("next", 2)):
        assert len(recorded(tmp_path / name)["begun"]["command"]) == words


def test_a_run_that_is_widened(tmp_path: Path) -> None:
    with started_by("groupnas", "compare", "--out", "c"):
        begin(tmp_path / "run")
    first = recorded(tmp_path / "run")
    for seed, words in ((3, ["--resume"]), (4, ["--resume", "--seeds", "2"]), (4, ["--resume"])):
        run = Beginning(SEARCH, tmp_path / "run", True)
        with started_by("groupnas", "compare", *words, "--out", "c"):
            run.widen({**CONFIG, "seed": seed})
    found = recorded(tmp_path / "run")
    assert found["seed"] == 4 and found["versions"] == first["versions"]
    then = ["groupnas", "compare", "--resume", "--seeds", "2", "--out", "c"]
    assert found["begun"] == {**first["begun"], "then": [then]}
    assert again(found, Path("c")) == (
        ("groupnas", "compare", "--out", "c-again"),
        ("groupnas", "compare", "--resume", "--seeds", "2", "--out", "c-again"),
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["groupnas", "search", "--out", "runs/x", "--seed", "3"], "--out my/x-again --seed 3"),
        (["groupnas", "search", "--seed", "3"], "--seed 3 --out my/x-again"),
        (["groupnas", "search", "--out=runs/x", "--seed", "3"], "--out my/x-again --seed 3"),
        ([], None),
    ],
)
def test_again_in_a_free_folder(words: list[str], expected: str | None) -> None:
    found = again({"begun": {"command": words}}, Path("my/x"))
    assert found == (() if expected is None else (("groupnas", "search", *expected.split()),))


@pytest.mark.parametrize("begun", [None, 3, "words", {}, {"command": 3}, {"command": None}, []])
def test_no_command_that_could_be_read(begun: Any) -> None:
    assert again({"begun": begun}, Path("x")) == () and again({}, Path("x")) == ()


def test_the_command_line_is_what_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import groupnas.cli.app as cli

    seen: list[Sequence[str]] = []
    monkeypatch.setattr(cli, "app", lambda *_, **__: seen.append(command.get()))
    monkeypatch.setattr(sys, "argv", ["/some/where/groupnas", "spaces"])
    cli.run()
    cli.run(["flops", "--space", "x"])
    assert seen == [("groupnas", "spaces"), ("groupnas", "flops", "--space", "x")]
    assert command.get() == ()


# -- what must not change -----------------------------------------------------------------------


def test_titles_and_sources_change_nothing() -> None:
    config = {
        "title": "kept",
        "strategy": {"title": "t", "source": "s", "lr": 1},
        "strategies": {"even": {"title": "t", "lr": 2}, "damaged": 3},
    }
    assert what_counts(config) == {
        "title": "kept",
        "strategy": {"lr": 1},
        "strategies": {"even": {"lr": 2}, "damaged": 3},
    }
    assert what_counts({"strategy": None, "strategies": []}) == {"strategy": None, "strategies": []}


def test_same_settings_are_the_same_after_yaml(folder: RunFolder) -> None:
    config = {"a": {"b": [1, 2.5, None], "c": "text"}, "seed": 3, "other": 1}
    check_same(yaml.safe_load(yaml.safe_dump(config)), config, ("a", "seed"), folder)
    check_same({**config, "other": 2}, config, ("a", "seed"), folder)  # not asked for


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ({"seed": 1}, {"seed": 2}, "seed = 1, not 2"),
        ({}, {"seed": 2}, "seed = None, not 2"),
        ({"seed": {"a": {"b": 1}}}, {"seed": {"a": {"b": 2}}}, "seed.a.b = 1, not 2"),
        ({"seed": {"a": 1, "b": 2}}, {"seed": {"a": 1}}, "seed.b = 2, not None"),
        ({"seed": {"a": 1}}, {"seed": {"a": 1, "b": 2}}, "seed.b = None, not 2"),
        ({"seed": {"a": 1}}, {"seed": 3}, r"seed = {'a': 1}, not 3"),
        ({"seed": True}, {"seed": 1}, "seed = True, not 1"),
        ({"seed": [1, 2]}, {"seed": [2, 1]}, r"seed = \[1, 2\], not \[2, 1\]"),
    ],
)
def test_the_first_difference_is_named(
    folder: RunFolder, was: dict[str, Any], now: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=f"run: the run was started with {message}; a resumed"):
        check_same(was, now, ("seed",), folder)


def test_a_task_is_described(shapes: Any) -> None:
    assert describe_task(shapes) == {
        "name": "shapes",
        "samples": 100,
        "fingerprint": shapes.fingerprint(),
    }


def test_versions_are_plain_text() -> None:
    assert all(type(value) is str for value in versions().values())
    assert versions()["torch"] == torch.__version__


def test_the_recorded_space_is_read_from_the_folder(
    shapes_space: Any, tmp_path: Path, folder: RunFolder
) -> None:
    shapes_space.save(folder / "space.yaml")
    folder.write_config({"space": {"name": "as it was called"}})
    found = recorded_space(folder.path)
    assert found.name == "as it was called" and found.fingerprint() == shapes_space.fingerprint()
    for damage in (None, {}, {"name": 3}):
        folder.write_config({"space": damage})
        with pytest.raises(InputError, match="config.yaml: space.name: expected a name, got"):
            recorded_space(folder.path)


@pytest.mark.parametrize(
    ("word", "recorded"),
    [
        ("--x=postgresql://me:se/cr@t@host/db", "--x=postgresql://me:***@host/db"),
        ("postgresql://me@host:5432/db", "postgresql://me@host:5432/db"),
        ("postgresql://host/db?password=secret&a=1", "postgresql://host/db?password=***&a=1"),
        ("gumbel:demo", "gumbel:demo"),
    ],
)
def test_passwords_are_not_recorded(word: str, recorded: str) -> None:
    before = command.set(("groupnas", word))
    try:
        assert origin()["begun"]["command"] == ["groupnas", recorded]
    finally:
        command.reset(before)
