"""Optimisers whose learning rate is a function of progress, so that nothing but a step is state."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from groupnas.engine.strategy import Optimizer


def make_optimizer(
    settings: Optimizer, parameters: Iterable[nn.Parameter]
) -> torch.optim.Optimizer:
    """The torch optimiser of the settings, at their initial learning rate."""
    if settings.name == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
    return torch.optim.Adam(
        parameters, lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay
    )


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
