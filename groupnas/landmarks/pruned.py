"""A trained cascade whose stages are pruned, and its networks at any cost.

Each stage loses channels by importance per cost while it goes on learning (``saliency``). What
that does to the cascade's error is measured on validation faces, for each stage at several costs
while the others stay whole; :mod:`groupnas.landmarks.shares` divides a budget by these curves.
Inside a stage, the order in which channels went divides its share between groups and depths.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from groupnas.budget import Budget
from groupnas.engine.observer import Observer
from groupnas.engine.search import Run, search
from groupnas.engine.split import Split, split_by_source
from groupnas.errors import naming
from groupnas.landmarks.data.face import Face, FaceSet
from groupnas.landmarks.deployed import cascade_macs
from groupnas.landmarks.evaluation import CASCADE, Evaluation, evaluate_faces
from groupnas.landmarks.found import found_frames
from groupnas.landmarks.load import load_faces
from groupnas.landmarks.markup import Markup
from groupnas.landmarks.model import Card, StageNetwork, load_networks, make_cascade, save_cascade
from groupnas.landmarks.recipe import Recipe
from groupnas.landmarks.shares import NEAR, CascadeBudget, Limits, StageCurve, divided, fewest
from groupnas.landmarks.stage_task import load_stage
from groupnas.landmarks.train import SPLIT_SEED
from groupnas.runs.folder import RunFolder
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.network import GroupedNetwork
from groupnas.strategies.saliency.settings import Saliency
from groupnas.strategies.saliency.weights import save_network
from groupnas.task import TaskSubset

PRUNED = "pruned"  # the folder of what is trained on
LEVELS = 12  # shares of a stage at which its curve is measured
COARSE = 0.3  # how much less than its share a small stage may cost, as channels are whole
BEYOND = 3.0  # how much further than the least budget a stage is pruned


@dataclass(kw_only=True)
class PrunedCascade:
    """The stages of a trained cascade at whatever they may cost.

    Attributes:
        recipe: Its own.
        model: It.
        folder: For the searches, and what they leave.
        faces: The recipe's data set.
        root: The folder that holds that.
        options: ``allow_partial`` and ``limit`` of its loading.
        seed: Of everything random.
        device: A torch device.
        observers: Who is told of a pruning, by its name.
        runs: Of the prunings, by stage.
    """

    recipe: Recipe
    model: Path
    folder: Path
    faces: FaceSet
    root: str | os.PathLike[str] | None
    options: Mapping[str, Any]
    seed: int
    device: str
    observers: Callable[[str], Sequence[Observer]]
    runs: dict[str, Run] = field(default_factory=dict)

    @cached_property
    def _loaded(self) -> tuple[Card, dict[str, StageNetwork]]:
        return load_networks(self.model)

    @property
    def card(self) -> Card:
        """Of the whole cascade."""
        return self._loaded[0]

    @property
    def networks(self) -> dict[str, StageNetwork]:
        """The whole cascade's, by stage."""
        return self._loaded[1]

    @property
    def markup(self) -> Markup:
        """The landmarks."""
        return self.faces.markup

    @cached_property
    def _sides(self) -> tuple[list[Face], Split, list[Face]]:
        """All training faces, how they are split, and those that validate."""
        samples = load_faces(self.faces, self.root, **self.options)
        sources = [face.source for face in samples]
        split = split_by_source(sources, self.recipe.validation, SPLIT_SEED)
        return samples, split, [samples[index] for index in split.validation.tolist()]

    def prune(self, least: float) -> None:
        """Prune every stage, or go on with that; see :attr:`runs`.

        Args:
            least: The least share of a budget; stages go on down to a third of it, as one may have
                less than the others.
        """
        samples, split, _ = self._sides
        smaller = self.recipe.smaller
        for name, network in self.networks.items():
            folder, step = self.folder / f"prune-{name}", self.recipe.final_step(name)
            weights = self.folder / PRUNED / f"{name}.safetensors"
            if not weights.exists():
                save_network(network.module, weights)
            space = network.allocation.space
            frames = None
            if step.starts == "found":
                file = self.folder / f"{name}-frames.npz"
                frames = found_frames(
                    file, self.recipe, name, self.networks, self.faces, samples, self.device
                )
            task = load_stage(
                self.faces,
                self.root,
                network.role,
                space,
                augmentation=step.augmentation,
                loss=step.loss.of,
                frames=frames,
                **self.options,
            )
            strategy = Saliency(
                title=f"{name} of {self.recipe.title}",
                budget=Budget(total=self._share(name, self._lowest(name, least)), tolerance=COARSE),
                pretrained=os.fspath(weights),
                epochs=0,
                prune_epochs=smaller.prune_epochs,
                tune_epochs=0,
                batch_size=step.training.batch_size,
                validation=self.recipe.validation,
                weights=step.training.weights.model_copy(
                    update={"name": "adam", "lr": smaller.lr, "schedule": "constant"}
                ),
            )
            begun = RunFolder(folder).exists
            with naming(f"stages.{name}"):
                self.runs[name] = search(
                    space,
                    TaskSubset(task, split.train),
                    None if begun else strategy,
                    folder,
                    seed=self.seed,
                    device=self.device,
                    resume=begun,
                    observers=self.observers(f"prune-{name}"),
                    quiet=True,
                )

    def _lowest(self, name: str, least: float) -> float:
        """The share down to which a stage is pruned, of what it costs."""
        allocation = self.networks[name].allocation
        costs = allocation.costs()
        shares = [NEAR * cost / costs[group] for group, cost in fewest(allocation).items()]
        return min(1.0, max(least / BEYOND, *shares))

    def _share(self, name: str, share: float) -> float:
        """A share of what a stage's groups cost, relative to what even ones would."""
        allocation = self.networks[name].allocation
        even = Allocation.even(allocation.space).costs()
        return share * sum(allocation.costs().values()) / sum(even.values())

    def at(self, name: str, share: float, groups: Limits) -> StageNetwork:
        """A stage that costs a share of what it did, with the weights that pruning left.

        Args:
            name: The stage.
            share: Of what it cost, up to 1.
            groups: Those of which shares are limited; none has more than the stage.

        Raises:
            InputError: the fewest channels cost more.
        """
        whole, run = self.networks[name], self.runs[name]
        space = whole.allocation.space
        costs, even = whole.allocation.costs(), Allocation.even(space).costs()
        own = {group: min(most, share) for group, most in groups if group in costs}
        if share >= 1 and not own:
            return whole
        held = sum(share * costs[group] for group, share in own.items())
        others = sum(cost for group, cost in costs.items() if group not in own)
        total = min(share * sum(costs.values()), 0.999 * others + held)  # less than the start
        budget = Budget(
            total=total / sum(even.values()),
            groups={group: share * costs[group] / even[group] for group, share in own.items()},
            tolerance=COARSE,
        )
        with naming(f"stages.{name}"):
            found = cast(Allocation, run.design(budget))
            module = cast(GroupedNetwork, run.job.inherited(found))
        return StageNetwork(found, whole.role, module.eval())

    def macs(self, network: StageNetwork) -> float:
        """Multiply-accumulates of a network's groups; what they share is never pruned."""
        return network.role.looks * sum(network.allocation.costs().values())

    def curves(self, budgets: Sequence[CascadeBudget]) -> dict[Limits, dict[str, StageCurve]]:
        """Measure each stage's curve, for all limits on groups that budgets have."""
        least = min(budget.least for budget in budgets)
        found: dict[Limits, dict[str, StageCurve]] = {}
        for groups in dict.fromkeys(budget.groups for budget in budgets):
            found[groups] = {}
            for name in self.networks:
                shares = np.geomspace(self._lowest(name, least), 1, LEVELS)
                at = [self.at(name, share, groups) for share in shares.tolist()]
                distinct = {self.macs(one): one for one in at}  # channels are whole
                errors = [
                    100 * self.evaluated({**self.networks, name: one}).errors[CASCADE].nme.mean()
                    for one in distinct.values()
                ]
                found[groups][name] = StageCurve(np.array([*distinct]), np.array(errors))
        return found

    def evaluated(self, networks: Mapping[str, StageNetwork]) -> Evaluation:
        """A cascade of networks on the faces that validate."""
        cascade = make_cascade(self.markup, self.card.box, networks, {}, self.device)
        return evaluate_faces(cascade, self.faces, self._sides[2], "validation")

    def write(self, budget: CascadeBudget, curves: Mapping[str, StageCurve]) -> Path:
        """Write the pruned cascade of a budget, before it is trained on; the card's path.

        Raises:
            InputError: even the least of each stage costs more.
        """
        whole = {name: self.macs(network) for name, network in self.networks.items()}
        total = cascade_macs(self.card)
        shared = total - sum(whole.values())
        with naming(f"--budget {budget}"):
            costs = divided(curves, budget.total * total - shared)
        shares = {name: cost / whole[name] for name, cost in costs.items()}
        networks = {name: self.at(name, share, budget.groups) for name, share in shares.items()}
        told = {"data": self.recipe.data, "of": os.fspath(self.model), "budget": str(budget)}
        return save_cascade(
            self.folder / PRUNED / f"{budget}.json",
            networks,
            markup=self.markup,
            box=self.card.box,
            trained={**told, "shares": shares},
            scores={},
        )
