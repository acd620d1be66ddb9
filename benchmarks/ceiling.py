"""Does the ceiling's 90 % interval cover the true gain, where that is known?

    python benchmarks/ceiling.py [--draws 50] [--trainings 6 12] [--only drawn groupbench partbench]

*drawn*: parts whose curves are E_inf + a c^-b times a profile over depth, with 2 to 6 parts, errors
1 to 16 times as large, exponents from 0.03 to 0.3 that differ by up to a factor of 3 or not at all,
and measurements with noise of their own and of the training. The true gain is found on a fine grid.
*groupbench*: measurements are errors of single seeds, the true gain that of the means over all ten:
of a smooth surface through them, a polynomial of degree 2 in the logarithms of the sizes. Of
degrees 2 to 5 that foretells sizes that were left out best, all parts together (by 0.6, 1.2 and
1.2 %); by degree 3 the gains are 0.95, 0.19 and 1.41 %, by degree 4 1.17, 0.18 and 1.78 %.
*partbench*: likewise by degree 3, which is best there; ratios of difficulty 1, 2, 4, 8 and 16, each
with as many points in all parts and with more in harder ones, take turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from groupnas.arrays import Floats
from groupnas.ceilings import Ceiling, Measurements, ceiling, on_table
from groupnas.groupbench import load_groupbench
from groupnas.partbench import load_partbench
from groupnas.spaces.measure import group_cost
from groupnas.tabular.bench import TabularBench

LEVERS = ("split", "depth", "both")
RATIOS, WEIGHTS = (1.0, 2.0, 4.0, 8.0, 16.0), ((1, 1, 1, 1), (1, 2, 3, 4))
Truth = dict[str, float]


@dataclass(frozen=True, eq=False)
class Parts:
    """Drawn parts; arrays are ``(P,)``.

    Attributes:
        level: Error at even cost and proportions.
        floor: Share of it that stays.
        power: b.
        best: Where on the knob in [-1, 1] the profile over depth is best.
        bend: How much more error, relatively, a unit of the knob from there costs, squared.
        noise: Relative deviation of a measurement, alone and shared by its training.
    """

    level: Floats
    floor: Floats
    power: Floats
    best: Floats
    bend: Floats
    noise: tuple[float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Parts:
        """Return parts that differ in everything, or in nothing but their level."""
        count = rng.integers(2, 7)
        ratio = np.exp(rng.uniform(0, np.log(16)))
        apart = rng.choice([0.0, rng.uniform(0, np.log(3))])
        floor = np.clip(rng.uniform(0, 0.6) + rng.choice([0, 0.1]) * rng.normal(size=count), 0, 0.8)
        exponent = np.exp(
            rng.uniform(np.log(0.03), np.log(0.3)) + apart * rng.uniform(-0.5, 0.5, count)
        )
        return cls(
            level=np.exp(rng.permutation(np.linspace(0, np.log(ratio), count))),
            floor=floor,
            power=exponent / (1 - floor),
            best=rng.uniform(-0.6, 0.6) + 0.2 * rng.normal(size=count),
            bend=np.full(count, rng.choice([0.0, rng.uniform(0, 0.08)])),
            noise=(rng.uniform(0.005, 0.03), rng.uniform(0.0, 0.02)),
        )

    def errors(self, ratios: Floats, knobs: Floats) -> Floats:
        """Return the errors ``(n, P)`` at so many costs and knobs."""
        own = self.floor + (1 - self.floor) * ratios**-self.power
        return self.level * own * np.exp(self.bend * ((knobs - self.best) ** 2 - self.best**2))

    def measured(self, trainings: int, rng: np.random.Generator) -> Measurements:
        """Return so many trainings, each of all parts, each at a size of its own (Latin)."""
        count = len(self.level)
        latin = np.array([[rng.permutation(trainings) for _ in range(count)] for _ in range(2)])
        scale, knob = 2 * (latin.transpose(0, 2, 1) + 0.5) / trainings - 1
        ratios = np.exp(np.log(0.16) * (1 - scale) / 2 + np.log(2.5) * (1 + scale) / 2)
        own, shared = self.noise
        luck = own * rng.normal(size=ratios.shape) + shared * rng.normal(size=(trainings, 1))
        names = [f"part{i}" for i in range(count)]
        return Measurements(
            group=names * trainings,
            cost=ratios.ravel().tolist(),
            error=(self.errors(ratios, knob) * np.exp(luck)).ravel().tolist(),
            training=np.repeat(np.arange(trainings), count).tolist(),
            even=dict.fromkeys(names, 1.0),
            weights=dict.fromkeys(names, 1.0),
            shapes={"tilt": knob.ravel().tolist()},
        )

    def truth(self) -> Truth:
        """Return the best gains, on a fine grid."""
        ratios, knobs = np.exp(np.linspace(np.log(0.08), np.log(5), 4000)), np.linspace(-1, 1, 201)
        ones = np.ones((1, len(self.level)))
        even = self.errors(ones, 0 * ones)[0]
        shaped = self.errors(ones, knobs[:, None] * ones).min(axis=0) / even
        costs = ratios[:, None] * ones
        plain = self.errors(costs, 0 * ones)
        return {
            "split": 1 - best_split(costs, plain, ones.sum()) / even.sum(),
            "depth": 1 - (even * shaped).sum() / even.sum(),
            "both": 1 - best_split(costs, plain * shaped, ones.sum()) / even.sum(),
        }


def best_split(costs: Floats, errors: Floats, budget: float) -> float:
    """Return the least sum of errors at a budget: of each part, one of ``(n, P)`` choices.

    At the best price of cost every part takes what is cheapest, error and price together; between
    the two choices that enclose the budget the sum is taken for straight.
    """
    low, high = 0.0, 1e3 * float(errors.max() / costs.min())
    ends: list[tuple[float, float]] = []
    for _ in range(100):
        price = (low + high) / 2
        picks = (errors + price * costs).argmin(axis=0)
        spent, error = (np.take_along_axis(a, picks[None], 0).sum() for a in (costs, errors))
        low, high = (price, high) if spent > budget else (low, price)
        ends = [end for end in ends if (end[0] > budget) != (spent > budget)] + [(spent, error)]
    (first, second) = sorted(ends) if len(ends) == 2 else ends * 2
    return float(np.interp(budget, [first[0], second[0]], [first[1], second[1]]))


def smooth_truth(bench: TabularBench, degree: int) -> Truth:
    """Return the best gains by a smooth surface through the means over all seeds."""
    space, points = bench.space(), sum(bench.space().outputs.values())
    scales = np.append(np.exp(np.linspace(np.log(0.34), np.log(2.3), 1000)), 1.0)
    tilts = np.linspace(-1, 1, 41)
    widths = np.array([n / len(space.groups) for n in space.free_units.values()])
    direction = 0.5 * np.array([-1.0, 1.0])
    kept: dict[str, list[tuple[Floats, Floats]]] = {lever: [] for lever in LEVERS}
    start = spent = alone = 0.0
    for group, curve in bench.curves(split="test").items():
        weight = space.outputs[group] / points
        surface = _surface(curve.sizes.astype(float), degree)
        fit = np.linalg.lstsq(surface, np.log(curve.errors), rcond=None)[0]
        pairs = np.stack(np.meshgrid(scales, tilts, indexing="ij"), axis=-1).reshape(-1, 2)
        sizes = widths * np.exp(np.log(pairs[:, :1]) + pairs[:, 1:] * direction)
        sizes = np.clip(sizes, 1, curve.sizes.max(axis=0))
        named = dict(zip(space.free_units, sizes.T, strict=True))
        costs, errors = (
            group_cost(space, group, named),
            weight * np.exp(_surface(sizes, degree) @ fit),
        )
        plain = pairs[:, 1] == 0
        even = int(np.flatnonzero(plain & (pairs[:, 0] == 1))[0])
        start, spent = start + errors[even], spent + costs[even]
        alone += errors[costs <= costs[even]].min()
        kept["split"].append((costs[plain], errors[plain]))
        kept["both"].append((costs, errors))
    found = {"depth": 1 - alone / start}
    for lever in ("split", "both"):
        costs, errors = (np.stack(columns, axis=1) for columns in zip(*kept[lever], strict=True))
        found[lever] = 1 - best_split(costs, errors, spent) / start
    return found


def _surface(sizes: Floats, degree: int) -> Floats:
    first, second = np.log(sizes).T
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    return np.stack([first**i * second**j for i, j in powers], axis=1)


def drawn(draws: range, trainings: int) -> Iterator[tuple[Ceiling, Truth]]:
    for number in draws:
        rng = np.random.default_rng([number, trainings])
        parts = Parts.draw(rng)
        yield ceiling(parts.measured(trainings, rng), seed=number), parts.truth()


def groupbench(draws: range, trainings: int) -> Iterator[tuple[Ceiling, Truth]]:
    bench = load_groupbench()
    truth = smooth_truth(bench, 2)
    for number in draws:
        yield ceiling(on_table(bench, trainings, number), seed=number), truth


def partbench(draws: range, trainings: int) -> Iterator[tuple[Ceiling, Truth]]:
    benches = [load_partbench(ratio, 4, weights) for ratio in RATIOS for weights in WEIGHTS]
    truths = [smooth_truth(bench, 3) for bench in benches]
    for number in draws:
        which = number % len(benches)
        yield ceiling(on_table(benches[which], trainings, number), seed=number), truths[which]


SOURCES: dict[str, Callable[[range, int], Iterator[tuple[Ceiling, Truth]]]] = {
    "drawn": drawn,
    "groupbench": groupbench,
    "partbench": partbench,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--first", type=int, default=0, help="number of the first draw")
    parser.add_argument("--trainings", type=int, nargs="+", default=[6, 12])
    parser.add_argument("--only", nargs="+", choices=list(SOURCES), default=list(SOURCES))
    arguments = parser.parse_args()
    draws = range(arguments.first, arguments.first + arguments.draws)
    print(
        "| source | trainings | lever | true gain, % | median told | covered | below, above "
        "| width, points | s |"
    )
    print("|" + " --- |" * 9)
    for name in arguments.only:
        for trainings in arguments.trainings:
            start = time.process_time()
            pairs = list(SOURCES[name](draws, trainings))
            seconds = (time.process_time() - start) / len(pairs)
            for lever in LEVERS:
                told = [of.levers[lever].error for of, _ in pairs]
                true = np.array([truth[lever] for _, truth in pairs])
                low, high = np.array([[e.low, e.high] for e in told]).T
                # A grid is no finer than this
                under, over = true < low - 1e-4, true > high + 1e-4
                cells = [
                    name,
                    str(trainings),
                    lever,
                    f"{100 * true.min():.2f} to {100 * true.max():.2f}",
                    f"{100 * np.median([e.value for e in told]):.2f}",
                    f"{100 * np.mean(~under & ~over):.0f} %",
                    f"{under.sum()}, {over.sum()}",
                    f"{100 * np.median(high - low):.2f}",
                    f"{seconds:.1f}",
                ]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
