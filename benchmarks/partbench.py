"""From which heterogeneity on uneven groups pay: gains on PartBench by the ratio of difficulty.

    python benchmarks/partbench.py [--seeds 20] [--ratios 1 2 4 8 16] [--only NAME ...] [-o FILE]

Four parts, the hardest so many times as hard as the easiest, once with as many points each and
once with more points the harder (1, 2, 3 and 4 times). All allocations cost no more than even
groups and are judged by their mean test error. The *ceiling* is the best of all sizes: chosen by
all draws of the table and judged by the same, which flatters it; and chosen by all draws but one
and judged by that one, in turns, which is what could be had. *split* and *depth* are the best that
one lever alone can reach. *foretold* is what :func:`groupnas.ceiling` says of both levers from 12
trainings that are looked up, the median over some seeds. Strategies look trainings up; their
intervals are 95 % ones of the mean over seeds. Writes ``benchmarks/results/partbench.json``, after
every row.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from groupbench import Entry, by_outputs, knapsack, print_row, pruned, tried
from scipy import stats

from groupnas.arrays import Floats
from groupnas.ceilings import ceiling, on_table
from groupnas.partbench import PartBench, load_partbench
from groupnas.spaces.allocation import Allocation
from groupnas.strategies.trials.settings import Evolution, Halving
from groupnas.tabular.levers import best_by
from groupnas.tabular.table import Table

OUT = Path(__file__).parent / "results" / "partbench.json"
RATIOS = (1.0, 2.0, 4.0, 8.0, 16.0)
WEIGHTS = ((1, 1, 1, 1), (1, 2, 3, 4))
TRAININGS, FORESEEN = 12, 5  # of a foretold ceiling, and how many seeds of it
EPOCHS = load_partbench().epochs
STRATEGIES = (
    knapsack(12, EPOCHS),
    knapsack(24, EPOCHS),
    pruned(batch_size=64),
    tried(Halving, 45, EPOCHS),
    tried(Evolution, 60, EPOCHS),
)


def gain(bench: PartBench, found: Allocation, other: Allocation) -> float:
    """By how many % of its error another allocation is beaten, on test samples."""
    errors = (bench.errors(each, split="test")["mean"] for each in (found, other))
    mine, theirs = errors
    return 100 * (1 - mine / theirs)


def some_draws(bench: PartBench, draws: Sequence[int]) -> PartBench:
    """The benchmark whose table has some of its draws alone."""
    table = bench.table
    about = {**table.about, "seeds": len(draws)}
    validation, test = table.validation[..., draws, :], table.test[..., draws]
    return replace(bench, table=Table(validation=validation, test=test, about=about))


def ceilings(bench: PartBench) -> dict[str, Any]:
    """Gains over even groups of the true best sizes, in %."""
    even, draws = Allocation.even(bench.space()), range(int(bench.table.about["seeds"]))
    held_out = [
        gain(
            some_draws(bench, [draw]),
            best_by(some_draws(bench, [other for other in draws if other != draw]), "both"),
            even,
        )
        for draw in draws
    ]
    best = best_by(bench, "both")
    costs, counts = best.costs(), best.grouping.counts()
    return {
        "split": gain(bench, best_by(bench, "split"), even),
        "depth": gain(bench, best_by(bench, "depth"), even),
        "both": gain(bench, best, even),
        "held_out": by_student(held_out),
        "shares": [round(cost / sum(costs.values()), 3) for cost in costs.values()],
        "sizes": {part: [row[part] for row in counts.values()] for part in costs},
    }


def foretold(bench: PartBench) -> dict[str, list[list[float]]]:
    """Gains that are foretold, in %: of every lever the low end, the median and the high end."""
    told = [ceiling(on_table(bench, TRAININGS, seed), seed=seed) for seed in range(FORESEEN)]
    found: dict[str, list[list[float]]] = {}
    for one in told:
        for name, lever in one.levers.items():
            ends = (lever.error.low, lever.error.value, lever.error.high)
            found.setdefault(name, []).append([round(100 * end, 3) for end in ends])
    return found


def spread(values: Iterable[float]) -> dict[str, Any]:
    """Values, their mean, and its 95 % interval by bootstrap."""
    found: Floats = np.array(list(values))
    drawn = np.random.default_rng(0).choice(found, (4000, len(found))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {
        "mean": float(found.mean()),
        "low": float(low),
        "high": float(high),
        "values": [round(value, 4) for value in found.tolist()],
    }


def by_student(values: Sequence[float]) -> dict[str, Any]:
    """The same with Student's interval: a bootstrap of four values would be too narrow by half."""
    found = spread(values)
    half = float(stats.sem(values) * stats.t.ppf(0.975, len(values) - 1))
    return {**found, "low": found["mean"] - half, "high": found["mean"] + half}


def row_of(
    ratio: float, weights: Sequence[int], strategies: Iterable[Entry], seeds: int
) -> dict[str, Any]:
    """All that is known of one heterogeneity."""
    bench = load_partbench(ratio, len(weights), weights)
    even, outputs = Allocation.even(bench.space()), by_outputs(bench, 0)
    found: dict[str, Any] = {
        "ratio": ratio,
        "difficulties": list(bench.difficulties),
        "weights": list(weights),
        "even_error": bench.errors(even, split="test")["mean"],
        "by_outputs": gain(bench, outputs, even),
        "ceiling": ceilings(bench),
        "foretold": foretold(bench),
        "strategies": {},
    }
    for entry in strategies:
        start = time.process_time()
        chosen = [entry.choose(bench, seed) for seed in range(seeds)]
        found["strategies"][entry.name] = {
            "looks": entry.looks,
            "over_even": spread(gain(bench, each, even) for each in chosen),
            "over_outputs": spread(gain(bench, each, outputs) for each in chosen),
            "cpu_seconds": round((time.process_time() - start) / seeds, 3),
        }
    return found


def printed(row: dict[str, Any]) -> list[str]:
    """A line of the table."""
    known, told = row["ceiling"], np.median(row["foretold"]["both"], axis=0)
    return [
        f"{row['ratio']:g}",
        " ".join(map(str, row["weights"])),
        f"{row['even_error']:.3f}",
        *(f"{known[lever]:.1f} %" for lever in ("split", "depth", "both")),
        interval(known["held_out"]),
        interval(dict(zip(("low", "mean", "high"), told, strict=True))),
        f"{row['by_outputs']:.1f} %",
        *(interval(found["over_even"]) for found in row["strategies"].values()),
    ]


def interval(found: dict[str, Any]) -> str:
    """A mean and its interval."""
    return f"{found['mean']:.1f} [{found['low']:.1f}, {found['high']:.1f}] %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--ratios", nargs="+", type=float, default=RATIOS)
    parser.add_argument("--only", nargs="*", choices=[entry.name for entry in STRATEGIES])
    parser.add_argument("-o", "--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    only = arguments.only
    strategies = [e for e in STRATEGIES if only is None or e.name in only]
    levers = ["split", "depth", "both", "both, held out", "foretold"]
    names = [entry.name for entry in strategies]
    header = ["ratio", "weights", "even, % of the side", *levers, "by outputs", *names]
    print_row(header, header=True)
    rows: list[dict[str, Any]] = []
    for weights in WEIGHTS:
        for ratio in arguments.ratios:
            rows.append(row_of(ratio, weights, strategies, arguments.seeds))
            print_row(printed(rows[-1]))
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            arguments.out.write_text(json.dumps({"format": 1, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
