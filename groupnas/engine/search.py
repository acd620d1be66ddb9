"""One search from start to end, in a run folder that survives being killed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from groupnas.accountant import flops
from groupnas.engine.bilevel import BilevelSearch
from groupnas.engine.evaluate import final_errors
from groupnas.engine.health import diagnose_errors
from groupnas.engine.job import (
    check_same,
    checked_device,
    describe_task,
    go_on,
    run_epochs,
    versions,
)
from groupnas.engine.observer import Observer
from groupnas.engine.run_folder import CONFIG, FOUND, INITIAL, RESULT, SPLIT, RunFolder
from groupnas.engine.strategy import Strategy, load_strategy
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.schema import validate
from groupnas.spaces.derive import derive
from groupnas.spaces.space import SearchSpace
from groupnas.task import Task


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished search.

    Attributes:
        folder: Its files.
        grouping: What was found.
        initial: What it started from.
        network: The derived network of that grouping, with the search's weights.
        history: One record for each epoch, as in ``history.jsonl``.
        result: Costs before and after, health, validation errors, as in ``result.json``.
    """

    folder: RunFolder
    grouping: Grouping
    initial: Grouping
    network: nn.Module
    history: Sequence[Mapping[str, Any]]
    result: Mapping[str, Any]


def search(
    space: SearchSpace,
    task: Task,
    strategy: str | Strategy | None = None,
    out: str | os.PathLike[str] = "runs/search",
    *,
    seed: int = 0,
    device: str = "cpu",
    epochs: int | None = None,
    resume: bool = False,
    observers: Sequence[Observer] = (),
    arguments: Mapping[str, Any] | None = None,
) -> Run:
    """Search a grouping; the main job (paper 000, Algorithm 1).

    Every epoch ends with a checkpoint. A run that was killed, at any moment, goes on with
    ``resume=True`` and ends with the same grouping and history as one never stopped (bit for bit
    on a CPU with the same number of threads).

    Args:
        space: What to search.
        task: What to learn from; test data is not reachable through it.
        strategy: A name, ``name:preset``, a path, or the settings; ``"gumbel"`` where not given,
            or what the resumed run was started with.
        out: The run folder; must not hold a run, unless it is resumed.
        seed: Of everything random.
        device: A torch device.
        epochs: Replaces the strategy's number of search epochs.
        resume: Go on with the run in ``out``.
        observers: Told how it goes.
        arguments: Plain values that the caller wants recorded in ``config.yaml``.

    Raises:
        InputError: wrong arguments or files; a folder that is in use, holds another run, or
            cannot be written; a resumed run whose space, data or settings are not the same; a
            loss that is no longer finite.
    """
    if len(space.groups) == 1:
        raise InputError(
            f"{space.name}: has one group ({space.groups[0]}), so that there is nothing to search; "
            "choose a space with two or more"
        )
    folder = RunFolder(out)
    recorded = folder.read_config() if resume else None
    if recorded is None:
        folder.check_free()
    settings = _settings(strategy, recorded, folder).with_epochs(epochs)
    # What is wrong so far leaves no folder behind; what draws leaves the caller's draws alone.
    with torch.random.fork_rng():
        job = BilevelSearch(space, task, settings, seed, checked_device(device))
        config = _config(job, seed, device, arguments)
        if recorded is not None:
            check_same(recorded, config, ("space", "task", "seed", "strategy"), folder)
        with folder.locked():
            if recorded is None:
                folder.check_free()  # another process may have been faster
                _start(folder, job, config)
            else:
                go_on(folder, job)
            return _run(folder, job, observers)


def _settings(
    strategy: str | Strategy | None, recorded: dict[str, Any] | None, folder: RunFolder
) -> Strategy:
    if isinstance(strategy, Strategy):
        return strategy
    if strategy is None and recorded is not None:
        return validate(Strategy, recorded.get("strategy"), f"{folder / CONFIG}: strategy")
    return load_strategy(strategy or "gumbel")


def _start(folder: RunFolder, job: BilevelSearch, config: dict[str, Any]) -> None:
    folder.write_json(SPLIT, job.split.sources(job.task.sources))
    job.initial.save(folder / INITIAL)
    folder.save_checkpoint(job.state_dict())
    # Last, since it is what makes the folder a run: all that a resumption needs is there.
    folder.write_config(config)


def _run(folder: RunFolder, job: BilevelSearch, observers: Sequence[Observer]) -> Run:
    run_epochs(folder, job, observers, lambda: job.net.grouping().save(folder / FOUND))
    result = _result(job)
    folder.write_json(RESULT, result)
    for observer in observers:
        observer.finished(result)
    return Run(
        folder=folder,
        grouping=job.net.grouping(),
        initial=job.initial,
        network=derive(job.net),
        history=job.history,
        result=result,
    )


def _result(job: BilevelSearch) -> dict[str, Any]:
    grouping = job.net.grouping()
    before, after = flops(job.space, job.initial), flops(job.space, grouping)
    errors = final_errors(job)
    return {
        "epochs": len(job.history),
        "channels": sum(job.space.free_units.values()),
        "moved": grouping.changed(job.initial),
        "resized": grouping.resized(job.initial),
        "macs_before": before.per_group,
        "macs_after": after.per_group,
        "entropy": job.history[-1]["entropy"],
        "decided": job.history[-1]["decided"],
        "health": [*job.history[-1]["health"], *diagnose_errors(errors)],
        "error_unit": job.task.error_unit,
        "validation_errors": errors,
    }


def _config(
    job: BilevelSearch, seed: int, device: str, arguments: Mapping[str, Any] | None
) -> dict[str, Any]:
    layers = repr((job.space.blocks, job.space.groups)).encode()
    return {
        "arguments": dict(arguments or {}),
        "space": {"name": job.space.name, "fingerprint": hashlib.sha256(layers).hexdigest()},
        "task": describe_task(job.task),
        "seed": seed,
        "device": device,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "strategy": job.strategy.model_dump(mode="json"),
    }
