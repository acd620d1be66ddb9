"""Regret of every strategy on GroupBench, and what explains the optimum.

    python benchmarks/groupbench.py [--seeds 20] [--only NAME ...] [--explain]

Black-box strategies look trials up in the table; those that train do so on GroupBench's faces. All
end with a grouping that costs no more than even groups, judged by its test error. Regret is in
points of NME %, against the best of all size vectors of that cost.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

import torch
from numpy.typing import NDArray

from groupnas.budget import fit
from groupnas.engine.strategy import Optimizer, Strategy, load_strategy
from groupnas.groupbench import FIT, GroupBench, load_groupbench
from groupnas.schema import validate
from groupnas.spaces.allocation import Allocation
from groupnas.strategies.controls import Manual
from groupnas.strategies.trials.settings import Evolution, Halving, OptunaSearch, TrialSearch
from groupnas.tabular.bench import TabularBench
from groupnas.tabular.levers import Lever, best_by


@dataclass(frozen=True)
class Entry:
    """One line of the table.

    Attributes:
        name: Of the strategy.
        looks: What it learns from.
        choose: Its allocation, from the benchmark and a seed.
    """

    name: str
    looks: str
    choose: Callable[[TabularBench, int], Allocation]


def trained(name: str, looks: str, **changes: Any) -> Entry:
    """A strategy that trains on GroupBench's faces, or learns nothing."""
    return Entry(name, looks, chooser(load_strategy(name).with_settings(**changes)))


def pruned(**changes: Any) -> Entry:
    """Ours, by one training that begins at twice the widths."""
    settings = {
        "widen": 2.0,
        "down_to": None,
        "epochs": 10,
        "prune_epochs": 6,
        "validation": 0.3,
        "weights": {"lr": 0.02, "end_lr": 0.006},
    }
    looks = "one training of twice the widths, 10 + 6 epochs"
    return trained("saliency:scratch", looks, **{**settings, **changes})


def tried(kind: type[TrialSearch], trials: int, epochs: int = 15) -> Entry:
    """A black-box strategy whose trials are looked up: a run sees one training of each size."""
    settings = {
        "title": "looked up",
        "trials": trials,
        "epochs": epochs,
        "batch_size": 32,
        "validation": 0.3,
        "weights": Optimizer(lr=0.02),
    }
    strategy = validate(kind, settings, kind.__name__)
    return Entry(strategy.algorithm, f"{strategy.planned} trials, looked up", chooser(strategy))


def knapsack(trainings: int, epochs: int = 15) -> Entry:
    """Ours, by trainings from scratch that are looked up."""
    strategy = load_strategy("knapsack").with_settings(trials=trainings, epochs=epochs)
    return Entry(f"knapsack, {trainings}", f"{trainings} trials, looked up", chooser(strategy))


def chooser(strategy: Strategy) -> Callable[[TabularBench, int], Allocation]:
    """What a search ends with, at the budget that small networks can meet."""

    def choose(bench: TabularBench, seed: int) -> Allocation:
        found = bench.search(strategy.with_budget(FIT), seed).design(FIT)
        assert isinstance(found, Allocation)
        return found

    return choose


def by_outputs(bench: TabularBench, _seed: int) -> Allocation:
    """Shares by hand: as many channels as points to predict."""
    space = bench.space()
    shares = Manual(title="by outputs", weights=dict(space.outputs)).choose(space, 0)
    return fit(space, shares.grouping.counts(), FIT)


def exact_knapsack(bench: TabularBench, seed: int | None) -> Allocation:
    """The knapsack over the table's own validation curves, all sizes known."""
    curves = bench.curves(None if seed is None else seed % bench.seeds)
    sizes = bench.best_sizes(curves=curves)
    assert sizes is not None  # even groups are among them
    return bench.allocation(sizes)


ENTRIES = (
    Entry("even", "nothing", lambda bench, seed: Allocation.even(bench.space())),
    trained("random", "nothing"),
    Entry("random sizes", "nothing", trained("random", "", draw="sizes").choose),
    Entry("manual, by outputs", "nothing", by_outputs),
    tried(Halving, 45),
    tried(Evolution, 60),
    tried(OptunaSearch, 60),
    trained("gumbel:demo", "5 + 20 epochs"),
    trained("flgc:single", "25 epochs", epochs=25),
    pruned(),
    knapsack(12),
    knapsack(24),
    knapsack(60),
    trained("knapsack:slimmable", "one slimmable training, 15 epochs", epochs=15),
    Entry("knapsack, true curves", "70 sizes, one training", exact_knapsack),
    Entry("knapsack, mean curves", "70 sizes, all trainings", lambda b, _: exact_knapsack(b, None)),
)
NOT_LOOKED_UP = "kronecker chooses which connections there are, not sizes: no entry holds that."


def measure(bench: GroupBench, entry: Entry, seeds: int) -> tuple[list[float], float]:
    """Regret of every seed, and CPU seconds of a run."""
    start = time.process_time()
    found = [entry.choose(bench, seed) for seed in range(seeds)]
    seconds = (time.process_time() - start) / seeds
    return [bench.regret(one) for one in found], seconds


def rows(bench: GroupBench, entries: list[Entry], seeds: int) -> Iterator[list[str]]:
    """The table's lines, as soon as each is measured."""
    best = bench.optimum()[1]
    drawn, _ = measure(bench, next(e for e in ENTRIES if e.name == "random"), seeds)
    for entry in entries:
        regrets, seconds = measure(bench, entry, seeds)
        mean = statistics.mean(regrets)
        better = statistics.mean(r < statistics.mean(drawn) for r in regrets)
        yield [
            entry.name,
            entry.looks,
            f"{mean:.4f} ({100 * mean / best:.1f} %)",
            "-" if seeds < 2 else f"{statistics.stdev(regrets):.4f}",
            f"{max(regrets):.4f}",
            f"{100 * better:.0f} %",
            f"{seconds:.2f}",
        ]


HEADER = ["strategy", "looks at", "regret", "sd", "worst", "beat random's mean", "CPU s per run"]


def explain(bench: GroupBench) -> None:
    """Where the optimum's channels go, and what one more MAC is worth to each part."""
    space = bench.space()
    even, (kept, kept_error) = Allocation.even(space), bench.optimum(widths="kept")
    best, error = bench.optimum()
    choices = bench.choices()
    test = bench.errors(even, split="test")
    print(f"\nTest NME %: even {test['mean']:.4f}, best of the space's widths {kept_error:.4f},")
    print(f"best of any {error:.4f}; {len(choices.errors):,} groupings cost as much or less.")
    for name, found in (("even", even), ("kept widths", kept), ("optimum", best)):
        print(f"{name}: {found.grouping.counts()}")
    costs, errors = best.costs(), bench.errors(best, split="test")
    points = sum(space.outputs.values())
    print_row(
        [
            "part",
            "outputs",
            "MACs",
            "share",
            "NME % even",
            "NME % best",
            "loss of less",
            "gain of more",
        ],
        header=True,
    )
    for part, curve in bench.curves(split="test").items():
        weighed = curve.errors * space.outputs[part] / points
        before, after = slopes(curve.costs, weighed, costs[part])
        print_row(
            [
                part,
                str(space.outputs[part]),
                f"{costs[part]:,.0f}",
                f"{100 * costs[part] / sum(costs.values()):.1f} %",
                f"{test[part]:.3f}",
                f"{errors[part]:.3f}",
                f"{1e6 * before:.1f}",
                f"{1e6 * after:.1f}",
            ]
        )
    print(
        "\nloss, gain: millionths of a point of NME a MAC, along the lower hull of the part's curve"
    )


def separate(bench: GroupBench) -> None:
    """What the split between parts is worth, what each part's spread over depth, and both.

    Exact, on mean test errors, at even groups' cost or less: ``split`` keeps each part's sizes in
    even proportions, ``depth`` each part's cost.
    """
    even = Allocation.even(bench.space())
    start = bench.errors(even, split="test")["mean"]
    print()
    print_row(["searched", "sizes", "NME %", "against even"], header=True)
    for lever in get_args(Lever):
        found = best_by(bench, lever)
        error = bench.errors(found, split="test")["mean"]
        counts = found.grouping.counts()
        sizes = {part: [row[part] for row in counts.values()] for part in bench.space().groups}
        print_row([lever, str(sizes), f"{error:.4f}", f"{100 * (error / start - 1):+.2f} %"])


def slopes(costs: NDArray[Any], errors: NDArray[Any], at: float) -> tuple[float, float]:
    """What the error's lower hull falls by a unit of cost, just below and just above a cost."""
    hull: list[tuple[float, float]] = []
    for x, y in sorted(zip(costs.tolist(), errors.tolist(), strict=True)):
        if hull and y >= hull[-1][1]:
            continue
        while len(hull) > 1 and falls(hull[-2], hull[-1]) <= falls(hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    left = [falls(a, b) for a, b in zip(hull, hull[1:], strict=False) if a[0] < at]
    right = [falls(a, b) for a, b in zip(hull, hull[1:], strict=False) if b[0] > at]
    return left[-1] if left else float("inf"), right[0] if right else 0.0


def falls(a: tuple[float, float], b: tuple[float, float]) -> float:
    """How steeply a line falls."""
    return (a[1] - b[1]) / (b[0] - a[0])


def print_row(cells: list[str], header: bool = False) -> None:
    """A line of a Markdown table."""
    print(f"| {' | '.join(cells)} |", flush=True)
    if header:
        print("|" + " --- |" * len(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=[entry.name for entry in ENTRIES])
    parser.add_argument("--explain", action="store_true", help="explain the optimum, nothing else")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bench = load_groupbench()
    if not arguments.explain:
        entries = [e for e in ENTRIES if not arguments.only or e.name in arguments.only]
        print_row(HEADER, header=True)
        for row in rows(bench, entries, arguments.seeds):
            print_row(row)
        print(f"\n{NOT_LOOKED_UP}")
    explain(bench)
    separate(bench)


if __name__ == "__main__":
    main()
