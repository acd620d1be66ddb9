"""Networks side by side, as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


class SideBySide(nn.Module):
    """Networks that share nothing: each sees its own input channels, outputs are concatenated.

    Args:
        channels: Input channels of each.
        networks: Each maps ``(N, C_i, H, W)`` to ``(N, outputs_i)``.
    """

    def __init__(self, channels: Sequence[int], networks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.channels = list(channels)
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, sum(channels), H, W)`` to ``(N, outputs)``."""
        pieces = x.split(self.channels, dim=1)
        return torch.cat([net(piece) for net, piece in zip(self.networks, pieces, strict=True)], 1)
