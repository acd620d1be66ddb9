"""Groupings of a run, and what the layers of its space cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from groupnas.accountant import count_operations, flops
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.report.page.model import Cost, Division, LayerRate, TetrisData, UnitSizes
from groupnas.report.page.reading import Reader
from groupnas.runs.fields import Recorded
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import SearchSpace


def network(
    groupings: Sequence[tuple[str, Grouping]],
    space: SearchSpace | None,
    reader: Reader | None = None,
) -> TetrisData | None:
    """Return what the Tetris plot shows; ``None`` without a grouping.

    Args:
        groupings: Titles and groupings of the same groups, the run's start first.
        space: For what layers cost.
        reader: Of the search, whose records make the slider.
    """
    if not groupings:
        return None
    start = groupings[0][1]
    alike = [(title, found) for title, found in groupings if found.groups == start.groups]
    timeline = [
        (int(record["epoch"]), sizes)
        for record in (reader.records if reader else ())
        if (sizes := _sizes(record.get("sizes"), start)) is not None
    ]
    return TetrisData(
        space=start.space,
        groups=start.groups,
        divisions=tuple(
            Division(title=title, sizes=found.sizes(), moved=_moved(found, start))
            for title, found in alike
        ),
        epochs=tuple(epoch for epoch, _ in timeline),
        timeline=tuple(sizes for _, sizes in timeline),
        step=_step(reader.recorded) if reader else "Epoch",
        layers=_layers(space) if space and space.groups == start.groups else (),
        fixed=_fixed(space) if space and space.groups == start.groups else None,
    )


def _step(recorded: Recorded) -> str:
    """Return the kind of step that a record's sizes are of."""
    best = recorded.sizes == "best"
    return f"Best so far, {recorded.step}" if best else recorded.step.capitalize()


def cost(title: str, space: SearchSpace | None, grouping: Grouping | None) -> Cost | None:
    """MACs and parameters of a grouping; ``None`` where it does not fit the space."""
    if space is None or grouping is None:
        return None
    try:
        table = flops(Allocation(space, grouping))
    except InputError:
        return None
    return Cost(network=title, macs=table.per_group, params=table.params_per_group)


def _moved(found: Grouping, start: Grouping) -> int | None:
    try:
        return found.resized(start)
    except InputError:  # of other units or widths
        return None


def _sizes(recorded: Any, start: Grouping) -> UnitSizes | None:
    """An epoch's sizes, if they are of the run's units and groups."""
    if not isinstance(recorded, Mapping) or set(recorded) != set(start.units):
        return None
    rows = {unit: recorded[unit] for unit in start.units}
    for row in rows.values():
        if not isinstance(row, list) or len(row) != len(start.groups):
            return None
        if not all(type(size) is int and size >= 0 for size in row):
            return None
    return rows


def _layers(space: SearchSpace) -> tuple[LayerRate, ...]:
    return tuple(
        LayerRate(
            name=layer.name,
            source=layer.in_unit,
            target=layer.out_unit,
            factor=int(count_operations(layer, 1, 1)),
            mixes=layer.mixes_channels,
        )
        for layer in space.layers
        if not (layer.joint_in and layer.joint_out)  # no group's
    )


def _fixed(space: SearchSpace) -> UnitSizes:
    ends = [space.ends(group) for group in space.groups]
    return {unit: tuple(channels[unit] for channels in ends) for unit in ends[0]}
