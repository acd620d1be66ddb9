"""Searched groupings against even ones: both trained from scratch, alike, and validated.

    python benchmarks/searched_against_even.py RUN ... --data 300w --data-root DATA --allow-partial

For each run folder the plain network of its grouping and that of the even one are trained on the
photos that trained the run's weights, with the same initial seed, batches and schedule, and
compared on the photos that the masks learned from. Those helped to choose the searched grouping, so
the comparison favours it if anything; test photos are not used.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import groupnas as gn
from groupnas.engine.training import Trainer, Training
from groupnas.schema import read_yaml, validate
from groupnas.spaces.derive import build
from groupnas.strategies.masks.job import BilevelSearch
from groupnas.strategies.masks.settings import MaskSearch
from groupnas.tasks import load_task


def train(search: BilevelSearch, grouping: gn.Grouping, epochs: int, seed: int) -> dict[str, float]:
    """Validation errors of a network trained from scratch, per group and in the mean."""
    torch.manual_seed(seed)
    settings = Training(
        epochs=epochs, batch_size=search.strategy.batch_size, weights=search.strategy.weights
    )
    network = build(search.space, grouping)
    trainer = Trainer(network, search.task, settings, search.split, seed)
    for _ in range(epochs):
        trainer.run_epoch()
    errors: dict[str, float] = trainer.history[-1]["validation"]
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="run folders")
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--data-root")
    parser.add_argument("--allow-partial", action="store_true")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    task = load_task(options.data, data_root=options.data_root, allow_partial=options.allow_partial)
    for run in options.runs:
        config = read_yaml(run / "config.yaml")
        space = gn.load_space(config["space"]["name"])
        strategy = validate(MaskSearch, config["strategy"], f"{run}/config.yaml: strategy")
        search = BilevelSearch(space, task, strategy, config["seed"])
        even = gn.Grouping.even(space)
        for label, grouping in (
            ("searched", gn.Grouping.load(run / "grouping.json")),
            ("even", even),
            ("random", gn.Grouping.random(space, config["seed"])),
        ):
            errors = train(search, grouping, options.epochs, config["seed"])
            cost = gn.flops(space, grouping).total / gn.flops(space, even).total
            print(f"{run.name:12} {label:9} MACs {cost:.3f} of even, {task.error_unit}:", end="")
            print(*(f"  {name} {error:.2f}" for name, error in errors.items()), flush=True)


if __name__ == "__main__":
    main()
