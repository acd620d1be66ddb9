"""The training in which channels go: a stage of a saliency search, with a state of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from groupnas.arrays import Floats
from groupnas.engine.evaluate import load_batch, mean_errors
from groupnas.engine.job import Means, Record
from groupnas.engine.optimizer import make_optimizer, set_learning_rate
from groupnas.engine.shown import finite_loss
from groupnas.engine.split import Split, Stream
from groupnas.engine.state import StateError, check_like, load_generator, load_optimizer
from groupnas.engine.strategy import Optimizer
from groupnas.spaces.network import GroupedNetwork
from groupnas.strategies.saliency.importance import Gates
from groupnas.strategies.saliency.removal import Removal, alive_sizes
from groupnas.strategies.saliency.settings import Saliency
from groupnas.strategies.saliency.trajectory import kept_places
from groupnas.task import Task

_WARMUP = 0.02  # share of the steps, since the optimiser starts anew


class Pruning:
    """A network that goes on learning while it loses channels.

    Removed channels stay behind closed gates until the epoch is over; the next one computes without
    them.

    Args:
        network: Trained; changed in place.
        removal: Decides what goes; ``None`` where nothing does.
        task: Training samples.
        strategy: The search's settings.
        split: Samples that train and samples that validate.
        seed: Of the order of the data and its augmentation.
        device: Where the network is put.

    Attributes:
        snapshots: What was kept on the way, dearest first; see :meth:`_snapshot`.
    """

    def __init__(
        self,
        network: GroupedNetwork,
        removal: Removal | None,
        task: Task,
        strategy: Saliency,
        split: Split,
        seed: int,
        device: torch.device,
    ) -> None:
        self.task, self.split, self.device = task, split, device
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.removal, self.strategy = removal, strategy
        self._optimizer = make_optimizer(self._rate, self.network.parameters())
        self._rng = torch.Generator().manual_seed(seed)
        self.stream = Stream(split.train, strategy.batch_size, self._rng)
        self.steps = self.stream.batches_per_pass
        self.total_epochs = strategy.prune_epochs
        self._there = np.ones(0 if removal is None else len(removal.alive), dtype=bool)
        self.importance: Floats = np.zeros(len(self._there))
        self.snapshots: list[dict[str, Any]] = []
        self.epochs = 0
        self.data_seconds = 0.0

    @property
    def _rate(self) -> Optimizer:
        changes = {"lr": self.strategy.rate, "schedule": "constant", "warmup": _WARMUP}
        return self.strategy.weights.model_copy(update=changes)

    def run_epoch(self, on_step: Callable[[int, int], None]) -> Record:
        """Run one pass over the training side; return losses, and errors at its end.

        Raises:
            InputError: the loss is no longer finite.
        """
        means, total = Means(), self.steps * self.total_epochs
        if self.removal is not None and not self.snapshots:
            self._snapshot(self.removal)
        self._compact()
        self.network.train()
        units = {} if self.removal is None else self.removal.space.free_units
        with Gates(self.network, units) as self._gates:
            for step in range(self.epochs * self.steps, (self.epochs + 1) * self.steps):
                set_learning_rate(self._optimizer, self._rate, step / total)
                self._step(means)
                if self.removal is not None:
                    self._prune(self.removal, step + 1, total)
                on_step(step % self.steps + 1, self.steps)
        self.epochs += 1
        return {"train_loss": means.mean("loss"), "validation": self._errors(self.narrowed())}

    def _step(self, means: Means) -> None:
        start = time.perf_counter()
        x, target = load_batch(self.task, next(self.stream), self.device, self._rng)
        self.data_seconds += time.perf_counter() - start
        loss = finite_loss(self.task, self.network(x), target, "training")
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        means.add("loss", loss)

    def _prune(self, removal: Removal, step: int, total: int) -> None:
        """Take a step's importances in; at times, remove channels and keep a snapshot."""
        here = self.importance[self._there]
        here += (1 - self.strategy.memory) * (self._gates.importance() - here)
        self.importance[self._there] = here
        if step % self.strategy.every == 0 or step == total:
            removal.step(self.importance, step / total)
            self._gates.set(torch.from_numpy(removal.alive[self._there]))
        points = self.strategy.points
        if step * points // total > (step - 1) * points // total:
            self._snapshot(removal)

    def _snapshot(self, removal: Removal) -> None:
        """Keep how many channels went, the network without them, and its validation errors."""
        network = self.narrowed()
        self.snapshots.append(
            {
                "removed": len(removal.removed),
                "errors": self._errors(network),
                "network": {name: value.cpu() for name, value in network.state_dict().items()},
            }
        )

    def narrowed(self) -> GroupedNetwork:
        """Return the network without what was removed."""
        if self.removal is None:
            return self.network
        return self.network.narrowed(self._places(self.removal))

    def _places(self, removal: Removal) -> dict[str, list[list[int]]]:
        """Return which of the channels that are in the network are not removed."""
        sizes = alive_sizes(self._there, removal.start)
        return kept_places(sizes, removal.alive[self._there], removal.space)

    def _compact(self) -> None:
        """Take what was removed out of the network, and out of what the optimiser gathered."""
        if self.removal is None or (self._there == self.removal.alive).all():
            return
        places, states = self._places(self.removal), self._optimizer.state
        network = self.network.narrowed(places)
        network.to(self.device, memory_format=torch.channels_last)
        optimizer = make_optimizer(self._rate, network.parameters())
        gathered = [states[weight] for weight in self.network.parameters() if weight in states]
        for name, value in (gathered[0] if gathered else {}).items():
            if value.dim():  # one number for each weight, which is cut as the weight is
                like = deepcopy(self.network)
                for weight, state in zip(like.parameters(), gathered, strict=True):
                    weight.data.copy_(state[name])
                cut = like.narrowed(places)
                # As the weights are laid out: the fused optimisers do not look at strides.
                cut.to(memory_format=torch.channels_last)
                found = [weight.detach() for weight in cut.parameters()]
            else:
                found = [value.clone() for _ in network.parameters()]
            for weight, kept in zip(network.parameters(), found, strict=True):
                optimizer.state[weight][name] = kept
        self.network, self._optimizer = network, optimizer
        self._there = self.removal.alive.copy()

    def _errors(self, network: GroupedNetwork) -> dict[str, float]:
        """Return validation errors; the network's mode stays as it is."""
        training = network.training
        network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        errors = mean_errors(
            network, self.task, self.split.validation, self.strategy.batch_size, self.device
        )
        network.train(training)
        return errors

    def order(self) -> Tensor:
        """Return all channels ``(C,)``: those removed, in order, then the others, least first."""
        assert self.removal is not None
        rest = [c for c in np.argsort(self.importance, kind="stable") if self.removal.alive[c]]
        return torch.tensor([*self.removal.removed, *rest], dtype=torch.int64)

    # -- state ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return all that the rest of the stage depends on: tensors and plain values only."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "stream": self.stream.state_dict(),
            "rng": self._rng.get_state(),
            "importance": torch.from_numpy(self.importance.copy()),
            "there": torch.from_numpy(self._there.copy()),
            "removal": {} if self.removal is None else self.removal.state_dict(),
            "snapshots": self.snapshots,
            "epochs": self.epochs,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume where the saved stage stood, bit for bit (CPU, same thread count).

        Raises:
            StateError: it is not this stage's.
        """
        about = ("network", "optimizer")
        fresh = self.state_dict()
        check_like(
            {key: value for key, value in state.items() if key not in about},
            {key: value for key, value in fresh.items() if key not in about},
            "stage",
        )
        self.importance = state["importance"].numpy().copy()
        if self.removal is not None:
            # As it was when channels were last taken out; then as it is.
            self.removal.alive[:] = state["there"].numpy()
            if not (alive_sizes(self.removal.alive, self.removal.start) > 0).all():
                raise StateError("stage.there: expected a channel of every group in every unit")
            self._optimizer = make_optimizer(self._rate, self.network.parameters())
            self._compact()
            self.removal.load_state_dict(state["removal"])
        check_like(state["network"], self.network.state_dict(), "stage.network")
        self.network.load_state_dict(state["network"])
        load_optimizer(self._optimizer, state["optimizer"], "stage.optimizer")
        self.stream.load_state_dict(state["stream"])
        load_generator(self._rng, state["rng"], "stage.rng")
        self.snapshots = list(state["snapshots"])
        self.epochs = state["epochs"]
