"""Does a searched allocation pay on parts that are no face's? Bees, split by bee, and a mouse.

    GROUPNAS_DATA=DATA python benchmarks/keypoints.py bees --pilot
    GROUPNAS_DATA=DATA python benchmarks/keypoints.py mouse --seeds 3 --budgets 0.5 0.25

``--pilot`` trains even groups at several rates and lengths, and shows each part's error; the
settings below were chosen by it, on validation. Without it, every seed trains a network at full
width and prunes it by importance (``saliency``), freely and in the controls ``parts``, ``depth``,
``uniform`` and ``full``; what ``--strategies`` find is trained from scratch at the same costs for
as many epochs. Errors of every test sample go to ``OUT/ANIMAL/ANIMAL.json``. What is finished
there is not done again.
"""

from __future__ import annotations

import argparse
import os
import time
from functools import partial
from pathlib import Path

import torch
from keypoint_tasks import SUBJECTS, KeypointTask
from pruned import add_pruned, on_samples

import groupnas as gn
from groupnas.cli.tables import print_table
from groupnas.comparison import Evidence
from groupnas.comparison.plan import SPLIT_SEED, labelled
from groupnas.comparison.samples import Scorer
from groupnas.engine.split import split_by_source
from groupnas.engine.strategy import Optimizer, Strategy, load_strategy
from groupnas.engine.training import Trainer
from groupnas.runs.folder import CONFIG
from groupnas.strategies.saliency.settings import Saliency

VALIDATION = 0.25  # of the sources that do not test: a bee has up to 46 frames
BATCH, RATE, AVERAGE = 8, 0.01, 0.99
EPOCHS = {"bees": (100, 30, 50), "mouse": (200, 60, 100)}  # at full width, pruned, fine-tuned
ARMS = ("free", "parts", "depth", "uniform", "full")


def load(animal: str, root: Path, test: bool = False) -> KeypointTask:
    """The task of an animal: what trains and validates, or what tests."""
    return SUBJECTS[animal].task(root, test=test)


def on_test(animal: str, root: Path) -> Scorer:
    """A measurement of networks on the animals that are held out from everything."""
    return on_samples(load(animal, root, test=True), BATCH)


def training(epochs: int, rate: float = RATE) -> gn.Training:
    """How networks are trained from scratch."""
    weights = Optimizer(lr=rate, schedule="cosine", warmup=0.05)
    return gn.Training(epochs=epochs, batch_size=BATCH, weights=weights, average=AVERAGE)


def pilot(animal: str, root: Path, rates: list[float], lengths: list[int]) -> None:
    """Train even groups, one seed, and print every part's errors."""
    task, space, score = load(animal, root), SUBJECTS[animal].space(), on_test(animal, root)
    split = split_by_source(task.sources, VALIDATION, SPLIT_SEED)
    header = ["rate", "epochs", "best", "CPU s an epoch", "side", *space.groups, "mean"]
    rows = [header]
    for rate, epochs in ((rate, epochs) for epochs in lengths for rate in rates):
        torch.manual_seed(0)
        network = gn.Allocation.even(space).build(task.mean_output())
        trainer, start = Trainer(network, task, training(epochs, rate), split), time.process_time()
        for _ in range(epochs):
            trainer.run_epoch()
        seconds = (time.process_time() - start) / epochs
        network.load_state_dict(trainer.best)
        sides = {
            "train": trainer.history[-1]["train_error"],
            "validation": trainer.history[trainer.best_epoch - 1]["validation"],
            "test": score(network.eval()).means(),
        }
        settings = [f"{rate:g}", str(epochs), str(trainer.best_epoch), f"{seconds:.2f}"]
        rows += [
            [*settings, side, *(f"{errors[name]:.2f}" for name in header[5:] if name in errors)]
            for side, errors in sides.items()
        ]
    print_table(rows)


def searching(names: list[str], epochs: int) -> dict[str, Strategy]:
    """Strategies by label; those that train do so as networks here are trained, 12 at most."""
    common = {"epochs": epochs, "batch_size": BATCH, "validation": VALIDATION, "trials": 12}
    found = labelled(names)
    for label, strategy in found.items():
        fields = type(strategy).model_fields
        changes = {key: value for key, value in common.items() if key in fields}
        found[label] = strategy.with_settings(**changes)
    return found


def pruning(budgets: list[float], epochs: tuple[int, int, int]) -> Saliency:
    """The search: pruned freely, and its controls."""
    train, prune, tune = epochs
    found = load_strategy("saliency").with_settings(
        arms=ARMS,
        budget={"total": budgets[0]},
        budgets=budgets[1:],
        epochs=train,
        prune_epochs=prune,
        tune_epochs=tune,
        batch_size=BATCH,
        validation=VALIDATION,
        weights={"lr": RATE, "end_lr": 0.3 * RATE},
        average=AVERAGE,
    )
    assert isinstance(found, Saliency)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("animal", choices=SUBJECTS)
    parser.add_argument("--data-root", default=os.environ.get("GROUPNAS_DATA"))
    parser.add_argument("--out", type=Path, default=Path("runs/keypoints"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--strategies", nargs="*", default=["even", "random", "knapsack"])
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.5, 0.25])
    parser.add_argument("--epochs", type=int, nargs=3, help="at full width, pruned, fine-tuned")
    parser.add_argument("--pilot", action="store_true", help="even groups at --rates and --lengths")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.0025, 0.005, 0.01])
    parser.add_argument("--lengths", type=int, nargs="+", default=[60, 150])
    options = parser.parse_args()
    animal, out = options.animal, options.out / options.animal
    folder = SUBJECTS[animal].folder
    if options.data_root is None or not (Path(options.data_root) / folder).is_dir():
        raise SystemExit(f"keypoints: needs {folder}/ in --data-root or GROUPNAS_DATA; skipped")
    root = Path(options.data_root)
    torch.set_num_threads(1)
    if options.pilot:
        return pilot(animal, root, options.rates, options.lengths)
    subject, task = SUBJECTS[animal], load(animal, root, test=True)
    numbers = out / f"{animal}.json"
    print(
        f"{animal}: {len(task.sources)} test samples of {len(set(task.sources))} {subject.sources}"
    )
    epochs = tuple(options.epochs or EPOCHS[animal])
    strategy = pruning(options.budgets, epochs)
    groups = subject.space().groups
    evidence = Evidence.of(animal, groups, validation=VALIDATION, epochs=epochs, rate=RATE)
    for seed in range(options.seeds):
        add_pruned(
            evidence,
            subject.space(),
            load(animal, root),
            strategy,
            seed,
            out / f"saliency-{seed}",
            on_test(animal, root),
        )
        evidence.save(numbers)
    if options.strategies:
        compared = gn.compare(
            subject.space(),
            partial(load, animal, root),
            searching(options.strategies, epochs[0]),
            out / "scratch",
            training=training(sum(epochs)),
            seeds=range(options.seeds),
            budgets=options.budgets,
            validation=VALIDATION,
            more={"test": partial(on_test, animal, root)},
            resume=(out / "scratch" / CONFIG).is_file(),
            jobs=1,
        )
        for cell in compared.cells:
            piece, told, errors = cell.piece, cell.told, {"test": cell.errors["test"]}
            assert piece.budget is not None
            evidence.add(
                piece.strategy, piece.seed, piece.budget, told["costs"], errors, steps=told["steps"]
            )
        evidence.save(numbers)
    print(Evidence.load(numbers).comparison("uniform"))


if __name__ == "__main__":
    main()
