"""What a step of the bilevel search costs beside a plain training step of the same dense network.

Steps of all three kinds take turns in one process, so that a busy machine slows all of them down:
a search step with masks and weights, one with weights only, and a plain step of the network whose
convolutions have no masks. All are on the same task, batch size, optimiser and memory format. Times
are medians without loading; the share of loading is printed apart.

    python benchmarks/bilevel_step.py [--threads 1] [--batch 32] [--repeats 20]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import nn

from groupnas import SearchSpace, load_space, load_strategy
from groupnas.engine.optimizer import make_optimizer
from groupnas.engine.split import Stream
from groupnas.spaces import Layer
from groupnas.spaces.derive import GroupedNetwork
from groupnas.spaces.modules import init_plain, tail
from groupnas.strategies.masks.job import BilevelSearch
from groupnas.strategies.masks.settings import MaskSearch
from groupnas.tasks import load_task

KINDS = ("mask + weight", "weight", "plain")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="picasso_local")
    parser.add_argument("--strategy", default="gumbel")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=20, help="measured steps of each kind")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    space = load_space(options.space)
    changes = {"batch_size": options.batch, "warmup_epochs": 0, "epochs": 10**6, "mask_every": 2}
    strategy = load_strategy(options.strategy).model_copy(update=changes)
    task = load_task("synthetic", limit=12 * options.batch)
    assert isinstance(strategy, MaskSearch)
    search = BilevelSearch(space, task, strategy)
    watch = StopWatch(search, PlainTraining(search))
    search.run_epoch()  # warm up
    while min(map(len, watch.steps.values())) < options.repeats:
        watch.start()
        search.run_epoch(watch.on_step)

    both, weight, plain = (statistics.median(watch.steps[kind]) for kind in KINDS)
    print(f"{space.name}, {options.strategy}, torch {torch.__version__}", end="")
    print(f", batch {options.batch}, {options.threads} thread(s)")
    print(f"median of {min(map(len, watch.steps.values()))} steps of each kind, in ms")
    print(f"{'plain step, dense, no masks':32}{1000 * plain:9.1f}")
    print(f"{'weight step':32}{1000 * weight:9.1f}{weight / plain:9.2f} x plain")
    mask = both - weight
    print(f"{'mask step':32}{1000 * mask:9.1f}{mask / plain:9.2f} x plain")
    print(f"{'mask + weight step':32}{1000 * both:9.1f}{both / plain:9.2f} x plain")
    print(f"waiting for data: {watch.data_share:.1%} of the search's time")


class PlainTraining:
    """The supernet's layers as plain dense ones, trained as the engine trains weights."""

    def __init__(self, search: BilevelSearch) -> None:
        self.search = search
        self.net = dense(search.space).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parameters = list(self.net.parameters())
        self.optimizer = make_optimizer(search.strategy.weights, self.parameters)
        rng = torch.Generator().manual_seed(0)
        self.stream = Stream(search.split.train, search.strategy.batch_size, rng)
        self.rng = rng

    def step(self) -> float:
        """Take one step; its seconds without loading."""
        x, target = self.search.load(next(self.stream), self.rng)
        start = time.perf_counter()
        loss = self.search.task.loss(self.net(x), target)
        loss.item()  # the engine looks at it, too
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return time.perf_counter() - start


class StopWatch:
    """Times the search's steps, which need masks every other time, and plain ones in between."""

    def __init__(self, search: BilevelSearch, plain: PlainTraining) -> None:
        self.search, self.plain = search, plain
        self.steps: dict[str, list[float]] = {kind: [] for kind in KINDS}
        self._total = self._data = 0.0

    def start(self) -> None:
        self._begun, self._loaded = time.perf_counter(), self.search.data_seconds

    def on_step(self, done: int, total: int) -> None:
        data = self.search.data_seconds - self._loaded
        seconds = time.perf_counter() - self._begun
        if done > 1:  # before an epoch's first step, the engine reads the masks
            self.steps[KINDS[(done - 1) % 2]].append(seconds - data)
            self.steps["plain"].append(self.plain.step())
            self._total, self._data = self._total + seconds, self._data + data
        self.start()

    @property
    def data_share(self) -> float:
        return self._data / self._total


def dense(space: SearchSpace) -> GroupedNetwork:
    """All layers of a space at full width, every output connected to every input."""
    network = GroupedNetwork(
        space.blocks,
        [nn.Sequential(*map(_dense_layer, block.layers)) for block in space.blocks],
    )
    init_plain(network)
    return network


def _dense_layer(layer: Layer) -> nn.Sequential:
    flat = [nn.Flatten()] if layer.operation.flat else []
    plain = layer.operation.dense(layer, layer.in_channels, layer.out_channels)
    return nn.Sequential(*flat, plain, *tail(layer))


if __name__ == "__main__":
    main()
