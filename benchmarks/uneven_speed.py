"""How fast uneven groups run, laid out or not, against even ones and against no groups.

    python benchmarks/uneven_speed.py [NAME=GROUPING.json ...] [--threads 1 2] [--json FILE]

Fresh networks of a space in ONNX Runtime, side by side in one run, batch 1. All have the MACs of
even groups within 1 %, but for *dense*, which has no groups at the same widths, and costs more:
that is what a masked network runs as. ``even`` and ``dense`` are exported as PyTorch has them; an
uneven grouping

- ``split``: as a convolution for each group, what it is derived as;
- ``padded``: with all groups padded to the largest, but where that cannot be;
- by its name alone: laid out by groupnas;
- ``x16``: laid out, with sizes that are multiples of 16 where the groups are wide enough.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from groupnas import Budget, Grouping, LayoutPlanner, export_onnx, flops, load_space
from groupnas.budget import fit
from groupnas.deploy.bench import bench
from groupnas.spaces import SearchSpace
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.derive import GroupedNetwork, build


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groupings", nargs="*", metavar="NAME=GROUPING.json")
    parser.add_argument("--space", default="picasso_local")
    parser.add_argument("--table", help="latency table to lay out by")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    space, planner = load_space(options.space), LayoutPlanner(options.table)
    padding = LayoutPlanner(planner.table, ("native", "padded", "dense"))
    even, ungrouped = Grouping.even(space), space.ungrouped()
    networks: dict[str, Any] = {
        "even": build(Allocation(space, even)),
        "dense": build(Allocation.even(ungrouped)),
    }
    laid_out = {"even laid out": planner(networks["even"])}
    for name, grouping in found(space, options.groupings).items():
        network = made(space, grouping, 1)
        networks[f"{name} split"] = network
        laid_out[f"{name} padded"] = padding(network)
        laid_out[name] = planner(network)
        laid_out[f"{name} x16"] = planner(made(space, grouping, 16))
    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, Path] = {}
        for name, module in {**networks, **laid_out}.items():
            files[name] = Path(folder) / f"{len(files)}.onnx"
            batch = options.batches[0] if len(options.batches) == 1 else None
            export_onnx(module.eval(), files[name], batch=batch)
        result = bench(
            files, batches=options.batches, threads=options.threads, rounds=options.rounds
        )
    dense = {(r.threads, r.batch): r.timing for r in result.rows if r.model == "dense"}
    print(f"{space.name}, {result.machine}, {result.runtime}")
    print("| network | threads | batch | ms | 10 % | 90 % | least | / even | dense / it |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in result.rows:
        t, faster = row.timing, dense[row.threads, row.batch].median / row.timing.median
        print(
            f"| {row.model} | {row.threads} | {row.batch} | {t.median:.3f} | {t.low:.3f} "
            f"| {t.high:.3f} | {t.least:.3f} | {row.ratio:.2f} | {faster:.2f} |"
        )
    for name, deployed in laid_out.items():
        print(f"{name}: {deployed.plan.ms:.3f} ms expected by {deployed.plan.table}")
    if options.json:
        options.json.write_text(json.dumps(result.to_dict(), indent=2) + "\n")


def found(space: SearchSpace, given: list[str]) -> dict[str, Grouping]:
    """The groupings of the arguments; without any, random ones and a lopsided one."""
    if given:
        pairs = (argument.split("=", 1) for argument in given)
        return {name: Grouping.load(path) for name, path in pairs}
    weights = {group: 1.0 + 2.0 * (group == space.groups[-1]) for group in space.groups}
    return {"random": Grouping.random(space, 0), "lopsided": Grouping.manual(space, weights)}


def made(space: SearchSpace, grouping: Grouping, divisor: int) -> GroupedNetwork:
    """The network of a grouping's proportions at the MACs of even groups."""
    budget = Budget.model_validate({"divisor": divisor})
    found = fit(space, grouping.counts(), budget)
    torch.manual_seed(0)
    network = found.build()
    even = flops(Allocation.even(space)).total
    assert abs(flops(found).total / even - 1) <= 0.01
    return network


if __name__ == "__main__":
    main()
