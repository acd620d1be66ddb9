"""What test files share that is no fixture: places, command lines, inputs."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from cyclopts import App
from torch import Tensor, nn

from groupnas.cli import main
from groupnas.spaces import SearchSpace

Module = TypeVar("Module", bound=nn.Module)

ROOT = Path(__file__).parents[1]
SMALL = ROOT / "tests/spaces/small"  # spaces
SMALL_SPACES = sorted(SMALL.glob("*.yaml"))
SMALL_CASCADE = ROOT / "tests/landmarks/small"  # recipe, strategy and spaces

# Holds a run folder's lock.
HOLDER = """
import sys, time
from groupnas.runs.folder import RunFolder
with RunFolder(sys.argv[1]).locked():
    print("locked", flush=True)
    time.sleep(60)
"""


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
