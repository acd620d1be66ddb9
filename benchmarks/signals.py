"""Which signal knows what one more channel is worth? Rank correlations with GroupBench's truth.

    python benchmarks/signals.py [--seeds 10] [--jobs 1] [-o benchmarks/results/signals.json]

A cell is a part, a unit and a size of that part: 3 x 2 x 12. Its true worth is what the part's
weighed test error falls by for each MAC of one channel more, and rises by for one fewer (the mean
of both), on the mean over the *other* seeds of the table; log errors are smoothed by a cubic of the
logarithms of the sizes, whose residuals are as large as the means' standard errors. Networks are
those of the table, trained again. Every signal is per MAC of one channel; "knapsack" is the slope
of its fitted curves. ``rho`` is Spearman's over all cells, ``between`` over the parts and units of
one size, in the mean, ``along`` over the sizes of one part and unit; 95 % intervals over seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from groupnas.engine.evaluate import mean_errors
from groupnas.engine.split import Split
from groupnas.engine.strategy import load_strategy
from groupnas.engine.training import Trainer
from groupnas.groupbench import FIT, load_groupbench, training
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.measure import group_cost
from groupnas.spaces.network import GroupedNetwork
from groupnas.spaces.pieces import read_pieces
from groupnas.spaces.supernet import Supernet
from groupnas.strategies.saliency.importance import Gates
from groupnas.writing import write_text

Array = NDArray[np.float64]
Signals = dict[str, Array]  # (parts, units), of networks whose parts are all of one size

OUT = Path(__file__).parent / "results/signals.json"
SIZES = [(a, b) for a in (2, 3, 4, 6) for b in (2, 4, 8)]
BATCH = 32
BENCH = load_groupbench()
SPACE = BENCH.space()
UNITS, PARTS = list(SPACE.free_units), list(SPACE.groups)
SHARES = np.array(list(SPACE.outputs.values())) / sum(SPACE.outputs.values())
TRAIN, VALIDATION, _ = torch.arange(1000).split(
    (training.TRAIN, training.VALIDATION, training.TEST)
)


# -- the truth ------------------------------------------------------------------------------------


def worth(errors: Array, part: int) -> Array:
    """What the weighed error falls by for each MAC of one channel, ``(units, A, B)``."""
    largest = errors.shape
    grid = np.stack(np.meshgrid(*(np.arange(1, n + 1) for n in largest), indexing="ij"))
    widths = dict(zip(UNITS, torch.from_numpy(grid).double(), strict=True))
    costs = group_cost(SPACE, PARTS[part], widths).numpy()
    found = np.full((len(UNITS), *largest), np.nan)
    for unit in range(len(UNITS)):
        slopes = -SHARES[part] * np.diff(errors, axis=unit) / np.diff(costs, axis=unit)
        pads = [[(0, 0)] * 2, [(0, 0)] * 2]
        pads[0][unit], pads[1][unit] = (0, 1), (1, 0)
        both = [np.pad(slopes, pad, constant_values=np.nan) for pad in pads]
        found[unit] = np.nanmean(both, axis=0)
    return found


def smoothed(errors: Array) -> Array:
    """Errors ``(A, B)``, their logarithm a cubic of the logarithms of the sizes."""
    a, b = np.log(np.indices(errors.shape) + 1.0).reshape(2, -1)
    terms = np.stack([a**i * b**j for i in range(4) for j in range(4 - i)], axis=1)
    found, *_ = np.linalg.lstsq(terms, np.log(errors).ravel(), rcond=None)
    return np.exp(terms @ found).reshape(errors.shape)


def at_sizes(tables: list[Array]) -> Array:
    """Of each part's ``(units, A, B)``, the sizes' entries: ``(sizes, parts, units)``."""
    return np.array([[table[:, a - 1, b - 1] for table in tables] for a, b in SIZES])


def true_worth(without: int | None = None, rows: list[int] | None = None) -> Array:
    """Of the table's seeds but one, or of some: ``(sizes, parts, units)``."""
    rows = rows or [seed for seed in range(BENCH.seeds) if seed != without]
    errors = BENCH.table.test[..., rows].mean(axis=-1, dtype=float)
    return at_sizes([worth(smoothed(one), part) for part, one in enumerate(errors)])


def unit_costs() -> Array:
    """MACs of one more channel at every cell, ``(sizes, parts, units)``."""
    rows = []
    for a, b in SIZES:
        per_part = []
        for part in PARTS:
            size = dict(zip(UNITS, (a, b), strict=True))
            per_part.append(
                [
                    float(group_cost(SPACE, part, {**size, unit: size[unit] + 1}))
                    - float(group_cost(SPACE, part, size))
                    for unit in UNITS
                ]
            )
        rows.append(per_part)
    return np.array(rows)


# -- signals of a trained network -----------------------------------------------------------------


class Watched(Gates):
    """Gates of every sample, so that their derivatives can be read one by one."""

    def _renew(self, network: nn.Module, inputs: tuple[Tensor]) -> None:
        super()._renew(network, inputs)
        self._gates = {
            unit: gate.detach().expand(len(inputs[0]), -1).clone().requires_grad_()
            for unit, gate in self._gates.items()
        }

    def importance(self) -> NDArray[np.float64]:
        """Return the squares of the batch's derivatives, ``(C,)``."""
        sums = [gate.grad.sum(dim=0) for gate in self._gates.values() if gate.grad is not None]
        return torch.cat(sums).double().square().numpy()

    def gradients(self) -> list[Tensor]:
        """Return ``(N, parts, channels)`` of every unit, by the last backward pass."""
        return [
            (len(gate) * gate.grad).unflatten(1, (len(PARTS), -1)).double()
            for gate in self._gates.values()
            if gate.grad is not None
        ]


def batches(side: str, seed: int) -> Iterator[tuple[Tensor, Any]]:
    """``augmented`` training samples as a step sees them, ``training``'s, or ``validation``'s."""
    task, generator = training.all_samples(), torch.Generator().manual_seed(seed)
    samples = VALIDATION if side == "validation" else TRAIN
    order = samples[torch.randperm(len(samples), generator=generator)]
    for indices in order.split(BATCH):
        if len(indices) == BATCH:
            yield task.batch(indices, generator if side == "augmented" else None)


def of_gates(network: GroupedNetwork, seed: int) -> Signals:
    """First-order terms of gates, with the batch's statistics as in training."""
    task, found = training.all_samples(), {}
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    for side in ("augmented", "training", "validation"):
        ours, terms = [], []
        with Watched(network, UNITS) as gates:
            for x, target in batches(side, seed):
                task.loss(network(x), target).backward()
                ours.append(gates.importance())
                terms.append(gates.gradients())
        units = [torch.stack(rows).numpy() for rows in zip(*terms, strict=True)]
        counts = [unit.shape[2] * unit.shape[3] for unit in units]
        squared = np.split(np.mean(ours, axis=0), np.cumsum(counts)[:-1])
        squared = [values.reshape(len(PARTS), -1) for values in squared]
        own = [(unit**2).mean(axis=(0, 1)) for unit in units]
        found[f"gates, {side}: squared per sample, mean"] = over(own, np.mean)
        found[f"gates, {side}: squared per sample, least"] = over(own, np.min)
        found[f"gates, {side}: squared per sample, sum"] = over(own, np.sum)
        found[f"gates, {side}: squared per sample, mean / channels left"] = over(
            [values / values.shape[1] for values in own], np.mean
        )
        absolute = [np.abs(unit).mean(axis=(0, 1)) for unit in units]
        found[f"gates, {side}: absolute per sample, mean"] = over(absolute, np.mean)
        found[f"gates, {side}: squared per batch, mean / channels left"] = over(
            [values / values.shape[1] for values in squared], np.mean
        )
        found[f"gates, {side}: squared per batch, mean"] = over(squared, np.mean)
        found[f"gates, {side}: squared per batch, least"] = over(squared, np.min)
        signed = [-unit.mean(axis=(0, 1)) for unit in units]
        found[f"gates, {side}: signed, mean"] = over(signed, np.mean)
    network.load_state_dict(kept)
    network.eval()
    return found


def of_weights(network: GroupedNetwork, size: tuple[int, ...]) -> Signals:
    """BatchNorm's scale, and norms of the weights into and out of a channel."""
    outputs = [*([n] * len(PARTS) for n in size), list(SPACE.outputs.values())]
    layers = [
        read_pieces(layer, module, sizes)
        for (layer, module), sizes in zip(network.layers(), outputs, strict=True)
    ]
    gamma, into, out_of = [], [], []
    for unit, n in enumerate(size):
        gamma.append(np.array([p.norm["weight"].detach().abs().numpy() for p in layers[unit]]))
        into.append(np.array([_norms(p.weight) for p in layers[unit]]))
        readers: list[Any] = [piece.weight for piece in layers[unit + 1]]
        following = (weight.unflatten(1, (n, -1)).transpose(0, 1) for weight in readers)
        out_of.append(np.array([_norms(weight) for weight in following]))
    return {
        "BatchNorm's gamma, mean": over(gamma, np.mean),
        "weight norm, mean": over(into, np.mean),
        "weight norm of the readers, mean": over(out_of, np.mean),
    }


def _norms(weight: Any) -> Array:
    return np.asarray(weight.detach().flatten(1).norm(dim=1).numpy(), float)


def of_drops(network: GroupedNetwork, size: tuple[int, ...]) -> Signals:
    """Weighed validation error that one channel less costs, nothing trained or collected anew."""
    judge = (training.all_samples(), VALIDATION, len(VALIDATION), "cpu")
    whole = mean_errors(network, *judge)
    drops: list[Array] = []
    with Gates(network, UNITS) as gates:
        for unit, n in zip(UNITS, size, strict=True):
            rises = np.zeros((len(PARTS), n))
            for channel in range(n):
                gates.open[unit].view(len(PARTS), n)[:, channel] = 0
                closed = mean_errors(network, *judge)
                gates.open[unit].fill_(1)
                rises[:, channel] = [closed[part] - whole[part] for part in PARTS]
            drops.append(SHARES[:, None] * rises)
    errors = SHARES * [whole[part] for part in PARTS]
    return {
        "drop of one channel, mean": over(drops, np.mean),
        "drop of the last channel (slimmable)": over(drops, lambda d, axis: d[:, -1]),
        "the part's error / channels": errors[:, None] / np.array(size),
        "nothing: 1 / MACs": np.ones((len(PARTS), len(UNITS))),
    }


def over(units: list[Array], reduce: Callable[..., Any]) -> Array:
    """Channels of every unit, ``(parts, channels)``, reduced to ``(parts, units)``."""
    return np.stack([reduce(values, axis=1) for values in units], axis=1)


def trained(size: tuple[int, int], seed: int) -> GroupedNetwork:
    """The averaged network of the table's training, all parts of one size."""
    task, widths = training.all_samples(), dict(zip(UNITS, size, strict=True))
    allocation = Allocation.from_widths(SPACE, dict.fromkeys(PARTS, widths))
    network = training.build_seeded(allocation, seed, task.mean_output())
    trainer = Trainer(network, task, training.TRAINING, Split(TRAIN, VALIDATION), seed)
    for _ in range(training.TRAINING.epochs):
        trainer.run_epoch()
    found = cast(GroupedNetwork, trainer.averaged.module)
    for parameter in found.parameters():
        parameter.requires_grad_()
    return found.eval()


# -- signals of a supernet ------------------------------------------------------------------------


def of_masks(size: tuple[int, int], seed: int) -> Signals:
    """Derivatives by hard masks on validation samples, of a supernet warmed up under draws.

    ``own``: what a group loses with one of its channels. ``others``: what it gains by one of
    another group.
    """
    task, groups = training.all_samples(), len(PARTS)
    space = SPACE.resized({u: groups * n for u, n in zip(UNITS, size, strict=True)})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Supernet(space, init="even", confidence=0.97)
        for logits in net.arch_parameters():
            logits.requires_grad_(False)
        trainer = Trainer(net, task, training.TRAINING, Split(TRAIN, VALIDATION), seed)
        for _ in range(training.TRAINING.epochs):
            trainer.run_epoch()
    found = {}
    owners = {**space.fixed, **net.grouping().assignments}
    for place in ("before", "behind"):
        net.place = place
        masks = {
            unit: F.one_hot(torch.tensor(own), groups).float().requires_grad_()
            for unit, own in owners.items()
        }
        for x, target in batches("validation", seed):
            task.loss(net.train().under(masks, x), target).backward()
        own, others = [], []
        for unit in UNITS:
            mask, slopes = masks[unit].detach(), -_gradient(masks[unit])
            own.append(((slopes * mask).sum(0) / mask.sum(0)).numpy())
            others.append(((slopes * (1 - mask)).sum(0) / (1 - mask).sum(0)).numpy())
        found[f"mask gradient {place} BatchNorm, own channels"] = np.stack(own, axis=1)
        found[f"mask gradient {place} BatchNorm, others' channels"] = np.stack(others, axis=1)
    return found


def _gradient(mask: Tensor) -> Tensor:
    assert mask.grad is not None
    return mask.grad


# -- the knapsack ---------------------------------------------------------------------------------


def of_knapsack(trainings: int, seed: int) -> Array:
    """Slopes of the curves that so many looked-up trainings give, ``(sizes, parts, units)``."""
    strategy = load_strategy("knapsack").with_settings(trials=trainings, epochs=BENCH.epochs)
    solution: Any = BENCH.search(strategy.with_budget(FIT), seed).solution()  # type: ignore[attr-defined]
    family = solution.family
    grid = np.indices(BENCH.table.test.shape[1:3]).reshape(2, -1).T + 1.0
    knobs = np.vstack([np.full(len(UNITS), family.reach), family.directions])
    profiles = (np.log(grid / family.shares) - family.middle) @ np.linalg.inv(knobs)
    errors = (solution.models[part].predict(profiles) for part in PARTS)
    shape = BENCH.table.test.shape[1:3]
    return at_sizes([worth(e.reshape(shape), part) for part, e in enumerate(errors)])


# -- correlations ---------------------------------------------------------------------------------


def measure(seed: int) -> Signals:
    """Every signal of a seed, per MAC: ``(sizes, parts, units)``."""
    torch.set_num_threads(1)
    rows: dict[str, list[Array]] = {}
    for size in SIZES:
        network = trained(size, seed)
        found = {
            **of_gates(network, seed),
            **of_drops(network, size),
            **of_weights(network, size),
            **of_masks(size, seed),
        }
        for name, values in found.items():
            rows.setdefault(name, []).append(values)
    costs = unit_costs()
    signals = {name: np.stack(values) / costs for name, values in rows.items()}
    for trainings in (12, 24):
        signals[f"knapsack's curves, {trainings} trainings"] = of_knapsack(trainings, seed)
    return signals


def agreement(signal: Array, truth: Array) -> tuple[float, float, float]:
    """Spearman's rho over all cells; over the parts and units of a size; over sizes."""
    between = [_rho(*pair) for pair in zip(signal, truth, strict=True)]
    flat = (values.reshape(len(SIZES), -1).T for values in (signal, truth))
    along = [_rho(*pair) for pair in zip(*flat, strict=True)]
    return _rho(signal, truth), float(np.mean(between)), float(np.mean(along))


def _rho(a: Array, b: Array) -> float:
    ranks = [stats.rankdata(values) for values in (a.ravel(), b.ravel())]
    return float(np.corrcoef(*ranks)[0, 1])


def reliability(draws: int = 100) -> float:
    """Rho of the truths of one half of the seeds and the other."""
    rng, found = np.random.default_rng(0), []
    for _ in range(draws):
        order = rng.permutation(BENCH.seeds).tolist()
        halves = (order[: len(order) // 2], order[len(order) // 2 :])
        found.append(_rho(*(true_worth(rows=half) for half in halves)))
    return float(np.mean(found))


def interval(values: Array) -> tuple[float, float]:
    """Mean and half of the 95 % interval (Student's t)."""
    if len(values) < 2:
        return float(values[0]), math.nan
    reach = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean()), float(reach)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=BENCH.seeds, help=f"1 to {BENCH.seeds}")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("-o", "--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)  # means of nothing, at the table's edges
    start, found = time.time(), []
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for signals in pool.map(measure, range(arguments.seeds)):
            found.append(signals)
            print(f"seed {len(found) - 1}, {time.time() - start:.0f} s", flush=True)
    truths = [true_worth(without=seed) for seed in range(arguments.seeds)]
    rows: dict[str, dict[str, Any]] = {}
    for name in found[0]:
        each = [agreement(one[name], truth) for one, truth in zip(found, truths, strict=True)]
        values = dict(zip(("rho", "between", "along"), np.array(each).T, strict=True))
        averaged = agreement(np.mean([one[name] for one in found], axis=0), true_worth())
        rows[name] = {key: interval(column) for key, column in values.items()}
        rows[name]["seeds_averaged"] = averaged[0]
    print("| signal | rho | between | along | seeds averaged |\n|---|---|---|---|---|")
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["rho"][0]):
        cells = [f"{row[key][0]:.2f} ± {row[key][1]:.2f}" for key in ("rho", "between", "along")]
        print(f"| {name} | {' | '.join(cells)} | {row['seeds_averaged']:.2f} |")
    about = {"seeds": arguments.seeds, "sizes": SIZES, "reliability": reliability()}
    print(f"truth of one half of the seeds and the other: {about['reliability']:.3f}")
    write_text(arguments.out, json.dumps({**about, "signals": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
