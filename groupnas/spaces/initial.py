"""The weights that plain layers start from."""

from __future__ import annotations

from torch import nn


def init_plain(module: nn.Module) -> None:
    """MSRA initialisation of plain layers, whose fan-in is their own."""
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
