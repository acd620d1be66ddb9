"""Settings of algorithm ``nni``; they need no NNI."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from groupnas.engine.strategy import Positive
from groupnas.strategies.trials.settings import Several, TrialSearch

if TYPE_CHECKING:
    from groupnas.engine.search_job import SearchJob


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

    proposer: ClassVar[str] = "groupnas.strategies.nni.proposer:NniProposer"
    extra: ClassVar[str] = "nni"

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

    def job_class(self) -> Callable[..., SearchJob]:
        """Return the class of all trials; NNI is looked for before there is a run folder."""
        self.resolve(self.proposer)
        return super().job_class()
