"""Which layout each channel unit gets: the fastest by a cost model of measured kernels.

A layer's cost depends on the layouts of the units at its two ends, and on the memory formats that
they are kept in, so that the network's cost is a sum over the edges of a graph whose nodes are the
units. Its minimum is found exactly, by eliminating one unit after the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cache, partial
from typing import get_args

import numpy as np

from groupnas.arrays import Floats
from groupnas.deploy.elimination import minimise
from groupnas.deploy.layout import FORMS, Form, Layout, fixed_layouts, free_layouts, partitions
from groupnas.deploy.network import DeployedNetwork
from groupnas.deploy.plan import LayerPlan, LayoutPlan
from groupnas.errors import InputError
from groupnas.files import nearest
from groupnas.latency.kernel import Format, Kernel, input_format, kernel_format
from groupnas.latency.table import LatencyTable
from groupnas.spaces.layer import Layer
from groupnas.spaces.network import GroupedNetwork
from groupnas.values import listed

End = tuple[int, Format]  # a unit's channels, and the format that they are kept in
Node = Callable[[int, End, End], float]  # milliseconds of a node of so many groups between two


@dataclass(frozen=True)
class UnitState:
    """The choice for a unit: its layout, and the format that it is kept in."""

    layout: Layout
    format: Format


class LayoutPlanner:
    """Lays networks out for speed.

    Args:
        table: The cost model; its ``.json`` file; by default the table that groupnas comes with.
            Measure one where the network shall run: ``groupnas bench --table FILE``.
        forms: The forms that layers may take, of :data:`groupnas.deploy.layout.FORMS`; all by
            default. Channelwise layers are always that.

    Raises:
        InputError: the file is no latency table, or a form that there is not.
    """

    def __init__(
        self,
        table: LatencyTable | str | os.PathLike[str] | None = None,
        forms: Iterable[Form] = tuple(FORMS),
    ) -> None:
        if table is None:
            table = LatencyTable.shipped()
        elif isinstance(table, (str, os.PathLike)):
            table = LatencyTable.load(table)
        elif not hasattr(table, "kernel"):
            raise InputError(f"table: expected a LatencyTable, got a {type(table).__name__}")
        self.table = table
        self.forms = frozenset(forms if isinstance(forms, Set) else listed("forms", forms))
        for form in self.forms:
            if form not in FORMS:
                raise InputError(f"forms: {form!r}: {nearest(str(form), FORMS)}")
        self._kernel = cache(self.table.kernel)
        self._reorder, self._pieces = cache(self.table.reorder), cache(self.table.pieces)

    def __call__(self, network: GroupedNetwork) -> DeployedNetwork:
        """The network in its fastest layout, BatchNorm folded into its weights.

        Outputs are the network's in evaluation mode, up to rounding; inputs and outputs keep their
        order. The network itself is not changed.

        Raises:
            InputError: a network whose groups share channels, which has no layout to choose; or a
                layer that none of :attr:`forms` fits.
        """
        return DeployedNetwork(network, self.plan(network))

    def plan(self, network: GroupedNetwork) -> LayoutPlan:
        """Return the plan that :meth:`__call__` follows; raises as it does."""
        if not network.isolated:
            raise InputError(
                "the network's groups share channels: it cannot be laid out; export it without a "
                "planner (--plain)"
            )
        states = self._states(network)
        pairs: dict[tuple[str, str], Floats] = {}
        layers = [layer for block in network.plan for layer in block.layers]
        for layer in layers:
            costs = self._costs(layer, states[layer.in_unit], states[layer.out_unit])
            ends = (layer.in_unit, layer.out_unit)
            pairs[ends] = pairs.get(ends, 0) + costs
        for block in network.plan:
            if block.plus is not None:
                unit = block.layers[-1].out_unit
                sums = self._sums(block.layers[-1], states[unit])
                pairs[unit, unit] = pairs.get((unit, unit), 0) + np.diag(sums)
        chosen = minimise({unit: len(choices) for unit, choices in states.items()}, pairs)
        best = {unit: states[unit][index] for unit, index in chosen.items()}
        plans = [self._best(layer, best[layer.in_unit], best[layer.out_unit]) for layer in layers]
        return LayoutPlan(tuple(plans), self.table.name)

    def _states(self, network: GroupedNetwork) -> dict[str, list[UnitState]]:
        """Return what each unit may be; input and output keep their channels, and are plain."""
        groups = range(len(network.groups))
        weights = [sum(row[g] / sum(row) for row in network.sizes.values()) for g in groups]
        buckets, block = partitions(weights), self.table.block
        ends = {network.plan[0].layers[0].in_unit, network.plan[-1].layers[-1].out_unit}
        states = {}
        for unit, sizes in network.sizes.items():
            fixed = unit in ends
            layouts = fixed_layouts(sizes) if fixed else free_layouts(sizes, buckets, block)
            formats: tuple[Format, ...] = ("plain",) if fixed or not block else get_args(Format)
            states[unit] = [UnitState(layout, fmt) for layout in layouts for fmt in formats]
        return states

    def _costs(
        self, layer: Layer, inputs: Sequence[UnitState], outputs: Sequence[UnitState]
    ) -> Floats:
        """``(inputs, outputs)`` milliseconds; infinite where no form fits."""
        costs = np.full((len(inputs), len(outputs)), np.inf)
        node = cache(partial(self._node, layer))  # few kernels are in many layouts
        for i, source in enumerate(inputs):
            for j, target in enumerate(outputs):
                # A unit has one state, also where a layer leads from it to itself
                if layer.in_unit != layer.out_unit or i == j:
                    forms = self._forms(node, layer, source, target)
                    costs[i, j] = min(forms, default=(np.inf,))[0]
        return costs

    def _sums(self, layer: Layer, states: Sequence[UnitState]) -> list[float]:
        """Return the cost of a sum with another block's output; blocked kernels do it for free."""
        area = layer.out_size[0] * layer.out_size[1]
        return [
            0.0 if state.format == "blocked" else self.table.addition(state.layout.channels * area)
            for state in states
        ]

    def _best(self, layer: Layer, source: UnitState, target: UnitState) -> LayerPlan:
        """The cheapest form between two states."""
        ms, form, groups = min(self._forms(partial(self._node, layer), layer, source, target))
        return LayerPlan(
            layer=layer,
            form=form,
            groups=groups,
            inputs=source.layout,
            outputs=target.layout,
            ms=ms,
        )

    def _forms(
        self, node: Node, layer: Layer, source: UnitState, target: UnitState
    ) -> list[tuple[float, Form, int]]:
        """Milliseconds, form and groups of all that a layer may be."""
        a, b = source.layout, target.layout
        ends = (a.channels, source.format), (b.channels, target.format)
        if not layer.mixes_channels:
            return [(node(a.channels, *ends), "channelwise", a.channels)]
        found: list[tuple[float, Form, int]] = []
        groups = len(a.buckets)
        if a.buckets == b.buckets and groups > 1 and layer.operation.grouped:
            form: Form = "bucketed"
            if groups == len(a.sizes):
                equal = {*a.sizes} == {a.width} and {*b.sizes} == {b.width}
                form = "native" if equal else "padded"
            if form in self.forms:
                found.append((node(groups, *ends), form, groups))
        if len(a.sizes) > 1 and "split" in self.forms:
            found.append((self._split(node, layer, source, target), "split", len(a.sizes)))
        if "dense" in self.forms or len(a.sizes) == 1:
            found.append((node(1, *ends), "dense", 1))
        return found

    def _node(self, layer: Layer, groups: int, source: End, target: End) -> float:
        """Return a layer's cost as one node, between units that are kept in these formats."""
        a, b = source[0], target[0]
        kernel = Kernel(layer, groups, a // groups, b // groups)
        output = kernel_format(kernel, self.table.block)
        ms = self._kernel(kernel)
        if source[1] != input_format(kernel, self.table.block):
            ms += self._reorder(kernel.in_elements)
        if target[1] != output:
            ms += self._reorder(kernel.out_elements)
        return ms

    def _split(self, node: Node, layer: Layer, source: UnitState, target: UnitState) -> float:
        """Return a layer's cost as a node for each group; what is cut up and joined is plain."""
        a, b = source.layout, target.layout
        whole = Kernel(layer, 1, a.channels, b.channels)
        ms = self._pieces(len(a.sizes), whole.in_elements + whole.out_elements)
        for group in a.order:
            ms += node(1, (a.slot_of[group], "plain"), (b.slot_of[group], "plain"))
        for state, elements in ((source, whole.in_elements), (target, whole.out_elements)):
            if state.format != "plain":
                ms += self._reorder(elements)
        return ms
