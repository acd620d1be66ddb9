"""What test files share that is no fixture: places, command lines, inputs."""

from __future__ import annotations

import errno
import importlib.util
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pytest
import torch
from cyclopts import App
from torch import Tensor, nn

import groupnas.writing
from groupnas.cli import main
from groupnas.errors import InputError
from groupnas.schema import validate
from groupnas.spaces import SearchSpace
from groupnas.spaces.schema import SpaceFile

Module = TypeVar("Module", bound=nn.Module)

ROOT = Path(__file__).parents[1]
SMALL = ROOT / "tests/spaces/small"  # spaces
SMALL_SPACES = sorted(SMALL.glob("*.yaml"))
# What no layout has: joint rows, and operators that it has no rule for
UNPLANNED_SPACES = sorted((ROOT / "tests/spaces/unplanned").glob("*.yaml"))
SMALL_CASCADE = ROOT / "tests/landmarks/small"  # recipe, strategy and spaces

# Holds a run folder's lock.
HOLDER = """
import sys, time
from groupnas.runs.folder import RunFolder
with RunFolder(sys.argv[1]).locked():
    print("locked", flush=True)
    time.sleep(60)
"""


def install(folder: Path, package: str, group: str, *lines: str, version: str = "1.0") -> Path:
    """Write what pip would of a package with entry points; returns the file that lists them."""
    info = folder / f"{package}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    listed = info / "entry_points.txt"
    listed.write_text("\n".join([f"[{group}]", *lines, ""]))
    return listed


def exit_code(*arguments: str) -> int:
    """The exit code of a command line, without ``groupnas``."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def caller(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that is called with its arguments as a shell gives them; its errors come out."""
    app = App(result_action="return_value")
    app.default(command)
    return lambda *given: app(list(map(str, given)), exit_on_error=False, print_error=False)


def some_input(space: SearchSpace, batch: int = 2) -> Tensor:
    """Random inputs of a space's networks, always the same."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, sum(space.inputs.values()), *space.input_size, generator=generator)


def through_state_dict(module: nn.Module, fresh: Module) -> Module:
    """A fresh module with the state of another, saved as a checkpoint is, loaded without code."""
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    return fresh


def space_file(*layers: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """The data of a space of two groups: 1 + 1 inputs of 8 x 8, 2 + 2 outputs, a last linear row.

    Whatever a file has may be given by name instead.
    """
    return {
        "format": 1,
        "title": "Small",
        "input": [8, 8],
        "groups": ["a", "b"],
        "inputs": {"a": 1, "b": 1},
        "outputs": {"a": 2, "b": 2},
        "layers": [*layers, {"name": "output", "op": "linear"}],
        **settings,
    }


def space_of(*layers: dict[str, Any], **settings: Any) -> SearchSpace:
    """The space of :func:`space_file`."""
    data = space_file(*layers, **settings)
    return SearchSpace.from_file(validate(SpaceFile, data, "test"), "test")


def load_script(path: Path) -> ModuleType:
    """A file of Python that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def full_disks(
    run: Callable[[Path], Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Folders of runs that found the disk full at their 1st, 2nd, ... write, up to the last."""
    replace_file = os.replace
    for number in range(1, 100):
        calls = 0

        def failing(source: Any, target: Any, number: int = number) -> None:
            nonlocal calls
            calls += 1
            if calls == number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            replace_file(source, target)

        out = folder / str(number)
        monkeypatch.setattr(groupnas.writing.os, "replace", failing)
        try:
            run(out)
            return
        except InputError as error:
            assert str(error).endswith("cannot be written: No space left on device")
        finally:
            monkeypatch.undo()
        assert not list(out.glob(".[!l]*"))  # nothing half-written is left
        yield out
