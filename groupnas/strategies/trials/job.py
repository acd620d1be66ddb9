"""A black-box search at work: one trial is one epoch, and the next follows from the history."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import torch
from pydantic import Field

from groupnas.budget import Budget, fit
from groupnas.engine.evaluate import Evaluate
from groupnas.engine.job import Record
from groupnas.engine.search_job import SearchJob
from groupnas.engine.state import StateError, check_table
from groupnas.engine.training_settings import Training
from groupnas.errors import InputError
from groupnas.runs.records import Costs, Count, Epoch, Finite, SearchEpoch
from groupnas.saved import Saved
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.trials.encoding import Encoding, usage
from groupnas.strategies.trials.evaluator import Worth, judge
from groupnas.strategies.trials.proposal import Proposal, Propose
from groupnas.strategies.trials.settings import TrialSearch
from groupnas.task import Task

FOLLOWS = ("epoch", "best", "sizes")  # keys of a record that follow from the trials before it


class Trial(Saved):
    """The keys of a trial's record that all others follow from."""

    trial: Count
    trained: Annotated[int, Field(ge=1)]
    steps: Count
    errors: Costs
    cost: Finite
    point: dict[str, Finite]


class TrialEpoch(Trial, SearchEpoch):
    """A trial in the history."""


class TrialsJob(SearchJob):
    """A search that judges groupings one by one.

    A trial's record: ``epoch`` (its place in the history, from 1), ``trial`` (its number, from 0),
    ``trained`` (epochs), ``steps`` (0 if the same sizes were judged before), ``errors``
    (validation, each group and ``mean``), ``cost`` (share of the budget), ``point`` (coordinates),
    ``best`` (least mean error so far, among those trained as long), ``sizes`` (channels of every
    unit, by group, in the best grouping so far).

    Args:
        space: What to search.
        task: Training samples.
        strategy: All settings.
        seed: Of the split and of what is tried.
        device: Where networks are trained.
        evaluate: See :class:`SearchJob`.
    """

    record: type[Epoch] = TrialEpoch

    def __init__(
        self,
        space: SearchSpace,
        task: Task,
        strategy: TrialSearch,
        seed: int = 0,
        device: str | torch.device = "cpu",
        evaluate: Evaluate | None = None,
    ) -> None:
        super().__init__(space, task, strategy, seed, device, strategy.validation, evaluate)
        self.settings = strategy
        self.budget = strategy.budget or Budget()
        self.encoding = self._encoding()
        self.batch_size = min(strategy.batch_size, len(self.split.train))
        self.steps = strategy.epochs * (len(self.split.train) // self.batch_size)
        self.total_epochs = strategy.planned
        self._known: dict[tuple[Allocation, int], dict[str, float]] = {}

    def _encoding(self) -> Encoding:
        settings = self.settings
        return Encoding(
            space=self.space,
            budget=self.budget,
            resolution=settings.resolution,
            spread=settings.spread,
        )

    def describe(self) -> list[str]:
        train, validation = len(self.split.train), len(self.split.validation)
        return [
            f"{self.space.name} on {self.task.name}: {train:,} samples train, "
            f"{validation:,} judge the trials",
            f"{self.total_epochs} trials, trained for {self.settings.epochs} epochs at most, "
            f"{len(self.encoding.bounds)} coordinates",
        ]

    def run_epoch(self, on_step: Callable[[int, int], None] = lambda done, total: None) -> Record:
        """Run one trial."""
        settings = self.settings
        propose: Propose = settings.resolve(settings.proposer)(self.encoding, settings, self.seed)
        return self._append(self._judge(len(self.history), propose(self.history), on_step))

    # -- one trial ------------------------------------------------------------------------------

    def _judge(
        self, number: int, proposal: Proposal, on_step: Callable[[int, int], None]
    ) -> Record:
        """Return a judged trial, as a record without its place in the history."""
        found = self.encoding.decode(proposal.point)
        worth = self._worth(found, proposal.epochs, on_step)
        if not all(map(math.isfinite, worth.errors.values())):
            raise InputError(f"trial {number}: its validation errors are {worth.errors}")
        return {
            "trial": number,
            "trained": proposal.epochs,
            "steps": worth.steps,
            "errors": worth.errors,
            "cost": usage(self.space, found, self.budget),
            "point": proposal.point,
        }

    def _worth(self, found: Allocation, epochs: int, on_step: Callable[[int, int], None]) -> Worth:
        if (found, epochs) in self._known:  # trained again, it would come to the same
            return Worth(self._known[found, epochs])
        how = self.settings
        training = Training(
            epochs=epochs, batch_size=how.batch_size, weights=how.weights, average=how.average
        )
        return judge(self, found, training, how.weights_seed, on_step)

    def _append(self, record: Record) -> Record:
        """Take a judged trial into the history."""
        comparable = [r for r in self.history if r["trained"] == record["trained"]]
        means = [r["errors"]["mean"] for r in [*comparable, record]]
        self.history.append({"epoch": len(self.history) + 1, **record, "best": min(means)})
        self._known[self.encoding.decode(record["point"]), record["trained"]] = record["errors"]
        self.history[-1]["sizes"] = self.allocation().grouping.sizes()
        return self.history[-1]

    def _check_trial(self, record: Record, where: str) -> None:
        """Raise :class:`StateError` unless a trial is of this search's groups and coordinates."""
        check_table(record["errors"], [*self.space.groups, "mean"], f"{where}: errors")
        check_table(record["point"], list(self.encoding.bounds), f"{where}: point")
        for name, (low, high) in self.encoding.bounds.items():
            if not low <= record["point"][name] <= high:
                raise StateError(f"{where}: point.{name}: expected {low:g} to {high:g}")

    # -- what was found -------------------------------------------------------------------------

    def best(self, budget: Budget | None = None) -> Record | None:
        """Return the best trial within a budget of those trained longest; of all, if none is.

        ``None`` before the first.
        """
        longest = max((record["trained"] for record in self.history), default=0)
        last = [record for record in self.history if record["trained"] == longest]
        budget = budget or self.budget
        within = [r for r in last if self._usage(r, budget) <= 1 + budget.tolerance]
        # Among equal ones the first that was begun, whichever finished first.
        return min(within or last, key=lambda r: (r["errors"]["mean"], r["trial"]), default=None)

    def _usage(self, record: Record, budget: Budget) -> float:
        if budget == self.budget:
            return float(record["cost"])
        return usage(self.space, self.encoding.decode(record["point"]), budget)

    def allocation(self) -> Allocation:
        """Return the best so far; even groups before the first trial."""
        best = self.best()
        return self.encoding.decode(best["point"] if best else self.encoding.even)

    def design(self, budget: Budget | None = None) -> Allocation:
        """Return the best trial as it was judged, or its proportions at another budget."""
        if budget is None or budget == self.budget:
            return self.allocation()
        best = self.best(budget)
        point = best["point"] if best else self.encoding.even
        return fit(self.space, self.encoding.sizes(point), budget)

    def outcome(self) -> dict[str, Any]:
        """Return the number of trials, and the errors of even groups and of the best trial."""
        best = self.best()
        if best is None:
            return {"trials": 0}
        longest = [r for r in self.history if r["trained"] == best["trained"]]
        even = min(longest, key=lambda record: record["trial"])
        return {
            "trials": len(self.history),
            "best_trial": best["trial"],
            "validation_errors": {"even": even["errors"], "found": best["errors"]},
        }

    # -- state ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the history: all else follows from it."""
        return {"history": self.history}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume behind the saved trials.

        Raises:
            StateError: they are not of this search.
        """
        self.history, self._known = [], {}
        for record in state["history"]:
            self._check_trial(record, f"history, epoch {record['epoch']}")
            self._append({k: v for k, v in record.items() if k not in FOLLOWS})
