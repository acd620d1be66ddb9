"""One search from start to end, by any strategy, in a run folder that survives being killed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from groupnas import values
from groupnas.budget import Budget
from groupnas.engine.design import Design
from groupnas.engine.job import checked_device, resume_job
from groupnas.engine.observer import Observer, observers_from
from groupnas.engine.progress import progress
from groupnas.engine.running import run_job
from groupnas.engine.search_job import SearchJob
from groupnas.engine.shown import check_groups
from groupnas.engine.strategy import Strategy, load_strategy, strategy_from
from groupnas.engine.task_check import check_task
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.runs.begin import Beginning, describe_space, describe_task
from groupnas.runs.fields import RECORDS
from groupnas.runs.folder import CONFIG, FOUND, INITIAL, SPACE, SPLIT, RunFolder
from groupnas.runs.kinds import SEARCH
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import SearchSpace
from groupnas.task import Task


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished search.

    Attributes:
        folder: Its files.
        job: The search itself, at its end.
        allocation: What was found, within the strategy's budget if that has one.
        initial: What it started from.
        history: One record for each epoch, as in ``history.jsonl``.
        result: Costs before and after, how many validation samples show each group, and what else
            the strategy says, as in ``result.json``.
    """

    folder: RunFolder
    job: SearchJob = field(repr=False)
    allocation: Allocation
    initial: Grouping = field(repr=False)
    history: Sequence[Mapping[str, Any]] = field(repr=False)
    result: Mapping[str, Any] = field(repr=False)

    @property
    def grouping(self) -> Grouping:
        """The grouping of :attr:`allocation`."""
        return self.allocation.grouping

    def design(self, budget: Budget | None = None) -> Design:
        """Return what was found, at any budget; see :meth:`SearchJob.design`."""
        return self.job.design(budget)

    def network(self) -> nn.Module | None:
        """Return the network found with the search's own weights, if the strategy trains it."""
        return self.job.network()


@torch.inference_mode(False)  # whatever the caller computes in
def search(
    space: SearchSpace,
    task: Task,
    strategy: str | Strategy | None = None,
    out: str | os.PathLike[str] = "runs/search",
    *,
    seed: int | None = None,
    device: str = "cpu",
    epochs: int | None = None,
    resume: bool = False,
    observers: Sequence[Observer] = (),
    arguments: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> Run:
    """Search a grouping; the main job.

    Progress is shown on standard error: a bar in a terminal, and a line for each epoch. Every epoch
    ends with a checkpoint. ``resume=True`` resumes a run that was killed, at any moment: it ends
    with the same grouping and history as one never stopped (bit for bit on a CPU with the same
    number of threads).

    Args:
        space: What to search.
        task: What to learn from; test data is not reachable through it.
        strategy: A name, ``name:preset``, a path, or the settings; ``"saliency"`` where not given,
            or what the resumed run was started with.
        out: The run folder; must not hold a run, unless it is resumed.
        seed: Of everything random, from 0 to 2**63 - 1; 0 where not given, or the resumed run's.
        device: A torch device.
        epochs: Replaces the strategy's number of search epochs; its warm-up comes on top.
        resume: Resume the run in ``out``.
        observers: Told how it goes.
        arguments: Plain values that the caller wants recorded in ``config.yaml``.
        quiet: Show nothing; neither is anything shown where the level of the logger ``groupnas``
            is above ``INFO``.

    Raises:
        InputError: wrong arguments or files; a task that does not do what it must (see
            :func:`groupnas.check_task`); a folder that is in use, holds another run, or cannot be
            written; a resumed run whose space, data or settings are not the same; a group that no
            sample of one side shows; a loss that is no longer finite.
    """
    values.instance("space", space, SearchSpace)
    seed = None if seed is None else values.seed("seed", seed)
    resume = values.flag("resume", resume)
    recorded = values.plain("arguments", {} if arguments is None else arguments)
    told_of = [*progress("searching", quiet), *observers_from(observers)]
    run = Beginning(SEARCH, out, resume)
    settings = _settings(strategy, run).with_epochs(epochs)
    check_searched(space, settings)
    seed = _seed(seed, run)
    place = checked_device(device)
    check_task(space, task)
    # What is wrong so far leaves no folder behind; what draws leaves the caller's draws alone.
    with torch.random.fork_rng():
        job = settings.start(space, task, seed=seed, device=str(place))
        job.design()  # a budget that cannot be met is refused here
        counts = check_groups(task, job.split, job.batch_size) if job.total_epochs else {}
        config = {
            "arguments": recorded,
            "space": describe_space(job.space),
            "task": describe_task(job.task),
            "seed": seed,
            "device": str(device),
            "threads": torch.get_num_threads(),
            "strategy": job.strategy.model_dump(mode="json"),
            RECORDS: job.recorded.to_dict(),
        }
        run.check(config, ("space", "task", "seed", "strategy"))
        with run.locked(config, lambda begins: _prepare(run.folder, job, begins)):
            return _run(run.folder, job, told_of, counts)


def check_searched(space: SearchSpace, strategy: Strategy) -> None:
    """Check that a strategy has something to search in a space.

    Raises:
        InputError: there is one group, and it divides channels; a joint row, and it takes each
            group by itself.
    """
    if len(space.groups) == 1 and not strategy.resizes:
        raise InputError(
            f"{space.name}: has one group ({space.groups[0]}), so that {strategy.algorithm} has "
            "nothing to divide; choose a space with two or more, or a strategy that searches "
            "widths: saliency"
        )
    if space.joint and strategy.isolated:
        raise InputError(
            f"{space.name}: {strategy.algorithm} takes each group by itself, but all read "
            f"{next(iter(space.joint))}, which is joint; choose another strategy, such as saliency"
        )


def _settings(strategy: str | Strategy | None, run: Beginning) -> Strategy:
    if isinstance(strategy, Strategy):
        return strategy
    if strategy is None and run.recorded is not None:
        return strategy_from(run.recorded.get("strategy"), f"{run.folder / CONFIG}: strategy")
    return load_strategy(strategy or "saliency")


def _seed(seed: int | None, run: Beginning) -> int:
    if seed is not None or run.recorded is None:
        return seed or 0
    return values.seed(f"{run.folder / CONFIG}: seed", run.recorded.get("seed"))


def _prepare(folder: RunFolder, job: SearchJob, begins: bool) -> None:
    job.open(folder.path)
    if not begins:
        resume_job(folder, job)
        return
    folder.write_json(SPLIT, job.split.sources(job.task.sources))
    job.space.save(folder / SPACE)
    job.initial.save(folder / INITIAL)
    folder.save_checkpoint(job.state_dict())


def _run(
    folder: RunFolder, job: SearchJob, observers: Sequence[Observer], counts: dict[str, int]
) -> Run:
    def conclude() -> dict[str, Any]:
        job.leave(folder.path)  # before the result, which says that all is there
        return _result(job, counts)

    result = run_job(
        folder,
        job,
        observers,
        conclude=conclude,
        write_outcome=lambda: _found(job).save(folder / FOUND),
    )
    return Run(
        folder=folder,
        job=job,
        allocation=_found(job),
        initial=job.initial,
        history=job.history,
        result=result,
    )


def _found(job: SearchJob) -> Allocation:
    grouping = job.design().grouping
    return job.allocation() if grouping is None else Allocation(job.space, grouping)


def _result(job: SearchJob, counts: dict[str, int]) -> dict[str, Any]:
    found = _found(job)
    grouping, same_widths = found.grouping, found.space is job.space
    return {
        "epochs": len(job.history),
        "steps": sum(record["steps"] for record in job.history),
        "channels": sum(len(channels) for channels in grouping.assignments.values()),
        "resized": grouping.resized(job.initial) if same_widths else None,
        "macs_before": Allocation(job.space, job.initial).costs(),
        "macs_after": job.design().costs(),
        "error_unit": job.task.error_unit,
        **({"validation_counts": counts} if counts else {}),
        **job.outcome(),
    }
