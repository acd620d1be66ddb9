"""What a search ends with: a network that can be counted, and built with fresh weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from groupnas.costs import grouping_costs, measure
from groupnas.grouping import Grouping
from groupnas.spaces.space import SearchSpace

if TYPE_CHECKING:
    from torch import Tensor, nn


class Design(Protocol):
    """A network without weights.

    Attributes:
        grouping: Which group each channel belongs to; ``None`` where parts share channels.
    """

    @property
    def grouping(self) -> Grouping | None: ...

    def build(self, start: Tensor | None = None) -> nn.Module:
        """The network with fresh weights: ``(N, C_in, H, W)`` to ``(N, outputs)``.

        Args:
            start: ``(outputs,)``: what it answers at first, about; 0 by default.
        """
        ...

    def costs(self, measure: str = "mac") -> dict[str, float]:
        """What every group costs, per image, in a measure that :func:`groupnas.costs.measure`
        knows; ``{"all": ...}`` where parts share channels."""
        ...


@dataclass(frozen=True)
class GroupingDesign:
    """The plain network of a grouping.

    Attributes:
        space: A space that the grouping fits.
        grouping: Any.
    """

    space: SearchSpace
    grouping: Grouping

    def build(self, start: Tensor | None = None) -> nn.Module:
        """As :meth:`Design.build`."""
        from groupnas.spaces.derive import build

        return build(self.space, self.grouping, start)

    def costs(self, measure: str = "mac") -> dict[str, float]:
        """As :meth:`Design.costs`."""
        return _costs(self.space, self.grouping, measure)


def _costs(space: SearchSpace, grouping: Grouping, name: str) -> dict[str, float]:
    return grouping_costs(space, grouping, measure(name))
