"""PartBench's parts as a data set: ``--data partbench``, ``--data partbench:16``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from groupnas.errors import InputError
from groupnas.task import Task
from groupnas.tasks import DataSet


@dataclass(frozen=True, kw_only=True)
class PartData(DataSet):
    """The parts of one ratio of difficulty, for the space ``partbench``.

    Attributes:
        ratio: See :func:`groupnas.partbench.load_partbench`.
    """

    ratio: float = 8.0

    def load(
        self,
        *,
        root: Path | None,
        allow_partial: bool = False,
        limit: int | None = None,
        cache: bool = True,
    ) -> Task:
        """Return 1,216 samples of four parts; arguments as of :meth:`DataSet.load`."""
        import torch

        from groupnas.partbench.bench import load_partbench
        from groupnas.task import TaskSubset

        task = load_partbench(self.ratio).task()
        if limit is None or limit >= len(task.sources):
            return task
        return TaskSubset(task, torch.linspace(0, len(task.sources) - 1, limit).round().long())

    def variant(self, choice: str) -> PartData:
        """Return the parts of another ratio, 1 to 16."""
        from groupnas.partbench.bench import load_partbench

        try:
            ratio = float(choice)
        except ValueError as error:
            told = f"{self.name}:{choice}: expected a ratio of difficulty, 1 to 16"
            raise InputError(told) from error
        load_partbench(ratio)
        return replace(self, name=f"{self.name}:{choice}", ratio=ratio)


PARTS = PartData(
    name="partbench",
    summary="1,216 samples of four drawn parts, the hardest 8 times as hard as the easiest; "
    "partbench:16 for another ratio, 1 to 16",
    obtained="drawn on the spot, needs nothing",
)
