"""NNI's exploration strategies, one trial at a time.

NNI 3.0 runs a strategy in one go and resumes none exactly: it chooses in the middle of a loop. But
its choice follows from the seed and the answers so far. So the strategy is played again from its
start, with the known answers, up to the first unknown one: that takes milliseconds a trial, and
nothing but the history is saved.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from groupnas.strategies.nni.settings import Nni
from groupnas.strategies.nni.space import GroupingModelSpace  # before any other module of NNI
from groupnas.strategies.trials.encoding import Encoding, Point
from groupnas.strategies.trials.proposal import Proposal

from nni import NoMoreTrialError  # isort: skip
from nni.nas.execution import ExecutionEngine  # isort: skip
from nni.nas.execution.event import FinalMetricEvent, TrainingEndEvent  # isort: skip
from nni.nas.space import ModelStatus, SimplifiedModelSpace  # isort: skip
from nni.nas.strategy import TPE, GridSearch, Random, RegularizedEvolution  # isort: skip


class NniProposer:
    """Proposes even groups, then what NNI asks for.

    Args:
        encoding: Of the points.
        settings: All settings.
        seed: Of NNI's strategy.
    """

    def __init__(self, encoding: Encoding, settings: Nni, seed: int) -> None:
        self._encoding, self._settings, self._seed = encoding, settings, seed
        self._space = GroupingModelSpace(
            encoding.space,
            encoding.resolution,
            budget=encoding.budget,
            spread=encoding.spread,
            levels=settings.levels,
        )

    def __call__(self, history: Sequence[dict[str, Any]]) -> Proposal:
        """Return the next trial; the first one again where NNI has nothing left to try."""
        asked = self._ask(history) if history else None
        return Proposal(asked or self._encoding.even, self._settings.epochs)

    def _ask(self, history: Sequence[dict[str, Any]]) -> dict[str, float] | None:
        known = {_key(record["point"]): -record["errors"]["mean"] for record in history}
        engine = _KnownAnswers(known)
        with _quiet():
            strategy = _EXPLORATIONS[self._settings.exploration](self._settings, self._seed)
            strategy(SimplifiedModelSpace.from_model(self._space), engine)
        return engine.asked


class _KnownAnswers(ExecutionEngine):  # type: ignore[misc]
    """An engine that gives known answers, and is out of budget once asked for anything else."""

    def __init__(self, known: Mapping[Any, float]) -> None:
        super().__init__()
        self._known = known
        self.asked: dict[str, float] | None = None

    def submit_models(self, *models: Any) -> None:
        for model in models:
            if self.asked is not None:
                return
            key = _key(model.sample)
            if key not in self._known:
                self.asked = {name: float(value) for name, value in model.sample.items()}
                return
            self.dispatch_model_event(FinalMetricEvent(model, self._known[key]))
            self.dispatch_model_event(TrainingEndEvent(model, ModelStatus.Trained))

    def list_models(self, status: Any = None) -> list[Any]:
        return []  # nothing to wait for

    def idle_worker_available(self) -> bool:
        return True

    def budget_available(self) -> bool:
        return self.asked is None


class _Tpe(TPE):  # type: ignore[misc]
    """NNI's TPE, without the second that it sleeps after every trial."""

    def _run(self) -> None:
        choices = self.model_space.simplify().items()
        self.tuner.update_search_space({name: choice.as_legacy_dict() for name, choice in choices})
        while self.engine.budget_available():
            try:
                sample = self.tuner.generate_parameters(self._model_count)
            except NoMoreTrialError:
                return
            model = self.model_space.freeze(sample)
            self._model_to_id[model] = self._model_count
            self._model_count += 1
            self.engine.submit_models(model)


_EXPLORATIONS: dict[str, Callable[[Nni, int], Any]] = {
    "random": lambda settings, seed: Random(seed=seed),
    "evolution": lambda settings, seed: RegularizedEvolution(
        population_size=settings.population,
        sample_size=settings.tournament,
        mutation_prob=settings.mutation,
        seed=seed,
    ),
    # Unlike NNI's other strategies, it minimises unless told.
    "tpe": lambda settings, seed: _Tpe(
        optimize_mode="maximize", seed=seed, tpe_args={"n_startup_jobs": settings.startup}
    ),
    "grid": lambda settings, seed: GridSearch(seed=seed),
}


def _key(point: Point) -> frozenset[tuple[str, float]]:
    return frozenset(point.items())


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence NNI's log of every sample."""
    logger = logging.getLogger("nni")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
