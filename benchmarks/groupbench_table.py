"""Make GroupBench's table: train every part at every size, with some seeds.

    python benchmarks/groupbench_table.py [--seeds 10] [--check 3] [-o FILE]

70 sizes, all that a part can have where units keep their widths, each trained for the three parts
at once: one network with equal groups, whose parts know nothing of each other. Takes a quarter of
an hour on one core. With ``--check`` some groupings with
unequal parts are trained as well, and how far the table misses their errors is recorded.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groupnas.engine.evaluate import mean_errors
from groupnas.groupbench import Table, training
from groupnas.runs.begin import versions
from groupnas.spaces import SearchSpace, load_space
from groupnas.spaces.allocation import Allocation

OUT = Path(__file__).parents[1] / "groupnas" / "groupbench" / "table.npz"


def largest_sizes(space: SearchSpace) -> dict[str, int]:
    """What is left of every unit for a part where the others have a channel each."""
    return {unit: channels - len(space.groups) + 1 for unit, channels in space.free_units.items()}


def fill(space: SearchSpace, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors of every part, size and seed, as :class:`Table` holds them."""
    largest = largest_sizes(space)
    shape = (len(space.groups), *largest.values(), seeds)
    validation = np.full((*shape, training.TRAINING.epochs), np.nan, np.float32)
    test = np.full(shape, np.nan, np.float32)
    sizes = itertools.product(*(range(1, most + 1) for most in largest.values()))
    for place, (size, seed) in enumerate(itertools.product(list(sizes), range(seeds))):
        widths = dict(zip(space.free_units, size, strict=True))
        equal = Allocation.from_widths(space, dict.fromkeys(space.groups, widths))
        errors = training.train(equal, seed)
        cell = (*(channels - 1 for channels in size), seed)
        for index, part in enumerate(space.groups):
            validation[index][cell] = errors.validation[part]
            test[index][cell] = errors.test[part]
        if seed == seeds - 1:
            print(f"{(place + 1) // seeds} sizes done, {size}: {errors.test}", flush=True)
    return validation, test


def check(space: SearchSpace, test: np.ndarray, count: int) -> dict[str, Any]:
    """How far the table misses part errors of networks with unequal groups, in points of NME."""
    draw, missed = random.Random(0), []
    for number in range(count):
        sizes = {
            part: {unit: draw.randint(1, most) for unit, most in largest_sizes(space).items()}
            for part in space.groups
        }
        seed = number % test.shape[-1]
        errors = training.train(Allocation.from_widths(space, sizes), seed)
        for index, (part, widths) in enumerate(sizes.items()):
            cell = (*(channels - 1 for channels in widths.values()), seed)
            missed.append(abs(errors.test[part] - float(test[index][cell])))
    return {
        "networks": count,
        "median": float(np.median(missed)),
        "largest": float(np.max(missed)),
    }


def constant_errors() -> dict[str, float]:
    """Test errors of the mean shape, which looks at nothing."""
    task = training.all_samples()
    mean, test = task.mean_output(), torch.arange(len(task.sources))[-training.TEST :]
    assert mean is not None
    return mean_errors(
        lambda x: mean.expand(len(x), -1), task, test, training.TRAINING.batch_size, "cpu"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--check", type=int, default=20, help="groupings with unequal parts")
    parser.add_argument("-o", "--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    space = load_space("groupbench")
    task = training.all_samples()
    start = time.process_time()
    validation, test = fill(space, arguments.seeds)
    seconds = time.process_time() - start
    about = {
        "space": space.name,
        "parts": list(space.groups),
        "largest": largest_sizes(space),
        "seeds": arguments.seeds,
        "error_unit": task.error_unit,
        "training": training.TRAINING.model_dump(mode="json"),
        "faces": {
            "task": task.name,
            "fingerprint": task.fingerprint(),
            "crop": training.CROP,
            "train": training.TRAIN,
            "validation": training.VALIDATION,
            "test": training.TEST,
        },
        "mean_shape": constant_errors(),
        "joint_training_differs_by": check(space, test, arguments.check),
        "cpu_seconds": round(seconds),
        "versions": versions(),
    }
    Table(validation=validation, test=test, about=about).save(arguments.out)
    print(about)


if __name__ == "__main__":
    main()
