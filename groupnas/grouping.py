"""The artifact that everything else proposes, learns, counts, draws or makes fast: a grouping.

A *channel unit* is a set of layer ends that share one division of their channels into groups
(a depthwise convolution or a residual addition ties them). A :class:`Grouping` says, for every
unit, to which group each channel belongs. This module needs neither torch nor a network.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from groupnas.errors import InputError, shown
from groupnas.files import read_text
from groupnas.saved import parse_saved
from groupnas.values import as_number, as_whole, listed, names, number, text, whole
from groupnas.values import path as path_of
from groupnas.values import seed as seed_of
from groupnas.writing import write_text

if TYPE_CHECKING:
    import torch

FORMAT = 1


class Grouped(Protocol):
    """The properties of a search space that a grouping needs."""

    @property
    def name(self) -> str: ...

    @property
    def groups(self) -> tuple[str, ...]: ...

    @property
    def free_units(self) -> Mapping[str, int]:
        """Channels of every unit that may be divided, in network order."""
        ...


@dataclass(frozen=True, init=False)
class Grouping:
    """Which group every channel of every unit belongs to; always valid, never changed.

    Valid means: at least one group and one unit, every channel's group exists, and every group
    owns at least one channel of every unit (a group without one would be cut off from its output).

    Attributes:
        space: Name of the search space it was made for. A record of where it comes from: it fits
            every space with the same units and groups (:meth:`check_fits`).
        groups: Group names.
        assignments: Unit name to the group index of each channel.

    Raises:
        InputError: the values are not valid; the message names unit and channel.
    """

    space: str
    groups: tuple[str, ...]
    assignments: Mapping[str, tuple[int, ...]]

    def __init__(
        self, space: str, groups: Iterable[str], assignments: Mapping[str, Sequence[int]]
    ) -> None:
        object.__setattr__(self, "space", text("space", space))
        object.__setattr__(self, "groups", names("groups", groups))
        frozen = {text("unit", u): _indices(u, row) for u, row in _table("units", assignments)}
        object.__setattr__(self, "assignments", MappingProxyType(frozen))
        self._check()

    # -- making one -----------------------------------------------------------------------------

    @classmethod
    def even(cls, space: Grouped) -> Grouping:
        """Equal shares in contiguous blocks; what does not divide goes to the first groups."""
        return cls.manual(space, {})

    @classmethod
    def manual(cls, space: Grouped, weights: Mapping[str, float]) -> Grouping:
        """The same shares in every unit, proportional to ``weights`` (1.0 where not named).

        ``manual(space, {"nose": 0.8, "mouth": 1.2})`` takes a fifth from the nose and gives it to
        the mouth. Shares are rounded by largest remainder; every group keeps one channel.

        Raises:
            InputError: an unknown group, or a weight that is not positive and finite.
        """
        if not hasattr(space, "free_units"):  # the name of one, more often than not
            raise InputError(f"space: expected a SearchSpace, got a {type(space).__name__}")
        given = {}
        for group, weight in _table("weights", weights):
            if group not in space.groups:
                raise InputError(
                    f"unknown group {group!r}; {space.name} has: {', '.join(space.groups)}"
                )
            given[group] = number(f"weight of group {group!r}", weight, above=0)
        shares = [given.get(group, 1.0) for group in space.groups]
        return cls.from_counts(
            space,
            {
                unit: dict(
                    zip(space.groups, _apportion(channels, shares, space.name, unit), strict=True)
                )
                for unit, channels in space.free_units.items()
            },
        )

    @classmethod
    def from_counts(cls, space: Grouped, counts: Mapping[str, Mapping[str, int]]) -> Grouping:
        """Contiguous blocks of given sizes, ``counts[unit][group]`` channels each.

        Raises:
            InputError: units, groups or sums that are not the space's, or what is no whole number.
        """
        given = dict(_table("units", counts))
        _same_names("units", given, space.free_units)
        assignments = {}
        for unit, channels in space.free_units.items():
            row = dict(_table(unit, given[unit]))
            _same_names(f"groups of {unit}", row, space.groups)
            sizes = [whole(f"{unit}: {group}", row[group]) for group in space.groups]
            if min(sizes) < 0 or sum(sizes) != channels:
                raise InputError(
                    f"{unit}: {' + '.join(map(str, sizes))} channels given, it has {channels}"
                )
            assignments[unit] = [index for index, size in enumerate(sizes) for _ in range(size)]
        return cls(space.name, space.groups, assignments)

    @classmethod
    def random(cls, space: Grouped, seed: int = 0) -> Grouping:
        """Every channel's group drawn uniformly, then repaired; the same seed, the same grouping.

        This is the distribution that the argmax of Gaussian mask logits has.

        Raises:
            InputError: a seed that is no whole number from 0 to 2**63 - 1.
        """
        draw = random.Random(seed_of("seed", seed))
        scores = {
            unit: [[draw.random() for _ in space.groups] for _ in range(channels)]
            for unit, channels in space.free_units.items()
        }
        return cls.from_scores(space, scores)

    @classmethod
    def random_sizes(cls, space: Grouped, seed: int = 0) -> Grouping:
        """Group sizes drawn uniformly among all divisions of each unit with no group empty.

        Raises:
            InputError: as :meth:`random`, or a unit with fewer channels than groups.
        """
        draw = random.Random(seed_of("seed", seed))
        counts = {}
        for unit, channels in space.free_units.items():
            if channels < len(space.groups):
                raise InputError(
                    f"{space.name}: {unit}: {channels} channels cannot hold "
                    f"{len(space.groups)} groups"
                )
            cuts = sorted(draw.sample(range(1, channels), len(space.groups) - 1))
            edges = [0, *cuts, channels]
            sizes = [b - a for a, b in zip(edges, edges[1:], strict=False)]
            counts[unit] = dict(zip(space.groups, sizes, strict=True))
        return cls.from_counts(space, counts)

    @classmethod
    def from_scores(
        cls, space: Grouped, scores: Mapping[str, Sequence[Sequence[float]]]
    ) -> Grouping:
        """The best-scored group of every channel, repaired by :func:`best_valid`.

        Args:
            space: The space whose units are divided.
            scores: Unit name to a ``(C, G)`` table, higher is better.

        Raises:
            InputError: units or channels that are not the space's, or what is no number.
        """
        given = dict(_table("units", scores))
        _same_names("units", given, space.free_units)
        chosen = {}
        for unit, channels in space.free_units.items():
            rows = listed(unit, given[unit])
            if len(rows) != channels:
                raise InputError(f"{unit}: {len(rows)} rows given, it has {channels}")
            table = [[_score(unit, value) for value in listed(unit, row)] for row in rows]
            if any(len(row) != len(space.groups) for row in table):
                raise InputError(f"{unit}: expected {len(space.groups)} scores for each channel")
            chosen[unit] = best_valid(table, unit)
        return cls(space.name, space.groups, chosen)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Grouping:
        """Read a ``grouping.json``.

        Raises:
            InputError: it cannot be read, is not JSON, or is not a valid grouping; the message
                names the file, the key, the unit and the channel.
        """
        path = path_of("path", path)
        if os.path.isdir(path):
            raise InputError(
                f"{path}: is a folder; expected a file, such as a search's grouping.json"
            )
        data = parse_saved(read_text(path), path)
        try:
            return cls.from_dict(data)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, data: Any) -> Grouping:
        """The inverse of :meth:`to_dict`; raises :class:`InputError` where the data is wrong."""
        if not isinstance(data, dict):
            raise InputError(
                "expected an object with keys format, space, groups, units; "
                f"got {type(data).__name__}"
            )
        _same_names("keys", data, ("format", "space", "groups", "units"))
        if type(data["format"]) is not int or data["format"] != FORMAT:  # True == 1
            raise InputError(f"format: expected {FORMAT}, got {shown(data['format'])}")
        if not isinstance(data["space"], str):
            raise InputError(f"space: expected a name, got {shown(data['space'])}")
        groups, units = data["groups"], data["units"]
        if not isinstance(groups, list) or not all(isinstance(name, str) for name in groups):
            raise InputError(f"groups: expected a list of names, got {shown(groups)}")
        if not isinstance(units, dict):
            raise InputError(f"units: expected an object, got {type(units).__name__}")
        for unit, channels in units.items():
            if not isinstance(channels, list):
                raise InputError(
                    f"unit {unit!r}: expected a list of group indices, got {shown(channels)}"
                )
        return cls(data["space"], groups, units)

    # -- reading it -----------------------------------------------------------------------------

    @property
    def units(self) -> tuple[str, ...]:
        """Unit names, in network order."""
        return tuple(self.assignments)

    def __getitem__(self, unit: str) -> torch.Tensor:
        """Group index of each channel of a unit: int64 ``(C,)``."""
        import torch

        return torch.tensor(self.assignments[unit], dtype=torch.long)

    def __repr__(self) -> str:
        sizes = self.counts().values()
        shares = ", ".join(f"{name} {sum(row[name] for row in sizes)}" for name in self.groups)
        return f"Grouping({self.space}: {shares} channels in {len(self.assignments)} units)"

    def __hash__(self) -> int:
        # As equality does, this takes no notice of the units' order.
        return hash((self.space, self.groups, frozenset(self.assignments.items())))

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only mapping cannot be copied or pickled by itself.
        return type(self), (self.space, self.groups, dict(self.assignments))

    def counts(self) -> dict[str, dict[str, int]]:
        """Channels of every group in every unit: ``{unit: {group: channels}}``."""
        return {
            unit: {group: channels.count(index) for index, group in enumerate(self.groups)}
            for unit, channels in self.assignments.items()
        }

    def sizes(self) -> dict[str, list[int]]:
        """The same without names, in the groups' order, as run records hold it."""
        return {unit: list(row.values()) for unit, row in self.counts().items()}

    def changed(self, other: Grouping) -> int:
        """Number of channels that belong to another group in ``other``."""
        self._check_same(
            other.groups, {u: len(c) for u, c in other.assignments.items()}, other.space
        )
        return sum(
            mine != theirs
            for unit, channels in self.assignments.items()
            for mine, theirs in zip(channels, other.assignments[unit], strict=True)
        )

    def resized(self, other: Grouping) -> int:
        """Least number of channels that must change group to give every group ``other``'s size.

        Within a unit only the sizes make a difference to an untrained network: its channels are
        exchangeable. Never more than :meth:`changed`.
        """
        mine, theirs = self.counts(), other.counts()
        self.changed(other)  # raises where units or groups differ
        return sum(
            max(mine[unit][group] - theirs[unit][group], 0)
            for unit in self.units
            for group in self.groups
        )

    def check_fits(self, space: Grouped) -> None:
        """Raise :class:`InputError` unless units, widths and groups are the space's."""
        self._check_same(space.groups, space.free_units, space.name)

    # -- keeping it -----------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the public format."""
        return {
            "format": FORMAT,
            "space": self.space,
            "groups": list(self.groups),
            "units": {unit: list(channels) for unit, channels in self.assignments.items()},
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write ``grouping.json``, one unit a line, whole or not at all."""
        head = {key: value for key, value in self.to_dict().items() if key != "units"}
        units = ",\n".join(
            f"  {json.dumps(unit)}: {json.dumps(list(channels))}"
            for unit, channels in self.assignments.items()
        )
        write_text(path, f'{json.dumps(head)[:-1]}, "units": {{\n{units}\n}}}}\n')

    # -- validity -------------------------------------------------------------------------------

    def _check(self) -> None:
        if not self.groups or len(set(self.groups)) != len(self.groups):
            raise InputError(f"groups: expected distinct names, got {list(self.groups)}")
        if not self.assignments:
            raise InputError("units: expected at least one")
        for unit, channels in self.assignments.items():
            for channel, index in enumerate(channels):
                # bool is an int to Python, not to the format
                if type(index) is not int or not 0 <= index < len(self.groups):
                    raise InputError(
                        f"unit {unit!r}, channel {channel}: group index {shown(index)} is not one "
                        f"of 0..{len(self.groups) - 1}"
                    )
            for index, group in enumerate(self.groups):
                if index not in channels:
                    raise InputError(
                        f"unit {unit!r}: group {group!r} has 0 channels; every group needs at "
                        "least 1. Repair with Grouping.from_scores()"
                    )

    def _check_same(self, groups: tuple[str, ...], units: Mapping[str, int], owner: str) -> None:
        if self.groups != groups:
            raise InputError(
                f"grouping has groups {', '.join(self.groups)}; {owner} has {', '.join(groups)}"
            )
        _same_names(f"units of the grouping for {owner}", self.assignments, units)
        for unit, channels in units.items():
            if len(self.assignments[unit]) != channels:
                raise InputError(
                    f"unit {unit!r}: grouping has {len(self.assignments[unit])} channels, "
                    f"{owner} has {channels}"
                )


def best_valid(scores: Sequence[Sequence[float]], unit: str = "unit") -> list[int]:
    """Each channel's best group, changed as little as possible so that no group is empty.

    A channel without preference goes to the best-scored group that has the fewest channels so far,
    so that equal scores mean even shares. An empty group takes, from groups that own more than one
    channel, the channel that loses the least score by the change; ties go to the lower index.

    Args:
        scores: ``(C, G)``, higher is better.
        unit: Named in the error.

    Raises:
        InputError: fewer channels than groups.
    """
    groups = range(len(scores[0]))
    if len(scores) < len(groups):
        raise InputError(f"{unit}: {len(scores)} channels cannot hold {len(groups)} groups")
    chosen: list[int] = []
    for row in scores:
        chosen.append(min(groups, key=lambda group: (-row[group], chosen.count(group))))
    for group in groups:
        if group in chosen:
            continue
        donors = [c for c, owner in enumerate(chosen) if chosen.count(owner) > 1]
        taken = min(donors, key=lambda c: scores[c][chosen[c]] - scores[c][group])
        chosen[taken] = group
    return chosen


def _apportion(channels: int, shares: Sequence[float], space: str, unit: str) -> list[int]:
    """Split ``channels`` by largest remainder, at least one each."""
    if channels < len(shares):
        raise InputError(f"{space}: {unit}: {channels} channels cannot hold {len(shares)} groups")
    spare = channels - len(shares)
    largest = max(shares)  # so that no sum or product overflows
    shares = [share / largest for share in shares]
    # One channel each is given first; the shares then aim at their exact quotas.
    exact = [max(channels * share / sum(shares) - 1, 0.0) for share in shares]
    exact = [quota * spare / (sum(exact) or 1.0) for quota in exact]
    sizes = [int(quota) for quota in exact]
    by_remainder = sorted(range(len(shares)), key=lambda i: (sizes[i] - exact[i], i))
    for index in by_remainder[: spare - sum(sizes)]:
        sizes[index] += 1
    return [1 + size for size in sizes]


def _table(what: str, given: Any) -> Iterable[tuple[Any, Any]]:
    if not isinstance(given, Mapping):
        raise InputError(f"{what}: expected a mapping from names, got {type(given).__name__}")
    return given.items()


def _indices(unit: str, channels: Any) -> tuple[Any, ...]:
    """Group indices as whole numbers; what is none is left for :meth:`Grouping._check` to name."""
    found = channels if isinstance(channels, (list, tuple)) else listed(unit, channels)
    return tuple(i if type(i) is int or as_whole(i) is None else as_whole(i) for i in found)


def _score(unit: str, value: Any) -> float:
    if isinstance(value, float) and value == value:  # infinite ones are in order, too
        return value
    found = as_number(value)
    if found is None:
        raise InputError(f"{unit}: expected numbers as scores, got {value!r}")
    return found


def _same_names(what: str, given: Iterable[str], expected: Iterable[str]) -> None:
    given, expected = list(given), list(expected)
    missing = [name for name in expected if name not in given]
    unknown = [name for name in given if name not in expected]
    if missing or unknown:
        parts = [f"missing {', '.join(missing)}"] if missing else []
        parts += [f"unknown {', '.join(map(repr, unknown))}"] if unknown else []
        raise InputError(f"{what}: {'; '.join(parts)}")
