"""What a cascade may cost, and how much of that each stage gets.

Stages' curves divide a budget as those of groups do: the cascade's error is taken for the sum of
what each stage's smaller networks add to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from groupnas.arrays import Floats
from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.spaces.allocation import Allocation
from groupnas.strategies.knapsack.allocation import GroupChoices, front

FLATTEST = 0.02  # the least exponent of an error over the cost; measured ones are 0.05 to 0.1
NEAR = 1.1  # of the fewest channels' cost: so near below it nothing is asked for
FINE = 400  # costs at which a curve is read

Limits = tuple[tuple[str, float], ...]  # groups and shares of what they cost


@dataclass(frozen=True)
class CascadeBudget:
    """What a cascade may cost, relative to the one that it is made of.

    Attributes:
        total: Multiply-accumulates of all networks together, above 0 and below 1.
        groups: Of single groups, such as the mouth, in all stages that have them.
    """

    total: float
    groups: Limits = ()

    @classmethod
    def parse(cls, text: str) -> CascadeBudget:
        """Read ``0.5``, or ``total=0.5,mouth=0.3``.

        Raises:
            InputError: it is neither; a share that is not above 0 and below 1.
        """
        named = [entry.partition("=")[::2] for entry in text.split(",")]
        if "=" not in text:
            named = [("total", text)]
        try:
            shares = {name.strip(): float(share) for name, share in named}
        except ValueError:
            shares = {}
        good = len(shares) == len(named) and all(0 < share < 1 for share in shares.values())
        if not good or "total" not in shares:
            raise InputError(
                f"--budget {text}: expected a share above 0 and below 1, such as 0.5, or "
                "total=0.5,mouth=0.3"
            )
        return cls(shares.pop("total"), tuple(sorted(shares.items())))

    @property
    def least(self) -> float:
        """The least of all shares."""
        return min([self.total, *dict(self.groups).values()])

    def __str__(self) -> str:
        """As names of folders have it."""
        return "-".join([f"{self.total:g}", *(f"{name}{share:g}" for name, share in self.groups)])


@dataclass(frozen=True)
class StageCurve:
    """A stage's cost, and what the cascade's error is where the other stages are whole.

    Attributes:
        macs: ``(n,)``, of the stage, rising; the last is what it costs at most.
        errors: ``(n,)``, NME in %, of the cascade before anything is trained on.
    """

    macs: Floats
    errors: Floats

    def read(self, steps: int) -> GroupChoices:
        """Return errors at so many costs, even on a logarithmic scale.

        They fall with the cost, by :data:`FLATTEST` at least: networks that go on learning while
        they are pruned may get better, but a larger one would have learned more.
        """
        logs = np.log(self.macs)
        fall = FLATTEST * self.errors[-1] * logs
        smooth = isotonic_regression(self.errors + fall, increasing=False).x - fall
        macs = np.geomspace(self.macs[0], self.macs[-1], steps)
        return GroupChoices(macs, np.interp(np.log(macs), logs, smooth))


def fewest(allocation: Allocation) -> dict[str, float]:
    """Return what each group of an allocation costs with one channel in each unit."""
    space = allocation.space
    ones = {unit: dict.fromkeys(space.groups, 1) for unit in space.free_units}
    return Allocation.from_counts(space, ones).costs()


def check_budgets(budgets: Sequence[CascadeBudget], stages: Mapping[str, Allocation]) -> None:
    """Check budgets as far as can be said before anything is trained.

    Args:
        budgets: Of a cascade.
        stages: Its networks, or networks of their spaces.

    Raises:
        InputError: a group that no stage has; less than the fewest channels cost.
    """
    known = [group for one in stages.values() for group in one.space.groups]
    costs = [one.costs() for one in stages.values()]
    least = [fewest(one) for one in stages.values()]
    needed = sum(sum(one.values()) for one in least) / sum(sum(one.values()) for one in costs)
    for budget in budgets:
        for group, share in budget.groups:
            if group not in known:
                raise InputError(f"--budget {budget}: {group}: {nearest(group, known)}")
            pairs = zip(least, costs, strict=True)
            needs = [few[group] / one[group] for few, one in pairs if group in one]
            if share < NEAR * max(needs):
                raise InputError(
                    f"--budget {budget}: {group}: its fewest channels cost {max(needs):.2g} of "
                    "what it does; give more than that"
                )
        if budget.total < NEAR * needed:
            raise InputError(
                f"--budget {budget}: the fewest channels of all cost {needed:.2g} of what they do; "
                "give more than that"
            )


def divided(curves: Mapping[str, StageCurve], limit: float) -> dict[str, float]:
    """Return what each stage may cost, for the least error by their curves.

    Args:
        curves: Of each stage.
        limit: Multiply-accumulates of all together.

    Raises:
        InputError: even the least of each costs more.
    """
    choices = {name: curve.read(FINE) for name, curve in curves.items()}
    best = front(choices, dict.fromkeys(choices, 1.0))
    if best.costs[0] > limit:
        raise InputError(
            f"the least that stages were pruned to costs {best.costs[0] / 1e6:.3f} M "
            f"multiply-accumulates, which leaves no way to {limit / 1e6:.3f} M"
        )
    return {name: choices[name].costs[pick] for name, pick in best.within(limit).items()}
