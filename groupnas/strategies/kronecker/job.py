"""Train a network whose convolutions learn their numbers of groups, on one level as published."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from groupnas.budget import Budget
from groupnas.engine.evaluate import mean_errors, recalibrate
from groupnas.engine.job import Means, Record
from groupnas.engine.optimizer import make_optimizer, set_learning_rate
from groupnas.engine.search_job import SearchJob
from groupnas.engine.shown import finite_loss, group_errors
from groupnas.engine.split import Stream
from groupnas.engine.state import load_generator, load_optimizer
from groupnas.nn import KroneckerConv2d
from groupnas.nn.kronecker import budget_penalty, group_count
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.layer import Layer
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.kronecker.design import (
    KroneckerDesign,
    network_cost,
    network_of,
    window,
)
from groupnas.strategies.kronecker.fitting import cost_limit, fitted
from groupnas.strategies.kronecker.settings import Kronecker
from groupnas.task import Task


class KroneckerSearch(SearchJob):
    """Weights and gates descend the training loss, and the cost beyond the budget, together.

    Args:
        space: Gives layers and widths.
        task: Training samples.
        strategy: All settings.
        seed: Of the split, the weights, the first gates, the order of the data, its augmentation.
            The global random state of torch is set from it.
        device: Where the network lives.

    Raises:
        InputError: task and space do not fit together, too few sources to split, or a budget of
            single groups.
    """

    def __init__(
        self,
        space: SearchSpace,
        task: Task,
        strategy: Kronecker,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__(space, task, strategy, seed, device, strategy.validation)
        self.strategy: Kronecker = strategy
        budget = strategy.budget or Budget()
        self._limit, self._measure = cost_limit(space, budget), budget.resolved_measure
        torch.manual_seed(seed)
        self._data_rng = torch.Generator().manual_seed(seed)
        self.train_stream = Stream(self.split.train, strategy.batch_size, self._data_rng)
        self.layers: dict[str, KroneckerConv2d] = {}
        self.net = network_of(space, self._convolution)
        self.net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = make_optimizer(strategy.weights, self.net.parameters())
        self.batch_size = self.train_stream.batch_size
        self.steps = self.train_stream.batches_per_pass
        self.total_epochs = strategy.epochs

    def _convolution(self, layer: Layer) -> nn.Module:
        found = KroneckerConv2d(layer.in_channels, layer.out_channels, **window(layer))
        self.layers[layer.name] = found
        return found

    def run_epoch(self, on_step: Callable[[int, int], None] = lambda done, total: None) -> Record:
        """Run one pass over the training side; its record is appended to :attr:`history`.

        Raises:
            InputError: the loss is no longer finite.
        """
        epoch, sums, before = len(self.history), Means(), self._gates()
        self.net.train()
        for step in range(self.steps):
            progress = (epoch + step / self.steps) / self.total_epochs
            set_learning_rate(self._optimizer, self.strategy.weights, progress)
            self._step(sums)
            on_step(step + 1, self.steps)
        after = self._gates()
        flips = [a != b for name in after for a, b in zip(after[name], before[name], strict=True)]
        self.history.append(
            {
                "epoch": epoch + 1,
                "steps": self.steps,
                "train_loss": sums.mean("loss"),
                "error": sums.table("error", self.space.groups),
                "penalty": sums.mean("penalty"),
                "cost": float(self._cost().item() / self._limit),
                "changed": sum(flips) / max(len(flips), 1),
                "groups": {name: layer.groups for name, layer in self.layers.items()},
            }
        )
        return self.history[-1]

    def _step(self, sums: Means) -> None:
        x, target = self.load(next(self.train_stream), self._data_rng)
        predicted = self.net(x)
        loss = finite_loss(self.task, predicted, target, "training")
        penalty = self.strategy.penalty * budget_penalty(self._cost(), self._limit)
        self._optimizer.zero_grad()
        (loss + penalty).backward()
        self._optimizer.step()
        sums.add("loss", loss)
        sums.add("penalty", penalty)
        sums.add_rows("error", group_errors(self.task, predicted, target))

    def _cost(self) -> Tensor:
        """Return the network's cost with its present gates; differentiable in them."""
        groups = {
            name: group_count(layer.factors, layer.gates()) for name, layer in self.layers.items()
        }
        return torch.as_tensor(network_cost(self.space, groups, self._measure))

    def _gates(self) -> dict[str, tuple[int, ...]]:
        return {name: layer.chosen for name, layer in self.layers.items()}

    def allocation(self) -> Allocation:
        """Return even groups, the only grouping of the space that a Kronecker product represents.

        The learned numbers of groups are no grouping of the space; :meth:`design` holds them.
        """
        return Allocation.even(self.space)

    def design(self, budget: Budget | None = None) -> KroneckerDesign:
        """Return the learned numbers of groups, at a budget; see :func:`fitted`."""
        budget = budget or self.strategy.budget
        if budget is None:
            return KroneckerDesign(self.space, self._gates())
        logits = {name: tuple(layer.logits.tolist()) for name, layer in self.layers.items()}
        return fitted(self.space, logits, budget)

    def network(self) -> nn.Module:
        """Return the network as learned, before any budget, of plain grouped convolutions."""
        network = copy.deepcopy(self.net)
        for module in list(network.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, KroneckerConv2d):
                    setattr(module, name, child.derive())
        return network

    def outcome(self) -> dict[str, Any]:
        """Return the learned numbers of groups, their cost over the budget, and the errors."""
        network, split, how = self.network(), self.split, (self.batch_size, self.device)
        recalibrate(network, self.task, split.train, *how, torch.Generator().manual_seed(0))
        errors = mean_errors(network.eval(), self.task, split.validation, *how)
        return {
            "groups": {name: layer.groups for name, layer in self.layers.items()},
            "cost": float(self._cost().item() / self._limit),
            "validation_errors": {"derived": errors},
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "train_stream": self.train_stream.state_dict(),
            "data_rng": self._data_rng.get_state(),
            "history": self.history,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        load_optimizer(self._optimizer, state["optimizer"], "optimizer")
        self.train_stream.load_state_dict(state["train_stream"])
        load_generator(self._data_rng, state["data_rng"], "data_rng")
        self.history = list(state["history"])
