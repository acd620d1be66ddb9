"""Groups that samples show, and groups that they lack.

Targets alone decide that, so it is read off the errors of predictions that are certainly finite.
Any other error that is not finite is the network's fault and counts as infinite: a run that
diverged never passes for data that lack points.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from groupnas.engine.missing import known_counts, with_mean
from groupnas.engine.split import Split
from groupnas.errors import InputError
from groupnas.task import Task, output_size


@torch.no_grad()
def group_errors(task: Task, predicted: Tensor, target: Any) -> Tensor:
    """Return the errors ``(B, G)`` of predictions ``(B, outputs)``.

    NaN where a sample does not show a group, infinite where the prediction is at fault.
    """
    errors = task.errors(predicted, target)
    if not errors.is_floating_point():
        return errors.to(predicted.dtype)
    finite = errors.isfinite()
    if bool(finite.all()):
        return errors
    wrong = torch.where(_shown(task, predicted, target), math.inf, math.nan)
    return torch.where(finite, errors, wrong.to(errors))


def finite_loss(task: Task, predicted: Tensor, target: Any, side: str) -> Tensor:
    """Return the task's loss.

    Args:
        task: Has the loss.
        predicted: ``(B, outputs)``.
        target: Of the same samples.
        side: What they do, for the message: ``"training"`` or ``"validation"``.

    Raises:
        InputError: it is no finite number: the run diverged, or the task's loss fails where
            samples lack groups, whatever is predicted.
    """
    loss = task.loss(predicted, target)
    value = loss.item()
    if not math.isfinite(value):
        _check_loss(task, target, torch.zeros_like(predicted), side)
        raise InputError(f"the {side} loss is {value}: the run diverged; lower weights.lr")
    return loss


def check_groups(task: Task, split: Split, batch_size: int) -> dict[str, int]:
    """Refuse, before anything is trained, a group that one side of a split does not show.

    Args:
        task: Samples; :meth:`Task.errors` is NaN where one does not show a group.
        split: Sides without samples are not looked at.
        batch_size: Samples to load at a time.

    Returns:
        How many validation samples show each group, and any at all, which is called ``mean``;
        nothing where none validates.

    Raises:
        InputError: a group that no sample of a side shows, or a loss that fails where groups are
            missing.
    """
    if not len(split.validation):
        return {}
    _count(task, split.train, batch_size, "training", enough=True)
    return _count(task, split.validation, batch_size, "validation", enough=False)


def _count(
    task: Task, indices: Tensor, batch_size: int, side: str, *, enough: bool
) -> dict[str, int]:
    """Return how many samples show each group; ``enough``: stop as soon as each was seen."""
    weights = np.array(list(task.outputs.values()), dtype=np.float64)
    counts = np.zeros(len(weights) + 1, dtype=np.int64)
    for batch in indices.split(batch_size):
        # The training side as training sees it: augmentation may mirror one group to another.
        drawn = torch.Generator().manual_seed(0) if enough else None
        target = task.to(task.batch(batch, drawn)[1], torch.device("cpu"))
        zeros = torch.zeros(len(batch), sum(task.outputs.values()), *output_size(task))
        shown = _shown(task, zeros, target)
        if bool(shown.any(dim=0).all()) and not bool(shown.all()):
            _check_loss(task, target, zeros, side)
        known = torch.where(shown, 0.0, math.nan).double().cpu().numpy()
        counts += known_counts(with_mean(known, weights))
        if enough and counts.all():
            break
    found = dict(zip((*task.outputs, "mean"), counts.tolist(), strict=True))
    for group, count in found.items():
        if not count:
            raise InputError(
                f"task {task.name}: none of the {len(indices):,} {side} samples shows the part "
                f"{group!r}; give samples that do, or leave the part out of space and task"
            )
    return found


@torch.no_grad()
def _shown(task: Task, like: Tensor, target: Any) -> Tensor:
    """Return which groups the samples show, ``(B, G)`` bool.

    A task may be undefined for one prediction, so two are tried: all 0, and a ramp from -1 to 1.
    """
    zeros = torch.zeros_like(like)
    ramp = torch.linspace(-1, 1, like.shape[1], dtype=like.dtype, device=like.device)
    ramp = zeros + ramp.view(-1, *[1] * (like.dim() - 2))
    unknown = [task.errors(probe, target).isnan() for probe in (zeros, ramp)]
    return ~(unknown[0] & unknown[1])


@torch.enable_grad()
def _check_loss(task: Task, target: Any, zeros: Tensor, side: str) -> None:
    """Refuse a loss that is no number, or has no gradient, for predictions that are all 0."""
    zeros = zeros.detach().requires_grad_()
    loss = task.loss(zeros, target)
    told = f"task {task.name}: its loss of {len(zeros)} {side} samples"
    if not math.isfinite(loss.item()):
        raise InputError(
            f"{told} is {loss.item()}, whatever is predicted; loss() must leave out what is "
            "missing, and be 0 where that leaves nothing: (predicted * 0).sum()"
        )
    if loss.requires_grad:
        (gradient,) = torch.autograd.grad(loss, zeros)
        if not bool(gradient.isfinite().all()):
            raise InputError(
                f"{told} has no finite gradient, whatever is predicted; loss() must select what is "
                "known before it computes: torch.where() or an index behind it lets NaN through"
            )
