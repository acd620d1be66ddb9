"""A tabular benchmark's questions to a strategy, and how far from the best its answer is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from math import prod
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from groupnas.arrays import Floats
from groupnas.budget import Budget
from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.measure import Measure, group_cost
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.knapsack.allocation import GroupChoices, front
from groupnas.tabular.table import Table
from groupnas.values import instance, whole
from groupnas.values import seed as seed_of

if TYPE_CHECKING:
    from groupnas.engine.search_job import SearchJob
    from groupnas.engine.strategy import Strategy
    from groupnas.task import Task

WidthRule = Literal["kept", "free"]
Side = Literal["validation", "test"]

# The budget that strategies should fit sizes to. One of so few channels costs up to 7 % of the
# network, so that the cost cannot always come within 1 %; fitting ends at or below the budget.
FIT = Budget(tolerance=0.06)
EVEN = Budget(tolerance=1e-9)  # what even groups cost, and no more

_MOST_CHOICES = 40_000_000  # that are listed; some gigabytes of memory
_EXACT = 10_000_000  # points of a front that are never thinned


@dataclass(frozen=True, eq=False)
class Curve:
    """The sizes that a group may have: K sizes in U units.

    Attributes:
        sizes: ``(K, U)`` int64, channels.
        costs: ``(K,)``.
        errors: ``(K,)``, in the benchmark's unit.
    """

    sizes: NDArray[np.int64]
    costs: Floats
    errors: Floats

    def __repr__(self) -> str:
        return _told(self)


@dataclass(frozen=True, eq=False)
class Choices:
    """Groupings within a budget: N, of G groups and U units.

    Attributes:
        sizes: ``(N, G, U)`` int64, channels.
        costs: ``(N,)``, of the whole network.
        errors: ``(N,)``, means over all outputs in the benchmark's unit.
    """

    sizes: NDArray[np.int64]
    costs: Floats
    errors: Floats

    def __repr__(self) -> str:
        return _told(self)


@dataclass(frozen=True, eq=False)
class TabularBench(ABC):
    """Every grouping of a small network, with the errors that its training ended with.

    ``mean`` errors are over all outputs. *Validation* is what strategies may look at; *test*
    errors, of other samples and as means over all trainings, judge what they choose: what fits only
    the validation samples, or one seed, counts as regret.

    Attributes:
        table: The errors of parts at every size.
    """

    table: Table

    @property
    def seeds(self) -> int:
        """The number of trainings of every network."""
        return int(self.table.about["seeds"])

    @property
    def epochs(self) -> int:
        """The number of epochs of a training."""
        return int(self.table.about["training"]["epochs"])

    @property
    def error_unit(self) -> str:
        """What errors are measured in."""
        return str(self.table.about["error_unit"])

    @abstractmethod
    def space(self) -> SearchSpace:
        """Return the space to search."""

    @abstractmethod
    def task(self, seed: int = 0) -> Task:
        """Return the samples that may be learned from, for strategies that train; needs torch.

        Args:
            seed: Of a training; some benchmarks have other samples for each.
        """

    @abstractmethod
    def _rows(self) -> Sequence[int]:
        """Return the table's row of every group."""

    @abstractmethod
    def _draws(self, seed: int) -> Sequence[int]:
        """Return which of its row's trainings every group has in the bench's training ``seed``."""

    # -- what a grouping is worth ---------------------------------------------------------------

    def errors(
        self, allocation: Allocation, seed: int | None = None, split: Side = "validation"
    ) -> dict[str, float]:
        """Return the errors that the allocation's network ended with: every group's, and ``mean``.

        A group larger than the table's largest sizes, which kept widths never exceed, is taken to
        have the error of those.

        Args:
            allocation: Of the benchmark's space, at any widths.
            seed: Of one training, 0 to ``seeds - 1``; the mean over all by default.
            split: Which samples.

        Raises:
            InputError: another space's allocation, or a seed that there is not.
        """
        return self._look_up(allocation, self._at_end(seed, split))

    def evaluate(self, allocation: Allocation, epochs: int, seed: int) -> dict[str, float]:
        """Return the validation errors of one training after some epochs: a trial, looked up.

        The epochs are those of one long training, as is usual in such tables.

        Args:
            allocation: See :meth:`errors`.
            epochs: At least 1; the last where there are not as many.
            seed: Any; its remainder says which of the trainings.

        Raises:
            InputError: as :meth:`errors`.
        """
        after = min(whole("epochs", epochs, 1), self.epochs) - 1
        draws = self._draws(seed_of("seed", seed) % self.seeds)
        return self._look_up(allocation, self._of(self.table.validation[..., after], draws))

    def regret(self, allocation: Allocation, budget: Budget | None = None) -> float:
        """Return the test error less the optimum's, widths free; in :attr:`error_unit`, >= 0.

        Raises:
            InputError: the allocation costs more than the budget, or as :meth:`errors`.
        """
        budget = budget or EVEN
        self._check_within(allocation, budget)
        key = budget.model_dump_json()
        if key not in self._optima:
            self._optima[key] = self.optimum(budget)[1]
        return self.errors(allocation, split="test")["mean"] - self._optima[key]

    def search(self, strategy: Strategy, seed: int = 0) -> SearchJob:
        """Run a search on the benchmark to its end, and return it.

        Networks that a strategy would train one by one are looked up; strategies that learn
        while they search train on :meth:`task`. Needs torch.

        Args:
            strategy: Its budget is :data:`FIT` where it has none.
            seed: Of everything random, and which of the trainings is looked up.

        Raises:
            InputError: as :meth:`groupnas.engine.strategy.Strategy.start`.
        """
        import torch

        from groupnas.engine.strategy import Strategy

        instance("strategy", strategy, Strategy)
        seed = seed_of("seed", seed)

        def look_up(allocation: Allocation, epochs: int, _: int) -> dict[str, float]:
            return self.evaluate(allocation, epochs, seed)

        strategy = strategy.with_budget(strategy.budget or FIT)
        with torch.random.fork_rng():
            evaluate = look_up if strategy.trains_candidates else None
            job = strategy.start(self.space(), self.task(seed), seed=seed, evaluate=evaluate)
            while len(job.history) < job.total_epochs:
                job.run_epoch(lambda done, total: None)
        return job

    # -- all there are --------------------------------------------------------------------------

    def optimum(
        self, budget: Budget | None = None, widths: WidthRule = "free"
    ) -> tuple[Allocation, float]:
        """Return the best allocation within a budget by test error, and that error.

        Raises:
            InputError: nothing is within the budget, or as :meth:`choices` where widths are kept.
        """
        if widths == "free":
            sizes = self.best_sizes(budget)
            if sizes is not None:
                found = self.allocation(sizes)
                return found, self.errors(found, split="test")["mean"]
        else:
            choices = self.choices(budget, widths)
            if len(choices.errors):
                best = int(choices.errors.argmin())
                return self.allocation(choices.sizes[best]), float(choices.errors[best])
        raise InputError("budget: no grouping of the table is within it; allow more")

    def best_sizes(
        self,
        budget: Budget | None = None,
        curves: Mapping[str, Curve] | None = None,
    ) -> NDArray[np.int64] | None:
        """Return the sizes ``(G, U)`` of the least error within a budget; ``None`` if none is.

        Args:
            budget: By default what even groups cost.
            curves: What groups may choose from, by default all of :meth:`curves` by test error:
                another seed's, or some of the sizes alone. Costs are in the budget's measure.
        """
        budget = budget or EVEN
        if curves is None:
            curves = self.curves(split="test", by=budget.resolved_measure)
        picks = {group: int(curve.errors.argmin()) for group, curve in curves.items()}
        weights = dict(zip(curves, self._weights.tolist(), strict=True))
        for groups, limit in budget.limits(self.space()).items():
            choices = {g: GroupChoices(curves[g].costs, curves[g].errors) for g in groups}
            within = limit * (1 + budget.tolerance)
            picks |= front(choices, weights, _EXACT).within(within)
            if sum(curves[group].costs[picks[group]] for group in groups) > within:
                return None
        return np.stack([curve.sizes[picks[group]] for group, curve in curves.items()])

    def choices(
        self, budget: Budget | None = None, widths: WidthRule = "free", split: Side = "test"
    ) -> Choices:
        """Return all groupings within a budget (up to its tolerance above it).

        Args:
            budget: By default what even groups cost.
            widths: ``kept``: units are as wide as the space's, and what one group gets another
                loses; ``free``: only the cost is held.
            split: Which samples the errors are of; means over the seeds.

        Raises:
            InputError: no such widths or split, or more groupings than can be listed.
        """
        budget = budget or EVEN
        curves = self.curves(split=split, by=budget.resolved_measure)
        sizes = [curve.sizes for curve in curves.values()]
        count = prod(len(rows) for rows in sizes)
        if count > _MOST_CHOICES:
            raise InputError(f"{count:,} groupings are too many to list; ask for the optimum")
        allowed = np.ones([len(rows) for rows in sizes], bool)
        for groups, limit in budget.limits(self.space()).items():
            limited = [curve.costs * (group in groups) for group, curve in curves.items()]
            allowed &= _outer_sum(limited) <= limit * (1 + budget.tolerance)
        if widths not in get_args(WidthRule):
            raise InputError(f"widths {widths!r}: {nearest(str(widths), get_args(WidthRule))}")
        if widths == "kept":
            for unit, channels in enumerate(self.space().free_units.values()):
                allowed &= _outer_sum([rows[:, unit] for rows in sizes]) == channels
        where = np.nonzero(allowed)
        weighed = zip(self._weights, curves.values(), strict=True)
        return Choices(
            sizes=np.stack([r[chosen] for r, chosen in zip(sizes, where, strict=True)], axis=1),
            costs=_outer_sum([curve.costs for curve in curves.values()])[where],
            errors=_outer_sum([weight * curve.errors for weight, curve in weighed])[where],
        )

    def curves(
        self, seed: int | None = None, split: Side = "validation", by: str | Measure = "mac"
    ) -> dict[str, Curve]:
        """Return every group's error and cost at every size: all that there is to know.

        Args:
            seed: See :meth:`errors`.
            split: See :meth:`errors`.
            by: Of the costs: a measure, or the name of one.
        """
        space, found = self.space(), {}
        units = list(space.free_units)
        for group, errors in zip(space.groups, self._at_end(seed, split), strict=True):
            places = np.unravel_index(np.arange(errors.size), errors.shape)
            sizes = np.stack(places, axis=1) + 1
            costs = [
                float(group_cost(space, group, dict(zip(units, row, strict=True)), by))
                for row in sizes.tolist()
            ]
            found[group] = Curve(sizes, np.array(costs), errors.ravel())
        return found

    def allocation(self, sizes: NDArray[np.int64]) -> Allocation:
        """Return the allocation of a row of :attr:`Choices.sizes`, ``(G, U)``."""
        space = self.space()
        rows = (dict(zip(space.free_units, row, strict=True)) for row in sizes.tolist())
        return Allocation.from_widths(space, dict(zip(space.groups, rows, strict=True)))

    # -- the table ------------------------------------------------------------------------------

    @cached_property
    def _weights(self) -> Floats:
        """Every group's share of the outputs."""
        outputs = np.array(list(self.space().outputs.values()), float)
        return outputs / outputs.sum()

    @cached_property
    def _optima(self) -> dict[str, float]:
        """Errors of the optima that were asked for so far, by budget."""
        return {}

    def _at_end(self, seed: int | None, split: Side) -> Floats:
        """Return the errors at the end of training, ``(G, A, B)``."""
        ends = {"validation": self.table.validation[..., -1], "test": self.table.test}
        if split not in ends:
            raise InputError(f"split {split!r}: {nearest(split, ends)}")
        if seed is None:
            return ends[split][list(self._rows())].mean(axis=-1, dtype=float)
        seed = whole("seed", seed)
        if not 0 <= seed < self.seeds:
            raise InputError(f"seed {seed}: the table has seeds 0 to {self.seeds - 1}")
        return self._of(ends[split], self._draws(seed))

    def _of(self, errors: NDArray[Any], draws: Sequence[int]) -> Floats:
        """Return each group's entries ``(G, A, B)`` of ``(rows, A, B, S)`` errors."""
        return errors[list(self._rows()), :, :, list(draws)].astype(float)

    def _own(self, allocation: Allocation) -> Allocation:
        """Return the same; raise :class:`InputError` where it is not of the benchmark's space."""
        instance("allocation", allocation, Allocation)
        return Allocation(self.space(), allocation.grouping)

    def _look_up(self, allocation: Allocation, errors: NDArray[Any]) -> dict[str, float]:
        """Return every group's entry of ``(G, A, B)`` errors, and ``mean``."""
        space, counts = self.space(), self._own(allocation).grouping.counts()
        found = {}
        for group, entry in zip(space.groups, errors, strict=True):
            for unit in space.free_units:
                entry = entry[min(counts[unit][group], len(entry)) - 1]
            found[group] = float(entry)
        return {**found, "mean": float(self._weights @ list(found.values()))}

    def _check_within(self, allocation: Allocation, budget: Budget) -> None:
        costs = self._own(allocation).costs(budget.resolved_measure)
        for groups, limit in budget.limits(self.space()).items():
            used = sum(costs[group] for group in groups)
            if used > limit * (1 + budget.tolerance):
                raise InputError(
                    f"{', '.join(groups)}: costs {used / limit:.3f} of the budget; make it cheaper "
                    "with groupnas.budget.fit(), or compare at a larger budget"
                )


def _told(found: Curve | Choices) -> str:
    count, name = len(found.errors), type(found).__name__
    if not count:
        return f"{name}(none)"
    return f"{name}({count:,}, errors {found.errors.min():.3f} to {found.errors.max():.3f})"


def _outer_sum(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return all sums of one entry of each row: an array with an axis for each."""
    return reduce(np.add.outer, rows)
