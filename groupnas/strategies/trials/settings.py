"""Settings of the black-box searches: what all share, and what each adds."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from groupnas.engine.strategy import Natural, Optimizer, Positive, Rate, Share, Strategy
from groupnas.runs.fields import ERROR, Recorded, RecordField

RelativeCost = Annotated[float, Field(gt=0)]
Several = Annotated[int, Field(ge=2, strict=True)]


class TrialSearch(Strategy):
    """The settings of every black-box search over group sizes; inherit, and set ``proposer``.

    Without a budget, trials cost as much as even groups.

    Attributes:
        proposer: Place of what chooses the next trial, as of ``job``: a class that is made of the
            encoding of sizes, these settings and a seed, and whose objects are called with the
            records of all trials so far; see :mod:`groupnas.strategies.trials.proposal`.
        trials: Groupings to try; the first is even.
        epochs: Passes over the training side for each.
        batch_size: Samples of a step.
        validation: Share of the training samples that trials are judged on.
        weights: Optimiser of a trial's weights, over its own epochs.
        average: As of :class:`groupnas.Training`.
        weights_seed: Of the weights and the order of the data, the same for all trials: what
            differs between two of them is the grouping.
        resolution: What is searched. ``part``: how much each group gets of every unit; ``depth``:
            also how it spreads that from early to late units; ``unit``: every size by itself.
        spread: How far the coordinates reach; at 0.5, a group may be half again as wide as an even
            one, about, or as much wider late than early.
    """

    job: ClassVar[str] = "groupnas.strategies.trials.job:TrialsJob"
    proposer: ClassVar[str]

    fields: ClassVar[tuple[RecordField, ...]] = (
        RecordField("trial", "Trial", drawn=False),
        RecordField("trained", "Epochs of training", drawn=False),
        RecordField("steps", "Steps", drawn=False),
        RecordField("cost", "Cost", "relative to the budget"),
        RecordField("best", "Best mean error so far", ERROR),
        RecordField("errors", "Error of trials", ERROR, each="group"),
    )

    trials: Positive
    epochs: Positive
    batch_size: Several  # BatchNorm needs two
    validation: Annotated[float, Field(gt=0, lt=1)]
    weights: Optimizer
    average: Share = 0.0
    weights_seed: Natural = 0
    resolution: Literal["part", "depth", "unit"] = "depth"
    spread: Rate = 0.5

    @property
    def planned(self) -> int:
        """Trials in all."""
        return self.trials

    def recorded(self) -> Recorded:
        """As :meth:`Strategy.recorded`."""
        return replace(super().recorded(), step="trial", sizes="best")

    @property
    def trains_candidates(self) -> bool:
        """True: every trial is a training of its own."""
        return True


class Evolution(TrialSearch):
    """Regularised ("aging") evolution.

    Attributes:
        population: The latest trials, of which parents are chosen; the first so many are random.
        tournament: Drawn from the population; the best of them is the parent.
        mutation: Standard deviation of a child's change in one or two coordinates, in spreads.
    """

    proposer: ClassVar[str] = "groupnas.strategies.trials.evolution:AgingEvolution"

    algorithm: Literal["evolution"] = "evolution"
    population: Positive = 10
    tournament: Positive = 3
    mutation: Rate = 0.4

    @model_validator(mode="after")
    def _fits(self) -> Evolution:
        if self.tournament > self.population:
            raise ValueError(f"tournament: expected at most the population, {self.population}")
        return self


class Halving(TrialSearch):
    """Random search with successive halving: the better goes on to a longer training.

    Attributes:
        trials: Groupings in the first rung.
        epochs: Of the last rung; each rung before has ``eta`` times fewer, at least one.
        rungs: 1 is plain random search.
        eta: One grouping of so many goes on, and even groups always, to compare with.
    """

    proposer: ClassVar[str] = "groupnas.strategies.trials.halving:SuccessiveHalving"

    algorithm: Literal["halving"] = "halving"
    rungs: Positive = 3
    eta: Several = 3

    @property
    def plan(self) -> list[tuple[int, int]]:
        """Trials and training epochs of every rung."""
        sizes, epochs = [self.trials], [self.epochs]
        for _ in range(self.rungs - 1):
            sizes.append(min(sizes[-1], max(2, sizes[-1] // self.eta)))
            epochs.insert(0, max(1, round(epochs[0] / self.eta)))
        return list(zip(sizes, epochs, strict=True))

    @property
    def planned(self) -> int:
        """Trials of all rungs: what goes on is trained again, from scratch."""
        return sum(trials for trials, _ in self.plan)


class OptunaSearch(TrialSearch):
    """Optuna's samplers, in a study that several runs may share (extra ``optuna``).

    Attributes:
        sampler: ``tpe``; ``random``; or ``nsga2``, which searches error against cost.
        startup: Random trials before TPE models them.
        population: Of NSGA-II.
        costs: Between which shares of the budget NSGA-II searches.
        storage: The journal file of a study that several runs share, or a ``postgresql://`` URL
            (extra ``postgresql``; leave the password to the environment's PGPASSWORD, since
            settings are recorded). By default a run has a journal of its own.
        study: The study's name in there; runs that share it differ in nothing but their folders.
    """

    job: ClassVar[str] = "groupnas.strategies.trials.optuna_job:OptunaJob"
    extra: ClassVar[str] = "optuna"

    algorithm: Literal["optuna"] = "optuna"
    sampler: Literal["tpe", "nsga2", "random"] = "tpe"
    startup: Positive = 10
    population: Several = 10
    costs: tuple[RelativeCost, RelativeCost] = (0.5, 1.0)
    storage: str | None = None
    study: str = "groupnas"

    @model_validator(mode="after")
    def _ordered(self) -> OptunaSearch:
        if self.costs[0] >= self.costs[1]:
            raise ValueError(f"costs: expected the lower share first, got {list(self.costs)}")
        return self
