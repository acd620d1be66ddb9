"""Algorithm 1 of paper 000: masks on validation batches and weights on training batches in turn.

In its variants the masks' gradient is of second order, or masks and weights descend the training
loss together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from groupnas.engine.job import Means, Record
from groupnas.engine.optimizer import make_optimizer, set_learning_rate
from groupnas.engine.precision import forward
from groupnas.engine.search_job import SearchJob
from groupnas.engine.shown import finite_loss, group_errors
from groupnas.engine.split import Stream
from groupnas.engine.state import check_table, load_allocation, load_generator, load_optimizer
from groupnas.nn import Temperature
from groupnas.runs.records import Costs, Epoch, SearchEpoch
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.derive import derive
from groupnas.spaces.space import SearchSpace
from groupnas.spaces.supernet import Supernet
from groupnas.strategies.masks.errors import final_errors
from groupnas.strategies.masks.health import diagnose, diagnose_errors, vitals
from groupnas.strategies.masks.penalty import Penalty
from groupnas.strategies.masks.settings import MaskSearch
from groupnas.strategies.masks.unrolled import unrolled_gradient
from groupnas.task import Task

Batch = tuple[Tensor, Any]


class MaskEpoch(SearchEpoch):
    """An epoch; the end of a search and its health follow from these."""

    phase: Literal["warmup", "search"]
    train_loss: float
    mask_loss: float | None
    temperature: float
    entropy: float
    changed: float
    moved: float
    channels: Costs
    macs: Costs
    health: list[str]
    decided: float
    empty: list[str]
    mask_gradient: float | None


class BilevelSearch(SearchJob):
    """The state of a search and its kinds of step.

    Args:
        space: The space to search.
        task: Training samples; inputs and outputs of each group must be the space's.
        strategy: All settings.
        seed: Of the split, the weights, the order of the data, its augmentation, and the draws.
            The global random state of torch is set from it.
        device: Where the supernet lives.

    Raises:
        InputError: task and space do not fit together, too few sources to split, or a penalty
            without a budget.
    """

    record: type[Epoch] = MaskEpoch
    strategy: MaskSearch

    def __init__(
        self,
        space: SearchSpace,
        task: Task,
        strategy: MaskSearch,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__(space, task, strategy, seed, device, strategy.validation)
        torch.manual_seed(seed)
        self._data_rng = torch.Generator().manual_seed(seed)
        self.train_stream = Stream(self.split.train, strategy.batch_size, self._data_rng)
        self.validation_stream = Stream(self.split.validation, strategy.batch_size, self._data_rng)
        self.net = Supernet(
            space,
            strategy.masks.relaxation,
            strategy.masks.init,
            strategy.masks.confidence,
            strategy.masks.place,
        )
        if strategy.initial_outputs == "mean":
            self.net.start_near(task.mean_output())
        # Measured on two CPU cores: a step takes two thirds of its time in this layout.
        self.net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._weights = list(self.net.weight_parameters())
        self._logits = list(self.net.arch_parameters())
        together = [] if strategy.masks.optimizer else self._logits
        self._weight_optimizer = make_optimizer(strategy.weights, [*self._weights, *together])
        self._mask_optimizer: torch.optim.Optimizer | None = None
        if strategy.masks.optimizer:
            self._mask_optimizer = make_optimizer(strategy.masks.optimizer, self._logits)
        self._penalty = Penalty(space, strategy.masks.entropy, strategy.penalty, strategy.budget)
        self._temperature = Temperature(**strategy.masks.temperature.model_dump())
        self.initial = self.net.grouping()
        self.batch_size = self.train_stream.batch_size
        self.steps = self.train_stream.batches_per_pass
        self.total_epochs = strategy.warmup_epochs + strategy.epochs

    def describe(self) -> list[str]:
        train, validation = len(self.split.train), len(self.split.validation)
        sides = f"{train:,} samples train the weights, {validation:,} the masks"
        if self.strategy.levels == 1:
            sides = f"{train:,} samples train weights and masks, {validation:,} validate"
        return [
            f"{self.space.name} on {self.task.name}: {sides}",
            f"{self.total_epochs} epochs: {self.strategy.warmup_epochs} of warm-up, which train "
            f"weights only, then {self.strategy.epochs} of search",
            "each epoch: losses of weights and masks, channels that changed group, entropy (1 "
            "undecided, 0 decided), channels of each group",
        ]

    def run_epoch(self, on_step: Callable[[int, int], None] = lambda done, total: None) -> Record:
        """Run one pass over the training side; its record is appended to :attr:`history`.

        Raises:
            InputError: the loss is no longer finite.
        """
        epoch = len(self.history)
        searching = epoch >= self.strategy.warmup_epochs
        before = self.net.grouping()
        self.net.train()
        sums, mask_steps = Means(), 0
        for step in range(self.steps):
            self._set_schedules(epoch + step / self.steps)
            if not searching:
                self._weight_step(sums)
            elif self.strategy.levels == 1:
                self._joint_step(sums)
            elif step % self.strategy.mask_every:
                self._weight_step(sums)
            else:
                mask_steps += 1
                self._weight_step(sums, self._mask_step(sums))
            on_step(step + 1, self.steps)
        after = self.net.grouping()
        channels = sum(map(len, after.assignments.values()))
        counts = after.counts()
        record = {
            "epoch": epoch + 1,
            "phase": "search" if searching else "warmup",
            "steps": self.steps + mask_steps,
            "train_loss": sums.mean("train_loss"),
            "mask_loss": sums.mean("mask_loss"),
            "error": sums.table("error", self.space.groups),
            "temperature": self._temperature(self._search_progress(epoch)),
            "mask_gradient": sums.mean("mask_gradient"),
            "penalty": sums.mean("penalty"),
            **vitals(self.net),
            "changed": after.changed(before) / channels,
            "moved": after.changed(self.initial) / channels,
            "resized": after.resized(self.initial) / channels,
            "channels": {
                group: sum(sizes[group] for sizes in counts.values()) for group in self.space.groups
            },
            "sizes": after.sizes(),
            "macs": Allocation(self.space, after).costs(),
        }
        record["health"] = diagnose([*self.history, record], self.strategy)
        self.history.append(record)
        return record

    def _mask_step(self, sums: Means) -> Batch | None:
        """Descend the validation loss by the logits, weights fixed (lines 7-8).

        Returns:
            The training batch that it looked ahead with, if it did; the weights train on it next.
        """
        ahead = self._next_batch(self.train_stream) if self.strategy.order == 2 else None
        batch = self._next_batch(self.validation_stream)
        if ahead is None:
            loss = self._loss(batch, "validation", sums)
            gradients = list(torch.autograd.grad(loss, self._logits))
        else:
            gradients, loss = self._look_ahead(ahead, batch, sums)
        sums.add("mask_loss", loss)
        if self._penalty:
            penalty = self._penalty(self.net)
            sums.add("penalty", penalty)
            more = torch.autograd.grad(penalty, self._logits)
            gradients = [g + m for g, m in zip(gradients, more, strict=True)]
        sums.add("mask_gradient", _mean_size(gradients))
        assert self._mask_optimizer is not None
        _step(self._mask_optimizer, self._logits, gradients)
        return ahead

    def _weight_step(self, sums: Means, batch: Batch | None = None) -> None:
        """Descend the training loss by the weights, under a new draw of the masks (lines 9-10)."""
        x, target = batch or self._next_batch(self.train_stream)
        net = partial(self.net, for_weights=True)
        predicted = forward(net, x, self.strategy.precision)
        loss = finite_loss(self.task, predicted, target, "training")
        sums.add("train_loss", loss)
        gradients = torch.autograd.grad(loss, self._weights)
        _step(self._weight_optimizer, self._weights, list(gradients))

    def _joint_step(self, sums: Means) -> None:
        """Descend the training loss by weights and logits at once."""
        loss = self._loss(self._next_batch(self.train_stream), "training", sums)
        sums.add("train_loss", loss)
        if self._penalty:
            penalty = self._penalty(self.net)
            sums.add("penalty", penalty)
            loss = loss + penalty
        parameters = [*self._weights, *self._logits]
        gradients = list(torch.autograd.grad(loss, parameters))
        sums.add("mask_gradient", _mean_size(gradients[len(self._weights) :]))
        _step(self._weight_optimizer, parameters, gradients)

    def _loss(
        self,
        batch: Batch,
        side: str,
        sums: Means | None = None,
        changes: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """Return the task's loss; with ``changes``, of the net with other weights and buffers."""
        x, target = batch
        net: Any = self.net
        if changes is not None:
            net = partial(functional_call, self.net, changes)
        predicted = forward(net, x, self.strategy.precision)
        if sums is not None:
            sums.add_rows("error", group_errors(self.task, predicted, target))
        return finite_loss(self.task, predicted, target, side)

    def _look_ahead(
        self, train: Batch, validation: Batch, sums: Means
    ) -> tuple[list[Tensor], Tensor]:
        """Return the second-order gradient by the logits, and the validation loss one step ahead.

        All passes see one draw of the masks, as if it were part of the function: the state of the
        random numbers is set back before each, and ends up where one pass would have left it.
        They work on copies of the buffers, so that BatchNorm's running statistics stay untouched.
        """
        names = [f"blocks.{name}" for name, _ in self.net.blocks.named_parameters()]
        cpu = torch.get_rng_state()
        gpu = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None

        def loss_at(
            batch: Batch, side: str, weights: Sequence[Tensor], into: Means | None = None
        ) -> Tensor:
            torch.set_rng_state(cpu)
            if gpu is not None:
                torch.cuda.set_rng_state(gpu, self.device)
            buffers = {name: buffer.clone() for name, buffer in self.net.named_buffers()}
            changes = {**buffers, **dict(zip(names, weights, strict=True))}
            return self._loss(batch, side, into, changes)

        return unrolled_gradient(
            lambda weights: loss_at(train, "training", weights),
            lambda weights: loss_at(validation, "validation", weights, sums),
            self._weights,
            self._logits,
            self._weight_optimizer.param_groups[0]["lr"],
        )

    def _next_batch(self, stream: Stream) -> Batch:
        return self.load(next(stream), self._data_rng)

    def _search_progress(self, epoch: float) -> float:
        return (epoch - self.strategy.warmup_epochs) / self.strategy.epochs

    def _set_schedules(self, epoch: float) -> None:
        self.net.set_temperature(self._temperature(self._search_progress(epoch)))
        set_learning_rate(self._weight_optimizer, self.strategy.weights, epoch / self.total_epochs)
        if self._mask_optimizer and self.strategy.masks.optimizer:
            progress = max(self._search_progress(epoch), 0.0)
            set_learning_rate(self._mask_optimizer, self.strategy.masks.optimizer, progress)

    def allocation(self) -> Allocation:
        """Return the masks' likeliest allocation."""
        return Allocation(self.space, self.net.grouping())

    def network(self) -> nn.Module:
        """Return the derived network, with the supernet's weights."""
        return derive(self.net)

    def outcome(self) -> dict[str, Any]:
        """Return how far the masks moved and decided, health, and the networks' errors."""
        found = self.net.grouping()
        errors = final_errors(self.net, self.task, self.split, self.batch_size, self.device)
        last = self.history[-1]
        return {
            "moved": found.changed(self.initial),
            "entropy": last["entropy"],
            "decided": last["decided"],
            "health": [*last["health"], *diagnose_errors(errors, self.strategy)],
            "validation_errors": errors,
        }

    # -- state ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return {
            "supernet": self.net.state_dict(),
            "weight_optimizer": self._weight_optimizer.state_dict(),
            "mask_optimizer": self._mask_optimizer.state_dict() if self._mask_optimizer else {},
            "train_stream": self.train_stream.state_dict(),
            "validation_stream": self.validation_stream.state_dict(),
            "data_rng": self._data_rng.get_state(),
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
            "initial": self.initial.to_dict(),
            "history": self.history,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for record in state["history"]:
            for key in ("channels", "macs"):
                check_table(record[key], self.space.groups, f"history.{key}")
        self.net.load_state_dict(state["supernet"])
        load_optimizer(self._weight_optimizer, state["weight_optimizer"], "weight_optimizer")
        if self._mask_optimizer:
            load_optimizer(self._mask_optimizer, state["mask_optimizer"], "mask_optimizer")
        self.train_stream.load_state_dict(state["train_stream"])
        self.validation_stream.load_state_dict(state["validation_stream"])
        load_generator(self._data_rng, state["data_rng"], "data_rng")
        load_generator(None, state["torch_rng"], "torch_rng")
        if self.device.type == "cuda" and len(state["cuda_rng"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda_rng"])
        self.initial = load_allocation(state["initial"], self.space, "initial").grouping
        self.history = list(state["history"])


def _mean_size(gradients: Sequence[Tensor]) -> Tensor:
    return torch.cat([g.flatten() for g in gradients]).abs().mean()


def _step(optimizer: torch.optim.Optimizer, parameters: list[Any], gradients: list[Tensor]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()
    optimizer.zero_grad()
