"""What groups cost, in any measure that is a sum over parts and over layers.

A part's cost depends on its own channels alone, so that an allocation can be solved part by part,
and every measure takes numbers and tensors alike, so that it can be descended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from groupnas.accountant import count_operations, count_parameters
from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.grouping import Grouping
from groupnas.spaces.layer import Layer
from groupnas.spaces.space import SearchSpace


class Measure(Protocol):
    """A cost that adds up over layers and groups."""

    @property
    def name(self) -> str:
        """``mac``, ``params``, or where a table was loaded from."""
        ...

    @property
    def unit(self) -> str:
        """What a cost is counted in."""
        ...

    def of_layer(self, layer: Layer, a: Any, b: Any) -> Any:
        """The cost of one group with ``a`` input and ``b`` output channels of a layer.

        Args:
            layer: Its shape; its own numbers of channels do not matter.
            a: A number, or a tensor of any shape.
            b: Likewise; equal to ``a`` where each channel is kept to itself.
        """
        ...

    def fixed(self, layer: Layer) -> float:
        """What a layer costs whatever its channels; its groups share it."""
        ...


class _Macs:
    name, unit = "mac", "MAC"

    def of_layer(self, layer: Layer, a: Any, b: Any) -> Any:
        return count_operations(layer, a, b)

    def fixed(self, layer: Layer) -> float:
        return 0


class _Parameters:
    name, unit = "params", "parameters"

    def of_layer(self, layer: Layer, a: Any, b: Any) -> Any:
        return count_parameters(layer, a, b)

    def fixed(self, layer: Layer) -> float:
        return 0


MEASURES: Mapping[str, Measure] = {"mac": _Macs(), "params": _Parameters()}


def measure(name: str) -> Measure:
    """What a name means: ``mac``, ``params``, ``latency`` (the table that groupnas comes with), or
    the latency table of a ``.json`` file.

    Raises:
        InputError: an unknown name, or a file that is no latency table.
    """
    if name == "latency" or name.lower().endswith(".json"):
        from groupnas.latency.table import LatencyTable

        return LatencyTable.shipped() if name == "latency" else LatencyTable.load(name)
    if name not in MEASURES:
        known = nearest(name, [*MEASURES, "latency"])
        raise InputError(f"measure {name!r}: {known}, or the .json file of a latency table")
    return MEASURES[name]


def part_cost(
    space: SearchSpace, group: str, widths: Mapping[str, Any], measure: Measure = MEASURES["mac"]
) -> Any:
    """What one group costs, per image, with so many channels, and its share of what is fixed.

    Args:
        space: Whose layers are counted.
        group: One of its groups.
        widths: The group's channels in every free unit: numbers, or tensors of one shape.
        measure: What is counted.

    Returns:
        A number or a tensor of the widths' shape, in the measure's unit; differentiable.
    """
    index = space.groups.index(group)
    ends = {unit: channels.count(index) for unit, channels in space.fixed.items()}
    sizes = {**ends, **widths}
    fixed = sum(measure.fixed(layer) for layer in space.layers)
    own = sum(
        measure.of_layer(layer, sizes[layer.in_unit], sizes[layer.out_unit])
        for layer in space.layers
    )
    return own + fixed / len(space.groups) if fixed else own  # whole numbers stay whole


def grouping_costs(
    space: SearchSpace, grouping: Grouping, measure: Measure = MEASURES["mac"]
) -> dict[str, float]:
    """What every group of a grouping costs.

    Raises:
        InputError: the grouping does not fit the space, whatever the units' widths.
    """
    space.fitted(grouping)
    counts = grouping.counts()
    return {
        group: part_cost(
            space, group, {unit: counts[unit][group] for unit in space.free_units}, measure
        )
        for group in space.groups
    }
