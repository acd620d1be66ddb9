"""Groups as choices of NNI's one-shot strategies: each is a network, of one of several sizes.

Those strategies mix candidates of one layer, and a grouped network has no such layer: the
differentiable ones take no choice of ``groups`` unless all channels grow with it, and a unit's
sizes are tied over layers and by the budget. But groups share no channel, so that a grouped network
is one network for each group, side by side: each can be a choice between networks of several sizes.
No budget binds them: what is found needs :func:`groupnas.budget.fit`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

import groupnas.strategies.nni.space  # noqa: F401  # before any module of NNI
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.side_by_side import SideBySide

from nni.nas.nn.pytorch import LayerChoice, ModelSpace  # isort: skip


class PartModelSpace(ModelSpace):  # type: ignore[misc]
    """A choice for each group, labelled with its name, between networks of several sizes.

    Takes NNI's ``RandomOneShot``, ``DARTS``, ``GumbelDARTS`` and ``Proxyless``, with
    pytorch-lightning and an evaluator of its kind, and the multi-trial strategies.

    Args:
        space: Its groups are sized.
        scales: Sizes of a group, relative to even ones; choice ``i`` is ``scales[i]``.

    Raises:
        InputError: a space with joint channels, which no group has by itself.
    """

    def __init__(self, space: SearchSpace, scales: Sequence[float] = (0.5, 0.7, 1.0, 1.4)) -> None:
        super().__init__()
        if space.joint:
            raise InputError(f"{space.name}: {next(iter(space.joint))} is joint; no part has it")
        self.space, self.scales = space, tuple(scales)
        choices = []
        for group in space.groups:
            alone = [space.only([group]).resized(self.widths(group, s)) for s in self.scales]
            networks = [Allocation.even(sized).build() for sized in alone]
            choices.append(LayerChoice(networks, label=group))
        self.parts = SideBySide(list(space.inputs.values()), choices)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C_in, H, W)`` to ``(N, outputs)``."""
        return self.parts(x)

    def widths(self, group: str, scale: float) -> dict[str, int]:
        """Return a group's channels in every unit at a scale; at least one."""
        even = Grouping.even(self.space).counts()
        return {unit: max(1, round(scale * row[group])) for unit, row in even.items()}

    def allocation(self, sample: Mapping[str, int]) -> Allocation:
        """Return the allocation of a sample ``{group: choice}``, at any cost."""
        widths = {group: self.widths(group, self.scales[sample[group]]) for group in sample}
        return Allocation.from_widths(self.space, widths)
