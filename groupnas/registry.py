"""Things that packages offer by name, groupnas itself among them: entry points of one group."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from groupnas.errors import InputError
from groupnas.files import nearest

MEASURE_GROUP = "groupnas.measures"  # of entry points; help names them without loading any
T = TypeVar("T")


class Registry(Collection[str], Generic[T]):
    """The names that installed packages offer, and what they mean; loaded when asked for.

    It holds names, sorted: ``"even" in ALGORITHMS``. A package that is broken is known by its names
    all the same, and is told of by :meth:`find` alone.

    Args:
        group: Of the entry points, e.g. ``groupnas.strategies``.
        noun: What one is called in errors.
        fits: Whether what an entry point leads to is one.
        expected: What it must be, in errors.
    """

    def __init__(self, group: str, noun: str, fits: Callable[[object], bool], expected: str):
        self.group, self._noun, self._fits, self._expected = group, noun, fits, expected

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries()))

    def __len__(self) -> int:
        return len(self._entries())

    def __contains__(self, name: object) -> bool:
        return name in self._entries()

    def find(self, name: str, origin: str = "") -> T:
        """Load what a name means.

        Args:
            name: One of the names.
            origin: The file that asks, to begin errors with.

        Raises:
            InputError: an unknown name, one that two packages offer, or one whose package is
                broken.
        """
        place = f"{origin}: " if origin else ""
        offered = self._entries().get(name)
        if offered is None:
            raise InputError(f"{place}unknown {self._noun} {name!r}; {nearest(name, self)}")
        told = f"{place}{self._noun} {name!r}"
        if len(offered) > 1:
            raise InputError(
                f"{told} is offered twice: {' and '.join(offered)}; uninstall one of the packages"
            )
        ((value, entry),) = offered.items()
        try:
            found = entry.load()
        except Exception as error:  # another's code, that may do anything while it is imported
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{told} cannot be loaded: {value}: {reason}") from error
        if not self._fits(found):
            raise InputError(f"{told} cannot be loaded: {value} is no {self._expected}")
        return found

    def _entries(self) -> dict[str, dict[str, EntryPoint]]:
        return offered(self.group)


def offered(group: str) -> dict[str, dict[str, EntryPoint]]:
    """Return each name of a group with where it leads: one place, unless packages are at odds."""
    return _found(group, tuple(sys.path))


@lru_cache(maxsize=32)
def _found(group: str, path: tuple[str, ...]) -> dict[str, dict[str, EntryPoint]]:
    """Return what packages offer, as they are looked for along ``sys.path``."""
    found: dict[str, dict[str, EntryPoint]] = {}
    for entry in entry_points(group=group):
        found.setdefault(entry.name, {}).setdefault(entry.value, entry)
    return found
