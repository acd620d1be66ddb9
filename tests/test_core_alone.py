"""The core, all but the landmark wing, imports and searches where there is no wing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BEGIN = """
import sys
sys.modules["groupnas.landmarks"] = None
"""
IMPORT = """
import importlib, pkgutil, groupnas
for module in pkgutil.walk_packages(groupnas.__path__, "groupnas.", onerror=lambda name: None):
    if not module.name.startswith(("groupnas.landmarks", "groupnas.__main__")):
        try:
            importlib.import_module(module.name)
        except ImportError as error:  # of an extra, NNI
            assert not (error.name or "").startswith("groupnas"), (module.name, error)
print(*sorted({name.split(".")[1] for name in sys.modules if name.startswith("groupnas.")}))
"""
SEARCH = """
import own_parts
space = groupnas.load_space(own_parts.SPACE)
strategy = own_parts.STRATEGY.with_settings(warmup_epochs=1, epochs=1)
run = groupnas.search(space, own_parts.Shapes(40), strategy, sys.argv[1], quiet=True)
print(sum(run.grouping.counts()["stem"].values()))
"""
COMMAND = """
from groupnas.cli import main
main(sys.argv[1:])
"""


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code without the wing."""
    code = BEGIN + f"sys.path.insert(0, {str(ROOT / 'examples')!r})\n" + code
    line = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True)


def test_every_other_module_imports_and_other_parts_are_searched_for(tmp_path: Path) -> None:
    done = run(IMPORT + SEARCH, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    imported, channels = done.stdout.splitlines()
    rooms = {file.relative_to(ROOT / "groupnas").parts[0] for file in ROOT.glob("groupnas/**/*.py")}
    # the wing is there as what cannot be imported
    assert set(imported.split()) == {room.removesuffix(".py") for room in rooms} - {
        "__init__",
        "__main__",
    }
    assert channels == "12" and (tmp_path / "run/result.json").is_file()


def test_commands() -> None:
    space = ROOT / "examples/three_parts.yaml"
    for line, expected in {
        ("--help",): "search",
        ("spaces",): "picasso_local",
        ("strategies",): "gumbel:quick",
        ("flops", "--space", space): "disc",
    }.items():
        done = run(COMMAND, *line)
        assert done.returncode == 0 and expected in done.stdout, (line, done.stderr)


def test_a_data_set_of_the_wing_is_told_to_be_gone() -> None:
    done = run(COMMAND, "data", "check", "--data", "synthetic")
    assert done.returncode == 2
    assert done.stderr.startswith("groupnas: data set 'synthetic' cannot be loaded: groupnas.landm")
