"""Where the bars, labels and legend of one Tetris panel stand; all lengths in points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from groupnas.grouping import Grouping
from groupnas.report.figure import shorten, text_width

PAGE = 516.0  # text width of a two-column paper; only many units make a picture wider
LEFT, MARGIN = 38.0, 6.0
TITLE, NOTE, LABEL, SMALL = 8.0, 6.5, 6.0, 5.5  # font sizes
LEGEND_ROW = 9.5
GAP = 0.7  # white between cells
_STAGE_GAP = 3.0
_NARROWEST, _WIDEST = 15.0, 60.0  # bars: three digits fit in the one, the other is wide enough
_LONGEST_LABEL, _LONGEST_GROUP = 150.0, 90.0


@dataclass(frozen=True)
class TetrisLayout:
    """The frame of a panel, which follows from its units and groups alone.

    Attributes:
        lefts: Left edge of every bar.
        bar: Width of a bar.
        tall: Height of a bar.
        leaves: Label of every bar.
        stages: Name, first and last bar of every bracket under the labels.
        flat: Whether the labels fit side by side, unrotated.
        totals: Channels of every unit.
        flat_totals: Whether these fit side by side, unrotated.
        legend: Names of the groups as the legend shows them.
        legend_column: Width of one of its columns.
    """

    lefts: tuple[float, ...]
    bar: float
    tall: float
    leaves: tuple[str, ...]
    stages: tuple[tuple[str, int, int], ...]
    flat: bool
    totals: tuple[int, ...]
    flat_totals: bool
    legend: tuple[str, ...]
    legend_column: float

    @classmethod
    def of(cls, grouping: Grouping) -> TetrisLayout:
        """The layout of a grouping; groupings of equal units and groups have equal layouts."""
        groups, units = grouping.groups, grouping.units
        tall = min(100.0 + 9.0 * max(0, len(groups) - 5), 190.0)
        legend = tuple(shorten(group, NOTE, _LONGEST_GROUP) for group in groups)
        legend_column = 18.0 + max(text_width(group, NOTE) for group in legend)
        columns = -(-len(groups) // int(tall // LEGEND_ROW))
        room = PAGE - LEFT - 2 * MARGIN - columns * legend_column
        stages = _stages(units, _bar(room, len(units)))
        openings = {first for _, first, _ in stages} | {last + 1 for _, _, last in stages}
        openings -= {0, len(units)}
        bar = _bar(room - _STAGE_GAP * len(openings), len(units))
        leaves = list(units)
        for name, first, last in stages:
            leaves[first : last + 1] = [u[len(name) + 1 :] for u in units[first : last + 1]]
        leaves = [shorten(leaf, LABEL, _LONGEST_LABEL) for leaf in leaves]
        totals = tuple(len(channels) for channels in grouping.assignments.values())
        return cls(
            lefts=tuple(
                LEFT + bar * index + _STAGE_GAP * sum(opening <= index for opening in openings)
                for index in range(len(units))
            ),
            bar=bar,
            tall=tall,
            leaves=tuple(leaves),
            stages=tuple(stages),
            flat=all(text_width(leaf, LABEL) <= bar - 3 for leaf in leaves),
            totals=totals,
            flat_totals=all(text_width(str(total), SMALL) <= bar - 1.5 for total in totals),
            legend=legend,
            legend_column=legend_column,
        )

    @property
    def right(self) -> float:
        """Right edge of the last bar."""
        return self.lefts[-1] + self.bar

    @property
    def legend_rows(self) -> int:
        return int(self.tall // LEGEND_ROW)

    @property
    def width(self) -> float:
        columns = -(-len(self.legend) // self.legend_rows)
        return self.right + 2 * MARGIN + columns * self.legend_column

    @property
    def labels_height(self) -> float:
        """Height of the labels without their brackets."""
        if self.flat:
            return LABEL + 2
        return max(text_width(leaf, LABEL) for leaf in self.leaves)

    @property
    def foot(self) -> float:
        """Height of all that stands under the bars."""
        return self.labels_height + 5 + (13 if self.stages else 0)

    @property
    def head(self) -> float:
        """Height of the numbers of channels above the bars."""
        if self.flat_totals:
            return SMALL + 5
        return max(text_width(str(total), SMALL) for total in self.totals) + 5


def _bar(room: float, units: int) -> float:
    return min(max(room / units, _NARROWEST), _WIDEST)


def _stages(units: Sequence[str], bar: float) -> list[tuple[str, int, int]]:
    """Neighbours whose names start alike up to a dot, where that name fits under their bars."""
    found, first = [], 0
    for name, members in groupby(units, key=lambda unit: unit.partition(".")[0]):
        several = list(members)
        last = first + len(several) - 1
        fits = text_width(name, NOTE) <= bar * len(several) - 4
        if len(several) > 1 and fits and all(unit.partition(".")[2] for unit in several):
            found.append((name, first, last))
        first = last + 1
    return found
