"""The kinds of sources that a definition may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from groupnas.landmarks.paper.compared import comparison_errors, comparison_operations
from groupnas.landmarks.paper.counted import bench, layers, operations
from groupnas.landmarks.paper.evaluated import evaluation
from groupnas.landmarks.paper.runs import Runs
from groupnas.landmarks.paper.values import Answer, Question

SOURCES: Mapping[str, Callable[[Runs, Question], Answer]] = {
    "bench": bench,
    "comparison_errors": comparison_errors,
    "comparison_operations": comparison_operations,
    "evaluation": evaluation,
    "layers": layers,
    "operations": operations,
}
