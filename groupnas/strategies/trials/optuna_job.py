"""Optuna's samplers at work on a study that others may share."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from groupnas.engine.evaluate import Evaluate
from groupnas.engine.job import Record
from groupnas.engine.state import StateError
from groupnas.errors import InputError
from groupnas.schema import validate
from groupnas.spaces.space import SearchSpace
from groupnas.strategies.trials.encoding import Encoding
from groupnas.strategies.trials.job import FOLLOWS, Trial, TrialsJob
from groupnas.strategies.trials.proposal import Proposal
from groupnas.strategies.trials.settings import OptunaSearch
from groupnas.strategies.trials.study import RESULT, SharedStudy, in_memory, open_study, quiet
from groupnas.task import Task

JOURNAL = "study.journal"  # in the run folder
PATIENCE = 0.5  # seconds between two looks at what others do


class OptunaJob(TrialsJob):
    """A :class:`TrialsJob` whose trials are those of an Optuna study.

    The study is the truth about trials, and the history follows it: each epoch takes one judged
    trial into the history that is not there yet, its own or another process's. Runs that share a
    study end when together they have judged as many trials as are planned.

    The next trial depends on the seed, its number and the trials before it alone, so that a resumed
    run has the very trials of one never stopped.
    """

    settings: OptunaSearch

    def __init__(
        self,
        space: SearchSpace,
        task: Task,
        strategy: OptunaSearch,
        seed: int = 0,
        device: str | torch.device = "cpu",
        evaluate: Evaluate | None = None,
    ) -> None:
        super().__init__(space, task, strategy, seed, device, evaluate)
        # A shared storage that does not work is told before there is a run folder.
        self.study = in_memory(self._objectives)
        if strategy.storage is not None:
            self.study = self._open(strategy.storage)

    def open(self, folder: Path) -> None:
        """Keep the study in the run folder, unless the settings name another storage."""
        if self.settings.storage is None:
            self.study = self._open(str(folder / JOURNAL))

    def run_epoch(self, on_step: Callable[[int, int], None] = lambda done, total: None) -> Record:
        """Run one trial, or take one that another process has judged meanwhile."""
        while (record := self._unseen()) is None:
            with self.study.claimed(self.total_epochs, self._ask) as trial:
                if trial is not None:
                    point = {name: trial.params[name] for name in self.encoding.bounds}
                    proposal = Proposal(point, self.settings.epochs)
                    judged = self._judge(trial.number, proposal, on_step)
                    self.study.finish(trial.number, self._values(judged), judged)
            if trial is None:
                time.sleep(PATIENCE)
        return self._append(record)

    def outcome(self) -> dict[str, Any]:
        """Return the outcome of any trials, with NSGA-II's front of error against cost."""
        if self._objectives == 1:
            return super().outcome()
        front, least = [], float("inf")
        for record in sorted(self.history, key=lambda r: (r["cost"], r["errors"]["mean"])):
            if record["errors"]["mean"] < least:
                least = record["errors"]["mean"]
                front.append({"trial": record["trial"], "cost": record["cost"], "error": least})
        return {**super().outcome(), "front": front}

    # -- the study ------------------------------------------------------------------------------

    def _open(self, storage: str) -> SharedStudy:
        return open_study(storage, self.settings.study, self._objectives, self._identity())

    @property
    def _objectives(self) -> int:
        return 2 if self.settings.sampler == "nsga2" else 1

    def _encoding(self) -> Encoding:
        costs = self.settings.costs if self.settings.sampler == "nsga2" else None
        return replace(super()._encoding(), costs=costs)

    def _values(self, record: Record) -> list[float]:
        return [record["errors"]["mean"], record["cost"]][: self._objectives]

    def _unseen(self) -> Record | None:
        seen = {record["trial"] for record in self.history}
        unseen = ((n, r) for n, r in self.study.finished().items() if n not in seen)
        number, record = next(unseen, (0, None))
        if record is not None:
            where = f"{self.settings.storage or JOURNAL}: trial {number}"
            validate(Trial, record, where)
            self._check_trial(record, where)
        return record

    def _ask(self, trials: Sequence[FrozenTrial]) -> FrozenTrial:
        """Return the next trial, from all before it; even groups are the first.

        The sampler works on a copy, so that the study never holds a trial with half its parameters.
        """
        bounds = self.encoding.bounds
        distributions = {name: FloatDistribution(*ends) for name, ends in bounds.items()}
        with quiet():
            copy = optuna.create_study(
                directions=["minimize"] * self._objectives, sampler=self._sampler(len(trials))
            )
        copy.add_trials(trials)
        if not trials:
            copy.enqueue_trial(self.encoding.even)
        copy.ask(dict(distributions))
        asked = copy.trials[-1]
        return create_trial(
            state=TrialState.RUNNING,
            params={name: float(asked.params[name]) for name in bounds},
            distributions=dict(distributions),
            system_attrs=asked.system_attrs,  # NSGA-II's generations
        )

    def _sampler(self, number: int) -> BaseSampler:
        seed = random.Random(f"{self.seed} {number}").getrandbits(32)
        if self.settings.sampler == "tpe":
            return TPESampler(
                seed=seed,
                n_startup_trials=self.settings.startup,
                multivariate=True,
                constant_liar=True,  # does not ask for what others are at
            )
        if self.settings.sampler == "nsga2":
            return NSGAIISampler(seed=seed, population_size=self.settings.population)
        return RandomSampler(seed=seed)

    def _identity(self) -> dict[str, Any]:
        """Return what all runs of a study must agree on, for their errors to be comparable."""
        free = {"format", "title", "source", "storage", "study", "trials"}
        layers = repr((self.space.blocks, self.space.groups)).encode()
        return {
            "space": hashlib.sha256(layers).hexdigest(),
            "task": self.task.fingerprint(),
            "seed": self.seed,
            "strategy": self.settings.model_dump(mode="json", exclude=free),
        }

    # -- state ----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the history, and what the sampler noted on its trials."""
        notes = {trial.number: dict(trial.system_attrs) for trial in self.study.trials}
        return {**super().state_dict(), "notes": notes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume behind the saved trials; the study may be ahead of them.

        Raises:
            InputError: the study does not have them any more.
        """
        super().load_state_dict(state)
        for record in self.history:
            if not isinstance(state["notes"].get(record["trial"]), dict):
                raise StateError(f"notes: none on trial {record['trial']}")
        if self.settings.storage is None and not self.study.trials:
            self.study.restore([self._rebuilt(r, state["notes"]) for r in self.history])
        finished = self.study.finished()
        for record in self.history:
            kept = finished.get(record["trial"])
            if not isinstance(kept, dict) or kept.get("point") != record["point"]:
                raise InputError(
                    f"{self.settings.storage or JOURNAL}: trial {record['trial']} of this run is "
                    "missing; start again in a new folder"
                )

    def _rebuilt(self, record: Record, notes: dict[int, dict[str, Any]]) -> FrozenTrial:
        judged = {k: v for k, v in record.items() if k not in FOLLOWS}
        values = self._values(record)
        bounds = self.encoding.bounds
        return create_trial(
            params=record["point"],
            distributions={name: FloatDistribution(*ends) for name, ends in bounds.items()},
            values=values,
            user_attrs={RESULT: {"values": values, "record": judged}},
            system_attrs=notes[record["trial"]],
        )
