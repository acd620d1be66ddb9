"""Notebooks are kept whole, clean and of today's API; .ci/run executes them with the site."""

from __future__ import annotations

import ast
import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOKS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(DOCS.glob("notebooks/*.ipynb"))
}
METHOD = (DOCS / "method.md").read_text(encoding="utf-8")
# A folder of somebody's machine, in quotes or at the start of a word.
ABSOLUTE = re.compile(r"(?<![\w.\])}])/(?:home|root|tmp|Users|mnt|data|opt|var|usr)\b|\b[A-Z]:\\\\")


def cells(notebook: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def code(name: str) -> str:
    """All Python of a notebook or of the method page, without IPython's magic lines."""
    if name == "method":
        blocks = re.findall(r"^```\{code-cell\}.*?\n(.*?)^```", METHOD, re.DOTALL | re.MULTILINE)
        blocks = [re.sub(r"\A---\n.*?^---\n", "", b, flags=re.DOTALL | re.M) for b in blocks]
        text = "\n".join(re.sub(r"^:\w+:.*$", "", block, flags=re.MULTILINE) for block in blocks)
    else:
        text = "\n".join("".join(cell["source"]) for cell in cells(NOTEBOOKS[name], "code"))
    return re.sub(r"^%.*$", "", text, flags=re.MULTILINE)


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS.keys() >= {"first_search", "groupbench"}
    assert code("method").count("\n") > 100


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_is_valid(name: str) -> None:
    nbformat = pytest.importorskip("nbformat", reason="needs groupnas[docs]")
    nbformat.validate(NOTEBOOKS[name])
    assert (NOTEBOOKS[name]["nbformat"], NOTEBOOKS[name]["nbformat_minor"]) == (4, 5)
    assert NOTEBOOKS[name]["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in NOTEBOOKS[name]["cells"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_nothing_is_kept_of_a_machine_or_a_run(name: str) -> None:
    metadata = NOTEBOOKS[name]["metadata"]
    assert metadata.keys() <= {"kernelspec", "language_info", "mystnb"}
    assert metadata["language_info"] == {"name": "python"}
    for cell in cells(NOTEBOOKS[name], "code"):
        assert (cell["outputs"], cell["execution_count"]) == ([], None), cell["id"]
        assert cell["metadata"].keys() <= {"mystnb", "tags"}, cell["id"]
    assert not ABSOLUTE.search(json.dumps(NOTEBOOKS[name]))


@pytest.mark.parametrize("path", ["'/tmp/a'", "~ /home/me", "C:\\\\Users\\\\me"])
def test_an_absolute_path_would_be_noticed(path: str) -> None:
    assert ABSOLUTE.search(path)


@pytest.mark.parametrize("name", [*NOTEBOOKS, "method"])
def test_imported_names_exist(name: str) -> None:
    imports = [node for node in ast.walk(ast.parse(code(name))) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if (node.module or "").startswith("groupnas")]
    assert ours
    for node in ours:
        module = importlib.import_module(str(node.module))
        for alias in node.names:
            assert hasattr(module, alias.name), f"{node.module}.{alias.name}"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_pictures_are_described(name: str) -> None:
    for cell in cells(NOTEBOOKS[name], "code"):
        source = "".join(cell["source"])
        if re.search(r"^(figure, .*subplots|tetris_figure|plot\()", source, re.MULTILINE):
            assert cell["metadata"]["mystnb"]["image"]["alt"], cell["id"]
