"""A comparison from start to end, in a folder that survives being killed."""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from groupnas import values
from groupnas.comparison.cell import Work
from groupnas.comparison.given import fingerprint, given_evidence, usable
from groupnas.comparison.plan import Piece, Plan, SplitBy, labelled
from groupnas.comparison.runner import Ended, run_pieces
from groupnas.comparison.samples import Scorer
from groupnas.comparison.sending import check_sendable
from groupnas.comparison.statistics import LEAST_SOURCES
from groupnas.comparison.summary import EVIDENCE, StrPath, read_comparison
from groupnas.comparison.tables import Comparison
from groupnas.engine.job import checked_device
from groupnas.engine.progress import Lines, is_shown
from groupnas.engine.shown import check_groups
from groupnas.engine.split import Split, split_by_source
from groupnas.engine.strategy import Strategy
from groupnas.engine.task_check import check_task
from groupnas.engine.tracking import trackers
from groupnas.engine.training_settings import Training
from groupnas.errors import InputError
from groupnas.machine import cores
from groupnas.runs.begin import Beginning, check_same, describe_space, describe_task
from groupnas.runs.folder import CONFIG, SPACE
from groupnas.runs.kinds import COMPARISON
from groupnas.spaces.measure import measure as find_measure
from groupnas.spaces.space import SearchSpace
from groupnas.task import Task, TaskSubset

_log = logging.getLogger(__name__)

_SET = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class Progress:
    """Progress of a comparison.

    Attributes:
        ended: The piece that was over last; ``None`` before the first.
        done: Pieces that are finished, those of earlier runs included.
        total: Of all.
        left: Estimate of the seconds left; ``None`` before the first training is over.
    """

    ended: Ended[Piece] | None
    done: int
    total: int
    left: float | None

    def __str__(self) -> str:
        """One line for people."""
        ended, count = self.ended, f"{self.done}/{self.total}"
        if ended is None:
            return f"{count} pieces are done"
        if ended.failed:
            return f"{count} {ended.piece}: failed: {ended.words}"
        line = f"{count} {ended.piece}: {ended.words}, {_duration(ended.seconds)}"
        if self.left is None or self.done == self.total:
            return line
        return f"{line}; about {_duration(self.left)} left"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


@torch.inference_mode(False)  # whatever the caller computes in
def compare(
    space: SearchSpace,
    load: Callable[[], Task],
    strategies: Sequence[str] | Mapping[str, Strategy],
    out: str | os.PathLike[str],
    *,
    training: Training,
    seeds: Sequence[int] = (0, 1, 2),
    budgets: Sequence[float] = (1.0,),
    measure: str = "mac",
    tolerance: float = 0.01,
    validation: float = 0.1,
    split: SplitBy = "fixed",
    evidence: Sequence[StrPath] = (),
    more: Mapping[str, Callable[[], Scorer]] | None = None,
    sampling: Callable[[Split], Tensor | None] | None = None,
    device: str = "cpu",
    jobs: int | None = None,
    resume: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    track: Sequence[str] = (),
    arguments: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> Comparison:
    """Search with every strategy and seed, train what is found from scratch, and compare it.

    Each strategy searches once with each seed, on samples that leave out the held-out ones. What
    it finds is fitted to every budget; that network gets fresh weights, unless the strategy has
    some for it (:meth:`.SearchJob.inherited`), and is trained like all others: with the same
    settings, on the same split, and for one seed in the same order and with the same augmentation.
    The best epoch is chosen on the held-out samples, and so is the error that is compared: a little
    too low for all alike.

    A line for each piece that is over, with an estimate of the time left, is shown on standard
    error. Every piece of work ends with its own files, and is done once. ``resume=True`` resumes a
    comparison that was killed, at any moment, and a finished one that is given further strategies,
    seeds, budgets or measurements.

    Args:
        space: What is searched.
        load: Makes the task; picklable (a function of a module, or an instance of its class),
            since each process loads it for itself.
        strategies: A list of names as of :func:`groupnas.comparison.plan.labelled`, or settings by
            label.
        out: The folder.
        training: How every network is trained.
        seeds: Of searches and trainings, from 0 to 2**63 - 1.
        budgets: Costs relative to even groups.
        measure: What budgets count; see :class:`groupnas.budget.Budget`.
        tolerance: By how much, relatively, a network's cost may miss its budget.
        validation: Share of the samples, whole sources, that is held out.
        split: Which those are: ``"fixed"``, the same for all seeds, or ``"seed"``, others with each
            seed, so that the luck of the split is part of what differs between seeds.
        evidence: Folders of comparisons, or files of their numbers, whose networks count as done:
            what other machines trained. They must be of the same identity. The numbers are kept in
            the folder.
        more: Makers of further measurements, picklable, by names that can name files. What a maker
            returns by a method ``fingerprint`` says whether two measure alike, if it has one.
        sampling: How often each training sample is drawn; see
            :class:`groupnas.engine.training.Trainer`. Picklable.
        device: A torch device.
        jobs: Processes; by default as many as there are cores, and not more than pieces. They
            share the cores' threads. A single one is this process.
        resume: Resume the comparison in ``out``.
        on_progress: Told after each piece, and once before the first, besides what is shown.
        track: Names of trackers of every search and training: ``"tensorboard"``, ``"mlflow"``.
        arguments: Plain values that the caller wants recorded in ``config.yaml``.
        quiet: Show nothing; neither is anything shown where the level of the logger ``groupnas``
            is above ``INFO``.

    Returns:
        What came out, of all pieces that are finished.

    Raises:
        InputError: wrong arguments or files; a task that does not do what it must (see
            :func:`groupnas.check_task`); what several processes need and cannot be sent to them; a
            folder that is in use, holds another comparison or cannot be written; a resumed
            comparison whose space, data, training, or settings of a strategy are not the same; or
            pieces that failed, when all others are done.
    """
    values.instance("space", space, SearchSpace)
    values.instance("training", training, Training)
    if not isinstance(strategies, Mapping):
        strategies = labelled(strategies)
    jobs = None if jobs is None else values.whole("jobs", jobs, 1)
    makers = _makers(load, more, sampling, on_progress)
    recorded = values.plain("arguments", {} if arguments is None else arguments)
    tell = _teller(quiet, on_progress)
    plan = Plan(
        strategies=strategies,
        seeds=values.listed("seeds", seeds),
        budgets=values.listed("budgets", budgets),
        measure=measure,
        tolerance=tolerance,
        training=training,
        validation=validation,
        split=split,
    )
    find_measure(measure)  # before searches are done that no training could follow
    checked_device(device)
    track = values.names("track", track)
    trackers(track)  # what is not installed or reached is told before anything runs
    run = Beginning(COMPARISON, out, values.flag("resume", resume))
    work = Work(
        out=run.folder.path,
        space=space,
        load=load,
        plan=plan,
        more=makers,
        sampling=sampling,
        device=str(device),
        track=track,
    )
    if (jobs or cores()) > 1:
        check_sendable(work)
    task = load()
    check_task(space, task)
    config = {
        "arguments": recorded,
        "space": describe_space(space),
        "groups": list(space.groups),
        "task": describe_task(task),
        "device": str(device),
        "measured": {name: fingerprint(make) for name, make in makers.items()},
    }
    plan = _joined(run, {**config, **plan.to_dict()}, plan)
    _check_splits(task, plan)
    config |= plan.to_dict()
    given = given_evidence(run.folder, config, evidence)
    planned = {piece for search in plan.searches() for piece in plan.trainings(search)}
    elsewhere = frozenset(usable(given, planned, makers))
    config["elsewhere"] = len(elsewhere)

    def prepare(begins: bool) -> None:
        space.save(run.folder / SPACE)
        if given.cells:
            given.save(run.folder / EVIDENCE)
        if not begins:
            run.widen(config)

    with run.locked(config, prepare):
        failed = _run(replace(work, plan=plan, elsewhere=elsewhere), jobs, tell)
    if failed:
        what = "; ".join(f"{ended.piece}: {ended.words}" for ended in failed)
        raise InputError(
            f"{what}; resume to try again, `groupnas compare {run.folder.path}` shows the others"
        )
    return read_comparison(run.folder.path)


def _makers(
    load: Any, more: Any, sampling: Any, on_progress: Any
) -> dict[str, Callable[[], Scorer]]:
    """Return the further measurements; raise :class:`InputError` where one cannot be called."""
    values.instance("more", more or {}, Mapping)
    found = {values.text("more", name): make for name, make in (more or {}).items()}
    for name in found:
        if not _SET.fullmatch(name):
            raise InputError(f"more: {name!r}: a name that names files is letters, digits, - and _")
    called = {"load": load, **{f"more: {name}": make for name, make in found.items()}}
    asked = {"sampling": sampling, "on_progress": on_progress}
    called |= {name: what for name, what in asked.items() if what is not None}
    for name, what in called.items():
        if not callable(what):
            raise InputError(f"{name}: expected a function, got a {type(what).__name__}")
    return found


def _teller(
    quiet: bool, on_progress: Callable[[Progress], None] | None
) -> Callable[[Progress], None]:
    """Return what tells the person, unless they are quiet, and the caller after each piece."""
    lines = Lines() if is_shown(quiet) else None

    def tell(progress: Progress) -> None:
        if lines is not None:
            lines.say(str(progress))
        if on_progress is not None:
            on_progress(progress)

    return tell


def _run(
    work: Work, jobs: int | None, on_progress: Callable[[Progress], None]
) -> list[Ended[Piece]]:
    """Do what is not done yet; return the pieces that failed."""
    plan = work.plan
    searches = plan.searches()
    trainings = [piece for search in searches for piece in plan.trainings(search)]
    left = {piece for piece in (*searches, *trainings) if not work.done(piece)}
    total = len(searches) + len(trainings)
    waiting = [piece for piece in searches if piece in left]
    ready = [p for p in trainings if p in left and Piece(p.strategy, p.seed) not in left]
    jobs = jobs or max(1, min(cores(), len(left)))
    failed: list[Ended[Piece]] = []
    times: dict[bool, list[float]] = defaultdict(list)

    def tell(ended: Ended[Piece] | None) -> None:
        on_progress(Progress(ended, total - len(left), total, _seconds_left(left, times, jobs)))

    def end(ended: Ended[Piece]) -> None:
        if ended.failed:
            failed.append(ended)
        else:
            left.discard(ended.piece)
            times[ended.piece.budget is None].append(ended.seconds)
        tell(ended)

    def then(piece: Piece) -> list[Piece]:
        return [] if piece.budget is not None else [p for p in plan.trainings(piece) if p in left]

    tell(None)
    if left:
        threads = max(1, cores() // jobs)
        run_pieces(work, [*waiting, *ready], then, jobs=jobs, threads=threads, on_end=end)
    return failed


def _seconds_left(
    left: set[Piece], times: Mapping[bool, Sequence[float]], jobs: int
) -> float | None:
    """Estimate the seconds left by the mean times of searches and of trainings so far."""
    if not times.get(False):
        return None
    means = {kind: sum(seconds) / len(seconds) for kind, seconds in times.items() if seconds}
    return sum(means.get(piece.budget is None, 0.0) for piece in left) / jobs


def _check_splits(task: Task, plan: Plan) -> None:
    """Refuse a group that one side does not show, of the networks' splits or a search's own.

    A search or a training would refuse it only when others are done. For the same reason a warning
    says here that too little is held out for intervals.
    """
    held_out: set[str] = set()
    for seed in plan.seeds:
        split = split_by_source(task.sources, plan.validation, plan.split_seed(seed))
        check_groups(task, split, plan.training.batch_size)
        held_out |= set(split.sources(task.sources)["validation"])
        _check_searches(task, split, plan, seed)
    sources = len(held_out)
    if sources < LEAST_SOURCES:
        _log.warning(
            "%s: %s held out, so that no interval can be given: those take at least %d; hold out "
            "more (validation)",
            task.name,
            "1 source is" if sources == 1 else f"{sources} sources are",
            LEAST_SOURCES,
        )


def _check_searches(task: Task, split: Split, plan: Plan, seed: int) -> None:
    searched = TaskSubset(task, split.train)
    shares = {getattr(strategy, "validation", 0.0) for strategy in plan.strategies.values()}
    for share in filter(None, shares):
        inner = split_by_source(searched.sources, share, seed)
        check_groups(searched, inner, plan.training.batch_size)


def _joined(run: Beginning, config: Mapping[str, Any], plan: Plan) -> Plan:
    """Return the recorded plan with what is new in this one; raise where they contradict."""
    before = None
    if run.recorded is not None:
        before = Plan.from_dict(run.recorded, str(run.folder / CONFIG))
        run.recorded["split"] = before.split
    same = ("space", "task", "training", "measure", "tolerance", "validation", "split")
    run.check(config, same)
    if before is None:
        return plan
    was, now = before.to_dict()["strategies"], plan.to_dict()["strategies"]
    again = {label: now[label] for label in now if label in was}
    was = {label: was[label] for label in again}
    check_same({"strategies": was}, {"strategies": again}, ("strategies",), run.folder)
    return before.joined(plan)
