"""The end of a search: a network that can be counted, and built with fresh weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from groupnas.grouping import Grouping
from groupnas.spaces.measure import Measure

if TYPE_CHECKING:
    from torch import Tensor, nn


class Design(Protocol):
    """A network without weights; an :class:`groupnas.Allocation` is one.

    Attributes:
        grouping: Which group each channel belongs to; ``None`` where groups share channels.
    """

    @property
    def grouping(self) -> Grouping | None: ...

    def build(self, start: Tensor | None = None) -> nn.Module:
        """Return the network with fresh weights: ``(N, C_in, H, W)`` to ``(N, outputs)``.

        Args:
            start: ``(outputs,)``: what it answers at first, about; 0 by default.
        """
        ...

    def costs(self, by: str | Measure = "mac") -> dict[str, float]:
        """Return every group's cost per image; ``{"all": ...}`` where groups share channels.

        Args:
            by: A measure, or its name.
        """
        ...
