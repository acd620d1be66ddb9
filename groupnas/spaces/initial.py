"""The weights that plain layers start from."""

from __future__ import annotations

import math

from torch import nn


def init_plain(module: nn.Module) -> None:
    """MSRA initialisation of plain layers, whose fan-in is their own."""
    for layer in module.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            # An output position sees one of stride x stride taps only.
            fan_in = layer.weight[:, 0].numel() / math.prod(layer.stride)
            nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_in))
        elif isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
