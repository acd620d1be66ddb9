"""Checks of a checkpoint against the state of the same job before it began.

A job's own fresh state is the schema. What is empty there may have grown since: the job checks that
where it loads it, with the functions here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from groupnas.errors import InputError, shown
from groupnas.grouping import Grouping
from groupnas.runs.records import Epoch
from groupnas.saved import check_plain
from groupnas.schema import validate
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import SearchSpace


class StateError(InputError):
    """A state is not of the job that is to resume from it; says where, and what was expected."""


def check_like(found: Any, fresh: Any, where: str = "the state") -> None:
    """Raise :class:`StateError` unless a saved value is built as a fresh one.

    Mappings have the same keys, tensors the same type and shape, single values the same type, and
    the items of lists, of which there may be any number, are like the first. What is empty or
    ``None`` in the fresh value may be anything of its kind; so may tables by number and what
    optimisers gather.
    """
    if isinstance(fresh, Tensor):
        _check_tensor(found, fresh, where)
    elif isinstance(fresh, Mapping):
        _expect(isinstance(found, dict), where, "a mapping", found)
        if not all(isinstance(key, str) for key in fresh) or not fresh:
            return  # a table by number, of what has been done
        for key in fresh:
            if key not in found:
                raise StateError(f"{where}: {shown(key)} is missing")
        for key in found:
            if key not in fresh:
                raise StateError(f"{where}: {shown(key)} is not of it")
        if fresh.keys() == {"state", "param_groups"}:
            _expect(isinstance(found["state"], dict), f"{where}.state", "a mapping", found["state"])
            return
        for key, value in fresh.items():
            check_like(found[key], value, key if where == "the state" else f"{where}.{key}")
    elif isinstance(fresh, list):
        _expect(isinstance(found, list), where, "a list", found)
        for index, item in enumerate(found if fresh else ()):
            check_like(item, fresh[0], f"{where}[{index}]")
    elif fresh is not None:
        numbers = {type(found), type(fresh)} <= {int, float}
        same = numbers or type(found) is type(fresh)
        _expect(same, where, f"a value like {shown(fresh)}", found)


def check_history(history: Any, record: type[Epoch], total: int) -> list[dict[str, Any]]:
    """Return the records of a saved history: plain values of a job's kind, epoch by epoch.

    Raises:
        StateError: they are not, or there are more than the job has epochs.
    """
    _expect(isinstance(history, list), "history", "a list of epochs", history)
    if len(history) > total:
        raise StateError(f"history: holds {len(history)} epochs, the run has {total}")
    for number, entry in enumerate(history, start=1):
        where = f"history, epoch {number}"
        try:
            check_plain(entry, where)
            validate(record, entry, where)
        except InputError as error:
            raise StateError(str(error)) from error
        if entry["epoch"] != number:
            raise StateError(f"{where}: is called epoch {shown(entry['epoch'])}")
    return history


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any], where: str) -> None:
    """Take what an optimiser gathered; its settings stay those that it was made with.

    Raises:
        StateError: it was gathered for other parameters.
    """
    gathered = state["state"]
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for index, entry in gathered.items():
        known = type(index) is int and 0 <= index < len(weights)
        _expect(known, f"{where}.state", f"numbers of {len(weights)} parameters", index)
        inside = f"{where}.state[{index}]"
        _expect(isinstance(entry, dict), inside, "a mapping", entry)
        expected = _gathered(optimizer, weights[index])
        _expect(entry.keys() == expected.keys(), inside, ", ".join(expected), entry)
        for name, like in expected.items():
            _check_tensor(entry[name], like, f"{inside}.{name}")
        step = entry.get("step")
        if step is not None and not (step.item() >= 0 and step.item() % 1 == 0):
            raise StateError(f"{inside}.step: expected a count of steps, got {step.item()}")
    own = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": gathered, "param_groups": own})


def load_generator(generator: torch.Generator | None, state: Tensor, where: str) -> None:
    """Set the state of a generator, ``None`` for torch's own.

    Raises:
        StateError: no generator has it.
    """
    try:
        torch.set_rng_state(state) if generator is None else generator.set_state(state)
    except (RuntimeError, TypeError) as error:  # torch alone knows what it is made of
        raise StateError(f"{where}: is no state of a random generator") from error


def load_allocation(state: Any, space: SearchSpace, where: str) -> Allocation:
    """Return the allocation of a space, at any widths, whose grouping was saved.

    Raises:
        StateError: it is none.
    """
    try:
        return Allocation(space, Grouping.from_dict(state))
    except InputError as error:
        raise StateError(f"{where}: {error}") from error


def check_indices(found: Tensor, indices: Tensor, where: str) -> None:
    """Raise :class:`StateError` unless all of some indices are among others."""
    if len(found) > len(indices) or not bool(torch.isin(found, indices).all()):
        raise StateError(f"{where}: holds samples that are not on this side of the split")


def check_table(found: Any, keys: Sequence[str], where: str) -> None:
    """Raise :class:`StateError` unless a mapping has exactly these keys."""
    _expect(isinstance(found, dict) and set(found) == set(keys), where, ", ".join(keys), found)


def _check_tensor(found: Any, like: Tensor, where: str) -> None:
    _expect(isinstance(found, Tensor), where, _told(like), found)
    grown = like.dim() == 1 and not len(like)
    same = found.shape == like.shape or (grown and found.dim() == 1)
    plain = found.layout == torch.strided and not found.is_quantized
    _expect(same and found.dtype == like.dtype and plain, where, _told(like), found)


def _gathered(optimizer: torch.optim.Optimizer, weight: Tensor) -> dict[str, Tensor]:
    if isinstance(optimizer, torch.optim.SGD):
        momentum = optimizer.param_groups[0]["momentum"]
        return {"momentum_buffer": weight} if momentum else {}
    return {"step": torch.zeros(()), "exp_avg": weight, "exp_avg_sq": weight}


def _expect(holds: bool, where: str, expected: str, found: Any) -> None:
    if not holds:
        raise StateError(f"{where}: expected {expected}, got {_told(found)}")


def _told(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {shown(tuple(value.shape))}"
    if isinstance(value, (dict, list, tuple, set)):
        return f"a {type(value).__name__} of {len(value)}"
    return shown(value)
