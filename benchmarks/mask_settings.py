"""What the paper leaves open of the mask search, settled on GroupBench: regret of each choice.

    python benchmarks/mask_settings.py [--seeds 10] [--only NAME ...]

All differ in what their name says from hard Gumbel, first order, masks before BatchNorm, from even
groups at confidence 0.97 and random outputs, 5 + 20 epochs. Regret is in points of NME %, as in
``benchmarks/groupbench.py``; "moved" is the share of the channels that changed group, in the mean.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch

from groupnas.engine.strategy import load_strategy
from groupnas.groupbench import FIT, load_groupbench
from groupnas.schema import validate
from groupnas.spaces.allocation import Allocation
from groupnas.strategies.masks.job import BilevelSearch
from groupnas.strategies.masks.settings import MaskSearch


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Settings with some replaced, at every depth."""
    found = dict(base)
    for key, value in changes.items():
        found[key] = merged(base.get(key) or {}, value) if isinstance(value, dict) else value
    return found


BASE = {
    "initial_outputs": "random",
    "mask_every": 1,
    "masks": {"place": "before", "init": "even", "confidence": 0.97, "optimizer": {"lr": 0.2}},
}
MEAN: dict[str, Any] = {"initial_outputs": "mean"}
BEHIND: dict[str, Any] = {**MEAN, "masks": {"place": "behind"}}
ONES: dict[str, Any] = {**MEAN, "masks": {"place": "behind", "init": "ones"}}
VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "from all ones": {"masks": {"init": "ones"}},
    "soft Gumbel": {"masks": {"relaxation": "gumbel_soft"}},
    "softmax, no noise": {"masks": {"relaxation": "softmax_hard"}},
    "temperature 5 to 0.2": {"masks": {"temperature": {"start": 5.0, "end": 0.2}}},
    "masks' lr / 4": {"masks": {"optimizer": {"lr": 0.05}}},
    "entropy 0.1": {"masks": {"entropy": 0.1}},
    "second order": {"order": 2},
    "validation 0.15": {"validation": 0.15},
    "validation 0.5": {"validation": 0.5},
    "60 epochs": {"epochs": 60},
    "mean outputs": MEAN,
    "mean outputs, from all ones": {**MEAN, "masks": {"init": "ones"}},
    "mean outputs, from all ones, weights' lr 0.02": {
        **MEAN,
        "weights": {"lr": 0.02},
        "masks": {"init": "ones"},
    },
    "behind": {"masks": {"place": "behind"}},
    "behind, mean outputs": BEHIND,
    "behind, mean outputs, temperature 5": merged(
        BEHIND, {"masks": {"temperature": {"start": 5.0, "end": 5.0}}}
    ),
    "behind, mean outputs, from all ones": ONES,
    "behind, mean outputs, from all ones, weights' lr 0.02": {**ONES, "weights": {"lr": 0.02}},
    "behind, mean outputs, from all ones, masks' lr / 4": merged(
        ONES, {"masks": {"optimizer": {"lr": 0.05}}}
    ),
    "behind, mean outputs, from all ones, soft Gumbel": merged(
        ONES, {"masks": {"relaxation": "gumbel_soft"}}
    ),
    "behind, mean outputs, from all ones, 60 epochs": {**ONES, "epochs": 60},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bench = load_groupbench()
    space, task = bench.space(), bench.task()
    even = bench.regret(Allocation.even(space))
    print(f"even groups: regret {even:.4f}")
    print("| variant | regret | sd | better than even | moved | CPU s |\n|---|---|---|---|---|---|")
    base = merged(load_strategy("gumbel:demo").model_dump(), BASE)
    for name in arguments.only:
        settings = merged(base, {**VARIANTS[name], "budget": None})
        strategy = validate(MaskSearch, {**settings, "budget": FIT.model_dump()}, name)
        regrets, moved, start = [], [], time.process_time()
        for seed in range(arguments.seeds):
            with torch.random.fork_rng():
                job = BilevelSearch(space, task, strategy, seed)
                while len(job.history) < job.total_epochs:
                    job.run_epoch()
            found = job.design(FIT)
            assert isinstance(found, Allocation)
            regrets.append(bench.regret(found))
            moved.append(job.history[-1]["moved"])
        seconds = (time.process_time() - start) / arguments.seeds
        better = statistics.mean(regret < even for regret in regrets)
        deviation = "-" if len(regrets) < 2 else f"{statistics.stdev(regrets):.4f}"
        print(
            f"| {name} | {statistics.mean(regrets):.4f} | {deviation} "
            f"| {better:.0%} | {statistics.mean(moved):.0%} | {seconds:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
