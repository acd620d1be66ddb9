"""The random states that everybody shares: set for a while, and compared by what comes of them."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from groupnas.task import Task

# Seeds whose first draws in [0, 1), of torch, numpy and Python alike, are below 0.04 or above 0.96:
# what happens at random, with a probability between those, happens with one of both.
LOW, HIGH = 9024, 8861
_DEPTH = 8  # of nested targets; what lies deeper counts as equal
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


@contextmanager
def own_randomness() -> Iterator[Callable[[int], None]]:
    """Give a function that seeds torch, numpy and Python; put their states back at the end."""
    arrays, plain = np.random.get_state(), random.getstate()
    tensors = torch.get_rng_state()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None

    def reseed(number: int) -> None:
        torch.default_generator.manual_seed(number)  # torch.manual_seed would reach for devices
        np.random.seed(number)
        random.seed(number)

    try:
        yield reseed
    finally:
        np.random.set_state(arrays)
        random.setstate(plain)
        torch.set_rng_state(tensors)
        if devices is not None:
            torch.cuda.set_rng_state_all(devices)


def copied(value: Any, task: Task) -> Any:
    """Return a copy that later changes do not reach, where that can be had.

    A target may refer to its task, or to the task's data set. Those are not copied: they are not
    the batch's own, may be large, and may count their calls.
    """
    own = [task, *(held for held in vars(task).values() if _is_opaque(held))]
    try:
        return copy.deepcopy(value, {id(held): held for held in own})
    except Exception:  # whatever a target's class raises; it is then compared with itself
        return value


def _is_opaque(value: Any) -> bool:
    return hasattr(value, "__dict__") and not isinstance(
        value, (Tensor, np.ndarray, Mapping, list, tuple)
    )


def same(one: Any, other: Any, depth: int = 0) -> bool:
    """Return whether two batches or targets are the same bit for bit, or incomparable."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return one.shape == other.shape and one.dtype == other.dtype and _equal(one, other)
    if isinstance(one, (np.ndarray, np.generic)):
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        if one.dtype.hasobject:
            return depth > _DEPTH or same(one.tolist(), other.tolist(), depth + 1)
        return one.tobytes() == other.tobytes()
    if isinstance(one, _PLAIN):
        return bool(one == other or (one != one and other != other))
    if depth > _DEPTH:
        return True
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(
            same(one[key], other[key], depth + 1) for key in one
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(
            same(a, b, depth + 1) for a, b in zip(one, other, strict=True)
        )
    if hasattr(one, "__dict__"):
        return _says_equal(one, other) or same(vars(one), vars(other), depth + 1)
    return True


def _says_equal(one: Any, other: Any) -> bool:
    """Return whether the class says so, as those of lazily loaded pictures do."""
    try:
        return (one == other) is True
    except Exception:  # dataclasses of tensors raise
        return False


def _equal(one: Tensor, other: Tensor) -> bool:
    other = other.to(one.device)
    try:
        return bool(((one == other) | ((one != one) & (other != other))).all())
    except RuntimeError:  # sparse or nested ones cannot be compared
        return True


def close(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are the same up to rounding; NaN equals NaN."""
    return one.shape == other.shape and bool(
        torch.isclose(one.double(), other.double(), rtol=1e-3, atol=1e-5, equal_nan=True).all()
    )
