"""One piece of a comparison, done: a search, or a network trained from scratch and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from groupnas.accountant import flops
from groupnas.comparison.plan import Piece, Plan
from groupnas.comparison.records import CELL, VALIDATION, errors_file, fall, seconds
from groupnas.comparison.samples import SampleErrors, Scorer
from groupnas.engine.design import Design
from groupnas.engine.evaluate import sample_errors
from groupnas.engine.job import resume_job
from groupnas.engine.search import search
from groupnas.engine.search_job import SearchJob
from groupnas.engine.split import Split, split_by_source
from groupnas.engine.tracking import trackers
from groupnas.engine.training import Trained, train
from groupnas.errors import InputError
from groupnas.runs.begin import identity
from groupnas.runs.folder import FOUND, RESULT, RunFolder
from groupnas.runs.kinds import SEARCH
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import SearchSpace
from groupnas.task import Task, TaskSubset

_CONVENTION = "torchstat"  # what the tables of the PicassoNet paper count in


@dataclass(frozen=True, kw_only=True)
class Work:
    """All that a process needs to do pieces; it can be sent to one.

    Attributes:
        out: The comparison's folder.
        space: What is searched.
        load: Makes the task; picklable.
        plan: What is compared.
        more: Makers of further measurements by name; picklable.
        sampling: How often each training sample is drawn in trainings; see
            :class:`groupnas.engine.training.Trainer`.
        device: A torch device.
        track: Trackers of every search and training; see :func:`groupnas.engine.tracking.trackers`.
        elsewhere: Trainings whose numbers are known already.
    """

    out: Path
    space: SearchSpace
    load: Callable[[], Task]
    plan: Plan
    more: Mapping[str, Callable[[], Scorer]] = field(default_factory=dict)
    sampling: Callable[[Split], Tensor | None] | None = None
    device: str = "cpu"
    track: Sequence[str] = ()
    elsewhere: frozenset[Piece] = frozenset()

    def done(self, piece: Piece) -> bool:
        """Return whether a piece is finished, here or elsewhere: here its last file is there."""
        folder = self.out / piece.folder
        if piece.budget is None:
            trainings = self.plan.trainings(piece)
            return (folder / RESULT).is_file() or all(p in self.elsewhere for p in trainings)
        if piece in self.elsewhere:
            return True
        sets = (VALIDATION, *self.more)
        return (folder / CELL).is_file() and all((folder / errors_file(s)).is_file() for s in sets)

    def start(self, threads: int | None = None) -> Callable[[Piece], str]:
        """Return a function that does or resumes a piece, and says in a few words what came out.

        ``threads`` are torch's from now on, if given. The function raises :class:`InputError` as
        :func:`groupnas.search` and :func:`groupnas.train` do.
        """
        if threads:
            torch.set_num_threads(threads)
        return _Bench(self).do


class _Bench:
    """A process at work: the task is loaded once, and each scorer."""

    def __init__(self, work: Work) -> None:
        self.work, self.plan = work, work.plan
        self.task = work.load()
        self._scorers: dict[str, Scorer] = {}

    def do(self, piece: Piece) -> str:
        seed = self.plan.split_seed(piece.seed)
        self.split = split_by_source(self.task.sources, self.plan.validation, seed)
        self.searched: Task = TaskSubset(self.task, self.split.train)
        return self._search(piece) if piece.budget is None else self._train(piece)

    def _search(self, piece: Piece) -> str:
        folder = self.work.out / piece.folder
        run = search(
            self.work.space,
            self.searched,
            self.plan.strategy(piece),
            folder,
            seed=piece.seed,
            device=self.work.device,
            resume=RunFolder(folder).exists,
            observers=trackers(self.work.track),
            quiet=True,
        )
        return f"{len(run.history)} epochs" if run.history else "nothing to learn"

    def _train(self, piece: Piece) -> str:
        folder = RunFolder(self.work.out / piece.folder)
        job = self._finished_search(piece)
        with torch.random.fork_rng():
            design = job.design(self.plan.budget(piece))
        names = dict.fromkeys(("mac", "params", self.plan.measure))
        cost = {name: design.costs(name) for name in names}
        with torch.random.fork_rng():
            inherited = job.inherited(design)
        trained = self._trained(piece, design, inherited, cost)
        means: dict[str, dict[str, float]] = {}
        counts: dict[str, dict[str, int]] = {}
        for name in (VALIDATION, *self.work.more):
            path = folder / errors_file(name)
            found = SampleErrors.load(path) if path.is_file() else self._errors(name, trained)
            if not path.is_file():
                found.save(path)
            means[name], counts[name] = found.means(), found.counts()
        if design.grouping is not None:
            design.grouping.save(folder / FOUND)
        cell = {
            "strategy": piece.strategy,
            "seed": piece.seed,
            "budget": piece.budget,
            "costs": cost,
            "flops": self._flops(job, design),
            "steps": self._steps * len(trained.history),
            "seconds": seconds(folder),
            "best_epoch": trained.result["best_epoch"],
            "inherited": inherited is not None,
            "fall": fall(trained.history),
            "errors": means,
            "counts": counts,
        }
        folder.write_json(CELL, cell)
        return f"{means[VALIDATION]['mean']:.4g} {self.task.error_unit}"

    def _trained(
        self, piece: Piece, design: Design, network: nn.Module | None, cost: dict[str, Any]
    ) -> Trained:
        """Train a network that inherited its weights, or a fresh one."""
        folder = RunFolder(self.work.out / piece.folder)
        if network is None:
            with torch.random.fork_rng():
                torch.manual_seed(piece.seed)  # equal weights where networks are equal
                network = design.build(self.task.mean_output())
        sampling = self.work.sampling
        grouping = design.grouping
        return train(
            network,
            self.task,
            self.plan.training,
            folder.path,
            split=self.split,
            seed=piece.seed,
            device=self.work.device,
            sampling=None if sampling is None else sampling(self.split),
            resume=folder.exists,
            observers=trackers(self.work.track),
            # A search that was done again and found otherwise must not resume this training.
            arguments={"costs": cost, "grouping": grouping and grouping.to_dict()},
            quiet=True,
        )

    def _finished_search(self, piece: Piece) -> SearchJob:
        """The piece's search as it ended; nothing of it is done again."""
        folder = RunFolder(self.work.out / Piece(piece.strategy, piece.seed).folder)
        with torch.random.fork_rng():
            job = self.plan.strategy(piece).start(
                self.work.space, self.searched, seed=piece.seed, device=self.work.device
            )
            folder.identity = identity(SEARCH.read(folder.path))
            resume_job(folder, job)
        if len(job.history) < job.total_epochs:
            raise InputError(
                f"{folder.path}: has a {RESULT}, but only {len(job.history)} of its "
                f"{job.total_epochs} epochs; remove it and resume"
            )
        return job

    def _errors(self, name: str, trained: Trained) -> SampleErrors:
        if name != VALIDATION:
            if name not in self._scorers:
                self._scorers[name] = self.work.more[name]()
            return self._scorers[name](trained.network)
        task, side, device = self.task, self.split.validation, self.work.device
        errors = sample_errors(trained.network, task, side, self._batch_size, device)
        return SampleErrors(
            errors=errors.numpy(),
            groups=tuple(task.outputs),
            weights=torch.tensor(list(task.outputs.values())).double().numpy(),
            sources=np.array([task.sources[index] for index in side.tolist()], dtype=np.str_),
            unit=task.error_unit,
        )

    @property
    def _batch_size(self) -> int:
        return min(self.plan.training.batch_size, len(self.split.train))

    @property
    def _steps(self) -> int:
        """The steps of one epoch of a training."""
        return len(self.split.train) // self._batch_size

    def _flops(self, job: SearchJob, design: Design) -> dict[str, dict[str, int]]:
        """Operations of every group: where the search began, where it ended, what was trained.

        Empty where groups share channels.
        """
        if design.grouping is None:
            return {}
        space, found = self.work.space, job.allocation()
        groupings = {"initial": job.initial, "found": found.grouping, "trained": design.grouping}
        return {
            name: flops(Allocation(space, grouping), _CONVENTION).per_group
            for name, grouping in groupings.items()
        }
