"""Optimisers; their learning rate is a function of progress and history: no scheduler is saved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from groupnas.engine.strategy import Optimizer
from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.spaces.modules import plain_name

_SHARE = "share"  # of the learning rate: a parameter group's own key


def make_optimizer(
    settings: Optimizer, weights: nn.Module | Iterable[nn.Parameter]
) -> torch.optim.Optimizer:
    """Return the torch optimiser of the settings, at their initial learning rate.

    Adam updates all weights in one kernel: in a fifth of the time of its loop over them
    (``picasso_local``, one CPU thread). SGD gains a millisecond at most, and its kernel fails once
    weights get their first gradients later than others (torch 2.13): masks behind a warm-up do.

    Args:
        settings: All settings.
        weights: The network that a training trains; or what a search learns, single parameters.

    Raises:
        InputError: settings that only trainings have; a slow row that the network has not.
    """
    if not isinstance(weights, nn.Module):
        _check_of_search(settings)
        groups: list[dict[str, Any]] = [{"params": list(weights)}]
    else:
        groups = _by_share(settings.slow, weights)
    if settings.name == "sgd":
        return torch.optim.SGD(
            groups,
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
    optimizer = torch.optim.Adam(
        groups,
        lr=settings.lr,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    optimizer.register_step_pre_hook(_match_layouts)
    return optimizer


def _check_of_search(settings: Optimizer) -> None:
    if settings.schedule == "plateau":
        raise InputError(
            "schedule: plateau follows a training's validation errors, which a search has not; "
            "expected constant, cosine, poly or steps"
        )
    if settings.slow:
        raise InputError("slow: is for trainings; in a search all rows have one rate: leave it out")


def _by_share(slow: dict[str, float], network: nn.Module) -> list[dict[str, Any]]:
    """Return torch's groups of parameters, one for each share of the learning rate."""
    weights = [(plain_name(name), weight) for name, weight in network.named_parameters()]
    groups: dict[float, list[nn.Parameter]] = {}
    fits: set[str] = set()
    for path, weight in weights:
        names = [name for name in slow if f"{path}.".startswith(f"{name}.")]
        fits.update(names)
        groups.setdefault(slow[max(names, key=len)] if names else 1.0, []).append(weight)
    for name in slow:
        if name not in fits:
            rows = {path.partition(".")[0] for path, _ in weights}
            raise InputError(f"slow: no row {name!r} has weights; {nearest(name, rows)}")
    return [{"params": members, _SHARE: share} for share, members in groups.items()]


def _match_layouts(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Lay gradients out as their weights are: the fused kernels on CPUs do not look at strides."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.grad is not None and weight.grad.stride() != weight.stride():
                weight.grad = torch.empty_like(weight).copy_(weight.grad)


def set_learning_rate(
    optimizer: torch.optim.Optimizer,
    settings: Optimizer,
    progress: float,
    errors: Sequence[float] = (),
) -> None:
    """Set the learning rate of ``progress`` in [0, 1] of the run.

    Args:
        optimizer: As :func:`make_optimizer` makes it.
        settings: Its settings.
        progress: How much of the run is over.
        errors: The validation error of every epoch so far, which ``plateau`` looks at.
    """
    lr = settings.lr
    if settings.schedule == "cosine":
        lr = settings.end_lr + (lr - settings.end_lr) * (1 + math.cos(math.pi * progress)) / 2
    elif settings.schedule == "poly":
        lr = settings.end_lr + (lr - settings.end_lr) * (1 - progress) ** settings.power
    elif settings.schedule == "steps":
        lr *= settings.factor ** sum(progress >= share for share in settings.milestones)
    elif settings.schedule == "plateau":
        falls = plateaus(errors, settings.patience)
        lr = max(lr * settings.factor**falls, min(lr, settings.end_lr))
    if progress < settings.warmup:
        lr *= progress / settings.warmup
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get(_SHARE, 1.0)


def plateaus(errors: Sequence[float], patience: int) -> int:
    """Return how often errors had no new least value for more than ``patience`` epochs in a row.

    After each time the count of epochs begins again; NaN is no new least value.
    """
    least, since, found = math.inf, 0, 0
    for error in errors:
        if error < least:
            least, since = error, 0
        else:
            since += 1
        if since > patience:
            since, found = 0, found + 1
    return found
