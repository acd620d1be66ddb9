"""Checks of a task's loss, errors and start: can networks learn from them?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from groupnas.engine.task_check.batches import PLAIN, Samples
from groupnas.engine.task_check.findings import Findings, Stopped, is_finite, kind
from groupnas.engine.task_check.randomness import close, copied, same
from groupnas.task import Task, output_size

_SPREADS = (0.1, 0.3, 1.0)  # of predictions around where training starts
_FAR = (10.0, -10.0, 100.0, -100.0, 1e4, -1e4)  # too far off for a loss to tolerate
_LOSS, _ERRORS = "loss(predicted, target)", "errors(predicted, target)"
_CPU = torch.device("cpu")


def check_answers(found: Findings, task: Task, samples: Samples) -> None:
    """Check all that is asked of :class:`Task` but batches.

    Raises:
        Stopped: a method raised something.
    """
    start = _check_start(found, task)
    size = output_size(task)
    start = start.view(-1, *[1] * len(size)).expand(-1, *size)
    target = _moved(found, task, samples.target)
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(len(samples.indices), *start.shape, generator=draw)
    missing = _check_errors(found, task, samples, target, start, noise)
    _check_loss(found, task, target, start.expand_as(noise), missing)
    if not found.mistakes:
        _check_drawn(found, task, samples.drawn, start + noise)


def _check_start(found: Findings, task: Task) -> Tensor:
    """Return what training starts from; zeros where the task says nothing of use."""
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
    found: Findings, task: Task, samples: Samples, target: Any, start: Tensor, noise: Tensor
) -> list[bool]:
    """Check errors; return, for each group, whether no sample that was looked at shows it."""
    nothing = [False] * len(task.outputs)
    predicted = start + noise
    with torch.no_grad():
        before = copied(target, task)
        given = predicted.clone()
        errors = _errors(found, _ERRORS, task, given, target)
        if errors is None:
            return nothing
        errors = errors.clone()
        _check_values(found, errors)
        if not (same(given, predicted) and same(before, target)):
            found.add(f"{_ERRORS}: changes what it is given")
            return nothing
        elsewhere = _errors(found, _ERRORS, task, start - noise, target)
        if elsewhere is not None and not torch.equal(elsewhere.isnan(), errors.isnan()):
            found.add(
                f"{_ERRORS}: NaN for some predictions and not for others; expected it where a "
                "sample does not show a part, whatever is predicted"
            )
        backward = _moved(found, task, samples.backward)
        turned = found.call(_ERRORS, task.errors, predicted.flip(0), backward)
        single = _moved(found, task, samples.single)
        alone = found.call(_ERRORS, task.errors, predicted[:1], single)
        if not close(turned.flip(0), errors):
            found.add(f"{PLAIN}: targets do not follow the order of indices, or errors do not")
        elif not isinstance(alone, Tensor) or not close(alone, errors[:1]):
            found.add(f"{_ERRORS}: a sample's errors change with the others of its batch")
    unknown: list[bool] = errors.isnan().all(dim=0).tolist()
    everything = len(task.sources) <= samples.count
    for group, is_unknown in zip(task.outputs, unknown, strict=True):
        if is_unknown and (everything or all(unknown)):
            found.add(f"{_ERRORS}: NaN for part {group} of every sample looked at")
    return unknown


def _errors(
    found: Findings, what: str, task: Task, predicted: Tensor, target: Any
) -> Tensor | None:
    """Return errors of the right shape, else ``None``; whole numbers and booleans do, too."""
    errors = found.call(what, task.errors, predicted, target)
    shape = (len(predicted), len(task.outputs))
    if not isinstance(errors, Tensor) or tuple(errors.shape) != shape or errors.dtype.is_complex:
        found.add(f"{what}: expected {shape} numbers, of every sample and part; got {kind(errors)}")
        return None
    return errors


def _check_values(found: Findings, errors: Tensor) -> None:
    if bool((errors < 0).any()):
        least = errors[errors < 0].min().item()
        found.add(f"{_ERRORS}: expected errors from 0 on, got {least:g}")
    if bool(errors.isinf().any()):
        found.add(f"{_ERRORS}: infinite for finite predictions")


def _check_loss(
    found: Findings, task: Task, target: Any, start: Tensor, missing: list[bool]
) -> None:
    """Check that the loss is a scalar that every group's predictions can descend."""
    draw = torch.Generator().manual_seed(1)
    reached = torch.zeros(start.shape[1], dtype=torch.bool)
    for spread in _SPREADS:
        predicted = start + spread * torch.randn(start.shape, generator=draw)
        before = copied(target, task)
        loss, leaf, given = _loss(found, _LOSS, task, predicted, target)
        if loss is None:
            return
        if not (same(given.detach(), predicted) and same(before, target)):
            found.add(f"{_LOSS}: changes what it is given")
            return
        if not loss.requires_grad:
            found.add(f"{_LOSS}: has no gradient; compute it with torch, without detach or no_grad")
            return
        gradient = found.call(f"{_LOSS}: its gradient", _gradient, loss, leaf)
        if not is_finite(gradient):
            found.add(f"{_LOSS}: its gradient is not finite for finite predictions")
            return
        reached |= (gradient != 0).transpose(0, 1).flatten(1).any(dim=1)
    sizes = list(task.outputs.values())
    columns = torch.arange(len(reached)).split(sizes)
    groups = zip(task.outputs, columns, missing, strict=True)
    shown = {group: where for group, where, is_missing in groups if not is_missing}
    silent = [
        group
        for group, where in shown.items()
        if not bool(reached[where].any()) and not _is_reached_far(task, target, start, where)
    ]
    if len(silent) == len(shown) and not bool(reached.any()):
        found.add(f"{_LOSS}: does not depend on the predictions")
        return
    for group in silent:
        found.add(f"{_LOSS}: does not depend on what is predicted of {group}")


def _loss(
    found: Findings, what: str, task: Task, predicted: Tensor, target: Any
) -> tuple[Tensor | None, Tensor, Tensor]:
    """Return the loss, if it is one; its leaf; and the predictions that the task was given."""
    leaf = predicted.clone().requires_grad_()
    with torch.enable_grad():
        given = leaf * 1
        loss = found.call(what, task.loss, given, target)
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.is_floating_point():
        found.add(f"{what}: expected a scalar float, got {kind(loss)}")
    elif not is_finite(loss):
        found.add(f"{what}: {loss.item()} for finite predictions")
    else:
        return loss, leaf, given
    return None, leaf, given


def _gradient(loss: Tensor, leaf: Tensor) -> Tensor:
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(loss.sum(), leaf, allow_unused=True)
    return torch.zeros_like(leaf) if gradient is None else gradient


def _is_reached_far(task: Task, target: Any, start: Tensor, where: Tensor) -> bool:
    """Return whether a group's predictions have a gradient where they are far off.

    Near by, a loss may tolerate errors, or look at the worst alone.
    """
    for far in _FAR:
        predicted = start.clone()
        predicted[:, where] += far
        unsaid = Findings()
        try:
            loss, leaf, _ = _loss(unsaid, _LOSS, task, predicted, target)
            if loss is None:
                return True  # so far that it is no number: it depends on them
            if loss.requires_grad and bool((_gradient(loss, leaf)[:, where] != 0).any()):
                return True
        except (Stopped, RuntimeError):
            return True
    return False


def _check_drawn(found: Findings, task: Task, target: Any, predicted: Tensor) -> None:
    """Check loss and errors of augmented samples, which training computes."""
    moved, said = _moved(found, task, target), "of an augmented batch"
    _loss(found, f"{_LOSS} {said}", task, predicted, moved)
    _errors(found, f"{_ERRORS} {said}", task, predicted, moved)
