"""How GroupBench's networks are trained: part by part the same, whatever the other parts have.

With all masks tied a part's outputs depend on its own inputs and channels alone, and an optimiser
that treats every weight by itself (Adam) keeps the parts apart in training too. What is left to do
is to make nothing random depend on the other parts: a part's fresh weights are drawn from
``(seed, part, its sizes)``, and batches and augmentation from the seed. A part's error is then a
function of ``(part, its sizes, seed)``, which is what the table holds. The last epoch's network is
judged: to keep the best epoch would tie the parts together.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from groupnas.engine.evaluate import mean_errors
from groupnas.engine.split import Split
from groupnas.engine.strategy import Optimizer
from groupnas.engine.training import Trainer
from groupnas.engine.training_settings import Training
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.pieces import GroupWeights, read_pieces, write_pieces
from groupnas.spaces.space import SearchSpace
from groupnas.task import Task, TaskParts, TaskSubset
from groupnas.tasks import load_task

PARTS = ("left_eye", "nose", "mouth")
CROP = 16  # pixels
TRAIN, VALIDATION, TEST = 480, 200, 320  # of the 1,000 drawn samples, in their order
TRAINING = Training(
    epochs=15,
    batch_size=32,
    weights=Optimizer(lr=0.02, schedule="cosine"),
    average=0.99,
)


@dataclass(frozen=True)
class PartErrors:
    """Of one trained network.

    Attributes:
        validation: Part to its validation error after every epoch.
        test: Part to its error on the samples that no search sees, at the end.
    """

    validation: dict[str, list[float]]
    test: dict[str, float]


@cache
def all_samples() -> Task:
    """The three parts of all samples: first those that train, then validation's, then the test's.

    The mean shape that training starts from is that of all.
    """
    whole = load_task("synthetic", crops={"size": CROP}, loss={"name": "l1"})
    parts: Any = TaskParts(whole, PARTS)
    return parts


def search_task() -> Task:
    """What a search may learn from: the samples of training and validation."""
    return TaskSubset(all_samples(), torch.arange(TRAIN + VALIDATION))


def train(allocation: Allocation, seed: int, settings: Training = TRAINING) -> PartErrors:
    """Train an allocation's network and judge it; a second or two.

    Args:
        allocation: Of GroupBench's space, at any widths.
        seed: Of weights, batches and augmentation.
        settings: The table's by default.
    """
    task = all_samples()
    train, validation, test = torch.arange(len(task.sources)).split((TRAIN, VALIDATION, TEST))
    network = build_seeded(allocation, seed, task.mean_output())
    trainer = Trainer(network, task, settings, Split(train, validation), seed)
    for _ in range(settings.epochs):
        trainer.run_epoch()
    curves = {part: [row["validation"][part] for row in trainer.history] for part in PARTS}
    at_end = mean_errors(trainer.averaged, task, test, trainer.batch_size, trainer.device)
    return PartErrors(curves, {part: at_end[part] for part in PARTS})


def build_seeded(allocation: Allocation, seed: int, start: Tensor | None = None) -> GroupedNetwork:
    """As :func:`groupnas.Allocation.build`, but each group's weights know nothing of the others.

    They are drawn from ``(seed, group, the group's channels)``. Nobody else's draws are shifted.
    """
    space, counts = allocation.space, allocation.grouping.counts()
    with torch.random.fork_rng():
        network = allocation.build(start)
        alone = [
            _build_alone(space, group, {unit: counts[unit][group] for unit in counts}, seed)
            for group in space.groups
        ]
    for (own, target), *sources in zip(network.layers(), *(n.layers() for n in alone), strict=True):
        owned = [read_pieces(layer, module, [layer.out_channels])[0] for layer, module in sources]
        write_pieces(
            own, target, [GroupWeights(piece.weight) for piece in owned]
        )  # biases start together
    return network


def _build_alone(
    space: SearchSpace, group: str, widths: dict[str, int], seed: int
) -> GroupedNetwork:
    digest = hashlib.sha256(f"{seed} {group} {sorted(widths.items())}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:7], "big"))
    return Allocation.from_widths(space.only([group]), {group: widths}).build()
