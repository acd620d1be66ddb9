"""The weights that plain layers start from."""

from __future__ import annotations

from torch import nn


def init_plain(module: nn.Module) -> None:
    """MSRA initialisation of plain layers, whose fan-in is their own."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
