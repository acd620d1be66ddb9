"""Figures that need no training: layers, operations and sizes of spaces; times of models."""

from __future__ import annotations

import math
from collections.abc import Mapping

from groupnas.accountant import flops
from groupnas.landmarks.paper.runs import Runs
from groupnas.landmarks.paper.values import Answer, Question, TableRow, Value
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.layer import Layer
from groupnas.spaces.operations import (
    AveragePool,
    Conv,
    Depthwise,
    InvertedResidual,
    Linear,
    MaxPool,
)
from groupnas.spaces.rooms import Room
from groupnas.spaces.rows import Row
from groupnas.spaces.space import SearchSpace, load_space

CONVENTION = "torchstat"  # the paper's tool
_BYTES = 4  # of a weight


# What the paper calls a row's operator, its kernel in braces, and which of c and s it prints
PRINTED: Room[tuple[str, str]] = Room("the paper's table", f"{__name__}.PRINTED")
PRINTED.register(Conv)(("Conv{0}x{0}", "cs"))
PRINTED.register(InvertedResidual)(("IRB", "cs"))
PRINTED.register(Depthwise)(("Dwconv", ""))
PRINTED.register(Linear)(("Linear", "c"))
PRINTED.register(AveragePool)(("Avgpool", ""))
PRINTED.register(MaxPool)(("Maxpool", ""))


def layers(_: Runs, question: Question) -> Answer:
    """The layer table of a space, as Tables I and II print theirs."""
    space = load_space(question.measured.space)
    names = question.measured.names
    rows = space.file.layers
    before = [None, *rows]
    return Answer(
        {row.name: _layer_row(space, row, b, names) for row, b in zip(rows, before, strict=False)}
    )


def operations(_: Runs, question: Question) -> Answer:
    """Operations (G), parameters (M) and size (MB, and MiB) of even groups."""
    note = tuple(filter(None, [question.measured.note]))
    answer = {}
    for key, names in question.measured.spaces.items():
        counted = [
            flops(Allocation.even(load_space(name)), question.measured.convention) for name in names
        ]
        parameters = sum(table.total_params for table in counted)
        figures = {
            "flops": sum(table.total for table in counted) / 1e9,
            "parameters": parameters / 1e6,
            "size": _BYTES * parameters / 1e6,
            "mebibytes": _BYTES * parameters / 2**20,
        }
        answer[key] = {column: Value(figure, notes=note) for column, figure in figures.items()}
    return Answer({key: row for key, row in answer.items() if key in question.keys})


def bench(runs: Runs, question: Question) -> Answer:
    """Median milliseconds of models, one face on one thread, of the first timing that has them."""
    answer = Answer()
    for timed in runs.benches:
        told = timed.told
        for row in told["rows"]:
            if (row["batch"], row["threads"]) != (1, 1):
                continue
            for key, model in question.measured.models.items():
                if row["model"] == model and key not in answer.rows:
                    note = f"on {told['machine']}, {told['runtime']}, one thread"
                    answer.used[str(timed.path)] = None
                    answer.rows[key] = {"latency": Value(row["timing"]["median"], notes=(note,))}
    return answer


def _layer_row(
    space: SearchSpace, row: Row, before: Row | None, names: Mapping[str, str]
) -> TableRow:
    mine = [layer for layer in space.layers if layer.name.split(".")[0] == row.name]
    first, last = mine[0], mine[-1]
    operator, printed = PRINTED[row.operator]
    reads = [names.get(name, "") for name in row.reads or ([before.name] if before else [])]
    called = f" ({names[row.name]})" if row.name in names else ""
    figures = {
        "input": ", ".join(reads) if reads and all(reads) else _shape(first, "in"),
        "operator": operator.format(row.kernel),
        "t": str(row.t or "-"),
        "c": str(last.out_channels) if "c" in printed else "-",
        "n": str(row.n),
        "s": str(row.s) if "s" in printed else "-",
        "g": str(len(space.groups)),
        "output": _shape(last, "out") + called,
    }
    return {column: Value(text) for column, text in figures.items()}


def _shape(layer: Layer, end: str) -> str:
    """One side, squared, and channels; a linear layer has features alone."""
    if layer.operation.flat:
        features = layer.in_channels * math.prod(layer.taps) if end == "in" else layer.out_channels
        return f"1 × {features}"
    size, channels = (
        (layer.in_size, layer.in_channels) if end == "in" else (layer.out_size, layer.out_channels)
    )
    return f"{size[0]}² × {channels}"
