"""Whether a task's loss, errors and start are such that networks can learn from them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from groupnas.engine.task_check.batches import PLAIN, Samples
from groupnas.engine.task_check.findings import Findings, is_finite, kind
from groupnas.engine.task_check.randomness import close, copied, same
from groupnas.task import Task

_SPREADS = (0.1, 0.3, 1.0)  # of predictions around where training starts
_CPU = torch.device("cpu")


def check_answers(found: Findings, task: Task, samples: Samples) -> None:
    """All that is asked of :class:`Task` but batches.

    Raises:
        Stopped: a method raised something.
    """
    start = _check_start(found, task)
    target = _moved(found, task, samples.target)
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(len(samples.indices), len(start), generator=draw)
    missing = _check_errors(found, task, samples, target, start + noise)
    _check_loss(found, task, target, start.expand_as(noise), missing)


def _check_start(found: Findings, task: Task) -> Tensor:
    """What training starts from; zeros where the task says nothing of use."""
    outputs = sum(task.outputs.values())
    mean = found.call("mean_output()", task.mean_output)
    if mean is None:
        return torch.zeros(outputs)
    if (
        not isinstance(mean, Tensor)
        or tuple(mean.shape) != (outputs,)
        or not mean.dtype.is_floating_point
    ):
        found.add(f"mean_output(): expected ({outputs},) floats or None, got {kind(mean)}")
    elif not is_finite(mean):
        found.add(
            "mean_output(): expected finite numbers, got NaN or infinite ones; leave out what is "
            "missing (torch.nanmean)"
        )
    else:
        return mean.detach().to(_CPU, torch.get_default_dtype())
    return torch.zeros(outputs)


def _moved(found: Findings, task: Task, target: Any) -> Any:
    moved = found.call("to(target, device)", task.to, target, _CPU)
    if moved is None and target is not None:
        raise found.stop("to(target, device): expected the target, moved to the device; got None")
    return moved


def _check_errors(
    found: Findings, task: Task, samples: Samples, target: Any, predicted: Tensor
) -> list[bool]:
    """Of every sample and part; says which parts no sample has that was looked at."""
    parts = list(task.outputs)
    nothing = [False] * len(parts)
    with torch.no_grad():
        before = copied(target)
        given = predicted.clone()
        errors = found.call("errors(predicted, target)", task.errors, given, target)
        shape = (len(predicted), len(parts))
        if (
            not isinstance(errors, Tensor)
            or tuple(errors.shape) != shape
            or not errors.dtype.is_floating_point
        ):
            found.add(
                f"errors(predicted, target): expected {shape} floats, of every sample and part; "
                f"got {kind(errors)}"
            )
            return nothing
        errors = errors.clone()
        _check_values(found, errors)
        if not (same(given, predicted) and same(before, target)):
            found.add("errors(predicted, target): changes what it is given")
            return nothing
        backward = _moved(found, task, samples.backward)
        turned = found.call("errors(predicted, target)", task.errors, predicted.flip(0), backward)
        single = _moved(found, task, samples.single)
        alone = found.call("errors(predicted, target)", task.errors, predicted[:1], single)
        if not close(turned.flip(0), errors):
            found.add(f"{PLAIN}: targets do not follow the order of indices, or errors do not")
        elif not isinstance(alone, Tensor) or not close(alone, errors[:1]):
            found.add(
                "errors(predicted, target): a sample's errors change with the others of its batch"
            )
    unknown: list[bool] = errors.isnan().all(dim=0).tolist()
    everything = len(task.sources) <= samples.count
    for part, is_unknown in zip(parts, unknown, strict=True):
        if is_unknown and (everything or all(unknown)):
            found.add(f"errors(predicted, target): NaN for part {part} of every sample looked at")
    return unknown


def _check_values(found: Findings, errors: Tensor) -> None:
    if bool((errors < 0).any()):
        least = errors[errors < 0].min().item()
        found.add(f"errors(predicted, target): expected errors from 0 on, got {least:g}")
    if bool(errors.isinf().any()):
        found.add("errors(predicted, target): infinite for finite predictions")


def _gradient(loss: Tensor, leaf: Tensor) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad(loss.sum(), leaf, allow_unused=True)


def _check_loss(
    found: Findings, task: Task, target: Any, start: Tensor, missing: list[bool]
) -> None:
    """A scalar that every part's predictions can descend."""
    draw = torch.Generator().manual_seed(1)
    reached = torch.zeros(start.shape[1], dtype=torch.bool)
    what = "loss(predicted, target)"
    for spread in _SPREADS:
        leaf = (start + spread * torch.randn(start.shape, generator=draw)).requires_grad_()
        given, before = leaf * 1, copied(target)
        with torch.enable_grad():
            loss = found.call(what, task.loss, given, target)
        if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.is_floating_point():
            found.add(f"{what}: expected a scalar float, got {kind(loss)}")
            return
        if not is_finite(loss):
            found.add(f"{what}: {loss.item()} for finite predictions")
            return
        if not (same(given.detach(), leaf.detach()) and same(before, target)):
            found.add(f"{what}: changes what it is given")
            return
        if not loss.requires_grad:
            found.add(f"{what}: has no gradient; compute it with torch, without detach or no_grad")
            return
        (gradient,) = found.call(f"{what}: its gradient", _gradient, loss, leaf)
        if gradient is None:
            break
        if not is_finite(gradient):
            found.add(f"{what}: its gradient is not finite for finite predictions")
            return
        reached |= (gradient != 0).any(dim=0)
    if not bool(reached.any()):
        found.add(f"{what}: does not depend on the predictions")
        return
    pieces = reached.split(list(task.outputs.values()))
    for part, piece, is_missing in zip(task.outputs, pieces, missing, strict=True):
        if not is_missing and not bool(piece.any()):
            found.add(f"{what}: does not depend on what is predicted of {part}")
