"""The knapsack search with shared weights: a slimmable network, in which groups are measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from groupnas.arrays import Floats
from groupnas.engine.evaluate import mean_errors, recalibrate
from groupnas.engine.job import Means, Record
from groupnas.engine.optimizer import make_optimizer, set_learning_rate
from groupnas.engine.shown import finite_loss, group_errors
from groupnas.engine.split import Stream
from groupnas.engine.state import load_generator, load_optimizer
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.knapsack.curves_job import CurvesJob
from groupnas.strategies.knapsack.settings import Knapsack
from groupnas.strategies.knapsack.slimmable import SlimmableNetwork
from groupnas.task import Task

# Random profiles of an epoch. PyTorch sets a convolution up anew for a size that it does not
# remember: if every pass had sizes of its own, that would take a third of the time.
_POOL = 12
_JITTER = 0.3  # of a knob at most, around the front


class SlimmableJob(CurvesJob):
    """The state of a knapsack search in one slimmable network.

    Its epochs are those of the training, then one for each round of measurements. Arguments are
    those of :class:`CurvesJob`.
    """

    def __init__(
        self,
        space: SearchSpace,
        task: Task,
        strategy: Knapsack,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__(space, task, strategy, seed, device)
        self._stream = Stream(self.split.train, strategy.batch_size, self._rng)
        self.batch_size = self._stream.batch_size
        self.steps = self._stream.batches_per_pass
        self.total_epochs = strategy.epochs + strategy.rounds
        self.net = SlimmableNetwork(space, self.family.widest(), task.mean_output())
        self.net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = make_optimizer(strategy.weights, self.net.parameters())
        self._calibration = self._few_batches()

    def describe(self) -> list[str]:
        train, validation = len(self.split.train), len(self.split.validation)
        points = self.strategy.rounds * self.strategy.points
        return [
            *super().describe(),
            f"{train:,} samples train the weights, {self.strategy.epochs} epochs; {points} sizes "
            f"of every group are measured on {validation:,}",
        ]

    def run_epoch(self, on_step: Callable[[int, int], None] = lambda done, total: None) -> Record:
        """Run one pass over the training side, or one round of measurements.

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
        means, pool = Means(), self._draw(_POOL)
        self.net.train()
        for step in range(self.steps):
            progress = (epoch + step / self.steps) / self.strategy.epochs
            set_learning_rate(self._optimizer, self.strategy.weights, progress)
            self._step(means, pool)
            on_step(step + 1, self.steps)
        return {
            "phase": "train",
            "steps": self.steps,
            "train_loss": {name: means.mean(name) for name in ("widest", "smallest", "random")},
            "train_error": means.table("error", self.space.groups),
        }

    def _step(self, means: Means, pool: Floats) -> None:
        """Descend the losses of a few profiles on one batch, together.

        Every group draws its own of the pool ``(n, knobs)``, and has its own in each pass.
        """
        x, target = self.load(next(self._stream), self._rng)
        groups = self.space.groups
        shape = (self.strategy.passes, len(groups))
        picks = torch.randint(len(pool), shape, generator=self._rng).numpy()
        passes = [("random", pool[row]) for row in picks]
        if self.strategy.sandwich:
            smallest, widest = self.family.line(2)
            passes += [("smallest", [smallest] * len(groups)), ("widest", [widest] * len(groups))]
        self._optimizer.zero_grad()
        for name, profiles in passes:
            widths = map(self.family.widths, profiles)
            sizes = dict(zip(groups, widths, strict=True))
            predicted = self.net(x, sizes)
            loss = finite_loss(self.task, predicted, target, "training")
            (loss / len(passes)).backward()
            means.add(name, loss)
            means.add_rows("error", group_errors(self.task, predicted, target))
        self._optimizer.step()

    # -- measuring ------------------------------------------------------------------------------

    def _measure(self, on_step: Callable[[int, int], None]) -> Record:
        """Measure some profiles of every group; all groups are measured side by side."""
        count = self.strategy.points
        proposed = self._proposals(count)
        for index in range(count):
            profiles = {group: rows[index] for group, rows in proposed.items()}
            network = self._plain({g: self.family.widths(p) for g, p in profiles.items()})
            self._add(profiles, self._errors(network))
            on_step(index + 1, count)
        return {
            "phase": "curves",
            "steps": 0,
            "points": len(self.curves[self.space.groups[0]].errors),
            "held_out": {g: model.held_out for g, model in self.solution().models.items()},
            "sizes": self.allocation().grouping.sizes(),
        }

    def _proposals(self, count: int) -> dict[str, Floats]:
        """Return what to measure next: ``(count, knobs)`` of every group."""
        done = len(self.history) - self.strategy.epochs
        if done == 0:
            return {group: self.family.line(count) for group in self.space.groups}
        drawn = {group: self._draw(count) for group in self.space.groups}
        if done == 1:
            return drawn
        solution = self.solution()
        for group, random in drawn.items():
            best = solution.front((group,)).picks[:, 0]
            wanted = best[np.linspace(0, len(best) - 1, count).round().astype(int)]
            drawn[group] = np.clip(solution.grid[wanted] + _JITTER * random, -1, 1)
        return drawn

    def _plain(self, sizes: Mapping[str, Mapping[str, int]]) -> nn.Module:
        """Return the network of some sizes, with the search's weights and its own statistics."""
        network: nn.Module = self.net.plain(Allocation.from_widths(self.space, sizes))
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # The same crops for all of them, so that their differences are their own.
        crops = torch.Generator().manual_seed(self.seed)
        recalibrate(network, self.task, self._calibration, self.batch_size, self.device, crops)
        return network.eval()

    def _few_batches(self) -> Tensor:
        """Return as few training samples as BatchNorm's statistics need."""
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(self.split.train), generator=generator)
        return self.split.train[order[: self.strategy.calibration * self.batch_size]]

    def _errors(self, network: nn.Module) -> dict[str, float]:
        return mean_errors(network, self.task, self.split.validation, self.batch_size, self.device)

    def network(self) -> nn.Module | None:
        """Return the network found, with the slimmable one's weights; ``None`` if it is wider."""
        counts, widest = self.allocation().grouping.counts(), self.family.widest()
        if any(max(row.values()) > widest[unit] for unit, row in counts.items()):
            return None
        return self._plain(
            {group: {unit: row[group] for unit, row in counts.items()} for group in self.curves}
        )

    def outcome(self) -> dict[str, Any]:
        """Return :class:`CurvesJob`'s outcome, and the errors with the search's weights."""
        network = self.network()
        errors = {} if network is None else {"derived": self._errors(network)}
        return {"validation_errors": errors, **super().outcome()}

    # -- state ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": self.net.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "stream": self._stream.state_dict(),
            "rng": self._rng.get_state(),
            "curves": {group: curve.to_dict() for group, curve in self.curves.items()},
            "history": self.history,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["network"])
        load_optimizer(self._optimizer, state["optimizer"], "optimizer")
        self._stream.load_state_dict(state["stream"])
        load_generator(self._rng, state["rng"], "rng")
        rounds = max(len(state["history"]) - self.strategy.epochs, 0)
        self._load_curves(state["curves"], rounds * self.strategy.points)
        self.history = list(state["history"])
