"""The kinds of sources that a definition may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from groupnas.report.paper.compared import comparison_errors, comparison_operations
from groupnas.report.paper.counted import bench, layers, operations
from groupnas.report.paper.evaluated import evaluation
from groupnas.report.paper.runs import Runs
from groupnas.report.paper.values import Answer, Question

SOURCES: Mapping[str, Callable[[Runs, Question], Answer]] = {
    "bench": bench,
    "comparison_errors": comparison_errors,
    "comparison_operations": comparison_operations,
    "evaluation": evaluation,
    "layers": layers,
    "operations": operations,
}
