"""Train one plain network on a task, keep the best by validation, survive being killed."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from groupnas import values
from groupnas.engine.evaluate import load_batch, mean_errors
from groupnas.engine.job import Means, Record, checked_device, resume_job
from groupnas.engine.observer import Observer, observers_from
from groupnas.engine.optimizer import make_optimizer, set_learning_rate
from groupnas.engine.precision import forward
from groupnas.engine.progress import progress
from groupnas.engine.running import run_job
from groupnas.engine.shown import check_groups, finite_loss
from groupnas.engine.split import Split, Stream
from groupnas.engine.state import (
    StateError,
    check_like,
    check_table,
    load_generator,
    load_optimizer,
)
from groupnas.engine.task_check import check_task
from groupnas.engine.training_settings import Training, TrainingEpoch
from groupnas.errors import InputError, naming
from groupnas.runs.begin import Beginning, describe_task
from groupnas.runs.fields import RECORDS, Recorded
from groupnas.runs.folder import SPLIT, RunFolder
from groupnas.runs.kinds import TRAINING
from groupnas.runs.records import Epoch, Sides
from groupnas.saved import read_saved
from groupnas.spaces.network import GroupedNetwork
from groupnas.task import Task, chosen_by


class Trainer:
    """The state of a training; a :class:`groupnas.engine.job.Job`.

    Args:
        network: Maps the task's inputs to its outputs; trained in place.
        task: Training samples.
        settings: All settings.
        split: Samples that train and samples that validate.
        seed: Of the order of the data and its augmentation.
        device: Where the network is put.
        sampling: ``(len(split.train),)``: how often each sample is drawn, relative to the others;
            by default all are, once a pass.
    """

    record: type[Epoch] = TrainingEpoch

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        settings: Training,
        split: Split,
        seed: int = 0,
        device: str | torch.device = "cpu",
        sampling: Tensor | None = None,
    ) -> None:
        self.task, self.settings, self.split = task, settings, split
        self._chosen_by = chosen_by(task)
        self.device = torch.device(device)
        # Measured on two CPU cores: a step takes two thirds of its time in this layout.
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = AveragedModel(
            network, multi_avg_fn=_moving_average(settings.average), use_buffers=True
        )
        with naming("training.weights"):
            self._optimizer = make_optimizer(settings.weights, network)
        if settings.keep == "groups" and not getattr(network, "isolated", False):
            raise InputError(
                "training.keep: groups: takes a network whose groups share no weights; this one is "
                "kept whole: keep: whole"
            )
        count = len(split.validation)  # as many: their errors say whether it fits what it is shown
        self._fitted = split.train[torch.arange(count) * len(split.train) // max(1, count)]
        self._rng = torch.Generator().manual_seed(seed)
        self.stream = Stream(split.train, settings.batch_size, self._rng, sampling)
        self.history: list[Record] = []
        self.best: dict[str, Tensor] = {}
        self.data_seconds = 0.0

    @property
    def batch_size(self) -> int:
        """Samples of a step."""
        return self.stream.batch_size

    @property
    def total_epochs(self) -> int:
        """The epochs of the whole training."""
        return self.settings.epochs

    @property
    def steps(self) -> int:
        """The steps of one epoch."""
        return self.stream.batches_per_pass

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, whose validation error is the least so far."""
        return self._best_epoch(self._chosen_by)

    @property
    def best_epochs(self) -> dict[str, int]:
        """The epoch that each group's weights are of."""
        whole = self.settings.keep == "whole"
        return {n: self._best_epoch(self._chosen_by if whole else n) for n in self.task.outputs}

    def _best_epoch(self, name: str) -> int:
        errors = [record["validation"][name] for record in self.history]
        # No comparison finds a nan the greater one.
        errors = [math.inf if math.isnan(error) else error for error in errors]
        return 1 + errors.index(min(errors))

    @property
    def recorded(self) -> Recorded:
        """The contents of its records."""
        return replace(self.settings.recorded(), error_unit=str(self.task.error_unit))

    def describe(self) -> list[str]:
        """Return lines that tell a person what is about to run."""
        train, validation = len(self.split.train), len(self.split.validation)
        return [
            f"{self.task.name}: {train:,} samples train, {validation:,} validate; "
            f"{self.total_epochs} epochs, errors in {self.task.error_unit}"
        ]

    def run_epoch(self, on_step: Callable[[int, int], None] = lambda done, total: None) -> Record:
        """Run one pass over the training side, and validate the averaged network.

        Raises:
            InputError: the loss is no longer finite.
        """
        epoch, means = len(self.history), Means()
        errors = [record["validation"][self._chosen_by] for record in self.history]
        self.network.train()
        for step in range(self.steps):
            progress = (epoch + step / self.steps) / self.total_epochs
            set_learning_rate(self._optimizer, self.settings.weights, progress, errors)
            self._step(means)
            on_step(step + 1, self.steps)
        self.averaged.eval()
        self.history.append(
            {
                "epoch": epoch + 1,
                "train_loss": means.mean("loss"),
                "train_error": {
                    group: None if math.isnan(error) else error  # no sample shows it
                    for group, error in self._errors(self._fitted).items()
                },
                "validation": self._errors(self.split.validation),
            }
        )
        self._keep([name for name, best in self.best_epochs.items() if best == epoch + 1])
        return self.history[-1]

    def _errors(self, indices: Tensor) -> dict[str, float]:
        return mean_errors(self.averaged, self.task, indices, self.batch_size, self.device)

    def _keep(self, groups: Sequence[str]) -> None:
        """Keep the weights of some groups, all or none of them unless each is kept by itself."""
        if not groups:
            return
        kept = self.averaged.module
        if self.best and len(groups) < len(self.task.outputs):
            kept = copy.deepcopy(kept)
            kept.load_state_dict(self.best)
            cast(GroupedNetwork, kept).take(groups, cast(GroupedNetwork, self.averaged.module))
        self.best = {name: value.clone() for name, value in kept.state_dict().items()}

    def _step(self, means: Means) -> None:
        x, target = self._load(next(self.stream))
        predicted = forward(self.network, x, self.settings.precision)
        loss = finite_loss(self.task, predicted, target, "training")
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self.averaged.update_parameters(self.network)
        means.add("loss", loss)

    def _load(self, indices: Tensor) -> tuple[Tensor, Any]:
        start, dtype = time.perf_counter(), next(self.network.parameters()).dtype
        batch = load_batch(self.task, indices, self.device, self._rng, dtype)
        self.data_seconds += time.perf_counter() - start
        return batch

    def _kept(self) -> dict[str, Tensor]:
        return self.averaged.module.state_dict()

    # -- state ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return all that the rest of the run depends on: tensors and plain values only."""
        return {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "stream": self.stream.state_dict(),
            "rng": self._rng.get_state(),
            "best": self.best,
            "history": self.history,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume where the saved training stood, bit for bit (CPU, same thread count).

        Raises:
            StateError: what has grown since the start is not this training's.
        """
        for record in state["history"]:
            check_table(record["validation"], [*self.task.outputs, "mean"], "history.validation")
        check_like(state["best"], self._kept() if state["history"] else {}, "best")
        if not state["history"] and state["best"]:
            raise StateError("best: is there before the first epoch")
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        load_optimizer(self._optimizer, state["optimizer"], "optimizer")
        self.stream.load_state_dict(state["stream"])
        load_generator(self._rng, state["rng"], "rng")
        self.best = dict(state["best"])
        self.history = list(state["history"])


def _moving_average(decay: float) -> Callable[[Any, Any, Any], None]:
    @torch.no_grad()
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Any) -> None:
        share = min(decay, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - share)
            else:  # BatchNorm's count of batches
                mean.copy_(value)

    return update


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A finished training.

    Attributes:
        folder: Its files.
        network: The best network by validation, in evaluation mode.
        history: One record for each epoch, as in ``history.jsonl``.
        result: The best epoch, the network's validation errors and how many samples showed each
            group, as in ``result.json``; where groups were kept by themselves, ``best_epochs`` too.
    """

    folder: RunFolder
    network: nn.Module = field(repr=False)
    history: Sequence[Mapping[str, Any]] = field(repr=False)
    result: Mapping[str, Any]


@torch.inference_mode(False)  # whatever the caller computes in
def train(
    network: nn.Module,
    task: Task,
    settings: Training,
    out: str | os.PathLike[str],
    *,
    split: Split,
    seed: int = 0,
    device: str = "cpu",
    sampling: Tensor | None = None,
    resume: bool = False,
    observers: Sequence[Observer] = (),
    arguments: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> Trained:
    """Train a network; every epoch ends with a checkpoint.

    Progress is shown on standard error: a bar in a terminal, and a line for each epoch.

    ``resume=True`` resumes a run that was killed, at any moment: it ends with the same network and
    history as one never stopped (bit for bit on a CPU with the same threads).

    Args:
        network: Fresh, or with weights to start from; a resumed run overwrites them.
        task: What to learn from; test data is not reachable through it.
        settings: All settings.
        out: The run folder; must not hold a run, unless it is resumed.
        split: Which samples train and which validate.
        seed: Of everything random but the network's weights, from 0 to 2**63 - 1.
        device: A torch device.
        sampling: See :class:`Trainer`.
        resume: Resume the run in ``out``.
        observers: Told how it goes.
        arguments: Plain values that the caller wants recorded in ``config.yaml``, and that a
            resumed run must not change.
        quiet: Show nothing; neither is anything shown where the level of the logger ``groupnas``
            is above ``INFO``.

    Raises:
        InputError: wrong arguments; a task that does not do what it must (see
            :func:`groupnas.check_task`); a folder that is in use, holds another run, or cannot be
            written; a resumed run whose data or settings are not the same; a group that no sample
            of one side shows; a loss that is no longer finite.
    """
    values.instance("network", network, nn.Module)
    values.instance("settings", settings, Training)
    values.instance("split", split, Split)
    seed = values.seed("seed", seed)
    recorded = values.plain("arguments", {} if arguments is None else arguments)
    told_of = [*progress("training", quiet), *observers_from(observers)]
    run = Beginning(TRAINING, out, values.flag("resume", resume))
    place = checked_device(device)
    check_task(None, task)
    sampling = None if sampling is None else _shares(sampling, split)
    job = Trainer(network, task, settings, split, seed, place, sampling)
    config = {
        "arguments": recorded,
        "task": describe_task(task),
        "seed": seed,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "training": settings.model_dump(mode="json"),
        RECORDS: job.recorded.to_dict(),
    }
    run.check(config, ("arguments", "task", "seed", "training"))
    if run.recorded is not None:
        _check_split(run.folder, split, task)
    split.check_fits(task.sources)
    counts = check_groups(task, split, job.batch_size)
    with run.locked(config, lambda begins: _prepare(run.folder, job, begins)):
        result = run_job(run.folder, job, told_of, conclude=lambda: _result(job, counts))
    network.load_state_dict(job.best)
    return Trained(folder=run.folder, network=network.eval(), history=job.history, result=result)


def _prepare(folder: RunFolder, job: Trainer, begins: bool) -> None:
    if not begins:
        resume_job(folder, job)
        return
    folder.write_json(SPLIT, job.split.sources(job.task.sources))
    folder.save_checkpoint(job.state_dict())


def _shares(sampling: Any, split: Split) -> Tensor:
    """Return how often each sample is drawn; raise :class:`InputError` if none can be."""
    try:
        shares = torch.as_tensor(sampling, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"sampling: expected numbers, got a {type(sampling).__name__}") from error
    if shares.shape != (len(split.train),):
        raise InputError(
            f"sampling: expected {len(split.train)} numbers, one for each training sample; got "
            f"shape {tuple(shares.shape)}"
        )
    if not bool((shares.isfinite() & (shares >= 0)).all()) or not bool(shares.any()):
        raise InputError("sampling: expected numbers from 0 on, not all of them 0")
    return sampling if isinstance(sampling, Tensor) else shares


def _result(job: Trainer, counts: dict[str, int]) -> dict[str, Any]:
    errors, found = job.history[job.best_epoch - 1]["validation"], {}
    if job.settings.keep == "groups":
        network = copy.deepcopy(job.network)
        network.load_state_dict(job.best)
        side = job.split.validation
        errors = mean_errors(network.eval(), job.task, side, job.batch_size, job.device)
        found["best_epochs"] = job.best_epochs
    return {
        "epochs": len(job.history),
        "best_epoch": job.best_epoch,
        **found,
        "error_unit": job.task.error_unit,
        "validation_errors": errors,
        "validation_counts": counts,
    }


def _check_split(folder: RunFolder, split: Split, task: Task) -> None:
    """Refuse another split: sources that trained before would now choose the best epoch."""
    path = folder / SPLIT
    recorded = read_saved(path, Sides, "start again in a new folder")
    if recorded != split.sources(task.sources):
        raise InputError(
            f"{path}: the run was started with another split of the sources; a resumed run must "
            "not change it"
        )
