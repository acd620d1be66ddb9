"""How far searches that differ only in their seed agree: shares of MACs, and sizes unit by unit.

    python benchmarks/seed_stability.py RUN RUN ...

Prints every run's share of MACs per group, their mean and standard deviation over the runs, the
standard deviation that random groupings have, and the correlation between runs of how much each
group's size differs from even in each unit (1: the same decisions, 0: unrelated).
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from pathlib import Path

import groupnas as gn
from groupnas.schema import read_yaml


def shares(space: gn.SearchSpace, grouping: gn.Grouping) -> list[float]:
    """Percent of the MACs that each group has."""
    table = gn.flops(gn.Allocation(space, grouping))
    return [100 * macs / table.total for macs in table.per_group.values()]


def deviations(grouping: gn.Grouping) -> list[float]:
    """Size of each group in each unit, less the even size, in shares of the unit."""
    return [
        size / sum(sizes.values()) - 1 / len(sizes)
        for sizes in grouping.counts().values()
        for size in sizes.values()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="run folders of one space")
    parser.add_argument("--random", type=int, default=100, help="random groupings to compare with")
    arguments = parser.parse_args()
    space = gn.load_space(read_yaml(arguments.runs[0] / "config.yaml")["space"]["name"])
    found = {run: gn.Grouping.load(run / "grouping.json") for run in arguments.runs}

    def row(label: str, values: list[float]) -> None:
        print(f"{label:28}", *(f"{value:10.2f}" for value in values))

    print(f"{'% of MACs':28}", *(f"{group:>10}" for group in space.groups))
    table = {run: shares(space, grouping) for run, grouping in found.items()}
    for run, values in table.items():
        row(run.name, values)
    if len(found) > 1:
        columns = list(zip(*table.values(), strict=True))
        row("mean", [statistics.mean(column) for column in columns])
        row("standard deviation", [statistics.stdev(column) for column in columns])
    drawn = [shares(space, gn.Grouping.random(space, seed)) for seed in range(arguments.random)]
    row("random: mean", [statistics.mean(column) for column in zip(*drawn, strict=True)])
    row("random: deviation", [statistics.stdev(column) for column in zip(*drawn, strict=True)])
    for one, other in itertools.combinations(found, 2):
        agreement = statistics.correlation(deviations(found[one]), deviations(found[other]))
        print(f"correlation of sizes, {one.name} and {other.name}: {agreement:.2f}")


if __name__ == "__main__":
    main()
