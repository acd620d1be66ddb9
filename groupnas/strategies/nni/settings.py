"""The settings of algorithm ``nni``; they need no NNI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from groupnas.engine.strategy import Positive
from groupnas.errors import InputError
from groupnas.extras import install_hint
from groupnas.strategies.trials.settings import Several, TrialSearch

if TYPE_CHECKING:
    from groupnas.spaces.space import SearchSpace
    from groupnas.strategies.trials.encoding import Encoding
    from groupnas.strategies.trials.evaluator import Evaluate
    from groupnas.strategies.trials.job import Propose, TrialsJob
    from groupnas.task import Task


class Nni(TrialSearch):
    """NNI's multi-trial exploration strategies (extra ``nni``), over the same coordinates as ours.

    Attributes:
        exploration: ``Random``, ``RegularizedEvolution``, ``TPE`` or ``GridSearch`` of NNI. Once it
            has nothing left to try, the trials that are left repeat the first, at no cost.
        levels: Values of each coordinate, an odd number, evenly from ``-spread`` to ``spread``:
            NNI's strategies choose from lists.
        population: Of the evolution.
        tournament: How many of it compete to be a parent.
        mutation: Probability of the evolution that a coordinate is drawn anew.
        startup: Random trials before TPE models them.
    """

    algorithm: Literal["nni"] = "nni"
    exploration: Literal["random", "evolution", "tpe", "grid"] = "tpe"
    levels: Annotated[int, Field(ge=3, strict=True)] = 5
    population: Several = 8
    tournament: Positive = 3
    mutation: Annotated[float, Field(gt=0, le=1)] = 0.25
    startup: Positive = 8

    @model_validator(mode="after")
    def _fits(self) -> Nni:
        if self.levels % 2 == 0:
            raise ValueError(f"levels: expected an odd number, so that 0 is one, got {self.levels}")
        if self.tournament > self.population:
            raise ValueError(f"tournament: expected at most the population, {self.population}")
        return self

    def proposer(self, encoding: Encoding, seed: int) -> Propose:
        """As :meth:`TrialSearch.proposer`."""
        from groupnas.strategies.nni.proposer import NniProposer

        return NniProposer(encoding, self, seed)

    def start(
        self,
        space: SearchSpace,
        task: Task,
        *,
        seed: int = 0,
        device: str = "cpu",
        evaluate: Evaluate | None = None,
    ) -> TrialsJob:
        """As :meth:`TrialSearch.start`; an :class:`InputError` where NNI is not installed."""
        try:
            import groupnas.strategies.nni.space  # noqa: F401
        except ImportError as error:
            raise InputError(
                f"algorithm nni: {error}; install NNI 3.0 with: {install_hint('nni')}"
            ) from error
        return super().start(space, task, seed=seed, device=device, evaluate=evaluate)
