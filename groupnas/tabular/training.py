"""Training whose outcome for a group does not depend on the other groups' sizes.

With all masks tied a group's outputs depend on its own inputs and channels alone, and an optimiser
that treats every weight by itself (Adam) keeps the groups apart in training too. Nothing random may
depend on the other groups either: a group's fresh weights are drawn from a text of its own and its
sizes, and batches and augmentation from the seed. So a group's error is a function of its samples,
its sizes, its text and the seed, and a table can hold that function. The last epoch's network is
judged: to keep the best epoch would tie the groups together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from groupnas.engine.evaluate import mean_errors
from groupnas.engine.split import Split
from groupnas.engine.training import Trainer
from groupnas.engine.training_settings import Training
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.pieces import GroupWeights, read_pieces, write_pieces
from groupnas.spaces.space import SearchSpace
from groupnas.task import Task

SampleSides = tuple[int, int, int]


@dataclass(frozen=True)
class PartErrors:
    """Errors of the groups of one trained network.

    Attributes:
        validation: Each group's validation error after every epoch.
        test: Each group's error on the samples that no search sees, at the end.
    """

    validation: dict[str, list[float]]
    test: dict[str, float]


def train_apart(
    allocation: Allocation,
    task: Task,
    sides: SampleSides,
    settings: Training,
    texts: Mapping[str, str],
    seed: int,
) -> PartErrors:
    """Train an allocation's network and judge it, each group as if it were alone.

    Args:
        allocation: Of the task's groups.
        task: All samples, those of the test last.
        sides: Samples that train, validate, and test, in the task's order.
        settings: With Adam.
        texts: What every group's fresh weights are drawn from.
        seed: Of batches and augmentation.
    """
    train, validation, test = torch.arange(len(task.sources)).split(sides)
    network = build_apart(allocation, texts, task.mean_output())
    trainer = Trainer(network, task, settings, Split(train, validation), seed)
    for _ in range(settings.epochs):
        trainer.run_epoch()
    groups = allocation.space.groups
    curves = {group: [row["validation"][group] for row in trainer.history] for group in groups}
    at_end = mean_errors(trainer.averaged, task, test, trainer.batch_size, trainer.device)
    return PartErrors(curves, {group: at_end[group] for group in groups})


def build_apart(
    allocation: Allocation, texts: Mapping[str, str], start: Tensor | None = None
) -> GroupedNetwork:
    """Build the network of an allocation; each group's weights depend on that group alone.

    They are drawn from the group's text and its channels. No other draws are shifted.
    """
    space, counts = allocation.space, allocation.grouping.counts()
    with torch.random.fork_rng():
        network = allocation.build(start)
        alone = [
            _build_alone(space, group, {unit: counts[unit][group] for unit in counts}, text)
            for group, text in ((group, texts[group]) for group in space.groups)
        ]
    for (own, target), *sources in zip(network.layers(), *(n.layers() for n in alone), strict=True):
        owned = [read_pieces(layer, module, [layer.out_channels])[0] for layer, module in sources]
        write_pieces(
            own, target, [GroupWeights(piece.weight) for piece in owned]
        )  # biases start together
    return network


def _build_alone(
    space: SearchSpace, group: str, widths: dict[str, int], text: str
) -> GroupedNetwork:
    digest = hashlib.sha256(f"{text} {sorted(widths.items())}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:7], "big"))
    return Allocation.from_widths(space.only([group]), {group: widths}).build()
