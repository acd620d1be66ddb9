"""Settings of the knapsack strategy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from groupnas.engine.strategy import Natural, Optimizer, Positive, Rate, Strategy
from groupnas.runs.fields import ERROR, Recorded, RecordField

if TYPE_CHECKING:
    from groupnas.engine.search_job import SearchJob


class Knapsack(Strategy):
    """An exact allocation by every group's measured error against its cost.

    Attributes:
        curves: How errors are measured. ``scratch``: every size in a training of its own;
            ``slimmable``: all of them in one network with shared weights.
        epochs: Passes over the training side, of each training.
        trials: Trainings from scratch.
        batch_size: Samples of a step.
        validation: Share of the training samples that the curves are measured on.
        weights: Optimiser of the weights.
        profiles: What may differ between sizes of a group. ``uniform``: the scale of the whole
            group alone, so that only the split between groups is searched; ``depth``: how it
            spreads its channels over depth, too; ``free``: also how it divides them between the
            insides of blocks and what flows between blocks.
        smallest: Least scale of a group, in even shares; its cost goes with the square.
        widest: Greatest scale.
        tilt: Logarithm of how much wider the last unit may get, and narrower the first.
        ratio: The same for units inside blocks, against those between them.
        sandwich: Each step trains the widest and the smallest profile without shape.
        passes: Random profiles of every group that each step trains.
        rounds: In which the curves are measured: first profiles without shape, then random ones,
            then such as allocations use so far.
        points: Profiles of every group in each round.
        calibration: Batches that BatchNorm's statistics of each profile are collected from.
    """

    isolated: ClassVar[bool] = True
    job: ClassVar[str] = "groupnas.strategies.knapsack.scratch:ScratchJob"
    slimmable_job: ClassVar[str] = "groupnas.strategies.knapsack.job:SlimmableJob"
    fields: ClassVar[tuple[RecordField, ...]] = (
        RecordField("steps", "Steps", drawn=False),
        RecordField("cost", "Cost", "relative to even groups"),
        RecordField("errors", "Error of trials", ERROR, each="group"),
        RecordField("train_loss", "Loss", each="name"),
        RecordField("train_error", "Training error", ERROR, each="group", shown=False),
        RecordField("points", "Sizes measured", drawn=False),
        RecordField("held_out", "Relative error of the curves on sizes held out", each="group"),
    )

    algorithm: Literal["knapsack"] = "knapsack"
    curves: Literal["scratch", "slimmable"]
    epochs: Positive
    trials: Annotated[int, Field(ge=4, strict=True)] = 24
    batch_size: Annotated[int, Field(ge=2, strict=True)]  # BatchNorm needs two
    validation: Annotated[float, Field(gt=0, lt=1)]
    weights: Optimizer
    profiles: Literal["uniform", "depth", "free"] = "free"
    smallest: Rate = 0.5
    widest: Rate = 1.5
    tilt: Rate = 0.5
    ratio: Rate = 0.3
    sandwich: bool = True
    passes: Natural = 2
    rounds: Positive = 4
    points: Annotated[int, Field(ge=4, strict=True)] = 12
    calibration: Positive = 8

    @model_validator(mode="after")
    def _trains(self) -> Knapsack:
        if self.smallest >= self.widest:
            raise ValueError(f"smallest: expected less than widest, {self.widest:g}")
        if not self.sandwich and not self.passes:
            raise ValueError("passes: expected at least 1 without the sandwich")
        return self

    @property
    def planned(self) -> int:
        """Trainings from scratch; or epochs of the one training and rounds of measurements."""
        return self.trials if self.curves == "scratch" else self.epochs + self.rounds

    def recorded(self) -> Recorded:
        step = "trial" if self.curves == "scratch" else "epoch"
        told = replace(super().recorded(), step=step, plots=("history", "curves"))
        return replace(told, health=True, sizes="best", phases={"train": "training"})

    @property
    def trains_candidates(self) -> bool:
        """True where curves are measured in trainings from scratch."""
        return self.curves == "scratch"

    def job_class(self) -> Callable[..., SearchJob]:
        """Return the class of the way that curves are measured."""
        return self.resolve(self.job if self.curves == "scratch" else self.slimmable_job)
