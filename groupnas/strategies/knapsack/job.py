"""The knapsack search: train the slimmable network, measure the curves, allocate."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from groupnas.budget import Budget, fit
from groupnas.costs import part_cost
from groupnas.engine.design import GroupingDesign
from groupnas.engine.evaluate import recalibrate, sample_errors, validation_errors
from groupnas.engine.job import Means, Record, check_finite
from groupnas.engine.optimizer import make_optimizer, set_learning_rate
from groupnas.engine.search_job import SearchJob
from groupnas.engine.split import Split, Stream
from groupnas.grouping import Grouping
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.knapsack.curves import Curve
from groupnas.strategies.knapsack.profiles import Family
from groupnas.strategies.knapsack.settings import Knapsack
from groupnas.strategies.knapsack.slimmable import SlimmableNetwork
from groupnas.strategies.knapsack.solution import Solution
from groupnas.task import Task

Floats = NDArray[np.float64]

_JITTER = 0.3  # of a knob at most, around the front
_AS_EVEN = Budget(tolerance=0.5)  # about: nobody asked for it, so that it must not fail


class KnapsackJob(SearchJob):
    """The state of a knapsack search.

    Its epochs are those of the training, then one for each round of measurements.

    Args:
        space: The space to search.
        task: Training samples; inputs and outputs of each group must be the space's.
        strategy: All settings.
        seed: Of everything random. The global random state of torch is set from it.
        device: Where networks live.

    Raises:
        InputError: task and space do not fit together, or too few photos to split.
    """

    strategy: Knapsack

    def __init__(
        self,
        space: SearchSpace,
        task: Task,
        strategy: Knapsack,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__(space, task, strategy, seed, device, strategy.validation)
        torch.manual_seed(seed)
        self._rng = torch.Generator().manual_seed(seed)
        self._stream = Stream(self.split.train, strategy.batch_size, self._rng)
        self.batch_size = self._stream.batch_size
        self.steps = self._stream.batches_per_pass
        self.total_epochs = strategy.epochs + strategy.rounds
        ranges = {"tilt": strategy.tilt, "ratio": strategy.ratio}
        self.family = Family.of(
            space, strategy.profiles, strategy.smallest, strategy.widest, ranges
        )
        self.net = SlimmableNetwork(space, self.family.widest(), task.mean_output())
        self.net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = make_optimizer(strategy.weights, self.net.parameters())
        self.curves = {group: Curve() for group in space.groups}
        self._solution: Solution | None = None
        self._bench = self._with_fewer_batches()

    def describe(self) -> list[str]:
        """Lines that tell a person what is about to run."""
        train, validation = len(self.split.train), len(self.split.validation)
        points = self.strategy.rounds * self.strategy.points
        return [
            *super().describe(),
            f"{train:,} samples train the weights, {self.strategy.epochs} epochs; {points} sizes "
            f"of every part are measured on {validation:,}",
        ]

    def run_epoch(self, on_step: Callable[[int, int], None] = lambda done, total: None) -> Record:
        """One pass over the training side, or one round of measurements.

        Raises:
            InputError: the loss is no longer finite.
        """
        epoch = len(self.history)
        training = epoch < self.strategy.epochs
        record = self._train(epoch, on_step) if training else self._measure(on_step)
        self.history.append({"epoch": epoch + 1, **record})
        return self.history[-1]

    # -- training -------------------------------------------------------------------------------

    def _train(self, epoch: int, on_step: Callable[[int, int], None]) -> Record:
        means = Means()
        self.net.train()
        for step in range(self.steps):
            progress = (epoch + step / self.steps) / self.strategy.epochs
            set_learning_rate(self._optimizer, self.strategy.weights, progress)
            self._step(means)
            on_step(step + 1, self.steps)
        return {
            "phase": "train",
            "steps": self.steps,
            "train_loss": {name: means.mean(name) for name in ("widest", "smallest", "random")},
            "train_error": means.table("error", self.space.groups),
        }

    def _step(self, means: Means) -> None:
        """Descend the losses of a few profiles on one batch, together."""
        start = time.perf_counter()
        x, target = self.load(next(self._stream), self._rng)
        self.data_seconds += time.perf_counter() - start
        ends = self.family.line(2)
        passes = [("random", self._draw(1)) for _ in range(self.strategy.passes)]
        if self.strategy.sandwich:
            passes += [("smallest", self._same(ends[0])), ("widest", self._same(ends[1]))]
        self._optimizer.zero_grad()
        for name, profiles in passes:
            sizes = {group: self.family.widths(drawn[0]) for group, drawn in profiles.items()}
            predicted = self.net(x, sizes)
            loss = check_finite(self.task.loss(predicted, target), "training")
            (loss / len(passes)).backward()
            means.add(name, loss)
            with torch.no_grad():
                means.add("error", self.task.errors(predicted, target).mean(dim=0))
        self._optimizer.step()

    def _draw(self, count: int) -> dict[str, Floats]:
        """Random profiles ``(count, knobs)`` of every group."""
        shape = (len(self.space.groups), count, len(self.family.knobs))
        drawn = 2 * torch.rand(shape, generator=self._rng, dtype=torch.float64).numpy() - 1
        return dict(zip(self.space.groups, drawn, strict=True))

    def _same(self, profile: Floats) -> dict[str, Floats]:
        return {group: profile[None] for group in self.space.groups}

    # -- measuring ------------------------------------------------------------------------------

    def _measure(self, on_step: Callable[[int, int], None]) -> Record:
        """One round: measure some profiles of every part. Parts are measured side by side."""
        count = self.strategy.points
        proposed = self._proposals(count)
        for index in range(count):
            profiles = {group: rows[index] for group, rows in proposed.items()}
            network = self._plain({g: self.family.widths(p) for g, p in profiles.items()})
            errors = sample_errors(self, network).mean(dim=0).tolist()
            for (group, profile), error in zip(profiles.items(), errors, strict=True):
                self.curves[group].add(profile, error)
            on_step(index + 1, count)
        self._solution = None
        return {
            "phase": "curves",
            "steps": 0,
            "points": len(self.curves[self.space.groups[0]].errors),
            "held_out": {g: model.held_out for g, model in self.solution().models.items()},
        }

    def _proposals(self, count: int) -> dict[str, Floats]:
        """What to measure next: ``(count, knobs)`` of every group."""
        done = len(self.history) - self.strategy.epochs
        if done == 0:
            return {group: self.family.line(count) for group in self.space.groups}
        drawn = self._draw(count)
        if done == 1:
            return drawn
        solution = self.solution()
        for group, random in drawn.items():
            best = solution.front((group,)).picks[:, 0]
            wanted = best[np.linspace(0, len(best) - 1, count).round().astype(int)]
            drawn[group] = np.clip(solution.grid[wanted] + _JITTER * random, -1, 1)
        return drawn

    def _plain(self, sizes: Mapping[str, Mapping[str, int]]) -> nn.Module:
        """The network of some sizes, with the search's weights and statistics of its own."""
        units = self.space.free_units
        counts = {unit: {group: sizes[group][unit] for group in sizes} for unit in units}
        widths = {unit: sum(row.values()) for unit, row in counts.items()}
        network: nn.Module = self.net.plain(
            Grouping.from_counts(self.space.resized(widths), counts)
        )
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # The same crops for all of them, so that their differences are their own.
        recalibrate(self._bench, network, torch.Generator().manual_seed(self.seed))
        return network.eval()

    def _with_fewer_batches(self) -> KnapsackJob:
        """This job with as few training samples as BatchNorm's statistics need."""
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(self.split.train), generator=generator)
        few = self.split.train[order[: self.strategy.calibration * self.batch_size]]
        bench = copy.copy(self)
        bench.split = Split(few, self.split.validation)
        return bench

    # -- allocating -----------------------------------------------------------------------------

    def solution(self) -> Solution:
        """The allocation of any budget, from all that was measured so far (at least one round)."""
        if self._solution is None:
            models = {group: curve.model() for group, curve in self.curves.items()}
            self._solution = Solution(self.space, self.family, models)
        return self._solution

    def design(self, budget: Budget | None = None) -> GroupingDesign:
        """The best sizes for a budget; even ones before anything is measured.

        Raises:
            InputError: the budget cannot be met within its tolerance.
        """
        budget = budget or self.strategy.budget or _AS_EVEN
        measured = len(self.history) > self.strategy.epochs
        if measured:
            found = self.solution().grouping(budget)
        else:
            found = fit(self.space, self.initial.counts(), budget)
        return GroupingDesign(self.space.fitted(found), found)

    def grouping(self) -> Grouping:
        """Of :meth:`design`, at the strategy's budget, or at what even groups cost, about."""
        return self.design().grouping

    def network(self) -> nn.Module | None:
        """The network found, with the slimmable one's weights; ``None`` if it is wider."""
        counts, widest = self.grouping().counts(), self.family.widest()
        if any(max(row.values()) > widest[unit] for unit, row in counts.items()):
            return None
        return self._plain(
            {group: {unit: row[group] for unit, row in counts.items()} for group in self.curves}
        )

    def outcome(self) -> dict[str, Any]:
        """Every part's curve, and what the models promise of the allocation, for result.json."""
        solution = self.solution()
        found = solution.profiles(self.strategy.budget or _AS_EVEN)
        even = dict.fromkeys(self.space.groups, self.family.even())
        costs = self.design().costs()
        network = self.network()
        errors = {} if network is None else {"derived": validation_errors(self, network)}
        return {
            "health": self._health(),
            "validation_errors": errors,
            "knobs": list(self.family.knobs),
            "profiles": {group: profile.tolist() for group, profile in found.items()},
            "shares": {group: cost / sum(costs.values()) for group, cost in costs.items()},
            "predicted": {"even": solution.predicted(even), "found": solution.predicted(found)},
            "curves": {group: self._curve(group) for group in self.space.groups},
        }

    def _health(self) -> list[str]:
        """What speaks against believing the curves."""
        narrow, wide = self.family.line(2)
        return [
            f"{group}: wide sizes have no less error than narrow ones; train for more epochs"
            for group, model in self.solution().models.items()
            if model.predict(wide[None]) >= model.predict(narrow[None])
        ]

    def _curve(self, group: str) -> dict[str, Any]:
        curve, model = self.curves[group], self.solution().models[group]
        macs = [
            float(part_cost(self.space, group, self.family.widths(np.array(profile))))
            for profile in curve.profiles
        ]
        return {
            **curve.to_dict(),
            "macs": macs,
            "fitted": self.solution().curve(group),
            "held_out": model.held_out,
            "spread": model.spread,
        }

    # -- state ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on: tensors and plain values only."""
        return {
            "network": self.net.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "stream": self._stream.state_dict(),
            "rng": self._rng.get_state(),
            "curves": {group: curve.to_dict() for group, curve in self.curves.items()},
            "history": self.history,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the saved search stood, bit for bit (CPU, same thread count)."""
        self.net.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._stream.load_state_dict(state["stream"])
        self._rng.set_state(state["rng"])
        self.curves = {group: Curve(**value) for group, value in state["curves"].items()}
        self._solution = None
        self.history = list(state["history"])
