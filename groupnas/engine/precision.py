"""The number format that networks compute in while they are trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Precision = Literal["float32", "bfloat16"]


def forward(network: Callable[[Tensor], Tensor], x: Tensor, precision: Precision) -> Tensor:
    """Return a network's answer, float32, computed in a precision; gradients flow through it.

    In ``bfloat16`` convolutions and linear layers compute with half as many bits (PyTorch's
    autocast); weights, their gradients and the loss stay float32, and no loss needs scaling. It
    is for GPUs: on the CPUs that were tried, it is slower.

    Args:
        network: Maps ``x`` to ``(N, outputs)``.
        x: ``(N, C, H, W)`` float32.
        precision: What it computes in.
    """
    if precision == "float32":
        return network(x)
    with torch.autocast(x.device.type, dtype=torch.bfloat16):
        answer = network(x)
    return answer.float()
