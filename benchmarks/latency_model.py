"""How well the cost model of layouts tells what networks take: predicted and measured, in turns.

    python benchmarks/latency_model.py [--table FILE] [--space NAME ...] [--rounds 200]

Each space is laid out with even groups, with groups of random sizes, and as one network without
groups, exported for batch 1 and timed in ONNX Runtime, on as many threads as the table is of. The
least of all rounds counts. Then: how well the table's models fit the kernels it was made of.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from groupnas import Grouping, load_space
from groupnas.cli.tables import print_table
from groupnas.deploy.export import export_onnx
from groupnas.deploy.planner import LayoutPlanner
from groupnas.latency import LatencyTable
from groupnas.latency.timing import time_side_by_side
from groupnas.onnx_tools import open_session
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import SearchSpace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, help="a latency table; groupnas's own by default")
    parser.add_argument("--space", nargs="+", default=["picasso_local", "picasso_global"])
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    table = LatencyTable.load(arguments.table) if arguments.table else LatencyTable.shipped()
    planner = LayoutPlanner(table)
    predicted: dict[str, float] = {}
    work: dict[str, Callable[[], Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.space:
            for kind, made in variants(load_space(name)).items():
                model, space = planner(made.build().eval()), made.space
                path = Path(folder) / "model.onnx"
                export_onnx(model, path, batch=1)
                predicted[f"{name}, {kind}"] = model.plan.ms
                shape = (1, sum(space.inputs.values()), *space.input_size)
                work[f"{name}, {kind}"] = call(path, shape, table.file.threads)
    times = time_side_by_side(work, rounds=arguments.rounds, least_ms=4)
    rows = [
        [name, f"{ms:.3f}", f"{times[name].least:.3f}", f"{ms / times[name].least:.2f}"]
        for name, ms in predicted.items()
    ]
    print_table([["network", "predicted ms", "measured ms", "ratio"], *rows], numbers=True)
    print()
    print(table.to_markdown(), end="")


def variants(space: SearchSpace) -> dict[str, Allocation]:
    """The allocations of a space that are timed."""
    found = {"no groups": Allocation.even(space.ungrouped())}
    if len(space.groups) > 1:
        found["even"] = Allocation.even(space)
        found["uneven"] = Allocation(space, Grouping.random_sizes(space, 0))
    return found


def call(path: Path, shape: tuple[int, ...], threads: int) -> Callable[[], Any]:
    """A call of an exported model."""
    session = open_session(path, threads)
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    return lambda: session.run(None, {"x": x})


if __name__ == "__main__":
    main()
