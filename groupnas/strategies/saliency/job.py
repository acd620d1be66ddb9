"""The saliency search: a training, prunings of what was trained, and trainings of what is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from groupnas.arrays import Integers
from groupnas.budget import Budget, fit
from groupnas.engine.design import Design
from groupnas.engine.job import Record
from groupnas.engine.search_job import SearchJob
from groupnas.engine.state import StateError, check_like
from groupnas.engine.training import Trainer
from groupnas.engine.training_settings import Training
from groupnas.errors import InputError
from groupnas.runs.records import Epoch, PartValues, SearchEpoch
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.saliency.pruning import Pruning, places
from groupnas.strategies.saliency.removal import Removal, alive_sizes, check_channels
from groupnas.strategies.saliency.settings import Arm, Saliency
from groupnas.strategies.saliency.weights import load_network, save_network
from groupnas.task import Task

NETWORKS = "networks"  # a folder of a run: what was fine-tuned

Phase = Literal["train", "prune", "tune"]


class SaliencyEpoch(SearchEpoch):
    """A record; the end of a search follows from these."""

    phase: Phase
    arm: str
    cost: float
    train_loss: float
    validation: PartValues


@dataclass(frozen=True)
class Stage:
    """A part of the search.

    Attributes:
        phase: What happens.
        arm: To whose network.
        epochs: For how long.
        total: Of a budget, at which a network is fine-tuned; ``None`` where it has its whole width.
    """

    phase: Phase
    arm: Arm
    epochs: int
    total: float | None = None

    @property
    def label(self) -> str:
        """The name of the network that it leaves."""
        return self.arm if self.total is None else f"{self.arm}-{self.total:g}"


class SaliencyJob(SearchJob):
    """The state of a saliency search; arguments are those of :class:`SearchJob`.

    Raises:
        InputError: task and space do not fit together, too few sources to split, or weights to
            start from that are not of the space.
    """

    record: type[Epoch] = SaliencyEpoch
    strategy: Saliency

    def __init__(
        self,
        space: SearchSpace,
        task: Task,
        strategy: Saliency,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__(space, task, strategy, seed, device, strategy.validation)
        widths = {u: round(n * strategy.widen) for u, n in space.free_units.items()}
        self._start = Allocation.even(space.resized(widths))
        self._given: GroupedNetwork | None = None
        if strategy.pretrained is not None:
            self._given = load_network(strategy.pretrained, self._start)
            self._start = Allocation.from_counts(space, _counts(self._given, space))
        self._sizes = _table(self._start.grouping.counts(), space)
        self._stages = _stages(strategy)
        self._running: Trainer | Pruning | None = None
        self._trained: dict[str, Tensor] = {}
        self._orders: dict[str, Tensor] = {}
        self._snapshots: dict[str, list[dict[str, Any]]] = {}
        self._tuned: dict[str, dict[str, Any]] = {}
        self._even = sum(Allocation.even(space).costs(self._measure).values())
        self.total_epochs = sum(stage.epochs for stage in self._stages)
        self.batch_size = min(strategy.batch_size, len(self.split.train))
        self.steps = len(self.split.train) // self.batch_size

    @property
    def _budget(self) -> Budget:
        assert self.strategy.budget is not None
        return self.strategy.budget

    @property
    def _measure(self) -> Any:
        return self._budget.resolved_measure

    def describe(self) -> list[str]:
        train, validation = len(self.split.train), len(self.split.validation)
        settings = self.strategy
        return [
            *super().describe(),
            f"{train:,} samples train, {validation:,} validate; {settings.epochs} epochs at full "
            f"width, then for each of {', '.join(settings.arms)}: {settings.prune_epochs} in which "
            f"channels go, and {settings.tune_epochs} of each network that is kept",
        ]

    def run_epoch(self, on_step: Callable[[int, int], None] = lambda done, total: None) -> Record:
        """Run one epoch of the stage that is due.

        Raises:
            InputError: the loss is no longer finite.
        """
        stage, begins, ends = self._due()
        if begins:
            self._running = self._begin(stage)
        running = self._running
        assert running is not None
        waited = running.data_seconds
        told = running.run_epoch(on_step)
        self.data_seconds += running.data_seconds - waited
        network = running.narrowed() if isinstance(running, Pruning) else running.network
        found = Allocation.from_counts(self.space, _counts(network, self.space))
        record = {
            "epoch": len(self.history) + 1,
            "phase": stage.phase,
            "arm": stage.arm,
            "steps": self.steps,
            "cost": sum(found.costs(self._measure).values()) / self._even,
            "train_loss": told["train_loss"],
            "validation": told["validation"],
            "sizes": found.grouping.sizes(),
        }
        self.history.append(record)
        if ends:
            self._end(stage, running)
            self._running = None
        return record

    # -- stages ---------------------------------------------------------------------------------

    def _due(self) -> tuple[Stage, bool, bool]:
        """Return the stage of the next epoch, whether it begins and whether it ends with that."""
        left = len(self.history)
        for stage in self._stages:
            if left < stage.epochs:
                return stage, left == 0, left == stage.epochs - 1
            left -= stage.epochs
        raise StopIteration

    def _begin(self, stage: Stage) -> Trainer | Pruning:
        """Return a stage's work, which depends on what was saved and on the seed alone."""
        settings = self.strategy
        if stage.phase == "prune":
            network = self._full()
            return Pruning(
                network, self._removal(stage.arm), self.task, settings, self.split, self.seed,
                self.device,
            )
        weights = settings.weights
        if stage.phase == "train":
            network = self._given or self._fresh()
        else:
            rate = {"lr": settings.rate, "schedule": "cosine", "end_lr": 0.0}
            weights = weights.model_copy(update=rate)
            network = self._pruned(stage)
        training = Training(
            epochs=stage.epochs,
            batch_size=settings.batch_size,
            weights=weights,
            average=settings.average,
        )
        return Trainer(network, self.task, training, self.split, self.seed, self.device)

    def _end(self, stage: Stage, running: Trainer | Pruning) -> None:
        """Keep what a stage leaves."""
        if isinstance(running, Pruning):
            if running.removal is None:
                self._tuned[stage.label] = {"network": _copy(running.network.state_dict())}
            else:
                self._orders[stage.arm] = running.order()
                self._snapshots[stage.arm] = running.snapshots
        elif stage.phase == "train":
            self._trained = running.best
        else:
            errors = running.history[running.best_epoch - 1]["validation"]
            self._tuned[stage.label] = {"network": running.best, "errors": errors}

    def _fresh(self) -> GroupedNetwork:
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return self._start.build(self.task.mean_output())

    def _full(self) -> GroupedNetwork:
        """Return a copy of the network at full width, trained."""
        if not self._trained and self._given is not None:
            state = self._given.state_dict()
        else:
            state = self._trained
        return _filled(self._start, state)

    def _pruned(self, stage: Stage) -> GroupedNetwork:
        """Return the network that a fine-tuning starts from."""
        if stage.total is None:
            return _filled(self._start, self._tuned[stage.label]["network"])
        network = self._inherited(stage.arm, self._at(stage.arm, self._totalling(stage.total)))
        assert network is not None
        return network

    def _removal(self, arm: Arm) -> Removal | None:
        if arm == "full":
            return None
        least = self._totalling(min(self.strategy.tuned))
        return Removal(
            self.space, self._sizes, arm, least.limits(self.space), self._measure,
            self.strategy.min,
        )

    def _totalling(self, total: float) -> Budget:
        """Return the strategy's budget with another total; its groups' own are scaled alike."""
        own = self._budget
        scale = total / (own.total or 1.0)
        groups = {group: share * scale for group, share in own.groups.items()}
        kept = None if own.total is None else total
        return own.model_copy(update={"total": kept, "groups": groups})

    # -- what is found --------------------------------------------------------------------------

    @property
    def _main(self) -> Arm:
        return self.strategy.arms[0]

    def _at(self, arm: str, budget: Budget) -> Allocation:
        """Return an arm's sizes at a budget; they cost no more, and as near as whole channels allow.

        Raises:
            InputError: it cannot be met, as the fewest channels cost more; or within its tolerance,
                where all sizes had to be multiplied.
        """
        sizes = self._sizes
        if arm in self._orders:
            found = self._replayed(self._orders[arm].tolist(), budget)
            if found is not None and budget.divisor == 1:
                return Allocation.from_counts(self.space, _rows(found, self.space))
            sizes = sizes if found is None else found
        return fit(self.space, _rows(sizes, self.space), budget)

    def _replayed(self, order: list[int], budget: Budget) -> Integers | None:
        """Return the sizes that are left of an order when they are within a budget.

        Channels go first to last until that is so, and what the last one took too much is given
        back, last to first. ``None`` where the start is within it, or the end is not.
        """
        removal = Removal(
            self.space, self._sizes, "free", budget.limits(self.space), budget.resolved_measure
        )
        return removal.replay(order)

    def _inherited(self, arm: str, found: Allocation) -> GroupedNetwork | None:
        """Return an arm's network of some sizes, with the weights of the last that had these."""
        wanted = _table(found.grouping.counts(), self.space)
        order = self._orders[arm].numpy()
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        kept = _last(rank, self._sizes, wanted)
        if kept is None:
            return None
        full = {"removed": 0, "network": self._trained or self._full().state_dict()}
        for snapshot in [*reversed(self._snapshots[arm]), full]:
            there = rank >= snapshot["removed"]
            if not there[kept].all():
                continue
            sizes = alive_sizes(there, self._sizes)
            base = Allocation.from_counts(self.space, _rows(sizes, self.space))
            network = _filled(base, snapshot["network"])
            left = np.zeros(len(order), dtype=bool)
            left[kept] = True
            return network.narrowed(places(sizes, left[there], self.space.free_units))
        raise AssertionError("the whole network has all channels")

    def design(self, budget: Budget | None = None) -> Design:
        """Return the sizes that were left when the network cost as much as the budget says.

        Above what the search started from, and below what it ended with, all sizes are multiplied
        by one factor.

        Raises:
            InputError: the budget cannot be met within its tolerance.
        """
        return self._at(self._main, budget or self._budget)

    def allocation(self) -> Allocation:
        """Return the design at the strategy's budget."""
        return self._at(self._main, self._budget)

    def inherited(self, design: Design) -> nn.Module | None:
        """Return a design's network with the weights that it had when it was pruned to its sizes.

        ``None`` where that was wider than what the search started from.
        """
        assert isinstance(design, Allocation)
        return self._inherited(self._main, design) if self._main in self._orders else None

    def networks(self) -> dict[str, GroupedNetwork]:
        """Return every fine-tuned network, in evaluation mode, by arm and budget."""
        found = {}
        for stage in self._stages:
            if stage.phase == "tune" and "errors" in self._tuned.get(stage.label, {}):
                state = self._tuned[stage.label]["network"]
                shape = self._start
                if stage.total is not None:
                    shape = self._at(stage.arm, self._totalling(stage.total))
                found[stage.label] = _filled(shape, state).eval()
        return found

    def network(self) -> nn.Module | None:
        """Return the fine-tuned network of :meth:`allocation`."""
        return next(iter(self.networks().values()), None)

    def outcome(self) -> dict[str, Any]:
        """Return every arm's trajectory, and errors and costs of what was fine-tuned."""
        costs = {
            label: Allocation.from_counts(self.space, _counts(network, self.space)).costs(
                self._measure
            )
            for label, network in self.networks().items()
        }
        return {
            "trajectory": {arm: self._trajectory(arm) for arm in self._orders},
            "networks": {
                label: {"costs": costs[label], "errors": self._tuned[label]["errors"]}
                for label in costs
            },
            "validation_errors": {label: self._tuned[label]["errors"] for label in costs},
        }

    def _trajectory(self, arm: str) -> list[dict[str, Any]]:
        order = self._orders[arm].numpy()
        found = []
        for snapshot in self._snapshots[arm]:
            alive = np.ones(len(order), dtype=bool)
            alive[order[: snapshot["removed"]]] = False
            rows = _rows(alive_sizes(alive, self._sizes), self.space)
            costs = Allocation.from_counts(self.space, rows).costs(self._measure)
            cost = sum(costs.values()) / self._even
            found.append(
                {"cost": cost, "costs": costs, "errors": snapshot["errors"], "sizes": rows}
            )
        return found

    def leave(self, folder: Path) -> None:
        """Write every fine-tuned network."""
        for label, network in self.networks().items():
            save_network(network, folder / NETWORKS / f"{label}.safetensors")

    # -- state ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return {
            "trained": self._trained,
            "stage": {} if self._running is None else self._running.state_dict(),
            "orders": self._orders,
            "snapshots": self._snapshots,
            "tuned": self._tuned,
            "history": self.history,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for arm, order in state["orders"].items():
            where = f"orders.{arm}"
            if not isinstance(order, Tensor) or arm not in self.strategy.arms:
                raise StateError(f"{where}: expected the order of an arm's channels")
            check_channels(order.tolist(), int(self._sizes.sum()), where)
            if len(order) != self._sizes.sum():
                raise StateError(f"{where}: expected all {self._sizes.sum()} channels")
        if state["trained"]:
            check_like(state["trained"], self._fresh().state_dict(), "trained")
        self._trained = dict(state["trained"])
        self._orders = dict(state["orders"])
        self._snapshots = {arm: list(kept) for arm, kept in state["snapshots"].items()}
        self._tuned = dict(state["tuned"])
        self.history = list(state["history"])
        self._check_kept()
        if len(self.history) == self.total_epochs:
            return
        stage, begins, _ = self._due()
        if not begins:
            self._running = self._begin(stage)
            check_like(state["stage"], self._running.state_dict(), "stage")
            self._running.load_state_dict(state["stage"])

    def _check_kept(self) -> None:
        """Raise :class:`StateError` unless all that ended stages leave is there, and fits."""
        done = 0
        for stage in self._stages:
            done += stage.epochs
            if done > len(self.history):
                break
            missing = {
                "train": not self._trained,
                "prune": stage.arm != "full"
                and not (stage.arm in self._orders and stage.arm in self._snapshots),
                "tune": stage.label not in self._tuned,
            }
            if missing[stage.phase]:
                raise StateError(f"{stage.phase} {stage.label}: is over, but left nothing")
        try:
            self.networks()
            for arm, kept in self._snapshots.items():
                order = self._orders[arm].numpy()
                for snapshot in kept:
                    alive = np.ones(len(order), dtype=bool)
                    alive[order[: snapshot["removed"]]] = False
                    rows = _rows(alive_sizes(alive, self._sizes), self.space)
                    _filled(Allocation.from_counts(self.space, rows), snapshot["network"])
        except (InputError, RuntimeError, KeyError, TypeError, AttributeError) as error:
            raise StateError(f"what was kept does not fit: {error}") from error


def _stages(strategy: Saliency) -> list[Stage]:
    main = strategy.arms[0]
    found = [Stage("train", main, strategy.epochs)] if strategy.epochs else []
    for arm in strategy.arms:
        found.append(Stage("prune", arm, strategy.prune_epochs))
        totals = (None,) if arm == "full" else strategy.tuned
        found += [Stage("tune", arm, strategy.tune_epochs, total) for total in totals]
    return found


def _table(counts: Mapping[str, Mapping[str, int]], space: SearchSpace) -> Integers:
    """Return ``(U, G)`` channels of every free unit and group."""
    return np.array([[counts[unit][g] for g in space.groups] for unit in space.free_units])


def _rows(sizes: Integers, space: SearchSpace) -> dict[str, dict[str, int]]:
    """Undo :func:`_table`."""
    rows = zip(space.free_units, sizes.tolist(), strict=True)
    return {unit: dict(zip(space.groups, row, strict=True)) for unit, row in rows}


def _counts(network: GroupedNetwork, space: SearchSpace) -> dict[str, dict[str, int]]:
    """Return the channels of every free unit and group of a network of the space."""
    return {
        unit: dict(zip(space.groups, network.sizes[unit], strict=True)) for unit in space.free_units
    }


def _last(rank: Integers, sizes: Integers, wanted: Integers) -> Integers | None:
    """Return the channels that each cell keeps of its own: the last to go. ``None``: too few."""
    if (wanted > sizes).any():
        return None
    pieces = np.split(np.arange(len(rank)), sizes.ravel().cumsum()[:-1])
    counts = wanted.ravel().tolist()
    return np.concatenate(
        [piece[np.argsort(-rank[piece])[:n]] for piece, n in zip(pieces, counts, strict=True)]
    )


def _filled(allocation: Allocation, state: Mapping[str, Any]) -> GroupedNetwork:
    """Return an allocation's network with the weights of a state."""
    with torch.random.fork_rng():
        network = allocation.build()
    network.load_state_dict(dict(state))
    return network


def _copy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in state.items()}
