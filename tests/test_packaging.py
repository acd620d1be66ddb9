"""The package as it is installed: what ships, how it is found, what an import costs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import ROOT

from groupnas._version import __version__
from groupnas.errors import InputError
from groupnas.files import find_shipped, shipped_names

KINDS = {"search_spaces", "strategies", "reports"}


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package as the wheel lays it out, with the working directory elsewhere."""
    package = tmp_path / "site-packages" / "groupnas"
    add(package / "_shipped", "ours", "both")
    add(package.parent, "somebody_elses")
    monkeypatch.setattr(resources, "files", lambda name: tmp_path / "site-packages" / name)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return package


def add(root: Path, *names: str) -> None:
    (root / "search_spaces").mkdir(parents=True, exist_ok=True)
    for name in names:
        (root / "search_spaces" / f"{name}.yaml").write_text("a: 1\n")


def test_every_shipped_folder_is_in_the_wheel(pyproject: dict[str, Any]) -> None:
    wheel = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["sources"] == {kind: f"groupnas/_shipped/{kind}" for kind in KINDS}
    assert set(wheel["only-include"]) == KINDS | {"groupnas"}
    for kind in KINDS:
        assert any((ROOT / kind).iterdir()), f"{kind} is empty"
    assert not (ROOT / "groupnas" / "_shipped").exists(), "the checkout must not shadow its folders"


def test_shipped_folders_hold_no_code() -> None:
    assert [file for kind in KINDS for file in (ROOT / kind).rglob("*.py")] == []


def test_version_is_the_installed_one() -> None:
    assert metadata.version("groupnas") == __version__


def test_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__


def test_lower_bounds_are_the_versions_tested(pyproject: dict[str, Any]) -> None:
    text = (ROOT / "constraints-floor.txt").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([\w-]+)==([\d.]+)$", text.lower(), flags=re.MULTILINE))
    project = pyproject["project"]
    requirements = [*project["dependencies"], *pyproject["build-system"]["requires"]]
    for extra in ("cofw", "onnx", "optuna", "report", "tensorboard", "video"):
        requirements += project["optional-dependencies"][extra]
    bounds = dict(requirement.lower().split(">=") for requirement in requirements)
    assert set(pins) == set(bounds) | {"pyparsing"}
    for name, bound in bounds.items():
        assert pins[name] in (bound, f"{bound}.0", f"{bound}.0.0"), name


def test_torch_is_pinned_alike_everywhere() -> None:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    (pin,) = [word for word in constraints if word.startswith("torch==") and "VERSION" not in word]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").split()
    assert {word for word in ci if word.startswith("torch==")} == {pin}


@pytest.mark.parametrize("kind", ["search_spaces", "strategies", "strategies/recipes"])
def test_checkout_serves_its_folders_from_anywhere(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = sorted(file.stem for file in (ROOT / kind).glob("*.yaml"))
    assert shipped_names(kind) == expected
    for name in expected:
        assert find_shipped(kind, name) == ROOT / kind / f"{name}.yaml"


def test_users_folder_comes_first(installed: Path) -> None:
    assert shipped_names("search_spaces") == ["both", "ours"]
    assert find_shipped("search_spaces", "both").is_relative_to(installed)
    add(Path.cwd(), "mine", "both")
    assert shipped_names("search_spaces") == ["both", "mine", "ours"]
    assert find_shipped("search_spaces", "both") == Path.cwd() / "search_spaces" / "both.yaml"
    assert find_shipped("search_spaces", "ours").is_relative_to(installed)


def test_a_path_means_that_file_only(installed: Path) -> None:
    add(Path.cwd(), "mine")
    assert find_shipped("search_spaces", "search_spaces/mine.yaml").is_file()
    for path in ("mine.yaml", "search_spaces/mine", "ours.yml"):
        with pytest.raises(InputError) as caught:
            find_shipped("search_spaces", path)
        assert str(caught.value) == f"{path}: no such file"


def test_unknown_name_suggests_the_nearest(installed: Path) -> None:
    with pytest.raises(InputError) as caught:
        find_shipped("search_spaces", "our")
    assert str(caught.value) == (
        "'our' is not among the search spaces; did you mean 'ours'? choose from: both, ours"
    )
    with pytest.raises(InputError, match=r"'x' is not among the strategies; .*\(none\)$"):
        find_shipped("strategies", "x")


@pytest.mark.parametrize("module", ["groupnas", "groupnas.grouping", "groupnas.files"])
def test_import_without_torch(module: str, tmp_path: Path) -> None:
    code = f"import sys, {module}; print(sorted({{'torch', 'numpy'}} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")


def test_ci_runs_the_readmes_test_command() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    (command,) = (line for line in lines if line.startswith("python3 -m venv .venv-test"))
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
