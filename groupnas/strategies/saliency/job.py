"""The saliency search: a training, prunings of what was trained, and trainings of what is left."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from groupnas.budget import Budget, fit
from groupnas.engine.design import Design
from groupnas.engine.job import Record
from groupnas.engine.search_job import SearchJob
from groupnas.engine.state import check_like, check_table
from groupnas.engine.training import Trainer
from groupnas.engine.training_settings import Training
from groupnas.errors import InputError, naming
from groupnas.runs.records import Epoch, PartValues, SearchEpoch
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.measure import Measure
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.saliency.pruning import Pruning
from groupnas.strategies.saliency.removal import Removal
from groupnas.strategies.saliency.settings import Arm, Saliency
from groupnas.strategies.saliency.trajectory import Trajectory, filled, shape_of, table
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
class SearchStage:
    """A stage of the search.

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
        self._shape = self._widened()
        self._given: GroupedNetwork | None = None
        if strategy.pretrained is not None:
            self._given = load_network(strategy.pretrained, self._shape)
            self._shape = shape_of(self._given, space)
        self._start = table(self._shape.grouping.counts(), space)
        for total in dict.fromkeys((*strategy.tuned, strategy.lowest)):
            with naming("down_to") if total not in strategy.tuned else nullcontext():
                self._check(self._budget.totalling(total))
        self._stages = _stages(strategy)
        self._running: Trainer | Pruning | None = None
        self._trained: dict[str, Tensor] = {}
        if self._given is not None and not strategy.epochs:
            self._trained = self._given.state_dict()
        self._trajectories: dict[str, Trajectory] = {}
        self._tuned: dict[str, dict[str, Any]] = {}  # state and errors of each stage's network
        self._even = sum(Allocation.even(space).costs(self._measure).values())
        self.total_epochs = sum(stage.epochs for stage in self._stages)
        self.batch_size = min(strategy.batch_size, len(self.split.train))
        self.steps = len(self.split.train) // self.batch_size

    @property
    def _budget(self) -> Budget:
        assert self.strategy.budget is not None
        return self.strategy.budget

    @property
    def _measure(self) -> Measure:
        return self._budget.resolved_measure

    def _widened(self) -> Allocation:
        """Return the even groups that the search starts from, in whole steps of a divisor."""
        count, widths = len(self.space.groups), {}
        for unit, channels in self.space.free_units.items():
            step = self._budget.step(channels / count)
            wide = channels * self.strategy.widen
            # With a divisor the same number of steps for each; without, as even as can be.
            widths[unit] = (
                round(wide) if step == 1 else count * step * math.ceil(wide / count / step)
            )
        return Allocation.even(self.space.resized(widths))

    def _check(self, budget: Budget) -> None:
        """Raise :class:`InputError` where the start is within a budget, or nothing can be."""
        costs = self._shape.costs(self._measure)
        for groups, most in budget.limits(self.space).items():
            if sum(costs[group] for group in groups) <= most:
                raise InputError(
                    f"budget: {', '.join(groups)}: within it before anything is pruned; give less "
                    "than what the search starts from, or start wider, as saliency:wide does"
                )
        for unit, row in self._shape.grouping.counts().items():
            step = budget.step(self.space.free_units[unit] / len(row))
            if any(size % step for size in row.values()):
                raise InputError(
                    f"pretrained: {unit}: its sizes are no multiples of {step}; take another "
                    "network, or no divisor"
                )
        whole = self._shape.grouping.counts()
        if budget.divisor > 1:
            fit(self.space, whole, budget, least=self.strategy.min, most=whole)
            return
        fewest = {
            unit: {group: min(size, self.strategy.min) for group, size in row.items()}
            for unit, row in whole.items()
        }
        costs = Allocation.from_counts(self.space, fewest).costs(self._measure)
        for groups, most in budget.limits(self.space).items():
            if (least := sum(costs[group] for group in groups)) > most:
                raise InputError(
                    f"budget: {most:,.0f} {self._measure.unit} for {', '.join(groups)} is less "
                    f"than the fewest channels cost: {least:,.0f}"
                )

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
        stage, done = self._due()
        if not done:
            self._running = self._begin(stage)
        running = self._running
        assert running is not None
        waited = running.data_seconds
        told = running.run_epoch(on_step)
        self.data_seconds += running.data_seconds - waited
        network = running.narrowed() if isinstance(running, Pruning) else running.network
        found = shape_of(cast(GroupedNetwork, network), self.space)
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
        if done + 1 == stage.epochs:
            self._end(stage, running)
            self._running = None
        return record

    # -- stages ---------------------------------------------------------------------------------

    def _due(self) -> tuple[SearchStage, int]:
        """Return the stage of the next epoch, and how many of its epochs are over."""
        done = len(self.history)
        for stage in self._stages:
            if done < stage.epochs:
                return stage, done
            done -= stage.epochs
        raise StopIteration

    def _begin(self, stage: SearchStage) -> Trainer | Pruning:
        """Return a stage's work, which depends on what was kept and on the seed alone."""
        settings = self.strategy
        if stage.phase == "prune":
            return Pruning(
                self._whole(),
                self._removal(stage.arm),
                self.task,
                settings,
                self.split,
                self.seed,
                self.device,
            )
        weights = settings.weights
        if stage.phase == "tune":
            falling = {"lr": settings.rate, "schedule": "cosine", "end_lr": 0.0}
            weights = weights.model_copy(update=falling)
        training = Training(
            epochs=stage.epochs,
            batch_size=settings.batch_size,
            weights=weights,
            average=settings.average,
        )
        network = self._fresh() if stage.phase == "train" else self._pruned(stage)
        return Trainer(network, self.task, training, self.split, self.seed, self.device)

    def _end(self, stage: SearchStage, running: Trainer | Pruning) -> None:
        """Keep what a stage leaves."""
        if isinstance(running, Trainer):
            if stage.phase == "train":
                self._trained = running.best
            else:
                errors = running.history[running.best_epoch - 1]["validation"]
                self._tuned[stage.label] = {"network": running.best, "errors": errors}
                if stage.arm in self._trajectories and not self._needed(stage.arm):
                    self._trajectories[stage.arm] = self._trajectories[stage.arm].told()
        elif running.removal is None:
            state = {name: value.clone() for name, value in running.network.state_dict().items()}
            self._tuned[stage.label] = {"network": state, "errors": {}}
        else:
            found = Trajectory(
                self.space, self._start, running.order(), running.snapshots, self.strategy.min
            )
            self._trajectories[stage.arm] = found if self._needed(stage.arm) else found.told()

    def _needed(self, arm: Arm) -> bool:
        """Whether networks on the way of an arm's pruning are needed, now or later."""
        due = [f"{arm}-{total:g}" for total in self.strategy.tuned if self.strategy.tune_epochs]
        return arm == self._main or not all(label in self._tuned for label in due)

    def _fresh(self) -> GroupedNetwork:
        """Return the network that the first training starts from."""
        if self._given is not None:
            return filled(self._shape, self._given.state_dict())
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return self._shape.build(self.task.mean_output())

    def _whole(self) -> GroupedNetwork:
        """Return the network at full width, trained."""
        return filled(self._shape, self._trained)

    def _pruned(self, stage: SearchStage) -> GroupedNetwork:
        """Return the network that a fine-tuning starts from."""
        if stage.total is None:
            return filled(self._shape, self._tuned[stage.label]["network"])
        found = self._trajectories[stage.arm].network(self._shape_at(stage))
        assert found is not None  # no budget is above the start
        return found

    def _shape_at(self, stage: SearchStage) -> Allocation:
        """Return the sizes of the network that a stage fine-tunes."""
        if stage.total is None:
            return self._shape
        return self._at(stage.arm, self._budget.totalling(stage.total))

    def _removal(self, arm: Arm) -> Removal | None:
        if arm == "full":
            return None
        limits = self._budget.totalling(self.strategy.lowest).limits(self.space)
        return Removal(self.space, self._start, arm, limits, self._measure, self.strategy.min)

    # -- what is found --------------------------------------------------------------------------

    @property
    def _main(self) -> Arm:
        return self.strategy.arms[0]

    def _at(self, arm: str, budget: Budget) -> Allocation:
        """Return an arm's sizes at a budget; before it was pruned, those of the start, scaled."""
        if arm in self._trajectories:
            return self._trajectories[arm].allocation(budget)
        return fit(self.space, self._shape.grouping.counts(), budget, least=self.strategy.min)

    def design(self, budget: Budget | None = None) -> Design:
        """Return the sizes that were left when the network cost as much as the budget says.

        See :meth:`Trajectory.allocation`.

        Raises:
            InputError: the budget cannot be met.
        """
        return self._at(self._main, budget or self._budget)

    def allocation(self) -> Allocation:
        """Return the design at the strategy's budget."""
        return self._at(self._main, self._budget)

    def inherited(self, design: Design) -> nn.Module | None:
        """Return a design's network with the weights that it had when it was pruned to its sizes.

        ``None`` where that is wider than what the search started from, or where sizes alone were
        asked for.
        """
        found = self._trajectories.get(self._main) if self.strategy.inherit else None
        return found.network(design) if found and isinstance(design, Allocation) else None

    def networks(self) -> dict[str, GroupedNetwork]:
        """Return every fine-tuned network, in evaluation mode, by arm and budget."""
        found = {}
        for stage in self._stages:
            if stage.phase == "tune" and self._tuned.get(stage.label, {}).get("errors"):
                state = self._tuned[stage.label]["network"]
                found[stage.label] = filled(self._shape_at(stage), state).eval()
        return found

    def network(self) -> nn.Module | None:
        """Return the fine-tuned network of :meth:`allocation`."""
        return next(iter(self.networks().values()), None)

    def outcome(self) -> dict[str, Any]:
        """Return every arm's trajectory, and costs and errors of what was fine-tuned."""
        return {
            "trajectory": {
                arm: trajectory.points(self._measure)
                for arm, trajectory in self._trajectories.items()
            },
            "tuned_costs": {
                label: shape_of(network, self.space).costs(self._measure)
                for label, network in self.networks().items()
            },
            "validation_errors": {
                label: kept["errors"] for label, kept in self._tuned.items() if kept["errors"]
            },
        }

    def leave(self, folder: Path) -> None:
        """Write every fine-tuned network."""
        for label, network in self.networks().items():
            save_network(network, folder / NETWORKS / f"{label}.safetensors")

    # -- state ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return {
            "trained": self._trained,
            "stage": {} if self._running is None else self._running.state_dict(),
            "trajectories": {arm: of.state_dict() for arm, of in self._trajectories.items()},
            "tuned": self._tuned,
            "history": self.history,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.history = list(state["history"])
        self._trajectories = {}
        if not self.strategy.epochs:
            check_like(state["trained"], self._trained, "trained")
            self._trained = state["trained"]
        self._tuned = dict.fromkeys(state["tuned"], {})  # what is needed depends on what there is
        done = 0
        for stage in self._stages:
            done += stage.epochs
            if done <= len(self.history):
                self._take(stage, state)
        self._tuned = {label: kept for label, kept in self._tuned.items() if kept}
        if len(self.history) < self.total_epochs and self._due()[1]:
            self._running = self._begin(self._due()[0])
            if isinstance(self._running, Trainer):
                check_like(state["stage"], self._running.state_dict(), "stage")
            self._running.load_state_dict(state["stage"])

    def _take(self, stage: SearchStage, state: Mapping[str, Any]) -> None:
        """Take what an ended stage left.

        Raises:
            StateError: it is not there, or not this stage's.
        """
        if stage.phase == "train":
            check_like(state["trained"], self._fresh().state_dict(), "trained")
            self._trained = state["trained"]
        elif stage.phase == "prune" and stage.arm != "full":
            left = state["trajectories"].get(stage.arm)
            where = f"trajectories.{stage.arm}"
            self._trajectories[stage.arm] = Trajectory.of(
                self.space,
                self._start,
                left,
                where,
                networks=self._needed(stage.arm),
                least=self.strategy.min,
            )
        else:
            left = state["tuned"].get(stage.label)
            where = f"tuned.{stage.label}"
            fresh = self._shape_at(stage).build().state_dict()
            check_like(left, {"network": fresh, "errors": {}}, where)
            if stage.phase == "tune":
                check_table(left["errors"], [*self.task.outputs, "mean"], f"{where}.errors")
            self._tuned[stage.label] = left


def _stages(strategy: Saliency) -> list[SearchStage]:
    main, tuned = strategy.arms[0], strategy.tune_epochs
    found = [SearchStage("train", main, strategy.epochs)] if strategy.epochs else []
    for arm in strategy.arms:
        found.append(SearchStage("prune", arm, strategy.prune_epochs))
        totals = (None,) if arm == "full" else strategy.tuned
        found += [SearchStage("tune", arm, tuned, total) for total in totals if tuned]
    return found
