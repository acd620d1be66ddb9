"""One search from start to end, in a run folder that survives being killed."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from groupnas._version import __version__
from groupnas.accountant import flops
from groupnas.engine.bilevel import BilevelSearch
from groupnas.engine.evaluate import final_errors
from groupnas.engine.health import diagnose_errors
from groupnas.engine.observer import Observer
from groupnas.engine.run_folder import (
    CHECKPOINT,
    CONFIG,
    FOUND,
    HISTORY,
    INITIAL,
    RESULT,
    SPLIT,
    TIMINGS,
    RunFolder,
)
from groupnas.engine.strategy import Strategy, load_strategy
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.schema import validate
from groupnas.spaces.space import SearchSpace
from groupnas.task import Task


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished search.

    Attributes:
        folder: Its files.
        grouping: What was found.
        initial: What it started from.
        history: One record for each epoch, as in ``history.jsonl``.
        result: Costs before and after, health, validation errors, as in ``result.json``.
    """

    folder: RunFolder
    grouping: Grouping
    initial: Grouping
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
        job = BilevelSearch(space, task, settings, seed, _checked_device(device))
        config = _config(job, seed, device, arguments)
        if recorded is not None:
            _check_same(recorded, config, folder)
        with folder.locked():
            if recorded is None:
                folder.check_free()  # another process may have been faster
                _start(folder, job, config)
            else:
                _go_on(folder, job)
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


def _go_on(folder: RunFolder, job: BilevelSearch) -> None:
    state = folder.load_checkpoint()
    try:
        job.load_state_dict(state)
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / CHECKPOINT}: is not of the run that {CONFIG} describes; start again in a "
            "new folder"
        ) from error


def _run(folder: RunFolder, job: BilevelSearch, observers: Sequence[Observer]) -> Run:
    # A kill may have come between a checkpoint and these; the checkpoint is what counts.
    _write_outcome(folder, job)
    for observer in observers:
        observer.started(job)
    while not job.finished:
        start, waited = time.perf_counter(), job.data_seconds
        record = job.run_epoch(lambda done, total: _tell_step(observers, done, total))
        timing = {
            "epoch": record["epoch"],
            "seconds": round(time.perf_counter() - start, 3),
            "data_seconds": round(job.data_seconds - waited, 3),
        }
        folder.save_checkpoint(job.state_dict())
        _write_outcome(folder, job)
        folder.append_line(TIMINGS, timing)
        for observer in observers:
            observer.epoch_ended(record)
    result = _result(job)
    folder.write_json(RESULT, result)
    for observer in observers:
        observer.finished(result)
    return Run(
        folder=folder,
        grouping=job.net.grouping(),
        initial=job.initial,
        history=job.history,
        result=result,
    )


def _tell_step(observers: Sequence[Observer], done: int, total: int) -> None:
    for observer in observers:
        observer.stepped(done, total)


def _write_outcome(folder: RunFolder, job: BilevelSearch) -> None:
    job.net.grouping().save(folder / FOUND)
    folder.write_lines(HISTORY, job.history)


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
        "task": {
            "name": job.task.name,
            "samples": len(job.task.sources),
            "fingerprint": job.task.fingerprint(),
        },
        "seed": seed,
        "device": device,
        "threads": torch.get_num_threads(),
        "versions": {
            "groupnas": __version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
        "strategy": job.strategy.model_dump(mode="json"),
    }


def _check_same(recorded: dict[str, Any], now: dict[str, Any], folder: RunFolder) -> None:
    for key in ("space", "task", "seed", "strategy"):
        difference = _first_difference(recorded.get(key), now[key], key)
        if difference:
            path, was, is_now = difference
            raise InputError(
                f"{folder.path}: the run was started with {path} = {was!r}, not {is_now!r}; a "
                "resumed run must not change it"
            )


def _first_difference(was: Any, now: Any, path: str) -> tuple[str, Any, Any] | None:
    if isinstance(was, dict) and isinstance(now, dict):
        for key in {**now, **was}:
            if f"{path}.{key}" in ("strategy.title", "strategy.source"):  # change nothing
                continue
            found = _first_difference(was.get(key), now.get(key), f"{path}.{key}")
            if found:
                return found
        return None
    return None if was == now else (path, was, now)


def _checked_device(device: str) -> torch.device:
    try:
        torch.zeros(1, device=device).item()  # the meta device has no values
        return torch.device(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device {device!r} cannot be used here: {reason}") from error
