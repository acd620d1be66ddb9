"""Data sets by name: groupnas's own, and those that other packages register."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from helpers import install

from groupnas.cli import main
from groupnas.errors import InputError
from groupnas.landmarks.dataset import face_set
from groupnas.tasks import DATASETS, find_dataset, load_task

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
# All that a data set of another package is: a module, and a line that registers it.
PAGE = (ROOT / "docs/own_parts.md").read_text(encoding="utf-8")
(MODULE,) = re.findall(r"^```python\n(from groupnas.tasks .*?)^```", PAGE, re.DOTALL | re.MULTILINE)
((GROUP, LINE),) = re.findall(
    r'^```toml\n\[project.entry-points."(.*)"\]\n(.*)\n```', PAGE, re.MULTILINE
)
LINE = LINE.replace('"', "")


@pytest.fixture(autouse=True)
def _no_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GROUPNAS_CACHE", str(tmp_path / "cache"))


def test_unknown_names_get_a_hint() -> None:
    with pytest.raises(InputError, match="unknown data set '300W'; did you mean '300w'"):
        load_task("300W")


def test_a_missing_root_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROUPNAS_DATA", raising=False)
    with pytest.raises(InputError, match="set --data-root or GROUPNAS_DATA"):
        load_task("300w")


def test_synthetic_needs_nothing() -> None:
    task = load_task("synthetic", limit=2)
    assert task.name == "synthetic" and len(task.sources) == 2
    assert load_task("synthetic", limit=2).fingerprint() == task.fingerprint()


def test_the_shipped_ones() -> None:
    assert list(DATASETS) == ["300w", "aflw", "cofw", "cofw68", "partbench", "synthetic", "wflw"]
    for name in DATASETS:
        entry = find_dataset(name)
        assert entry.name == name and entry.summary and entry.obtained
        drawn = name in ("partbench", "synthetic")
        assert (entry.folder is None) == (entry.check is None) == drawn


def test_the_registry_costs_no_heavy_import() -> None:
    code = "import sys, groupnas.tasks as of"
    code += "; print([name for name in ('torch', 'numpy') if name in sys.modules])"
    code += "; [of.find_dataset(name) for name in of.DATASETS]; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "False"]


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Another package with a data set, as pip would install it."""
    place = tmp_path / "site"
    install(place, "shapes_data", GROUP, LINE)
    (place / "shapes_data.py").write_text(MODULE)
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.syspath_prepend(place)
    yield place
    for name in ("shapes_data", "own_parts"):
        sys.modules.pop(name, None)


def call(*arguments: object) -> object:
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return exit_.value.code


def test_another_packages_data_set_works_as_ours(
    others: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    assert call("data", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    about = "shapes     built in   Drawn shapes, each in a channel of its own"
    assert about in lines and len(lines) >= 7
    assert call("data", "check", "--data", "shapes") == 0
    assert call("data", "preview", "--data", "shapes", "-o", "it.png") == 2
    assert "shapes: this data set has no preview" in capsys.readouterr().err

    strategy = tmp_path / "quick.yaml"
    strategy.write_text(
        "{algorithm: masks, title: Quick, warmup_epochs: 1, epochs: 1, batch_size: 20,\n"
        " validation: 0.3, weights: {lr: 0.01}, masks: {optimizer: {lr: 0.1}}}\n"
    )
    given = ["--space", EXAMPLES / "three_parts.yaml", "--data", "shapes", "--strategy", strategy]
    assert call("search", *given, "--limit", 40, "--out", "run") == 0
    recorded = yaml.safe_load(Path("run/config.yaml").read_text())
    assert recorded["task"]["samples"] == 40 and recorded["arguments"]["data"] == "shapes"
    assert json.loads(Path("run/result.json").read_text())["error_unit"] == "px"
    with pytest.raises(InputError, match="^'shapes' is not a data set of faces$"):
        face_set("shapes")


@pytest.mark.parametrize(
    ("line", "module", "reason"),
    [
        (LINE, "import not_there", "No module named 'not_there'"),
        (LINE, "SHAPES = object()", "shapes_data:SHAPES is no DataSet"),
        (LINE, MODULE.replace("name=", 'name="an" + '), "it calls itself 'anshapes'"),
        ("shapes = shapes_data:SHAPS", MODULE, "has no attribute 'SHAPS'"),
    ],
)
def test_a_broken_one_is_told_of_and_ends_no_list(
    others: Path, line: str, module: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    install(others, "shapes_data", GROUP, line)
    (others / "shapes_data.py").write_text(module)
    with pytest.raises(InputError) as caught:
        load_task("shapes")
    assert str(caught.value).startswith("data set 'shapes' cannot be loaded: ")
    assert reason in str(caught.value)
    assert call("data", "list") == 0
    said = capsys.readouterr()
    assert "synthetic" in said.out and "shapes" not in said.out
    assert said.err.splitlines() == [f"groupnas: left out: {caught.value}"]
    assert load_task("synthetic", limit=2).name == "synthetic"


def test_real_copy() -> None:
    root = os.environ.get("GROUPNAS_DATA")
    if not root or not (Path(root) / "300w").is_dir():
        pytest.skip("GROUPNAS_DATA does not name a folder with 300w")
    task = load_task("300w", allow_partial=True, limit=20)
    assert len(task.sources) == 20
    assert not any("testset" in source or "ibug" in source for source in task.sources)
