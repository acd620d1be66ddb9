"""What every search must beat: groupings and networks that nothing was learned for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from groupnas.budget import Budget, fit
from groupnas.costs import grouping_costs, measure
from groupnas.engine.strategy import Strategy
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.spaces.space import SearchSpace

if TYPE_CHECKING:
    from torch import Tensor, nn

    from groupnas.engine.design import Design
    from groupnas.engine.search_job import SearchJob
    from groupnas.task import Task

Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Control(Strategy):
    """A strategy that learns nothing: its grouping is there at once."""

    @property
    def planned(self) -> int:
        """None at all."""
        return 0

    def start(
        self, space: SearchSpace, task: Task, *, seed: int = 0, device: str = "cpu"
    ) -> SearchJob:
        from groupnas.strategies.known import KnownGrouping

        return KnownGrouping(space, task, self, seed, device, self.choose(space, seed))

    def choose(self, space: SearchSpace, seed: int) -> Grouping:
        """The grouping, before any budget."""
        return Grouping.even(space)

    def design(self, space: SearchSpace, grouping: Grouping, budget: Budget | None) -> Design:
        """The network of :meth:`choose`'s grouping, at a budget if there is one."""
        from groupnas.engine.design import GroupingDesign

        found = grouping if budget is None else fit(space, grouping.counts(), budget)
        return GroupingDesign(space.fitted(found), found)


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

    def choose(self, space: SearchSpace, seed: int) -> Grouping:
        if self.draw == "sizes":
            return Grouping.random_sizes(space, seed)
        return Grouping.random(space, seed)


class Manual(Control):
    """Shares set by hand, or a grouping from a file.

    Attributes:
        weights: A group's share in every unit, relative to 1.0 for groups that are not named.
        file: A ``grouping.json`` instead; ``{seed}`` in its name stands for the seed.
    """

    algorithm: Literal["manual"] = "manual"
    weights: dict[str, Weight] = {}
    file: str | None = None

    def choose(self, space: SearchSpace, seed: int) -> Grouping:
        if self.file is None:
            return Grouping.manual(space, self.weights)
        path = self.file.replace("{seed}", str(seed))
        found = Grouping.load(path)
        try:
            space.fitted(found)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        return found

    def with_text(self, text: str) -> Manual:
        """Of ``nose:0.8,mouth:1.2``, or of the path of a ``grouping.json``."""
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
    """No groups: one network in which all parts share all channels (Table X, G = x).

    At a budget it has narrower units than the grouped network, so that it costs the same.
    """

    algorithm: Literal["ungrouped"] = "ungrouped"
    budget: Budget | None = Budget()

    def design(self, space: SearchSpace, grouping: Grouping, budget: Budget | None) -> Design:
        from groupnas.engine.design import GroupingDesign

        whole = space.ungrouped()
        found = Grouping.even(whole)
        if budget is not None:
            if budget.parts or budget.total is None:
                raise InputError("budget.parts: an ungrouped network has no parts; give a total")
            cost = measure(budget.measure)
            grouped = sum(grouping_costs(space, Grouping.even(space), cost).values())
            alone = sum(grouping_costs(whole, found, cost).values())
            share = budget.total * grouped / alone
            found = fit(whole, found.counts(), budget.model_copy(update={"total": share}))
        fitted = whole.fitted(found)
        return _WithoutParts(GroupingDesign(fitted, found))


class Separate(Control):
    """A network of its own for every part, an even share of the cost each (Table X, RI = x)."""

    algorithm: Literal["separate"] = "separate"

    def design(self, space: SearchSpace, grouping: Grouping, budget: Budget | None) -> Design:
        return _Separate(space, super().design(space, grouping, budget).grouping)


@dataclass(frozen=True)
class _WithoutParts:
    """A design whose parts share channels."""

    inner: Design
    grouping: None = None

    def build(self, start: Tensor | None = None) -> nn.Module:
        return self.inner.build(start)

    def costs(self, measure: str = "mac") -> dict[str, float]:
        return self.inner.costs(measure)


@dataclass(frozen=True)
class _Separate:
    """One network for each group, each as wide as the group of a grouping."""

    space: SearchSpace
    grouping: Any

    def build(self, start: Tensor | None = None) -> nn.Module:
        from groupnas.spaces.derive import build
        from groupnas.strategies.known import SideBySide

        starts: Mapping[str, Tensor | None] = dict.fromkeys(self.space.groups)
        if start is not None:
            sizes = list(self.space.outputs.values())
            starts = dict(zip(self.space.groups, start.split(sizes), strict=True))
        counts = self.grouping.counts()
        networks = []
        for group in self.space.groups:
            alone = self.space.only([group]).resized(
                {unit: counts[unit][group] for unit in self.space.free_units}
            )
            networks.append(build(alone, Grouping.even(alone), starts[group]))
        return SideBySide(list(self.space.inputs.values()), networks)

    def costs(self, measure: str = "mac") -> dict[str, float]:
        from groupnas.engine.design import GroupingDesign

        return GroupingDesign(self.space.fitted(self.grouping), self.grouping).costs(measure)
