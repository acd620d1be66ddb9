"""README and site say what is true: commands parse, files load, names and links exist.

The site itself is built by .ci/run, where every broken reference is an error.
"""

from __future__ import annotations

import importlib
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from cyclopts import App, CycloptsError
from helpers import ROOT, install

import groupnas
import groupnas.nn
from groupnas.cli.app import app
from groupnas.engine.strategy import load_strategy
from groupnas.engine.training_settings import Training
from groupnas.landmarks.paper.definition import load_definition
from groupnas.landmarks.recipe import load_recipe
from groupnas.schema import read_yaml
from groupnas.tasks import find_dataset

DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks/README.md",
    *sorted(DOCS.glob("*.md")),
    *sorted(DOCS.glob("api/*.md")),
]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page that are in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", TEXTS[page], flags=re.DOTALL | re.MULTILINE)


def command_lines() -> Iterator[tuple[str, str]]:
    """Every line of a shell block that calls groupnas, and the page that it is on."""
    for page in TEXTS:
        for block in blocks(page, "sh"):
            for line in block.splitlines():
                called = re.search(r"(?:^|/)(groupnas .*)", line)
                if called:
                    yield page, called[1]


def leaves(of: App = app, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The names of every command that does something."""
    for name in of:
        if name.startswith("-"):
            continue
        if any(not inner.startswith("-") for inner in of[name]):
            yield from leaves(of[name], (*before, name))
        else:
            yield (*before, name)


@pytest.mark.parametrize(("page", "line"), list(command_lines()))
def test_command_line_parses(page: str, line: str) -> None:
    tokens = [token for token in shlex.split(line, comments=True)[1:] if token != "..."]
    command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
    options = [token for token in tokens if token.startswith("-")]
    if tokens[0].startswith("-"):
        assert (command.__name__, options) == ("version_print", ["--version"])
    else:
        assert command.__module__ == f"groupnas.cli.{tokens[0]}"
        assert len(bound.arguments) >= len({*options} - {"--no-color"})


@pytest.mark.parametrize("line", ["search --spcae a", "predict a.jpg", "serch --space a"])
def test_a_wrong_line_would_be_noticed(line: str) -> None:
    with pytest.raises(CycloptsError):
        app.parse_args(shlex.split(line), exit_on_error=False, print_error=False)


@pytest.mark.parametrize("page", TEXTS)
def test_commands_and_options_in_sentences_exist(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", TEXTS[page], flags=re.DOTALL | re.MULTILINE)
    for code in re.findall(r"`groupnas\s([^`]+)`", text):
        tokens = code.split()
        if tokens[0] == "COMMAND" or tokens[-1] == "--help":
            continue
        path, chosen, rest = app.parse_commands(tokens)
        assert path, code
        known = {name for arg in chosen[-1].assemble_argument_collection() for name in arg.names}
        assert {token for token in rest if token.startswith("-")} <= known, code


def test_every_command_has_a_heading_an_example_and_its_help() -> None:
    sections = re.split(r"^## ", TEXTS["docs/commands.md"], flags=re.MULTILINE)[1:]
    found = {section.splitlines()[0]: section for section in sections}
    assert set(found) == {f"groupnas {' '.join(path)}" for path in leaves()}
    for title, section in found.items():
        assert re.search(rf"^```sh\n{title}\b", section, flags=re.MULTILINE), title
        assert f".. command:: {title.removeprefix('groupnas ')}\n" in section


@pytest.fixture
def climb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The package of docs/extend.md, installed as its pyproject.toml says."""
    (project,) = blocks("docs/extend.md", "toml")
    settings = tomllib.loads(project)["project"]
    package = tmp_path / "site"
    ((group, entries),) = settings["entry-points"].items()
    lines = (f"{name} = {value}" for name, value in entries.items())
    install(package, settings["name"], group, *lines, version=settings["version"])
    (package / "climb.py").write_text(blocks("docs/extend.md", "python")[0], encoding="utf-8")
    monkeypatch.syspath_prepend(package)
    yield importlib.import_module("climb")
    del sys.modules["climb"]


def whole_files() -> list[Any]:
    """The YAML blocks that are whole files."""
    return [
        pytest.param(block, id=f"{page}-{number}")
        for page in TEXTS
        for number, block in enumerate(blocks(page, "yaml"))
        if re.match(r"format:|table:|figure:", block)
    ]


@pytest.mark.parametrize("block", whole_files())
def test_whole_file_loads(block: str, climb: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "it.yaml"
    file.write_text(block, encoding="utf-8")
    data = read_yaml(file)
    if "layers" in data:
        for variant in data.get("variants", [None]):
            assert groupnas.load_space(file, variant).title == data["title"]
    elif "algorithm" in data:
        for preset, changes in data.get("presets", {}).items():
            changed = load_strategy(f"{file}:{preset}").model_dump(exclude_unset=True)
            assert changes.items() <= changed.items()
        assert load_strategy(file).title == data["title"]
    elif "stages" in data:
        assert load_recipe(file).title == data["title"]
    elif "annotations" in data:
        assert find_dataset(str(file)).summary == data["title"]
    else:
        assert load_definition(str(file)).title == data["title"]


def test_there_are_whole_files() -> None:
    assert len(whole_files()) == 8  # strategy, three spaces, two recipes, data file, table


def test_the_documented_strategy_is_seeded_and_resumes(
    climb: ModuleType, shapes_space: groupnas.SearchSpace, shapes: Any, tmp_path: Path
) -> None:
    training = Training(epochs=1, batch_size=20, weights={"lr": 0.01})  # type: ignore[arg-type]
    strategy = climb.Climb(title="Climb", epochs=3, training=training)
    whole = groupnas.search(shapes_space, shapes, strategy, tmp_path / "whole", seed=1)
    assert [record["epoch"] for record in whole.history] == [1, 2, 3]
    assert whole.result["best"] == min(record["error"] for record in whole.history)
    cost = groupnas.flops(groupnas.Allocation.even(shapes_space)).total
    assert sum(whole.result["macs_after"].values()) == pytest.approx(cost, rel=0.05)

    job = strategy.start(shapes_space, shapes, seed=1)
    with torch.random.fork_rng():
        job.run_epoch()
        resumed = strategy.start(shapes_space, shapes, seed=1)
        resumed.load_state_dict(job.state_dict())
        while len(resumed.history) < 3:
            resumed.run_epoch()
    assert resumed.history == list(whole.history)
    assert resumed.design().grouping == whole.grouping

    told = strategy.start(shapes_space, shapes, evaluate=lambda *_: {"mean": 4.5})
    assert told.run_epoch() == {"epoch": 1, "steps": 0, "error": 4.5, "best": 4.5}


def test_install_explains_every_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = re.findall(r"^\| (`.*?) \|", TEXTS["docs/install.md"], flags=re.MULTILINE)
    assert set(re.findall(r"`([\w-]+)`", " ".join(table))) == set(project["optional-dependencies"])


def documented() -> list[str]:
    """What the API pages show."""
    pages = [text for page, text in TEXTS.items() if page.startswith("docs/api/")]
    return re.findall(r"^\.\. (?:auto(?!module)\w+|names):: (\S+)", "\n".join(pages), re.MULTILINE)


def test_every_public_name_is_on_one_api_page() -> None:
    names = documented()
    assert len(names) == len(set(names))
    public = {
        f"{module.__name__}.{n}" for module in (groupnas, groupnas.nn) for n in module.__all__
    }
    assert public - set(names) == set()


@pytest.mark.parametrize("name", documented())
def test_documented_name_exists(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("page", TEXTS)
def test_relative_links_lead_to_files(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", TEXTS[page], flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            assert (ROOT / page).parent.joinpath(target).exists(), target
    if page.startswith("docs/"):
        assert "](../" not in text, "the site ends at docs/"


@pytest.mark.parametrize("page", TEXTS)
def test_tables_have_as_many_columns_as_their_heads(page: str) -> None:
    lines = re.sub(r"`[^`\n]*`", "code", TEXTS[page]).splitlines()
    for number, line in enumerate(lines):
        if re.fullmatch(r"\s*\|(\s*:?-+:?\s*\|)+\s*", line):
            head = lines[number - 1].replace("\\|", "")
            assert head.count("|") == line.count("|"), head


@pytest.mark.parametrize("page", TEXTS)
def test_pictures_say_what_they_show(page: str) -> None:
    assert re.findall(r"!\[\s*\]", TEXTS[page]) == []
