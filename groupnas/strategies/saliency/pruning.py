"""The training in which channels go: a stage of a saliency search, with a state of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from groupnas.arrays import Floats, Integers
from groupnas.engine.evaluate import load_batch, mean_errors
from groupnas.engine.job import Means, Record
from groupnas.engine.optimizer import make_optimizer, set_learning_rate
from groupnas.engine.shown import finite_loss
from groupnas.engine.split import Split, Stream
from groupnas.engine.state import load_generator, load_optimizer
from groupnas.engine.strategy import Optimizer
from groupnas.spaces.network import GroupedNetwork
from groupnas.strategies.saliency.importance import Gates
from groupnas.strategies.saliency.removal import Removal
from groupnas.strategies.saliency.settings import Saliency
from groupnas.task import Task

_WARMUP = 0.02  # share of the steps, since the optimiser starts anew


class Pruning:
    """A network that goes on learning while it loses channels.

    Removed channels stay in the network until the end, behind closed gates, so that its state has
    one shape.

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
        self._optimizer = make_optimizer(self._rate, network.parameters())
        self._rng = torch.Generator().manual_seed(seed)
        self.stream = Stream(split.train, strategy.batch_size, self._rng)
        self.steps = self.stream.batches_per_pass
        self.total_epochs = strategy.prune_epochs
        units = {} if removal is None else removal.space.free_units
        self.gates = Gates(self.network, units)
        count = 0 if removal is None else len(removal.alive)
        self.importance: Floats = np.zeros(count)
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
        self.network.train()
        with self.gates:
            for step in range(self.epochs * self.steps, (self.epochs + 1) * self.steps):
                set_learning_rate(self._optimizer, self._rate, step / total)
                self._step(means)
                if self.removal is not None:
                    self._prune(self.removal, step + 1, total)
                on_step(step % self.steps + 1, self.steps)
        self.epochs += 1
        return {"train_loss": means.mean("loss"), "validation": self._errors(self.narrowed())}

    def _step(self, means: Means) -> None:
        x, target = load_batch(self.task, next(self.stream), self.device, self._rng)
        loss = finite_loss(self.task, self.network(x), target, "training")
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        means.add("loss", loss)

    def _prune(self, removal: Removal, step: int, total: int) -> None:
        """Take a step's importances in; at times, remove channels and keep a snapshot."""
        fresh = torch.cat(list(self.gates.importance().values())).numpy()
        self.importance += (1 - self.strategy.memory) * (fresh - self.importance)
        if step % self.strategy.every == 0 or step == total:
            self._close(removal, removal.step(self.importance, step / total))
        points = self.strategy.points
        if step * points // total > (step - 1) * points // total:
            self._snapshot(removal)

    def _close(self, removal: Removal, removed: list[int]) -> None:
        ends = removal.start.sum(axis=1).cumsum()
        for channel in removed:
            unit = int(np.searchsorted(ends, channel, side="right"))
            begin = int(ends[unit] - removal.start[unit].sum())
            self.gates.close(list(self.gates.values)[unit], [channel - begin])

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
        return self.network.narrowed(places(self.removal.start, self.removal.alive, self.gates.values))

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
            "removal": {} if self.removal is None else self.removal.state_dict(),
            "snapshots": self.snapshots,
            "epochs": self.epochs,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume where the saved stage stood, bit for bit (CPU, same thread count).

        Raises:
            StateError: it is not this stage's.
        """
        self.network.load_state_dict(state["network"])
        load_optimizer(self._optimizer, state["optimizer"], "stage.optimizer")
        self.stream.load_state_dict(state["stream"])
        load_generator(self._rng, state["rng"], "stage.rng")
        self.importance = state["importance"].numpy().copy()
        if self.removal is not None:
            self.removal.load_state_dict(state["removal"])
            self._close(self.removal, self.removal.removed)
        self.snapshots = list(state["snapshots"])
        self.epochs = state["epochs"]


def places(
    start: Integers, alive: Floats, units: Mapping[str, Any]
) -> dict[str, list[list[int]]]:
    """Return which of its channels every group keeps in every unit.

    Args:
        start: ``(U, G)``: channels at the start.
        alive: ``(C,)`` bool, or the channels' order in which they are kept.
        units: The U units.
    """
    found: dict[str, list[list[int]]] = {}
    pieces = np.split(alive, start.ravel().cumsum()[:-1])
    groups = start.shape[1]
    for index, unit in enumerate(units):
        rows = pieces[index * groups : (index + 1) * groups]
        found[unit] = [np.flatnonzero(row).tolist() for row in rows]
    return found
