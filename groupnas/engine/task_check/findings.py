"""A collection of what is wrong with a task, and a way to call its methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from groupnas.errors import InputError


class Stopped(Exception):
    """Nothing more can be checked, after what was found."""


class Findings:
    """Mistakes, each said once, in the words of :class:`groupnas.task.Task`."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []

    def add(self, mistake: str) -> None:
        """Add a mistake."""
        if mistake not in self.mistakes:
            self.mistakes.append(mistake)

    def stop(self, mistake: str) -> Stopped:
        """Add a mistake that ends the checks; return what is to be raised."""
        self.add(mistake)
        return Stopped()

    def call(self, what: str, method: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a method answers.

        Raises:
            Stopped: it raised something.
            InputError: as the method did: a task of ours says what is wrong with its files.
        """
        try:
            return method(*arguments)
        except InputError:
            raise
        except Exception as error:
            raise self.stop(f"{what}: raised {told(error)}") from error


def told(error: Exception) -> str:
    """Return an exception in a few words."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:160]}".rstrip(": ")


def kind(value: Any) -> str:
    """Return a value in a few words: a tensor's shape and dtype, or a class."""
    if isinstance(value, Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        return f"a tensor of shape {tuple(value.shape)}, {dtype}"
    if value is None:
        return "None"
    if isinstance(value, (str, int, float)):
        return repr(value)[:60]
    return f"a {type(value).__name__}"


def is_finite(value: Tensor) -> bool:
    """Return whether all of a tensor is finite."""
    return bool(torch.isfinite(value).all())
