"""The cost of a group's channels, in any measure that is a sum over groups and over layers.

A group's cost depends on its own channels alone, so that an allocation can be solved group by
group, and every measure takes numbers and tensors alike, so that it can be descended. Measures are
:class:`Measure` classes registered as entry points of the group ``groupnas.measures``: the built-in
ones in groupnas's own ``pyproject.toml``, others in their packages'.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Self

from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.registry import MEASURE_GROUP, Registry
from groupnas.spaces.layer import Layer
from groupnas.values import text

if TYPE_CHECKING:
    from groupnas.spaces.space import SearchSpace

_OF_FILES = "latency"  # whose measures `.json` files hold


class Measure(ABC):
    """A cost that adds up over layers and groups.

    Attributes:
        name: What it was registered as, or where its file was loaded from.
        unit: What a cost is counted in.
        million: What a million of the unit is called, where people read costs in millions.
    """

    name: str
    unit: str
    million: str = ""

    @classmethod
    def shipped(cls) -> Self:
        """The measure that the registered name means."""
        return cls()

    @abstractmethod
    def of_layer(self, layer: Layer, a: Any, b: Any) -> Any:
        """The cost of one group with ``a`` input and ``b`` output channels of a layer.

        Args:
            layer: Its shape; its own numbers of channels do not matter.
            a: A number, or a tensor of any shape.
            b: Likewise; equal to ``a`` where each channel is kept to itself.
        """

    def fixed(self, layer: Layer) -> float:
        """Return what a layer costs whatever its channels; its groups share it. Here: nothing."""
        return 0

    def caveat(self) -> str | None:
        """Return why its costs are not those of this machine, in words; ``None`` where they are."""
        return None


def measure(name: str | Measure = "mac") -> Measure:
    """The measure of a registered name, or the latency table of a ``.json`` file.

    A file is read once, until it changes.

    Args:
        name: ``mac``, ``params``, ``latency`` (the table that groupnas comes with), what another
            package registered, or a file; a measure is returned as it is.

    Raises:
        InputError: an unknown name, or a file that is no latency table.
    """
    if isinstance(name, Measure):
        return name
    if text("measure", name).lower().endswith(".json"):
        try:
            state = os.stat(name)
        except (OSError, ValueError):  # told by who reads it
            return _of_file(name, None)
        return _of_file(name, (state.st_ino, state.st_mtime_ns, state.st_size))
    if name not in MEASURES:
        known = nearest(name, MEASURES)
        raise InputError(f"measure {name!r}: {known}, or the .json file of a latency table")
    return _shipped(MEASURES.find(name))


def million(name: str) -> str:
    """Return :attr:`Measure.million`; nothing where the measure's package or file is gone."""
    try:
        return measure(name).million
    except InputError:
        return ""


def _is_measure(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, Measure)


MEASURES: Registry[type[Measure]] = Registry(
    MEASURE_GROUP, "measure", _is_measure, "class that inherits from Measure"
)


@cache
def _shipped(of: type[Measure]) -> Measure:
    return of.shipped()


@lru_cache(maxsize=8)
def _of_file(name: str, version: tuple[int, ...] | None) -> Measure:
    tables: Any = MEASURES.find(_OF_FILES)
    found: Measure = tables.load(name)
    return found


def layer_cost(layer: Layer, a: Any, b: Any, by: Measure) -> Any:
    """Return what one group costs in a layer, with the channels that it reads and puts out.

    A joint output is all groups': one of them costs what its inputs add to that. Where the input is
    joint, too, it is nothing.

    Args:
        layer: Its shape.
        a: As of :meth:`Measure.of_layer`.
        b: Likewise.
        by: The measure.
    """
    if not layer.joint_out:
        return by.of_layer(layer, a, b)
    return 0 if layer.joint_in else by.of_layer(layer, a, b) - by.of_layer(layer, 0 * a, b)


def group_cost(
    space: SearchSpace, group: str, widths: Mapping[str, Any], by: str | Measure = "mac"
) -> Any:
    """Return what one group costs, per image, with its share of what is fixed.

    What joint units cost, whatever channels groups have, is no group's.

    Args:
        space: Whose layers are counted.
        group: One of its groups.
        widths: The group's channels in every free unit: numbers, or tensors of one shape.
        by: The measure.

    Returns:
        A number or a tensor of the widths' shape, in the measure's unit; differentiable.
    """
    by = measure(by)
    sizes = {**space.ends(group), **widths}
    fixed = sum(by.fixed(layer) for layer in space.layers if not layer.joint_out)
    own = sum(
        layer_cost(layer, sizes[layer.in_unit], sizes[layer.out_unit], by) for layer in space.layers
    )
    return own + fixed / len(space.groups) if fixed else own  # whole numbers stay whole
