"""The saliency search: a training, prunings of what was trained, and trainings of what is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from groupnas.errors import InputError
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
        widths = {unit: round(n * strategy.widen) for unit, n in space.free_units.items()}
        self._shape = Allocation.even(space.resized(widths))
        self._given: GroupedNetwork | None = None
        if strategy.pretrained is not None:
            self._given = load_network(strategy.pretrained, self._shape)
            self._shape = shape_of(self._given, space)
        self._start = table(self._shape.grouping.counts(), space)
        for total in strategy.tuned:
            self._check_below(self._totalling(total))
        self._stages = _stages(strategy)
        self._running: Trainer | Pruning | None = None
        self._trained: dict[str, Tensor] = {}
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

    def _check_below(self, budget: Budget) -> None:
        """Raise :class:`InputError` where the start is within a budget, and nothing could go."""
        costs = self._shape.costs(self._measure)
        limits = budget.limits(self.space)
        if all(sum(costs[group] for group in groups) <= most for groups, most in limits.items()):
            raise InputError(
                "budget: the network is within it before anything is pruned; give less than what "
                "it starts from, or start wider: widen"
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
        everything = (self.task, settings, self.split, self.seed, self.device)
        if stage.phase == "prune":
            return Pruning(self._whole(), self._removal(stage.arm), *everything)
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
        return Trainer(network, self.task, training, *everything[2:])

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
            self._trajectories[stage.arm] = Trajectory(
                self.space, self._start, running.order(), running.snapshots
            )

    def _needed(self, arm: Arm) -> bool:
        """Whether networks on the way of an arm's pruning are needed, now or later."""
        tuned = (f"{arm}-{total:g}" in self._tuned for total in self.strategy.tuned)
        return arm == self._main or not all(tuned)

    def _fresh(self) -> GroupedNetwork:
        """Return the network that the first training starts from."""
        if self._given is not None:
            return filled(self._shape, self._given.state_dict())
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return self._shape.build(self.task.mean_output())

    def _whole(self) -> GroupedNetwork:
        """Return the network at full width, trained."""
        return filled(self._shape, self._trained) if self._trained else self._fresh()

    def _pruned(self, stage: SearchStage) -> GroupedNetwork:
        """Return the network that a fine-tuning starts from."""
        if stage.total is None:
            return filled(self._shape, self._tuned[stage.label]["network"])
        trajectory = self._trajectories[stage.arm]
        found = trajectory.network(self._at(stage.arm, self._totalling(stage.total)))
        return self._whole() if found is None else found

    def _removal(self, arm: Arm) -> Removal | None:
        if arm == "full":
            return None
        limits = self._totalling(self.strategy.lowest).limits(self.space)
        return Removal(self.space, self._start, arm, limits, self._measure, self.strategy.min)

    def _totalling(self, total: float) -> Budget:
        """Return the strategy's budget with another total; its groups' own are scaled alike."""
        own = self._budget
        if own.total is None:
            return own
        groups = {group: share * total / own.total for group, share in own.groups.items()}
        return own.model_copy(update={"total": total, "groups": groups})

    # -- what is found --------------------------------------------------------------------------

    @property
    def _main(self) -> Arm:
        return self.strategy.arms[0]

    def _at(self, arm: str, budget: Budget) -> Allocation:
        """Return an arm's sizes at a budget; before it was pruned, those of the start, scaled."""
        if arm in self._trajectories:
            return self._trajectories[arm].allocation(budget)
        return fit(self.space, self._shape.grouping.counts(), budget)

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

        ``None`` where that is wider than what the search started from.
        """
        found = self._trajectories.get(self._main) if self.strategy.inherit else None
        return found.network(design) if found and isinstance(design, Allocation) else None

    def networks(self) -> dict[str, GroupedNetwork]:
        """Return every fine-tuned network, in evaluation mode, by arm and budget."""
        found = {}
        for stage in self._stages:
            if stage.phase == "tune" and self._tuned.get(stage.label, {}).get("errors"):
                shape = self._shape
                if stage.total is not None:
                    shape = self._at(stage.arm, self._totalling(stage.total))
                found[stage.label] = filled(shape, self._tuned[stage.label]["network"]).eval()
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
        self._trained, self._trajectories = {}, {}
        self._tuned = dict.fromkeys(state["tuned"], {})
        done = 0
        for stage in self._stages:
            done += stage.epochs
            if done <= len(self.history):
                self._take(stage, state)
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
                self.space, self._start, left, where, networks=self._needed(stage.arm)
            )
        else:
            left = state["tuned"].get(stage.label)
            where = f"tuned.{stage.label}"
            shape = self._shape
            if stage.total is not None:
                shape = self._at(stage.arm, self._totalling(stage.total))
            check_like(left, {"network": shape.build().state_dict(), "errors": {}}, where)
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
