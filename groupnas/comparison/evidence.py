"""The numbers of a comparison without its weights: one JSON file, to be joined with others."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groupnas import values
from groupnas.comparison.calculation import front_rows, result_rows, search_costs
from groupnas.comparison.evidence_file import damage, read, stored, write
from groupnas.comparison.plan import Piece
from groupnas.comparison.records import CellFile
from groupnas.comparison.rows import Cell, SearchTold
from groupnas.comparison.samples import SampleErrors
from groupnas.comparison.statistics import DRAWS
from groupnas.comparison.tables import Comparison, finite
from groupnas.errors import InputError, shown
from groupnas.files import nearest
from groupnas.runs.begin import first_difference, what_counts
from groupnas.schema import validate

BASELINE = "even"
# Keys of a comparison's config.yaml that must be the same where numbers are joined.
IDENTITY = ("space", "task", "training", "tolerance", "validation", "split", "measured")


@dataclass(kw_only=True)
class Evidence:
    """Costs and errors of trained networks, from which a :class:`.Comparison` is calculated.

    ``groupnas compare --export`` writes those of a folder. A script that trains networks in a way
    of its own begins with :meth:`of` and adds each of them::

        evidence = Evidence.of("300w", groups, training={"epochs": 30})
        evidence.add("free", 0, 0.5, costs, {"test": errors}, steps=9000)
        evidence.save("numbers.json")

    Attributes:
        task: Name of what was learned from.
        groups: Names of the space's groups.
        measure: Of the costs that are compared.
        identity: Plain values, which must be the same where numbers are joined.
        strategies: Settings by label; empty ones where they are not known.
        cells: Every trained network.
        searches: Of every finished search, what it cost.
        planned: Networks that were to be trained; those that are not in ``cells`` are missing.
        path: Where it lies, for messages.
    """

    task: str
    groups: tuple[str, ...]
    measure: str = "mac"
    identity: dict[str, Any] = field(default_factory=dict)
    strategies: dict[str, dict[str, Any]] = field(default_factory=dict)
    cells: dict[Piece, Cell] = field(default_factory=dict, repr=False)
    searches: dict[Piece, SearchTold] = field(default_factory=dict, repr=False)
    planned: list[Piece] = field(default_factory=list, repr=False)
    path: Path = Path("numbers.json")

    @classmethod
    def of(
        cls, task: str, groups: Sequence[str], measure: str = "mac", **identity: Any
    ) -> Evidence:
        """Return evidence with nothing in it yet.

        Args:
            task: What is learned from.
            groups: Names of the space's groups.
            measure: Of the costs that are compared; those of every network must have it.
            identity: Plain values that say what all networks share: space, training and so on.

        Raises:
            InputError: no texts, or values that JSON cannot hold.
        """
        return cls(
            task=values.text("task", task),
            groups=values.names("groups", groups),
            measure=values.text("measure", measure),
            identity=values.plain("identity", identity),
        )

    def add(
        self,
        strategy: str,
        seed: int,
        budget: float,
        costs: Mapping[str, Mapping[str, float]],
        errors: Mapping[str, SampleErrors],
        *,
        steps: int,
        seconds: float = 0.0,
        **told: Any,
    ) -> None:
        """Add a trained network.

        Args:
            strategy: Its label: letters, digits and ``. + = , - _``.
            seed: Of its training; networks of one seed are paired.
            budget: Its intended cost, relative to even groups.
            costs: By measure: what each group, or whatever adds up to the whole, costs.
            errors: By set of samples.
            steps: Optimiser steps of its training.
            seconds: CPU time of its training.
            told: Further plain values to be kept with it.

        Raises:
            InputError: values out of range, errors that do not belong to these groups, or a network
                that is there already, with other numbers.
        """
        piece = Piece(
            values.text("strategy", strategy),
            values.seed("seed", seed),
            values.number("budget", budget, above=0),
        )
        record = {
            **values.plain("told", told),
            **vars(piece),
            "costs": values.plain("costs", costs),
            "steps": values.whole("steps", steps, 1),
            "seconds": values.number("seconds", seconds),
            "errors": {name: finite(found.means()) for name, found in errors.items()},
            "counts": {name: found.counts() for name, found in errors.items()},
        }
        validate(CellFile, record, str(piece))
        self._put(Cell(piece=piece, told=record, errors=dict(errors)), str(piece))

    def add_search(self, strategy: str, seed: int, *, seconds: float, steps: int) -> None:
        """Add what a strategy's search with a seed cost: CPU seconds and optimiser steps."""
        piece = Piece(values.text("strategy", strategy), values.seed("seed", seed))
        self.searches[piece] = SearchTold(
            seconds=values.number("seconds", seconds), steps=values.whole("steps", steps, 0)
        )
        self.strategies.setdefault(piece.strategy, {})

    def _put(self, cell: Cell, origin: str) -> None:
        """Take in a network, unless it is there; raise where it does not belong here."""
        if self.measure not in cell.told["costs"]:
            raise InputError(f"{origin}: costs.{self.measure}: missing")
        for name, found in cell.errors.items():
            if set(found.groups) != set(self.groups):
                raise InputError(
                    f"{origin}: {name}: has errors of {', '.join(found.groups)}, not of "
                    f"{', '.join(self.groups)}"
                )
            shape = (len(found.sources), len(found.groups))
            if found.errors.shape != shape:
                raise InputError(f"{origin}: {name}: expected {shape} errors, one a group")
        there = self.cells.setdefault(cell.piece, cell)
        if there is not cell and (different := _difference(there, cell)):
            raise InputError(
                f"{origin}: {cell.piece} is there twice, with other {different}; leave one out"
            )
        self.strategies.setdefault(cell.piece.strategy, {})

    def joined(self, other: Evidence) -> Evidence:
        """Return the numbers of both.

        Raises:
            InputError: their identities, or settings of a strategy, differ; or a network is in both
                with other numbers.
        """
        mine, theirs = self._shared(other), other._shared(self)
        if found := first_difference(what_counts(mine), what_counts(theirs), ""):
            key, here, there = found
            raise InputError(
                f"{self.path} and {other.path} are not of one comparison: "
                f"{key.removeprefix('.')} is {shown(here)} and {shown(there)}"
            )
        strategies = {**other.strategies, **{k: v for k, v in self.strategies.items() if v}}
        labels = dict.fromkeys((*self.strategies, *other.strategies))
        both = Evidence(
            task=self.task,
            groups=self.groups,
            measure=self.measure,
            identity=self.identity,
            strategies={label: strategies.get(label, {}) for label in labels},
            cells=dict(self.cells),
            searches={**other.searches, **self.searches},
            planned=list(dict.fromkeys((*self.planned, *other.planned))),
            path=self.path,
        )
        for cell in other.cells.values():
            both._put(cell, str(other.path))
        return both

    def _shared(self, other: Evidence) -> dict[str, Any]:
        """What must be the same where this is joined with another."""
        known = {label for label, told in other.strategies.items() if told}
        identity = what_counts(self.identity)
        if isinstance(sets := identity.get("measured"), Mapping):  # of sets, those of both matter
            theirs = other.identity.get("measured")
            both = theirs if isinstance(theirs, Mapping) else {}
            identity["measured"] = {name: of for name, of in sets.items() if name in both}
        return {
            "task": self.task,
            "groups": list(self.groups),
            "measure": self.measure,
            "identity": identity,
            "strategies": {k: told for k, told in self.strategies.items() if told and k in known},
        }

    def comparison(self, baseline: str | None = None, *, draws: int = DRAWS) -> Comparison:
        """Calculate the comparison.

        Args:
            baseline: The strategy that others are compared with; ``even`` by default, and then it
                may be missing.
            draws: Of the bootstrap.

        Raises:
            InputError: no such strategy, or errors of one set that are not of the same samples.
        """
        labels = list(self.strategies)
        if baseline is not None and baseline not in labels:
            raise InputError(f"{self.path}: baseline {baseline!r}: {nearest(baseline, labels)}")
        against = baseline or (BASELINE if BASELINE in labels else None)
        budgets = list(dict.fromkeys(piece.budget for piece in (*self.planned, *self.cells)))
        cells = sorted(
            self.cells.values(),
            key=lambda cell: (
                budgets.index(cell.piece.budget),
                labels.index(cell.piece.strategy),
                cell.piece.seed,
            ),
        )
        return Comparison(
            folder=self.path,
            task=self.task,
            groups=self.groups,
            measure=self.measure,
            baseline=against,
            rows=tuple(result_rows(cells, self.measure, against, draws)),
            fronts=tuple(front_rows(cells, self.measure, against, draws)),
            searches=tuple(search_costs(self.searches, cells, against)),
            cells=tuple(cells),
            missing=tuple(piece for piece in self.planned if piece not in self.cells),
        )

    # -- the file -------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON file, whole or not at all; errors are rounded to 5 significant digits.

        Raises:
            InputError: it cannot be written, or would hold more than can be read back.
        """
        samples: list[dict[str, Any]] = []
        networks = [
            {
                "told": dict(cell.told),
                "errors": {name: stored(of, samples) for name, of in cell.errors.items()},
            }
            for cell in self.cells.values()
        ]
        searches = [
            {"strategy": piece.strategy, "seed": piece.seed, **vars(told)}
            for piece, told in self.searches.items()
        ]
        missing = [vars(piece) for piece in self.planned if piece not in self.cells]
        lists = {"networks": networks, "searches": searches, "missing": missing}
        about = {key: getattr(self, key) for key in ("task", "measure", "identity", "strategies")}
        write(path, {**about, "groups": list(self.groups), "samples": samples, **lists})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Evidence:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: the file cannot be read, is damaged, or holds no numbers of a comparison.
        """
        with damage(path):
            file, cells = read(path)
            evidence = cls(
                task=file.task,
                groups=tuple(file.groups),
                measure=file.measure,
                identity=file.identity,
                strategies=dict(file.strategies),
                planned=[Piece(one.strategy, one.seed, one.budget) for one in file.missing],
                path=Path(path),
            )
            for number, cell in enumerate(cells):
                evidence._put(cell, f"networks.{number}")
        for one in file.searches:
            evidence.add_search(one.strategy, one.seed, seconds=one.seconds, steps=one.steps)
        for piece in evidence.planned:
            evidence.strategies.setdefault(piece.strategy, {})
        return evidence


def _difference(one: Cell, other: Cell) -> str:
    """Say what differs in the numbers of two cells of one piece, times left aside."""
    if one.told["costs"] != other.told["costs"]:
        return "costs"
    if set(one.errors) != set(other.errors):
        return "sets of samples"
    samples: list[dict[str, Any]] = []
    for name, errors in one.errors.items():
        if stored(errors, samples) != stored(other.errors[name], samples):
            return f"errors on {name}"
    return ""
