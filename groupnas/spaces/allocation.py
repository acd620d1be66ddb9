"""The result of a search: a grouping, and the space whose units have its widths."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.spaces.measure import Measure, group_cost, measure
from groupnas.spaces.space import SPACE, SearchSpace, load_space
from groupnas.values import instance, whole

if TYPE_CHECKING:
    from torch import Tensor

    from groupnas.spaces.network import GroupedNetwork


@dataclass(frozen=True, init=False)
class Allocation:
    """A network without weights: which group every channel belongs to, and in which layers.

    ``Allocation(space, grouping)`` takes a grouping of any widths: one that was found at a budget
    has other widths than the space that was searched, and the allocation's space has them too.

    Attributes:
        space: The space, with the grouping's widths.
        grouping: The grouping, which fits :attr:`space`.

    Raises:
        InputError: units or groups that are not the space's.
    """

    space: SearchSpace
    grouping: Grouping

    def __init__(self, space: SearchSpace, grouping: Grouping) -> None:
        instance("space", space, SearchSpace)
        instance("grouping", grouping, Grouping)
        widths = {unit: len(channels) for unit, channels in grouping.assignments.items()}
        if widths.keys() == space.free_units.keys():
            space = space.resized(widths)
        grouping.check_fits(space)
        object.__setattr__(self, "space", space)
        object.__setattr__(self, "grouping", grouping)

    @classmethod
    def even(cls, space: SearchSpace) -> Allocation:
        """Equal shares of every unit; see :meth:`Grouping.even`."""
        return cls(space, Grouping.even(space))

    @classmethod
    def from_counts(cls, space: SearchSpace, counts: Mapping[str, Mapping[str, int]]) -> Allocation:
        """Contiguous blocks of ``counts[unit][group]`` channels; units become as wide as that.

        Raises:
            InputError: units or groups that are not the space's, or what is no whole number.
        """
        instance("space", space, SearchSpace)
        instance("counts", counts, Mapping)
        widths = {}
        for unit, row in counts.items():
            instance(f"counts.{unit}", row, Mapping)
            widths[unit] = sum(whole(f"{unit}: {group}", row[group]) for group in row)
        space = space.resized(widths)
        return cls(space, Grouping.from_counts(space, counts))

    @classmethod
    def from_widths(cls, space: SearchSpace, widths: Mapping[str, Mapping[str, int]]) -> Allocation:
        """Return :meth:`from_counts` of ``widths[group][unit]`` channels."""
        instance("widths", widths, Mapping)
        counts: dict[str, dict[str, int]] = {}
        for group, row in widths.items():
            instance(f"widths.{group}", row, Mapping)
            for unit, channels in row.items():
                counts.setdefault(unit, {})[group] = channels
        return cls.from_counts(space, counts)

    @classmethod
    def load(cls, path: str | os.PathLike[str], space: SearchSpace | None = None) -> Allocation:
        """Read a ``grouping.json``, of whatever widths.

        Args:
            path: The file.
            space: The space; by default the one of the run in whose folder the file lies, or else
                what :func:`groupnas.load_space` finds under the name that the file gives.

        Raises:
            InputError: as :meth:`Grouping.load`; no such space, or one of other units or groups.
        """
        grouping = Grouping.load(path)
        try:
            return cls(space or _space_of(Path(path), grouping), grouping)
        except InputError as error:
            raise InputError(f"{os.fspath(path)}: {error}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the grouping; :meth:`load` reads it. See :meth:`Grouping.save`."""
        self.grouping.save(path)

    def costs(self, by: str | Measure = "mac") -> dict[str, float]:
        """The cost of every group, per image, in a measure or the one of that name.

        What joint units cost, whatever channels groups have, is not among them.
        """
        by, counts = measure(by), self.grouping.counts()
        return {
            group: group_cost(
                self.space, group, {unit: row[group] for unit, row in counts.items()}, by
            )
            for group in self.space.groups
        }

    def members(self) -> dict[str, list[list[int]]]:
        """Return the channels of every group in every unit: ``{unit: [[channel, ...], ...]}``.

        Of a joint unit it is a single list, of all.
        """
        groups = range(len(self.space.groups))
        owned = {
            unit: [[c for c, owner in enumerate(assignment) if owner == group] for group in groups]
            for unit, assignment in {**self.space.fixed, **self.grouping.assignments}.items()
        }
        return {**owned, **{unit: [list(range(n))] for unit, n in self.space.joint.items()}}

    def build(self, start: Tensor | None = None) -> GroupedNetwork:
        """Return the plain network with fresh weights (MSRA, each group's own fan-in).

        Channels are ordered by group inside each unit, so that groups are contiguous; inputs and
        outputs keep their order. Maps ``(N, C_in, H, W)`` to ``(N, outputs)``.

        Args:
            start: ``(outputs,)``, 0 by default: the biases of the output layer, whose weights are a
                hundredth of the others', so that training starts from outputs near there.
        """
        from groupnas.spaces.network import assemble

        sizes = {unit: list(map(len, groups)) for unit, groups in self.members().items()}
        network = assemble(self.space.blocks, self.space.groups, sizes)
        network.initialise(start)
        return network

    def __repr__(self) -> str:
        return f"Allocation{repr(self.grouping).removeprefix('Grouping')}"

    def __hash__(self) -> int:
        return hash(self.grouping)  # spaces hold mappings, which have none


def _space_of(path: Path, grouping: Grouping) -> SearchSpace:
    """The space of the run that a grouping's file lies in, or of the grouping's name."""
    for folder in _runs_around(path):
        space = replace(load_space(folder / SPACE), name=grouping.space)
        if space.groups == grouping.groups and {*space.free_units} == {*grouping.units}:
            return space
    try:
        return load_space(grouping.space)
    except InputError as error:
        raise InputError(f"space: {error}; give the space that it is of") from error


def _runs_around(path: Path) -> Iterator[Path]:
    """The folders with a space's file around a file: a run's, or a comparison's two above."""
    return (folder for folder in [*path.absolute().parents][:3] if (folder / SPACE).is_file())
