"""Controls that every search must beat: groupings and networks without any learning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from groupnas.budget import Budget, fit
from groupnas.engine.strategy import Strategy
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.measure import Measure
from groupnas.spaces.space import SearchSpace

if TYPE_CHECKING:
    from torch import Tensor, nn

    from groupnas.engine.design import Design

Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Control(Strategy):
    """A strategy that learns nothing: its grouping is there at once."""

    job: ClassVar[str] = "groupnas.strategies.known:KnownGrouping"

    @property
    def planned(self) -> int:
        """No epochs."""
        return 0

    def choose(self, space: SearchSpace, seed: int) -> Allocation:
        """Return the allocation, before any budget."""
        return Allocation.even(space)

    def design(self, space: SearchSpace, chosen: Allocation, budget: Budget | None) -> Design:
        """Return the network of what :meth:`choose` gave, at a budget if there is one."""
        return chosen if budget is None else fit(space, chosen.grouping.counts(), budget)


class Even(Control):
    """Equal shares in every unit."""

    algorithm: Literal["even"] = "even"


class Random(Control):
    """Sizes drawn at random: seeded, at the budget's cost.

    Attributes:
        draw: ``channels``: every channel's group is drawn, as Gaussian mask logits would (FLGC's
            start), which leaves shares near even ones. ``sizes``: every division of a unit into
            group sizes is as likely as any other, which spreads them far more.
    """

    algorithm: Literal["random"] = "random"
    budget: Budget | None = Budget()
    draw: Literal["channels", "sizes"] = "channels"

    def choose(self, space: SearchSpace, seed: int) -> Allocation:
        draw = Grouping.random_sizes if self.draw == "sizes" else Grouping.random
        return Allocation(space, draw(space, seed))


class Manual(Control):
    """Shares set by hand, or a grouping from a file.

    Attributes:
        weights: A group's share in every unit, relative to 1.0 for groups that are not named.
        file: A ``grouping.json`` instead; ``{seed}`` in its name stands for the seed.
    """

    algorithm: Literal["manual"] = "manual"
    weights: dict[str, Weight] = {}
    file: str | None = None

    def choose(self, space: SearchSpace, seed: int) -> Allocation:
        if self.file is None:
            return Allocation(space, Grouping.manual(space, self.weights))
        return Allocation.load(self.file.replace("{seed}", str(seed)), space)

    def with_text(self, text: str) -> Manual:
        """Set shares, ``nose:0.8,mouth:1.2``, or the path of a ``grouping.json``."""
        if text.endswith(".json"):
            return self.model_copy(
                update={"title": f"The grouping {text}", "file": text, "weights": {}}
            )
        weights = {}
        for entry in text.split(","):
            group, colon, number = entry.strip().partition(":")
            if group in weights:
                raise InputError(f"manual: {group} stands twice")
            try:
                weights[group] = float(number)
            except ValueError as error:
                raise InputError(
                    f"manual: expected group:weight, got {entry!r}; e.g. nose:0.8,mouth:1.2"
                ) from error
            if not colon or not 0 < weights[group] < float("inf"):
                raise InputError(f"manual: {entry!r}: a weight must be positive")
        return self.model_copy(
            update={"title": f"By hand, {text}", "file": None, "weights": weights}
        )


class Ungrouped(Control):
    """No grouping: one network in which all groups share all channels (Table X, G = x).

    At a budget it has narrower units than the grouped network, so that it costs the same.
    """

    algorithm: Literal["ungrouped"] = "ungrouped"
    budget: Budget | None = Budget()

    def design(self, space: SearchSpace, chosen: Allocation, budget: Budget | None) -> Design:
        found = Allocation.even(space.ungrouped())
        if budget is not None:
            if budget.groups or budget.total is None:
                raise InputError("budget.groups: an ungrouped network has no groups; give a total")
            cost = budget.resolved_measure
            grouped = sum(Allocation.even(space).costs(cost).values())
            share = budget.total * grouped / sum(found.costs(cost).values())
            budget = budget.model_copy(update={"total": share})
            found = fit(found.space, found.grouping.counts(), budget)
        return _WithoutParts(found)


class Separate(Control):
    """A network of its own for every group, an even share of the cost each (Table X, RI = x)."""

    isolated: ClassVar[bool] = True

    algorithm: Literal["separate"] = "separate"

    def design(self, space: SearchSpace, chosen: Allocation, budget: Budget | None) -> Design:
        found = super().design(space, chosen, budget)
        assert isinstance(found, Allocation)
        return _Separate(found)


@dataclass(frozen=True)
class _WithoutParts:
    """A design whose groups share channels."""

    inner: Allocation
    grouping: None = None

    def build(self, start: Tensor | None = None) -> nn.Module:
        return self.inner.build(start)

    def costs(self, by: str | Measure = "mac") -> dict[str, float]:
        return self.inner.costs(by)


@dataclass(frozen=True)
class _Separate:
    """One network for each group, each as wide as the group of an allocation."""

    inner: Allocation

    @property
    def grouping(self) -> Grouping:
        return self.inner.grouping

    def build(self, start: Tensor | None = None) -> nn.Module:
        from groupnas.strategies.side_by_side import SideBySide

        space, counts = self.inner.space, self.grouping.counts()
        starts: Mapping[str, Tensor | None] = dict.fromkeys(space.groups)
        if start is not None:
            sizes = list(space.outputs.values())
            starts = dict(zip(space.groups, start.split(sizes), strict=True))
        networks = []
        for group in space.groups:
            widths = {unit: row[group] for unit, row in counts.items()}
            alone = Allocation.from_widths(space.only([group]), {group: widths})
            networks.append(alone.build(starts[group]))
        return SideBySide(list(space.inputs.values()), networks)

    def costs(self, by: str | Measure = "mac") -> dict[str, float]:
        return self.inner.costs(by)
