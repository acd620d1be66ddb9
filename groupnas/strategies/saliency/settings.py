"""Settings of the saliency strategy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from groupnas.budget import Budget, BudgetShare
from groupnas.engine.strategy import Natural, Optimizer, Positive, Share, Strategy
from groupnas.runs.fields import ERROR, Recorded, RecordField
from groupnas.values import instance

Ties = Literal["free", "depth", "parts", "uniform"]
Arm = Literal[Ties, "full"]


class Saliency(Strategy):
    """Prune a trained network by importance per cost, while it goes on learning.

    Attributes:
        arms: What is pruned, in order; the first is what the search finds, others are its controls,
            from the same trained network and for as many steps. ``free``: every channel is on its
            own; ``depth``: all groups lose a unit's channels together, so that the profile over
            depth is free and groups stay even; ``parts``: one factor on all widths of a group, so
            that the split is free; ``uniform``: one factor on all widths; ``full``: nothing is
            pruned.
        budgets: Costs at which each arm's network is fine-tuned, beside the budget's own.
        down_to: Cost to which channels go; by default the least of these. Designs that cost less
            than that have its proportions.
        widen: Factor on the widths of the space, from which pruning starts.
        pretrained: A file of weights to start from instead of fresh ones: what a search of this
            strategy left in ``networks/``, or the ``state_dict`` of the even groups' network.
        epochs: Passes over the training side at full width; 0 where ``pretrained`` says so.
        prune_epochs: Passes in which channels go.
        tune_epochs: Passes of each pruned network; 0 where its sizes alone are of interest.
        inherit: Whether a comparison trains on with the weights that pruning left, or begins with
            fresh ones.
        batch_size: Samples of a step.
        validation: Share of the training samples that errors are measured on.
        weights: Optimiser of the first training. Pruning goes on at the rate at which that ends,
            and fine-tuning falls from there to 0 as a cosine, after a warm-up of its own.
        average: As of :class:`groupnas.engine.training_settings.Training`.
        every: Steps between two removals.
        memory: Decay of the importances' moving average for each step.
        points: How many costs on the way keep their error and weights.
        min: The fewest channels of a group in a unit.
    """

    job: ClassVar[str] = "groupnas.strategies.saliency.job:SaliencyJob"
    resizes: ClassVar[bool] = True
    fields: ClassVar[tuple[RecordField, ...]] = (
        RecordField("train_loss", "training", chart="Loss"),
        RecordField("cost", "Cost", "relative to even groups", format=".3f"),
        RecordField("validation", "Validation error", unit=ERROR, each="group", format=".2f"),
    )

    algorithm: Literal["saliency"] = "saliency"
    budget: Budget | None = Budget(total=0.5)
    arms: Annotated[tuple[Arm, ...], Field(min_length=1)] = ("free",)
    budgets: tuple[BudgetShare, ...] = ()
    down_to: BudgetShare | None = None
    widen: Annotated[float, Field(ge=1, le=8)] = 1.0
    pretrained: str | None = None
    epochs: Natural
    prune_epochs: Positive
    tune_epochs: Natural
    inherit: bool = True
    batch_size: Annotated[int, Field(ge=2, strict=True)]  # BatchNorm needs two
    validation: Annotated[float, Field(gt=0, lt=1)]
    weights: Optimizer
    average: Share = 0.0
    every: Positive = 4
    memory: Share = 0.9
    points: Positive = 24
    min: Positive = 1

    @model_validator(mode="after")
    def _can_prune(self) -> Saliency:
        if len(set(self.arms)) < len(self.arms):
            raise ValueError("arms: expected each once")
        if self.arms[0] == "full":
            raise ValueError("arms: full prunes nothing, and is a control; name it later")
        if "full" in self.arms and not self.tune_epochs:
            raise ValueError("arms: full is of no use without tune_epochs")
        if self.budget is None or self.budget.total is None:
            raise ValueError("budget.total: missing; say what the pruned network may cost")
        if len({f"{total:g}" for total in self.tuned}) < len(self.tuned):
            raise ValueError("budgets: expected each once, to six digits")
        if not self.epochs and self.pretrained is None:
            raise ValueError("epochs: expected 1 or more, as there is nothing pretrained")
        if self.weights.schedule == "plateau":
            raise ValueError("weights.schedule: plateau: expected one that says where it ends")
        if not self.rate:
            raise ValueError("weights.end_lr: expected more than 0: pruning goes on at that rate")
        return self

    @property
    def rate(self) -> float:
        """The learning rate at which the first training ends, and pruning goes on."""
        return self.weights.lr if self.weights.schedule == "constant" else self.weights.end_lr

    @property
    def tuned(self) -> tuple[float, ...]:
        """The totals of the budgets at which networks are fine-tuned, the main one first."""
        assert self.budget is not None and self.budget.total is not None
        return tuple(dict.fromkeys((self.budget.total, *self.budgets)))

    @property
    def lowest(self) -> float:
        """The total to which channels go."""
        return min(*self.tuned, self.down_to or math.inf)

    @property
    def planned(self) -> int:
        """Epochs of all trainings together."""
        tunes = sum(1 if arm == "full" else len(self.tuned) for arm in self.arms)
        return self.epochs + len(self.arms) * self.prune_epochs + tunes * self.tune_epochs

    def with_budget(self, budget: Budget | None) -> Saliency:
        """Return the same strategy with another budget; without one, its own."""
        if budget is None:
            return self
        instance("budget", budget, Budget)
        return self.with_settings(budget=budget.model_dump())

    def recorded(self) -> Recorded:
        phases = {"train": "training", "prune": "pruning"}
        plots = ("history", "trajectory")
        return replace(super().recorded(), sizes="epoch", phases=phases, plots=plots)

    def summary(self, result: Mapping[str, Any]) -> str:
        """Say how the network found does beside the whole one and controls of its own cost."""
        errors = {label: of["mean"] for label, of in result["validation_errors"].items()}
        total = f"{self.tuned[0]:g}"
        found = errors.get(f"{self.arms[0]}-{total}")
        told = [
            f"{found / errors[label] - 1:+.1%} to {label}"
            for label in ("full", *(f"{arm}-{total}" for arm in self.arms[1:]))
            if found and errors.get(label)
        ]
        return f"Error of {self.arms[0]}-{total}: {', '.join(told)}." if told else ""
