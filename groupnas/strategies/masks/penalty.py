"""Penalties in the masks' loss: entropy that is left, and expected costs off the budget."""

from __future__ import annotations

import torch
from torch import Tensor

from groupnas.budget import Budget
from groupnas.errors import InputError
from groupnas.spaces.measure import part_cost
from groupnas.spaces.space import SearchSpace
from groupnas.spaces.supernet import Supernet


class Penalty:
    """A differentiable function of a supernet's membership probabilities.

    Args:
        space: The supernet's.
        entropy: Weight of the mean entropy of the channels' probabilities over ln G, in [0, 1].
        cost: Weight of the sum of squared ln(expected cost / limit), over the budget's limits.
            Both directions count: a group is to spend its budget, and the grouping found is scaled
            to meet it exactly anyway (:func:`groupnas.budget.fit`).
        budget: Sets the limits.

    Raises:
        InputError: a weight for costs, but no budget.
    """

    def __init__(
        self, space: SearchSpace, entropy: float, cost: float, budget: Budget | None
    ) -> None:
        self._space, self._entropy, self._cost = space, entropy, cost
        self._limits: dict[tuple[str, ...], float] = {}
        if cost:
            if budget is None:
                raise InputError("penalty: needs a budget; give the strategy one, or take it out")
            self._limits = budget.limits(space)
            self._measure = budget.resolved_measure

    def __bool__(self) -> bool:
        """Return whether anything is penalised at all."""
        return bool(self._entropy or self._limits)

    def __call__(self, net: Supernet) -> Tensor:
        """Return the penalty, a scalar."""
        probabilities = net.probabilities()
        total = torch.zeros((), device=next(iter(probabilities.values())).device)
        if self._entropy:
            masks = net.channel_masks().values()
            entropies = sum(mask.entropy() * len(mask.logits) for mask in masks)
            total = total + self._entropy * entropies / sum(len(mask.logits) for mask in masks)
        if self._limits:
            costs = self.expected_costs(probabilities)
            ratios = [
                torch.stack([costs[group] for group in groups]).sum() / limit
                for groups, limit in self._limits.items()
            ]
            total = total + self._cost * torch.stack(ratios).log().square().sum()
        return total

    def expected_costs(self, probabilities: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what every group costs with as many channels as it is expected to have."""
        sizes = {unit: p.sum(dim=0) for unit, p in probabilities.items()}
        return {
            group: part_cost(
                self._space,
                group,
                {unit: size[index] for unit, size in sizes.items()},
                self._measure,
            )
            for index, group in enumerate(self._space.groups)
        }
