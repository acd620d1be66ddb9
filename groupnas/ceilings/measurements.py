"""Measurements of the groups' errors at several costs: what a ceiling is estimated from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from groupnas.arrays import Floats, Integers
from groupnas.errors import InputError, shown
from groupnas.files import nearest
from groupnas.values import instance, listed, number, text

LEAST = 4  # measurements of a group, to fit anything
_APART = 1.2  # the dearest against the cheapest measurement of a group, at least


@dataclass(frozen=True, eq=False)
class Measurements:
    """Errors of groups at several costs, one row each, of one training or many.

    Attributes:
        group: ``(n,)``, the name of the group that each row is of.
        cost: ``(n,)``, of that group alone, in any measure that adds up over groups; > 0.
        error: ``(n,)``, of that group; > 0.
        training: ``(n,)``, which training measured it. Rows of one training share some luck.
        even: What each group costs in even groups, in the same measure; its keys are the groups.
        weights: Of every group's error in the mean over all outputs; made to add up to 1.
        shapes: By knob, ``(n,)`` numbers: how the group spread its channels over depth, 0 being
            even proportions. The best is looked for between -1 and 1. Without any knob, nothing is
            known of the depth profile.
        unit: Of the costs.
        cautions: Reasons for believing the answer less, as sentences.

    Raises:
        InputError: rows of different numbers, unknown groups, values out of range; fewer than 4
            rows of a group, or all of nearly the same cost.
    """

    group: Sequence[str]
    cost: Sequence[float]
    error: Sequence[float]
    training: Sequence[Any]
    even: Mapping[str, float]
    weights: Mapping[str, float]
    shapes: Mapping[str, Sequence[float]] = field(default_factory=dict)
    unit: str = "MACs"
    cautions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("even", "weights", "shapes"):
            instance(name, getattr(self, name), Mapping)
        rows = {name: listed(name, getattr(self, name)) for name in ("group", "training")}
        rows |= {n: _numbers(n, getattr(self, n), above=0) for n in ("cost", "error")}
        shapes = {n: _numbers(f"shapes.{n}", v) for n, v in self.shapes.items()}
        for name, values in {**rows, **shapes}.items():
            if len(values) != len(rows["group"]):
                raise InputError(
                    f"{name}: expected {len(rows['group'])} entries, as group has; got "
                    f"{len(values)}"
                )
        even = {text("even", g): number(f"even.{g}", c, above=0) for g, c in self.even.items()}
        weights = {g: number(f"weights.{g}", self.weights.get(g), above=0) for g in even}
        total = sum(weights.values())
        made = {
            **rows,
            "even": even,
            "weights": {group: weight / total for group, weight in weights.items()},
            "shapes": shapes,
            "cautions": tuple(self.cautions),
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        for group in self.group:
            if group not in self.even:
                raise InputError(f"group: {shown(group)}: {nearest(str(group), self.even)}")
        for group, ratio in zip(self.groups, self._ranges(), strict=True):
            count = list(self.group).count(group)
            if count < LEAST:
                raise InputError(
                    f"{group}: {count} measurements; a ceiling needs {LEAST} of every group: "
                    "add seeds, budgets or trainings"
                )
            if ratio < _APART:
                raise InputError(
                    f"{group}: its measurements cost nearly the same; measure it at sizes whose "
                    "costs differ by a factor of two or more"
                )

    def _ranges(self) -> list[float]:
        costs, owner = np.array(self.cost), self.owner
        own = [costs[owner == index] for index in range(len(self.groups))]
        return [float(c.max() / c.min()) if len(c) else np.inf for c in own]

    def __len__(self) -> int:
        return len(self.group)

    def __repr__(self) -> str:
        knobs = f", {', '.join(self.shapes)}" if self.shapes else ""
        return (
            f"Measurements({', '.join(self.groups)}: {len(self)} in {self.trainings} "
            f"trainings{knobs})"
        )

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the P groups."""
        return tuple(self.even)

    @property
    def trainings(self) -> int:
        """The number of trainings."""
        return len(set(self.training))

    @property
    def owner(self) -> Integers:
        """``(n,)``, the index of each row's group."""
        places = {group: index for index, group in enumerate(self.groups)}
        return np.array([places[group] for group in self.group], dtype=np.int64)

    @property
    def ratios(self) -> Floats:
        """``(n,)``, costs in units of what the group costs among even ones."""
        even = np.array(list(self.even.values()))
        return np.array(self.cost) / even[self.owner]

    @property
    def shares(self) -> Floats:
        """``(P,)``, every group's share of what even groups cost."""
        even = np.array(list(self.even.values()))
        return even / even.sum()

    @property
    def importance(self) -> Floats:
        """``(P,)``, the weights in the order of the groups."""
        return np.array(list(self.weights.values()))


def _numbers(name: str, values: Any, above: float | None = None) -> tuple[float, ...]:
    return tuple(number(name, value, above=above) for value in listed(name, values))
