"""What a training step costs: with a fixed grouping, with dense masks, and in a search.

The variants of a table take turns in one process, so that a busy machine slows all of them down;
figures are the quickest step of each. Every turn begins with a step that does not count, since
oneDNN's cache of prepared kernels is too small for all of them. "As published code trains" means:
dense weights times masks, PyTorch's own in-place ReLU6, and Adam's loop over the weights.

    python benchmarks/training_speed.py [--space picasso_local] [--batch 32] [--threads 1]
    python benchmarks/training_speed.py --only fine-tuning
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groupnas import Grouping, SearchSpace, load_space, load_strategy
from groupnas.engine.optimizer import make_optimizer
from groupnas.engine.strategy import Optimizer
from groupnas.nn import UnevenGroupConv2d
from groupnas.nn.activation import ReLU6
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.supernet import Supernet
from groupnas.strategies.masks.job import BilevelSearch
from groupnas.strategies.masks.settings import MaskSearch
from groupnas.tasks import load_task

Step = Callable[[], None]
SKEW = (20, 15, 10, 55)  # percent of every unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="picasso_local")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only", choices=TABLES, help="one table")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    space = load_space(options.space)
    print(f"torch {torch.__version__}, batch {options.batch}, {options.threads} thread(s)")
    for name, table in TABLES.items():
        if options.only in (None, name):
            print(f"\n{name}")
            table(space, options.batch, options.rounds)


def fine_tuning(space: SearchSpace, batch: int, rounds: int) -> None:
    """Fixed groupings beside the pinned supernet, as published code has it and as it is here."""
    groupings = {
        "even": Grouping.even(space),
        "random": drawn(space, random.Random(0)),
        "skewed": shared_out(space, SKEW),
    }
    work: dict[str, Step] = {}
    for name, grouping in groupings.items():
        work[f"{name} groups"] = training(Allocation(space, grouping).build(), space, batch)
    work["skewed groups, every layer dense"] = training(
        formed(Allocation(space, groupings["skewed"]).build(), dense=True), space, batch
    )
    work["skewed groups, no layer dense"] = training(
        formed(Allocation(space, groupings["skewed"]).build(), dense=False), space, batch
    )
    work["skewed groups, PyTorch's ReLU6 and loop"] = training(
        Allocation(space, groupings["skewed"]).build(), space, batch, ours=False
    )
    work["dense masks"] = training(pinned(space, groupings["skewed"]), space, batch)
    published = "dense masks, as published code trains"
    work[published] = training(pinned(space, groupings["skewed"]), space, batch, ours=False)
    show(quickest(work, rounds), published)


def search_memory(space: SearchSpace, batch: int, rounds: int) -> None:
    """Peak resident memory of a process that searches, with either ReLU6."""
    for ours in (True, False):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            start, peak = pool.apply(_search, (space.name, batch, ours))
        kind = "ReLU6 here" if ours else "PyTorch's ReLU6"
        print(f"{kind:20}{peak:6.0f} MB, {peak - start:.0f} MB more than before the first step")


def _search(space: str, batch: int, ours: bool) -> tuple[float, float]:
    """Megabytes before and during an epoch of weight steps and mask steps."""
    torch.set_num_threads(1)
    changes = {"batch_size": batch, "warmup_epochs": 0, "epochs": 2, "mask_every": 1}
    strategy = cast(MaskSearch, load_strategy("gumbel")).model_copy(update=changes)
    task = load_task("synthetic", limit=6 * batch)
    search = BilevelSearch(load_space(space), task, strategy)
    clipped(search.net, ours)
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    search.run_epoch()
    return start / 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def groups(space: SearchSpace, batch: int, rounds: int) -> None:
    """As many channels, wide enough for 68 groups, divided among more and more of them."""
    work: dict[str, Step] = {}
    for count in (4, 8, 16, 68):
        divided = with_groups(space, count)
        kinds = {
            "fixed": Allocation.even(divided).build(),
            "search": Supernet(divided),
        }
        for kind, network in kinds.items():
            work[f"{kind}, {count} groups"] = training(network, divided, batch // 2)
    show(quickest(work, max(2, rounds // 2)), "search, 4 groups")


def channels(space: SearchSpace, batch: int, rounds: int) -> None:
    """All free units narrower and wider."""
    work: dict[str, Step] = {}
    for scale in (0.5, 1, 2):
        widths = {unit: round(scale * size) for unit, size in space.free_units.items()}
        scaled = space.resized(widths)
        grouping = shared_out(scaled, SKEW)
        kinds = {
            "fixed, skewed": Allocation(scaled, grouping).build(),
            "dense masks": pinned(scaled, grouping),
            "search": Supernet(scaled),
        }
        for kind, network in kinds.items():
            work[f"{kind}, channels x {scale}"] = training(network, scaled, batch // 2)
    show(quickest(work, max(2, rounds // 2)), "dense masks, channels x 1")


def optimisers(space: SearchSpace, batch: int, rounds: int) -> None:
    """Updating the weights alone."""
    work: dict[str, Step] = {}
    plains: dict[Any, Any] = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    for name, plain in plains.items():
        momentum = {"momentum": 0.9} if name == "sgd" else {}
        makers = {
            "loop": partial(plain, lr=1e-3, **momentum, foreach=False),
            "foreach": partial(plain, lr=1e-3, **momentum, foreach=True),
            "here": partial(make_optimizer, Optimizer(name=name, lr=1e-3)),
        }
        for kind, make in makers.items():
            weights = list(Allocation(space, shared_out(space, SKEW)).build().parameters())
            for weight in weights:
                weight.grad = torch.ones_like(weight)
            work[f"{name}, {kind}"] = make(weights).step
    show(quickest(work, 10 * rounds), "adam, loop")


def layers(space: SearchSpace, batch: int, rounds: int) -> None:
    """Forward and backward of single layers in either form: behind UnevenGroupConv2d's rule."""
    shapes = {
        (layer.in_channels, layer.out_channels, layer.in_size[0])
        for layer in space.layers
        if layer.mixes_channels and layer.taps == (1, 1)
    }
    for inputs, outputs, size in sorted(shapes, key=lambda shape: -shape[2]):
        for count in (4, 8, 16):
            sizes = skewed_sizes(inputs, count), skewed_sizes(outputs, count)
            conv = UnevenGroupConv2d(*sizes, kernel_size=1, bias=False)
            chosen = "dense" if conv.dense else "split"
            x = torch.randn(batch, inputs, size, size).to(memory_format=torch.channels_last)
            x.requires_grad_()
            forms = {"dense": partial(both, conv, x, True), "split": partial(both, conv, x, False)}
            found = quickest(forms, rounds)
            print(
                f"{inputs:4} to {outputs:4} at {size:3}, {count:2} groups: "
                f"dense {found['dense']:6.2f} ms, split {found['split']:6.2f} ms; chosen: {chosen}"
            )


def both(layer: UnevenGroupConv2d, x: Tensor, dense: bool) -> None:
    layer.dense = dense
    y = layer(x)
    torch.autograd.grad(y, [x, *layer.parameters()], torch.ones_like(y))


# -- what is timed ------------------------------------------------------------------------------


def training(network: nn.Module, space: SearchSpace, batch: int, ours: bool = True) -> Step:
    """A step of weights on one batch, in the engine's memory format."""
    clipped(network, ours).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(batch, sum(space.inputs.values()), *space.input_size)
    x = x.to(memory_format=torch.channels_last)
    target = torch.rand(batch, sum(space.outputs.values()))
    weights = list(
        network.weight_parameters() if isinstance(network, Supernet) else network.parameters()
    )
    optimizer = (
        make_optimizer(Optimizer(lr=1e-3), weights) if ours else torch.optim.Adam(weights, 1e-3)
    )

    def step() -> None:
        loss = F.smooth_l1_loss(network(x), target)
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.grad = gradient
        optimizer.step()

    return step


def clipped(network: nn.Module, ours: bool) -> nn.Module:
    """The network with ReLU6 as it is here, or as PyTorch has it."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU6):
                setattr(module, name, (ReLU6 if ours else nn.ReLU6)(inplace=True))
    return network


def formed(network: nn.Module, dense: bool) -> nn.Module:
    """The network with all uneven convolutions in one form."""
    for module in network.modules():
        if isinstance(module, UnevenGroupConv2d):
            module.dense = dense
    return network


def pinned(space: SearchSpace, grouping: Grouping) -> Supernet:
    network = Supernet(space)
    network.set_grouping(grouping)
    return network


# -- groupings and spaces -------------------------------------------------------------------------


def skewed_sizes(channels: int, count: int) -> list[int]:
    """``count`` sizes that follow :data:`SKEW` as closely as one channel for each group allows."""
    shares = [SKEW[index % len(SKEW)] for index in range(count)]
    spare = channels - count
    ends = [spare * sum(shares[: index + 1]) // sum(shares) for index in range(count)]
    return [1 + end - start for start, end in zip([0, *ends], ends, strict=False)]


def shared_out(space: SearchSpace, shares: Sequence[int]) -> Grouping:
    units = {}
    for unit, size in space.free_units.items():
        sizes = skewed_sizes(size, len(space.groups))
        units[unit] = [group for group, n in enumerate(sizes) for _ in range(n)]
    return Grouping(space.name, space.groups, units)


def drawn(space: SearchSpace, rng: random.Random) -> Grouping:
    """Every channel in a group at random, each group at least one."""
    count = len(space.groups)
    units = {
        unit: [*range(count), *(rng.randrange(count) for _ in range(size - count))]
        for unit, size in space.free_units.items()
    }
    return Grouping(space.name, space.groups, units)


def with_groups(space: SearchSpace, count: int, least: int = 72, outputs: int = 136) -> SearchSpace:
    """The space's layers for ``count`` groups of one input channel each, or wider."""
    names = [f"group{index}" for index in range(count)]
    changes = {
        "groups": names,
        "inputs": dict.fromkeys(names, 1),
        "outputs": {n: outputs // count + (i < outputs % count) for i, n in enumerate(names)},
        "variants": {},
        "published": [],
        "layers": [
            row.model_copy(update={"c": max(row.c, least)}) if isinstance(row.c, int) else row
            for row in space.file.layers
        ],
    }
    return SearchSpace.from_file(space.file.model_copy(update=changes), f"groups{count}")


# -- timing ---------------------------------------------------------------------------------------


def quickest(work: Mapping[str, Step], rounds: int, steps: int = 3) -> dict[str, float]:
    """Milliseconds of the quickest step of each."""
    least = dict.fromkeys(work, float("inf"))
    for _ in range(rounds):
        for name, step in work.items():
            step()
            for _ in range(steps):
                start = time.perf_counter()
                step()
                least[name] = min(least[name], 1000 * (time.perf_counter() - start))
    return least


def show(milliseconds: Mapping[str, float], reference: str) -> None:
    print(f"{'':44}{'ms':>8}{'ratio':>8}")
    for name, value in milliseconds.items():
        print(f"{name:44}{value:8.1f}{value / milliseconds[reference]:8.2f}")


TABLES: dict[str, Callable[[SearchSpace, int, int], None]] = {
    "fine-tuning": fine_tuning,
    "search-memory": search_memory,
    "groups": groups,
    "channels": channels,
    "optimisers": optimisers,
    "layers": layers,
}

if __name__ == "__main__":
    main()
