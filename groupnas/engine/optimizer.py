"""Optimisers; their learning rate is a function of progress, so that no scheduler is saved."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from groupnas.engine.strategy import Optimizer


def make_optimizer(
    settings: Optimizer, parameters: Iterable[nn.Parameter]
) -> torch.optim.Optimizer:
    """Return the torch optimiser of the settings, at their initial learning rate.

    Adam updates all weights in one kernel: in a fifth of the time of its loop over them
    (``picasso_local``, one CPU thread). SGD gains a millisecond at most, and its kernel fails once
    weights get their first gradients later than others (torch 2.13): masks behind a warm-up do.
    """
    if settings.name == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
    optimizer = torch.optim.Adam(
        parameters,
        lr=settings.lr,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    optimizer.register_step_pre_hook(_match_layouts)
    return optimizer


def _match_layouts(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Lay gradients out as their weights are: the fused kernels on CPUs do not look at strides."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.grad is not None and weight.grad.stride() != weight.stride():
                weight.grad = torch.empty_like(weight).copy_(weight.grad)


def set_learning_rate(
    optimizer: torch.optim.Optimizer, settings: Optimizer, progress: float
) -> None:
    """Set the learning rate of ``progress`` in [0, 1] of the run."""
    lr = settings.lr
    if settings.schedule == "cosine":
        lr = settings.end_lr + (lr - settings.end_lr) * (1 + math.cos(math.pi * progress)) / 2
    if progress < settings.warmup:
        lr *= progress / settings.warmup
    for group in optimizer.param_groups:
        group["lr"] = lr
