"""GroupBench: three parts of the drawn faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from groupnas.spaces.space import SearchSpace, load_space
from groupnas.tabular.bench import TabularBench
from groupnas.tabular.table import Table

if TYPE_CHECKING:
    from groupnas.task import Task


@dataclass(frozen=True, eq=False)
class GroupBench(TabularBench):
    """Every grouping of a small network of three parts of drawn faces.

    Errors are in % of the inter-ocular distance (NME %). All groups of a training have its seed.
    """

    def __repr__(self) -> str:
        groups = ", ".join(self.table.about["parts"])
        return f"GroupBench({groups}; {self.seeds} seeds, {self.epochs} epochs)"

    def space(self) -> SearchSpace:
        """Return the space to search: ``search_spaces/groupbench.yaml``."""
        return self._space

    def task(self, seed: int = 0) -> Task:
        """Return the samples that may be learned from, the same for all seeds; needs torch."""
        from groupnas.groupbench.training import search_task

        return search_task()

    @cached_property
    def _space(self) -> SearchSpace:
        return load_space("groupbench")

    def _rows(self) -> Sequence[int]:
        return range(len(self.table.about["parts"]))

    def _draws(self, seed: int) -> Sequence[int]:
        return [seed] * len(self.table.about["parts"])


@cache
def load_groupbench() -> GroupBench:
    """Return GroupBench with the table that groupnas ships."""
    return GroupBench(Table.load(Path(__file__).parent / "table.npz"))
