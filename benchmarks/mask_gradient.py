"""What BatchNorm hides from the masks: the gradient at the group that a channel belongs to.

    python benchmarks/mask_gradient.py RUN [--data 300w --data-root DATA --allow-partial]

Behind a BatchNorm that uses the batch's statistics, the output does not change when all weights of
a channel are scaled. The derivative by the channel's own entry of the output mask is therefore
zero, and so is the sum over the inputs of each output channel. What remains at a hard mask are the
entries of the *other* groups, which say what it would do to mix parts, not what a part would do
with one more channel. With running statistics (evaluation mode) the entries are there.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import groupnas as gn
from groupnas.runs.folder import RunFolder
from groupnas.schema import read_yaml
from groupnas.spaces.layer import Block, Layer
from groupnas.spaces.modules import run_blocks
from groupnas.task import Task
from groupnas.tasks import load_task


def mask_gradients(
    net: gn.Supernet, task: Task, x: Tensor, target: Any
) -> list[tuple[Layer, Tensor, Tensor, Tensor, Tensor]]:
    """Every masked layer with its input and output mask and the loss's derivatives by them."""
    masks = {unit: mask().detach() for unit, mask in net.channel_masks().items()}
    groups = len(net.space.groups)
    for unit, assignment in net.space.fixed.items():
        masks[unit] = torch.nn.functional.one_hot(torch.tensor(assignment), groups).float()
    modules = {block.name: layers for block, layers in net.layers_by_block()}
    seen = []

    def compute(block: Block, x: Tensor) -> Tensor:
        for layer, module in zip(block.layers, modules[block.name], strict=True):
            # Copies, so that a unit's layers are told apart
            inputs, outputs = (
                masks[unit].clone().requires_grad_() for unit in (layer.in_unit, layer.out_unit)
            )
            x = module(x, inputs, outputs)
            if layer.mixes_channels:
                seen.append((layer, inputs, outputs))
        return x

    task.loss(run_blocks(net.space.blocks, x, compute), target).backward()
    return [(layer, a.detach(), b.detach(), a.grad, b.grad) for layer, a, b in seen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--data-root")
    parser.add_argument("--allow-partial", action="store_true")
    parser.add_argument("--batches", type=int, default=8)
    arguments = parser.parse_args()
    space = gn.load_space(read_yaml(arguments.run / "config.yaml")["space"]["name"])
    net = gn.Supernet(space)
    net.load_state_dict(RunFolder(arguments.run).load_checkpoint()["supernet"])
    net.set_grouping(net.grouping())
    task = load_task(
        arguments.data, data_root=arguments.data_root, allow_partial=arguments.allow_partial
    )
    generator = torch.Generator().manual_seed(0)
    for statistics in ("batch", "running"):
        net.train(statistics == "batch")
        sums: dict[str, list[Tensor]] = {}
        for _ in range(arguments.batches):
            indices = torch.randint(len(task.sources), (32,), generator=generator)
            x, target = task.batch(indices, generator)
            for layer, a, b, da, db in mask_gradients(net, task, x, target):
                if layer.norm and layer.in_unit not in space.fixed:
                    total = sums.setdefault(layer.name, [a, b, da * 0, db * 0])
                    total[2] += da
                    total[3] += db
        own, coherence = [], []
        for inputs, outputs, d_inputs, d_outputs in sums.values():
            others = (d_outputs * (1 - outputs)).abs().sum() / (1 - outputs).sum()
            own.append((d_outputs * outputs).abs().sum() / outputs.sum() / others)
            mine = d_inputs * inputs
            coherence.append((mine.sum(0).abs() / mine.abs().sum(0)).mean())
        print(
            f"{statistics} statistics, {len(sums)} layers: own / other entries of the output "
            f"mask {torch.stack(own).mean():.2g}, |sum| / sum of |.| over a group's inputs "
            f"{torch.stack(coherence).mean():.2g}"
        )


if __name__ == "__main__":
    main()
