"""The floors: data goes one way, and nothing outside the landmark wing knows what a face is."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "groupnas"

# Lowest first; a room imports from itself and from lower floors only.
FLOORS = (
    ("_version",),
    ("errors",),
    ("values",),
    ("files",),
    ("registry",),
    ("writing",),
    ("extras", "formats", "machine", "matplotlib_tools"),
    ("onnx_tools",),
    ("palette",),
    ("schema",),
    ("saved",),
    ("arrays",),
    ("task",),
    ("tasks",),
    ("grouping",),
    ("nn",),
    ("spaces",),
    ("accountant",),
    ("latency",),
    ("budget",),
    ("runs",),
    ("engine",),
    ("strategies",),
    ("comparison", "tabular"),
    ("groupbench", "partbench"),
    ("ceilings",),
    ("report", "deploy"),
    ("landmarks",),
    ("cli",),
    ("__init__", "__main__"),
)
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(PACKAGE.rglob("*.py"))
WING = "groupnas.landmarks"
GUARDS = ("TYPE_CHECKING", "typing.TYPE_CHECKING")
DOTTED = re.compile(r"groupnas(\.\w+)+:\w+")  # where a thing is, told to be imported later
FACES = re.compile(r"(^|[._])(face|faces|facial|landmarks?)($|[._])")


def room(module: str) -> str:
    """``groupnas.nn.uneven`` -> ``nn``; the package itself is ``__init__``."""
    return (module.split(".") + ["__init__"])[1]


def told(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of the module that a call imports by its name, as text."""
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = ast.unparse(node.func).rpartition(".")[2]
        if called in ("import_module", "__import__", "resolve_name"):
            yield node.lineno, str(node.args[0].value).partition(":")[0]


def imports(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Line and full name of all that is imported: lazily, for type checkers, and by texts too."""
    for node in ast.walk(tree):
        yield from told(node)
        if isinstance(node, ast.Constant) and DOTTED.fullmatch(str(node.value)):
            yield node.lineno, str(node.value).partition(":")[0]
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            for alias in node.names:
                # Of the package itself, the name is a room or comes from __init__.
                yield node.lineno, f"{module}.{alias.name}" if module == "groupnas" else module


def at_once(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported, for others than type checkers."""
    nodes: Iterable[ast.AST] = ast.iter_child_nodes(tree)
    if isinstance(tree, ast.If) and ast.unparse(tree.test) in GUARDS:
        nodes = tree.orelse
    for node in nodes:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node
            yield from at_once(node)


def breaches(source: str, module: str, package: str) -> list[str]:
    """What a module imports against the rules; empty when all is well."""
    home, tree = room(module), ast.parse(source)
    found = []
    for line, name in imports(tree, package):
        if name.split(".")[0] == "groupnas":
            other = room(name) if room(name) in FLOOR else "__init__"
            if other != home and FLOOR[other] >= FLOOR[home]:
                found.append(f"line {line}: {home} imports {name}, which is not below it")
        if FLOOR[home] < FLOOR["landmarks"] and FACES.search(name):
            found.append(f"line {line}: {home} imports {name}, but only landmarks knows faces")
    if home == "cli":  # the core's commands work without the wing
        found += [
            f"line {line}: {module} imports {name} at once, not inside the command"
            for node in at_once(tree)
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for line, name in imports(node, package)
            if name.startswith(WING)
        ]
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_down_only(file: Path) -> None:
    module = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
    assert room(module) in FLOOR, f"give {room(module)!r} a floor in FLOORS"
    package = module.rpartition(".")[0]
    assert breaches(file.read_text(encoding="utf-8"), module, package) == []


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import groupnas.nn", ""),
        ("from groupnas.grouping import Grouping", ""),
        ("from . import schema\nfrom .units import x\nfrom ..errors import y", ""),
        ("import torch.interface", ""),
        ("def f():\n    import groupnas.engine.run", "line 2: spaces imports groupnas.engine.run"),
        ("from groupnas import accountant", "line 1: spaces imports groupnas.accountant"),
        ("from groupnas import Grouping", "line 1: spaces imports groupnas.Grouping"),
        ("from ..accountant import x", "line 1: spaces imports groupnas.accountant"),
        ("from .. import cli", "line 1: spaces imports groupnas.cli"),
        ("import other.face_landmarks", "only landmarks knows faces"),
        ("from groupnas import landmarks", "spaces imports groupnas.landmarks"),
        ("class A:\n    from groupnas import cli", "line 2: spaces imports groupnas.cli"),
        ("if t.TYPE_CHECKING:\n    import groupnas.cli as c", "spaces imports groupnas.cli"),
        ('import_module("groupnas.nn.uneven")\nKIND = "torch.nn:ReLU"', ""),
        ('importlib.import_module("groupnas.cli.app")', "spaces imports groupnas.cli.app"),
        ('f = lambda: __import__("groupnas.cli")', "spaces imports groupnas.cli"),
        ('job = "groupnas.engine.job:Job"', "line 1: spaces imports groupnas.engine.job"),
        ('resolve_name("groupnas.landmarks.task:FaceTask")', "only landmarks knows faces"),
        ('GROUP = "groupnas.strategies"', ""),  # of entry points
    ],
)
def test_the_rule_itself(source: str, complaint: str) -> None:
    found = breaches(source, "groupnas.spaces.space", "groupnas.spaces")
    assert bool(found) == bool(complaint)
    assert complaint in "".join(found)


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("def f():\n    from groupnas.landmarks.task import x", True),
        ("if TYPE_CHECKING:\n    from groupnas.landmarks.task import x", True),
        ("if typing.TYPE_CHECKING:\n    from groupnas.landmarks.task import x", True),
        ("if TYPE_CHECKING:\n    x = 1\nelse:\n    import groupnas.landmarks", False),
        ("if not TYPE_CHECKING:\n    import groupnas.landmarks", False),
        ("class A:\n    import groupnas.landmarks", False),
        ("from groupnas import landmarks", False),
        ("from groupnas.landmarks.task import x", False),
        ("try:\n    import groupnas.landmarks\nexcept ImportError:\n    pass", False),
    ],
)
def test_commands_load_the_landmark_wing_late(source: str, allowed: bool) -> None:
    assert (breaches(source, "groupnas.cli.eval", "groupnas.cli") == []) == allowed


# -- names --------------------------------------------------------------------------------------


def test_a_class_name_means_one_thing() -> None:
    homes: dict[str, list[str]] = {}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(f"{file.relative_to(PACKAGE)}:{node.lineno}")
    assert len(homes) > 100
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


# -- circles ------------------------------------------------------------------------------------


def imported(source: str, module: str, is_package: bool, modules: Collection[str]) -> set[str]:
    """Which of some modules another imports: lazily and for type checkers too.

    A package's ``__init__`` only where a name is taken from it.
    """
    package = module if is_package else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            home = ".".join([*base, *filter(None, [node.module])])
            names = {f"{home}.{alias.name}" for alias in node.names}
            found |= names & set(modules) | ({home} if names - set(modules) else set())
        found |= {name for _, name in told(node)}
    return found & set(modules) - {module}


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The modules that import each other, directly or by way of others: each set of them once."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            new = set(graph[ahead.pop()]) - seen
            seen |= new
            ahead += new
        reached[start] = seen
    found = {
        tuple(sorted(b for b in reached[a] if a in reached[b])) for a in graph if a in reached[a]
    }
    return sorted(map(list, found))


def test_no_modules_import_each_other() -> None:
    files = {
        ".".join(f.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): f
        for f in FILES
    }
    graph = {
        module: imported(file.read_text(encoding="utf-8"), module, file.stem == "__init__", files)
        for module, file in files.items()
    }
    assert circles(graph) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import p.a", {"p.a"}),
        ("from p.a import x", {"p.a"}),
        ("from p import a", {"p.a"}),
        ("from p import x", {"p"}),
        ("from p import a, x", {"p", "p.a"}),
        ("from . import a", {"p.q.a"}),
        ("from .. import a", {"p.a"}),
        ("from .. import a, x", {"p", "p.a"}),
        ("from .a import x\nfrom ..a import y", {"p.q.a", "p.a"}),
        ("def f():\n    import p.a", {"p.a"}),
        ("if TYPE_CHECKING:\n    from p.q.a import X", {"p.q.a"}),
        ("class A:\n    from p.a import x", {"p.a"}),
        ('importlib.import_module("p.a")', {"p.a"}),
        # What a text names is imported when it is asked for, by who holds the text
        ('import torch\nfrom p.q import b\nJOB = "p.a:Job"', set()),
    ],
)
def test_what_counts_as_an_import(source: str, expected: set[str]) -> None:
    assert imported(source, "p.q.b", False, {"p", "p.a", "p.q.a", "p.q.b"}) == expected


def test_circles_by_hand() -> None:
    graph = {"a": "bc", "b": "c", "c": "b", "d": "e", "e": "fa", "f": "d", "g": "a"}
    assert circles(graph) == [["b", "c"], ["d", "e", "f"]]
