"""Make PartBench's table: train a part of every difficulty at every size, with some draws.

    python benchmarks/partbench_table.py [--draws 4] [--check 12] [-o FILE]

100 sizes, each trained for the nine difficulties at once: one network with equal groups, whose
parts know nothing of each other. A draw is another set of samples and other fresh weights. Takes
seven minutes on one core. Every training is recorded beside the table as it ends, and a script that
was stopped goes on from there. With ``--check`` networks of unequal parts are trained as well, and
how far the table misses their errors is recorded: as it is, and where a part has each point twice.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groupnas.engine.evaluate import mean_errors
from groupnas.partbench import training
from groupnas.partbench.bench import LEVELS
from groupnas.partbench.drawing import POINTS
from groupnas.partbench.space import space_of
from groupnas.partbench.task import ERROR_UNIT, DrawnPart
from groupnas.runs.begin import versions
from groupnas.spaces.allocation import Allocation
from groupnas.tabular.table import Table

OUT = Path(__file__).parents[1] / "groupnas" / "partbench" / "table.npz"
LARGEST = {"stem": 5, "features": 20}
GROUPS = {f"level{index}": level for index, level in enumerate(LEVELS, 1)}


def sizes() -> Iterator[dict[str, int]]:
    """Every size of a part."""
    for row in itertools.product(*(range(1, most + 1) for most in LARGEST.values())):
        yield dict(zip(LARGEST, row, strict=True))


def fill(draws: int, records: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """Errors of every difficulty, size and draw, as :class:`Table` holds them; CPU seconds."""
    seconds = 0.0
    shape = (len(LEVELS), *LARGEST.values(), draws)
    validation = np.full((*shape, training.TRAINING.epochs), np.nan, np.float32)
    test = np.full(shape, np.nan, np.float32)
    for draw in range(draws):
        parts = {group: DrawnPart(level, draw) for group, level in GROUPS.items()}
        space = space_of({group: 2 * POINTS for group in GROUPS})
        for size in sizes():
            record = recorded(records, [draw, *size.values()])
            if record is None:
                equal = Allocation.from_widths(space, dict.fromkeys(GROUPS, size))
                start = time.process_time()
                errors = training.train(equal, parts)
                record = {
                    "cell": [draw, *size.values()],
                    "validation": list(errors.validation.values()),
                    "test": list(errors.test.values()),
                    "cpu_seconds": round(time.process_time() - start, 2),
                }
                with records.open("a") as file:
                    file.write(json.dumps(record) + "\n")
            stem, features = (channels - 1 for channels in size.values())
            validation[:, stem, features, draw] = record["validation"]
            test[:, stem, features, draw] = record["test"]
            seconds += record["cpu_seconds"]
            print(f"draw {draw}, {size}: {np.round(record['test'], 2)}", flush=True)
    return validation, test, seconds


def recorded(records: Path, cell: list[int]) -> Any:
    """The training of a cell, if a script before this one recorded it."""
    if str(records) not in _READ:
        lines = records.read_text().splitlines() if records.exists() else []
        _READ[str(records)] = {tuple(r["cell"]): r for r in map(json.loads, lines)}
    return _READ[str(records)].get(tuple(cell))


_READ: dict[str, dict[tuple[int, ...], Any]] = {}


def check(test: np.ndarray, count: int, weight: int) -> dict[str, Any]:
    """How far the table misses errors of four unequal parts, in points of its unit."""
    choice, missed = random.Random(0), []
    for _ in range(count):
        cells = [
            (
                choice.randrange(len(LEVELS)),
                *(choice.randrange(most) for most in LARGEST.values()),
                choice.randrange(test.shape[-1]),
            )
            for _ in range(4)
        ]
        parts = {
            f"part{index}": DrawnPart(LEVELS[level], draw, weight)
            for index, (level, *_, draw) in enumerate(cells, 1)
        }
        space = space_of({group: 2 * POINTS * weight for group in parts})
        widths = {
            group: {unit: place + 1 for unit, place in zip(LARGEST, places, strict=True)}
            for group, (_, *places, _) in zip(parts, cells, strict=True)
        }
        errors = training.train(Allocation.from_widths(space, widths), parts).test
        missed += [e - float(test[cell]) for e, cell in zip(errors.values(), cells, strict=True)]
    return {
        "networks": count,
        "mean": float(np.mean(missed)),
        "median": float(np.median(np.abs(missed))),
        "largest": float(np.max(np.abs(missed))),
    }


def constant_errors() -> dict[str, float]:
    """Test errors of the mean shape, which looks at nothing, by difficulty."""
    task = training.all_samples({g: DrawnPart(level, 0) for g, level in GROUPS.items()})
    mean, test = task.mean_output(), torch.arange(len(task.sources))[-training.TEST :]
    found = mean_errors(lambda x: mean.expand(len(x), -1), task, test, 64, "cpu")
    return {f"{level:g}": found[group] for group, level in GROUPS.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--check", type=int, default=12, help="networks with unequal parts")
    parser.add_argument("-o", "--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    records = arguments.out.with_suffix(".jsonl")
    validation, test, seconds = fill(arguments.draws, records)
    about = {
        "space": "partbench",
        "parts": [f"{level:g}" for level in LEVELS],
        "largest": LARGEST,
        "seeds": arguments.draws,
        "error_unit": ERROR_UNIT,
        "training": training.TRAINING.model_dump(mode="json"),
        "samples": {
            "train": training.TRAIN,
            "validation": training.VALIDATION,
            "test": training.TEST,
        },
        "mean_shape": constant_errors(),
        "joint_training_differs_by": check(test, arguments.check, 1),
        "points_twice_differ_by": check(test, arguments.check, 2),
        "cpu_seconds": round(seconds),
        "versions": versions(),
    }
    Table(validation=validation, test=test, about=about).save(arguments.out)
    records.unlink()
    print(about)


if __name__ == "__main__":
    main()
