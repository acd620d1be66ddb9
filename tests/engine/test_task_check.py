"""What a task does wrong is found before anything runs; each mistake is made here, alone."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import space_of
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

import groupnas
from groupnas.engine.strategy import Optimizer
from groupnas.engine.task_check import check_task
from groupnas.errors import InputError
from groupnas.spaces.space import SearchSpace
from groupnas.task import TaskParts, TaskSubset

COUNT = 20
STEM = {"name": "stem", "op": "conv3x3", "c": 4, "s": 4}
SPACE = space_of(STEM, outputs={"a": 2, "b": 1})


@dataclass
class Target:
    """Of a class of its own, as targets may be."""

    truth: Tensor
    notes: dict[str, Any]


class Toy:
    """A right task: 20 samples of 10 sources, mirrored at random, some of them without part b."""

    name = "toy"
    inputs = {"a": 1, "b": 1}
    outputs = {"a": 2, "b": 1}
    error_unit = "px"
    gaps = 5

    def __init__(self) -> None:
        draw = torch.Generator().manual_seed(0)
        self.sources: Any = [f"source {i // 2}" for i in range(COUNT)]
        self.pixels = torch.randn(COUNT, 2, 8, 8, generator=draw)
        self.truth = torch.rand(COUNT, 3, generator=draw)
        if self.gaps:
            self.truth[:: self.gaps, 2] = torch.nan
        self.calls = 0

    def batch(self, indices: Any, generator: Any = None) -> Any:
        x, truth = self.pixels[indices], self.truth[indices]
        if generator is not None:
            mirrored = torch.rand(len(indices), generator=generator) < 0.5
            x[mirrored] = x[mirrored].flip(-1)
            truth[mirrored, 0] *= -1
        return x, Target(truth, {"indices": indices.tolist()})

    def mean_output(self) -> Any:
        return torch.zeros(3)

    def loss(self, predicted: Any, target: Any) -> Any:
        known = target.truth.isfinite()
        return (predicted - target.truth)[known].square().mean()

    def errors(self, predicted: Any, target: Any) -> Any:
        far = (predicted - target.truth).abs()
        return torch.stack([far[:, :2].mean(dim=1), far[:, 2]], dim=1)

    def to(self, target: Any, device: Any) -> Any:
        return Target(target.truth.to(device), target.notes)

    def fingerprint(self) -> Any:
        return "toy 1"


def fault(task: Any, space: SearchSpace | None = SPACE) -> str | None:
    """What is said of a task, if anything."""
    try:
        check_task(space, task)
    except InputError as error:
        return str(error)
    return None


def complaint(task: Any, space: SearchSpace | None = SPACE) -> str:
    found = fault(task, space)
    assert found is not None and "\n" not in found
    return found


# -- what is right passes -----------------------------------------------------------------------


class Float64Error(Toy):
    """Errors in another dtype, that require grad; a loss of one entry; a mean that is none."""

    def mean_output(self) -> Any:
        return None

    def errors(self, predicted: Any, target: Any) -> Any:
        return super().errors(predicted, target).double().requires_grad_()

    def loss(self, predicted: Any, target: Any) -> Any:
        return super().loss(predicted, target)[None]


class Endless(Toy):
    """Samples that are made for whatever index; there is no end that sources could miss."""

    def batch(self, indices: Any, generator: Any = None) -> Any:
        draws = [torch.Generator().manual_seed(index) for index in indices.tolist()]
        x = torch.stack([torch.randn(2, 8, 8, generator=draw) for draw in draws])
        return x, Target(x.flatten(1)[:, :3].clone(), {})


class NumpyTyped(Toy):
    """Sizes and sources from arrays."""

    inputs = {"a": np.int64(1), "b": np.int64(1)}  # type: ignore[dict-item]
    outputs = {"a": np.int64(2), "b": np.int64(1)}  # type: ignore[dict-item]

    def __init__(self) -> None:
        super().__init__()
        self.sources = np.array(self.sources)


class TwoSamples(Toy):
    gaps = 0

    def __init__(self) -> None:
        super().__init__()
        self.sources, self.pixels, self.truth = ["x", "y"], self.pixels[:2], self.truth[:2]


class TargetIsNone(Toy):
    """Nothing to move: the loss looks at the predictions alone."""

    def batch(self, indices: Any, generator: Any = None) -> Any:
        return super().batch(indices, generator)[0], None

    def to(self, target: Any, device: Any) -> Any:
        return None

    def loss(self, predicted: Any, target: Any) -> Any:
        return predicted.square().mean()

    def errors(self, predicted: Any, target: Any) -> Any:
        return predicted[:, :2].abs()


class Loaded(Toy):
    """Batches as torch's DataLoader gives them: lists."""

    gaps = 0

    def batch(self, indices: Any, generator: Any = None) -> Any:
        rows = [(self.pixels[index], self.truth[index]) for index in indices]
        return next(iter(DataLoader(rows, batch_size=len(rows))))  # type: ignore[arg-type]

    def loss(self, predicted: Any, target: Any) -> Any:
        return (predicted - target).square().mean()

    def errors(self, predicted: Any, target: Any) -> Any:
        return (predicted - target)[:, 1:].abs()

    def to(self, target: Any, device: Any) -> Any:
        return target.to(device)


class Classes(Loaded):
    """Whether classes are wrong: True or False."""

    def __init__(self) -> None:
        super().__init__()
        self.truth = self.truth.round()

    def errors(self, predicted: Any, target: Any) -> Any:
        return (predicted > 0.5)[:, 1:] != target[:, 1:].bool()


class Counts(Classes):
    def errors(self, predicted: Any, target: Any) -> Any:
        return super().errors(predicted, target).to(torch.uint8)


class Rows:
    """A data set that counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.known: dict[int, int] = {}


class Referring(Toy):
    """Targets refer to the task and to its data set, which change with every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = Rows()

    def batch(self, indices: Any, generator: Any = None) -> Any:
        self.calls += 1
        self.rows.asked += 1
        self.rows.known.update(dict.fromkeys(indices.tolist(), self.calls))
        x, target = super().batch(indices)
        return x, Target(target.truth, {"task": self, "rows": self.rows})


class OddTargets(Toy):
    """What cannot be compared, or only in another way, beside the truth."""

    def batch(self, indices: Any, generator: Any = None) -> Any:
        x, target = super().batch(indices, generator)
        uneven = np.empty(len(indices), object)
        for row, index in enumerate(indices.tolist()):
            uneven[row] = np.arange(index + 1)
        picture = io.BytesIO()
        Image.new("L", (4, 4)).save(picture, "png")
        target.notes |= {
            "sparse": target.truth.nan_to_num().to_sparse(),
            "uneven": uneven,
            "unknown": np.array(["NaT"], "datetime64[s]"),
            "nan": np.float32(np.nan),
            "picture": Image.open(picture),
            "read": lambda: indices,
        }
        return x, target


class Seeded(Toy):
    """Samples that are drawn by an old seed, which has an end."""

    def batch(self, indices: Any, generator: Any = None) -> Any:
        draws = [np.random.RandomState(1000 * index).randn(2, 8, 8) for index in indices.tolist()]
        x = torch.tensor(np.stack(draws), dtype=torch.float32)
        return x, Target(x.flatten(1)[:, :3].clone(), {})


class Tolerant(Toy):
    """A loss that tolerates more than predictions are off where training starts."""

    def mean_output(self) -> Any:
        return self.truth.nanmean(dim=0)

    def loss(self, predicted: Any, target: Any) -> Any:
        known = target.truth.isfinite()
        return ((predicted - target.truth)[known].abs() - 5).clamp(min=0).mean()


class WorstAlone(Toy):
    """A loss of the largest errors, all of which are part a's."""

    gaps = 0

    def loss(self, predicted: Any, target: Any) -> Any:
        truth = target.truth + torch.tensor([90, 90, 0])
        return (predicted - truth).abs().flatten().topk(len(truth)).values.mean()


class Unpacking(Loaded):
    """Moves what the loss needs alone."""

    def batch(self, indices: Any, generator: Any = None) -> Any:
        return self.pixels[indices], {"truth": self.truth[indices], "indices": indices}

    def to(self, target: Any, device: Any) -> Any:
        return target["truth"].to(device)


RIGHT: list[Callable[[], Any]] = [
    Toy,
    Float64Error,
    Endless,
    NumpyTyped,
    TwoSamples,
    TargetIsNone,
    Loaded,
    Classes,
    Counts,
    Referring,
    OddTargets,
    Seeded,
    Tolerant,
    WorstAlone,
    Unpacking,
]


@pytest.mark.parametrize("task", RIGHT)
def test_what_is_right_passes(task: Callable[[], Any]) -> None:
    assert (fault(task()), fault(task(), None)) == (None, None)


@pytest.mark.parametrize("task", [Classes, Counts, Unpacking])
def test_what_passes_is_searched(task: Callable[[], Any], tmp_path: Path) -> None:
    run = groupnas.search(
        SPACE, task(), groupnas.load_strategy("gumbel").with_epochs(1), tmp_path / "run"
    )
    told = run.result["validation_errors"]["derived"]
    assert all(0 <= error < 100 for error in told.values())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_caller_that_computes_no_gradients(mode: Callable[[], Any], tmp_path: Path) -> None:
    strategy = groupnas.load_strategy("gumbel").with_epochs(1)
    settings = groupnas.Training(epochs=1, batch_size=4, weights=Optimizer(lr=0.01))
    with mode():
        check_task(SPACE, Toy())
        run = groupnas.search(SPACE, Toy(), strategy, tmp_path / "run")
        split = groupnas.engine.split.split_by_source(Toy().sources, 0.3, 0)
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(128, 3))
        if mode is torch.no_grad:
            groupnas.train(network, Toy(), settings, tmp_path / "trained", split=split)
        compared = groupnas.compare(
            SPACE, Toy, ["even"], tmp_path / "c", training=settings, seeds=[0], jobs=1
        )
        assert not torch.is_grad_enabled()
    assert len(run.history) > 0 and len(compared.cells) == 1


def test_a_program_that_computes_in_float64() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        check_task(SPACE, Toy())
        assert "expected inputs (8, 2, 8, 8) float64, of 8" in complaint(Singles())
    finally:
        torch.set_default_dtype(torch.float32)


def test_views_of_a_task_pass(shapes_space: SearchSpace, shapes: Any) -> None:
    assert fault(shapes, shapes_space) is None
    assert fault(TaskSubset(shapes, torch.arange(5, 95, 3)), shapes_space) is None
    assert fault(TaskParts(shapes, ["ring"]), None) is None
    assert "ring" in complaint(TaskParts(shapes, ["ring"]), shapes_space)  # its space has three


def test_nobodys_random_state_is_touched() -> None:
    class Drawing(Toy):
        def batch(self, indices: Any, generator: Any = None) -> Any:
            torch.rand(1), np.random.rand(), random.random()
            return super().batch(indices, generator)

    def states() -> list[Any]:
        return [torch.rand(1).item(), np.random.rand(), random.random()]

    found = []
    for check in (True, False):
        torch.manual_seed(3), np.random.seed(3), random.seed(3)
        if check:
            check_task(SPACE, Drawing())
        found.append(states())
    assert found[0] == found[1]


INPUTS = "batch(indices): expected inputs (8, 2, 8, 8) float32, of 8 indices; got a"
ERRORS = (
    "errors(predicted, target): expected (8, 2) numbers, of every sample and part; got a tensor"
)

# -- mistakes -----------------------------------------------------------------------------------

MISTAKES: dict[str, tuple[type[Toy], str]] = {}


def mistake(said: str) -> Callable[[type[Toy]], type[Toy]]:
    """A wrong task, and how the message about it must go on behind the task's name."""

    def keep(task: type[Toy]) -> type[Toy]:
        MISTAKES[task.__name__] = (task, said)
        return task

    return keep


def attribute(label: str, said: str, **values: Any) -> None:
    """A task whose attribute is another."""

    def change(self: Any) -> None:
        Toy.__init__(self)
        for name, value in values.items():
            setattr(self, name, value)

    mistake(said)(type(label, (Toy,), {"__init__": change}))


attribute("NameIsNone", "name: expected a text, got None", name=None)
attribute("UnitIsEmpty", "error_unit: expected a text, got ''", error_unit="")
attribute("LossIsNumber", "loss: expected a method, got 3", loss=3)
attribute(
    "InputsAreList", "inputs: expected a mapping from parts to sizes, got a list", inputs=["a"]
)
attribute(
    "OutputsAreOther",
    "outputs: space test has {'a': 2, 'b': 1}, the task {'a': 2, 'b': 2}",
    outputs={"a": 2, "b": 2},
)
attribute(
    "InputsInOtherOrder",
    "inputs: space test has in this order: {'a': 1, 'b': 1}, the task {'b': 1, 'a': 1}",
    inputs={"b": 1, "a": 1},
)
attribute("SizeIsTrue", "inputs: expected names and whole numbers", inputs={"a": True, "b": 1})
attribute("SourcesAreText", "sources: expected a list of names", sources="source 1")
attribute("SourcesAreNumbers", "sources: expected names, got 0 for sample 0", sources=range(COUNT))
attribute("SourcesAreNone", "sources: expected a list of names", sources=None)
attribute("NoSamples", "sources: expected at least 2 samples, got none", sources=[])
attribute("OneSource", "sources: all 20 samples are of 'x'; expected 2", sources=["x"] * COUNT)
attribute(
    "SourcesTooShort",
    "sources: names 15 samples, but batch has one at 15, too; expected one name for every sample",
    sources=[f"source {i}" for i in range(15)],
)
attribute(
    "SourcesTooLong",
    "sources: names 25 samples, but batch has none at 24 (IndexError); expected one name",
    sources=[f"source {i}" for i in range(25)],
)


@mistake("sources: raised FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/list'")
class SourcesUnreadable(Toy):
    sources: Any = property(
        lambda self: Path("/nowhere/list").read_text(), lambda self, value: None
    )


@mistake("sources: raised AttributeError: 'SourcesOfNothing' object has no attribute 'files'")
class SourcesOfNothing(Toy):
    sources: Any = property(lambda self: self.files, lambda self, value: None)


attribute("SourcesAreScalar", "sources: expected a list of names", sources=np.array("x"))


class _Batch(Toy):
    """Its batch is changed, whatever is asked for."""

    def batch(self, indices: Any, generator: Any = None) -> Any:
        return self.change(*super().batch(indices, generator))

    def change(self, x: Any, target: Any) -> Any:
        raise NotImplementedError


@mistake("batch(indices): expected inputs and a target, got a tensor of shape (8, 2, 8, 8)")
class NoTarget(_Batch):
    def change(self, x: Any, target: Any) -> Any:
        return x


@mistake(f"{INPUTS} ndarray")
class PixelsAreArray(_Batch):
    def change(self, x: Any, target: Any) -> Any:
        return x.numpy(), target


@mistake(f"{INPUTS} tensor of shape (7")
class OtherBatchSize(_Batch):
    def change(self, x: Any, target: Any) -> Any:
        return x[:-1], target


@mistake(f"{INPUTS} tensor of shape (6")
class NoRepeats(Toy):
    def batch(self, indices: Any, generator: Any = None) -> Any:
        return super().batch(indices.unique(), generator)


@mistake(f"{INPUTS} tensor of shape (8, 3")
class OtherChannels(_Batch):
    def change(self, x: Any, target: Any) -> Any:
        return torch.cat([x, x[:, :1]], dim=1), target


@mistake(f"{INPUTS} tensor of shape (8, 2, 16")
class OtherPixels(_Batch):
    def change(self, x: Any, target: Any) -> Any:
        return x.repeat_interleave(2, dim=2), target


@mistake(f"{INPUTS} tensor of shape (8, 2, 8, 8), float64")
class Doubles(_Batch):
    def change(self, x: Any, target: Any) -> Any:
        return x.double(), target


class Singles(_Batch):
    def change(self, x: Any, target: Any) -> Any:
        return x.float(), target


@mistake(f"{INPUTS} tensor of shape (8, 2, 8, 8), uint8")
class Bytes(_Batch):
    def change(self, x: Any, target: Any) -> Any:
        return x.to(torch.uint8), target


@mistake("batch(indices): expected finite pixels, got NaN")
class NanPixel(_Batch):
    def change(self, x: Any, target: Any) -> Any:
        return x.index_fill(0, torch.tensor([3]), torch.nan), target


@mistake(
    "batch of a single index: expected inputs (1, 2, 8, 8) float32, of 1 indices; "
    "got a tensor of shape (2, 8, 8), float32"
)
class Squeezed(_Batch):
    def change(self, x: Any, target: Any) -> Any:
        return x.squeeze(0), target


@mistake("batch(indices): expected the samples in the order of indices")
class Sorted(Toy):
    def batch(self, indices: Any, generator: Any = None) -> Any:
        return super().batch(indices.sort()[0], generator)


@mistake("batch(indices): targets do not follow the order of indices, or errors do not")
class TargetsSorted(Toy):
    def batch(self, indices: Any, generator: Any = None) -> Any:
        x, _ = super().batch(indices, None)
        return x, super().batch(indices.sort()[0], None)[1]


@mistake("batch(indices): the same indices give another batch each time; without a generator")
class CountsCalls(Toy):
    def batch(self, indices: Any, generator: Any = None) -> Any:
        self.calls += 1
        x, target = super().batch(indices, generator)
        return x + self.calls, target


@mistake("batch(indices): the same indices give another batch each time; without a generator")
class OwnGenerator(Toy):
    def __init__(self) -> None:
        super().__init__()
        self.draw = torch.Generator().manual_seed(0)

    def batch(self, indices: Any, generator: Any = None) -> Any:
        return super().batch(indices, generator or self.draw)


@mistake("batch(indices): draws from a global random state; without a generator nothing must be")
class AlwaysAugments(Toy):
    def batch(self, indices: Any, generator: Any = None) -> Any:
        x, target = super().batch(indices, generator)
        return x + 0.1 * torch.randn_like(x), target


@mistake("batch(indices): seeds torch's global random state, from which searches draw")
class SeedsTorch(Toy):
    def batch(self, indices: Any, generator: Any = None) -> Any:
        torch.manual_seed(0)
        return super().batch(indices, generator)


class _Augments(Toy):
    """Its augmentation adds a number to the pixels of some samples."""

    def batch(self, indices: Any, generator: Any = None) -> Any:
        x, target = super().batch(indices)
        return (x if generator is None else x + self.noise()), target

    def noise(self) -> float:
        raise NotImplementedError


@mistake(
    "batch(indices, generator): draws from a global random state; expected its generator alone"
)
class TorchNoise(_Augments):
    def noise(self) -> float:
        return float(torch.rand(1))


@mistake(
    "batch(indices, generator): draws from a global random state; expected its generator alone"
)
class NumpyNoise(_Augments):
    def noise(self) -> float:
        return float(np.random.rand())


@mistake(
    "batch(indices, generator): draws from a global random state; expected its generator alone"
)
class RareNoise(_Augments):
    """Of a task that flips one batch in three."""

    def noise(self) -> float:
        return float(random.random() < 1 / 3)


@mistake(
    "batch(indices, generator): draws from a global random state; expected its generator alone"
)
class CoinOfTorch(_Augments):
    """Of a transform that draws once for a batch."""

    def noise(self) -> float:
        return float(torch.rand(1) < 0.5)


@mistake("batch(indices, generator): the same indices and generator state give another batch each")
class FreshNoise(_Augments):
    def noise(self) -> float:
        return float(np.random.default_rng().random())


@mistake("batch(indices, generator): the same indices and generator state give another batch each")
class TargetDrawnElsewhere(Toy):
    def batch(self, indices: Any, generator: Any = None) -> Any:
        x, target = super().batch(indices)
        if generator is not None:
            target.notes["turned"] = [np.random.default_rng().random()]
        return x, target


@mistake("batch(indices, generator): changes the samples that later batches are made of")
class AugmentsInPlace(Toy):
    """Draws as it should, but on the samples themselves."""

    def batch(self, indices: Any, generator: Any = None) -> Any:
        if generator is not None:
            self.pixels[indices] = torch.rand(2, 8, 8, generator=generator)
        return super().batch(indices)


@mistake("batch(indices): raised TypeError: only lists")
class WantsLists(Toy):
    def batch(self, indices: Any, generator: Any = None) -> Any:
        if isinstance(indices, Tensor):
            raise TypeError("only lists\nof numbers")


@mistake("to(target, device): raised AttributeError: 'list' object has no attribute 'to'")
class TargetCannotMove(Toy):
    def batch(self, indices: Any, generator: Any = None) -> Any:
        x, target = super().batch(indices, generator)
        return x, target.truth.tolist()

    def to(self, target: Any, device: Any) -> Any:
        return target.to(device)


@mistake("to(target, device): expected the target, moved to the device; got None")
class MovesInPlace(Toy):
    def to(self, target: Any, device: Any) -> Any:
        target.truth = target.truth.to(device)


class _Drawn(Toy):
    """What augmentation makes of targets is not as it was."""

    def batch(self, indices: Any, generator: Any = None) -> Any:
        x, target = super().batch(indices)
        return x, target if generator is None else Target(self.drawn(target.truth), {})

    def drawn(self, truth: Tensor) -> Tensor:
        raise NotImplementedError


@mistake("loss(predicted, target) of an augmented batch: raised RuntimeError: The size of tensor a")
class DrawnTargetShorter(_Drawn):
    def drawn(self, truth: Tensor) -> Tensor:
        return truth[:, :2]


@mistake("loss(predicted, target) of an augmented batch: nan for finite predictions")
class DrawnTargetOdd(_Drawn):
    gaps = 0

    def drawn(self, truth: Tensor) -> Tensor:
        return truth * torch.inf

    def loss(self, predicted: Any, target: Any) -> Any:
        return (predicted - target.truth).mul(0.5).sin().square().mean()


@mistake("batch(indices): inputs are made in inference mode, of which nothing can learn")
class Inference(Toy):
    @torch.inference_mode()
    def batch(self, indices: Any, generator: Any = None) -> Any:
        return super().batch(indices, generator)


@mistake("mean_output(): expected (3,) floats or None, got a tensor of shape (4,), float32")
class OtherMean(Toy):
    def mean_output(self) -> Any:
        return torch.zeros(4)


@mistake("mean_output(): expected (3,) floats or None, got a ndarray")
class MeanIsArray(Toy):
    def mean_output(self) -> Any:
        return np.zeros(3)


@mistake("mean_output(): expected finite numbers, got NaN")
class MeanOfGaps(Toy):
    def mean_output(self) -> Any:
        return self.truth.mean(dim=0)


class _Loss(Toy):
    gaps: int = 0

    def loss(self, predicted: Any, target: Any) -> Any:
        return self.of(predicted - target.truth)

    def of(self, far: Any) -> Any:
        raise NotImplementedError


@mistake("loss(predicted, target): expected a scalar float, got a tensor of shape (8,), float32")
class LossOfSamples(_Loss):
    def of(self, far: Any) -> Any:
        return far.square().mean(dim=1)


@mistake("loss(predicted, target): expected a scalar float, got ")
class LossIsPlain(_Loss):
    def of(self, far: Any) -> Any:
        return far.square().mean().item()


@mistake("loss(predicted, target): expected a scalar float, got a tensor of shape (), int64")
class LossIsWhole(_Loss):
    def of(self, far: Any) -> Any:
        return (far > 1).sum()


@mistake("loss(predicted, target): has no gradient")
class LossDetached(_Loss):
    def of(self, far: Any) -> Any:
        return far.detach().square().mean()


@mistake("loss(predicted, target): nan for finite predictions")
class LossOfGaps(Toy):
    def loss(self, predicted: Any, target: Any) -> Any:
        return (predicted - target.truth).square().mean()


@mistake("loss(predicted, target): its gradient is not finite")
class GradientOfGaps(Toy):
    """The value is right, and its derivative is 0 times NaN."""

    def loss(self, predicted: Any, target: Any) -> Any:
        far = (predicted - target.truth).square()
        return torch.where(far.isnan(), 0.0, (far + 1).sqrt() * far).nansum()


@mistake("loss(predicted, target): does not depend on the predictions")
class LossOfTruth(Toy):
    def loss(self, predicted: Any, target: Any) -> Any:
        return torch.ones(1, requires_grad=True) * target.truth.nanmean()


@mistake("loss(predicted, target): does not depend on what is predicted of b")
class LossForgetsB(_Loss):
    def of(self, far: Any) -> Any:
        return far[:, :2].square().mean()


@mistake("loss(predicted, target): does not depend on what is predicted of b")
class LossDetachesB(_Loss):
    """Its value depends on them, but nothing learns from that."""

    def loss(self, predicted: Any, target: Any) -> Any:
        far = predicted - target.truth
        return far[:, :2].square().mean() + far[:, 2].detach().square().mean()


@mistake("loss(predicted, target): changes what it is given")
class LossInPlace(_Loss):
    def loss(self, predicted: Any, target: Any) -> Any:
        predicted -= target.truth
        return predicted.square().mean()


@mistake("loss(predicted, target): raised RuntimeError: The size of tensor a (3)")
class LossOfOtherShape(Toy):
    def loss(self, predicted: Any, target: Any) -> Any:
        return (predicted - torch.zeros(len(predicted), 4)).square().mean()


class _Errors(Toy):
    def errors(self, predicted: Any, target: Any) -> Any:
        return self.of(super().errors(predicted, target))

    def of(self, errors: Any) -> Any:
        raise NotImplementedError


@mistake(f"{ERRORS} of shape (8,)")
class ErrorsOfSamples(_Errors):
    def of(self, errors: Any) -> Any:
        return errors.mean(dim=1)


@mistake(f"{ERRORS} of shape (2,)")
class ErrorsOfParts(_Errors):
    def of(self, errors: Any) -> Any:
        return errors.nanmean(dim=0)


@mistake(f"{ERRORS} of shape (8, 2), complex64")
class ErrorsAreComplex(_Errors):
    def of(self, errors: Any) -> Any:
        return errors.to(torch.complex64)


@mistake("errors(predicted, target): NaN for some predictions and not for others")
class ErrorsOfRoots(Toy):
    def errors(self, predicted: Any, target: Any) -> Any:
        return super().errors(predicted.sqrt(), target)


@mistake("errors(predicted, target): expected errors from 0 on, got -")
class ErrorsBelowZero(_Errors):
    def of(self, errors: Any) -> Any:
        return -errors


@mistake("errors(predicted, target): infinite for finite predictions")
class ErrorsInfinite(_Errors):
    def of(self, errors: Any) -> Any:
        return errors / 0


@mistake("errors(predicted, target): a sample's errors change with the others of its batch")
class ErrorsMixed(_Errors):
    def of(self, errors: Any) -> Any:
        return errors / errors.nanmean()


@mistake("errors(predicted, target): NaN for part a of every sample looked at")
class ErrorsUnknown(_Errors):
    def of(self, errors: Any) -> Any:
        return errors * torch.nan


@mistake("errors(predicted, target): NaN for part b of every sample looked at")
class PartNowhere(TwoSamples):
    """All samples there are were looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.truth[:, 2] = torch.nan


@mistake("fingerprint(): expected a text that is a hash of the samples, got None")
class FingerprintIsNone(Toy):
    def fingerprint(self) -> Any:
        return None


@mistake("fingerprint(): expected a text that is a hash of the samples, got ''")
class FingerprintIsEmpty(Toy):
    def fingerprint(self) -> Any:
        return ""


@mistake("fingerprint(): expected the same for the same samples; it changes from call to call")
class FingerprintOfMemory(Toy):
    def fingerprint(self) -> Any:
        self.calls += 1
        return f"toy {self.calls}"


def test_there_are_enough_mistakes() -> None:
    assert len(MISTAKES) >= 60


@pytest.mark.parametrize("label", MISTAKES)
def test_a_mistake_is_told_in_the_words_of_the_protocol(label: str) -> None:
    task, said = MISTAKES[label]
    name = "NameIsNone" if label == "NameIsNone" else "toy"
    assert complaint(task()).startswith(f"task {name}: {said}")


def test_what_is_missing_is_told_at_once() -> None:
    class Nothing:
        name = "empty"

    assert complaint(Nothing()) == (
        "task empty: has no error_unit, inputs, outputs, sources, batch, mean_output, loss, "
        "errors, to, fingerprint; see groupnas.task.Task"
    )
    assert complaint(None).startswith("task NoneType: has no name, error_unit, inputs")


def test_what_all_batches_do_is_told_once() -> None:
    assert complaint(Doubles()).count("expected inputs") == 1


def test_all_mistakes_that_can_be_told_are() -> None:
    class Several(OtherMean, LossForgetsB, ErrorsBelowZero):
        def batch(self, indices: Any, generator: Any = None) -> Any:
            x, target = super().batch(indices, generator)
            return x.double(), target

    said = complaint(Several())
    for part in ("batch(indices)", "mean_output()", "errors(", "predicted of b"):
        assert part in said


def test_what_was_raised_is_the_cause() -> None:
    with pytest.raises(InputError) as caught:
        check_task(SPACE, WantsLists())
    assert isinstance(caught.value.__cause__, TypeError)

    class Damaged(Toy):
        def batch(self, indices: Any, generator: Any = None) -> Any:
            raise InputError("source.png: is damaged")

    assert complaint(Damaged()) == "source.png: is damaged"


def test_a_class_is_no_task() -> None:
    assert complaint(Toy) == "task toy: is a class; expected a task of it: Toy(...)"


def test_arguments_in_the_wrong_order() -> None:
    with pytest.raises(InputError, match="^space: expected a SearchSpace, got a Toy$"):
        check_task(Toy(), SPACE)  # type: ignore[arg-type]


def test_few_samples_are_asked_for() -> None:
    asked: list[int] = []

    class Counting(Toy):
        def batch(self, indices: Any, generator: Any = None) -> Any:
            asked.append(len(indices))
            return super().batch(indices, generator)

    check_task(SPACE, Counting())
    assert len(asked) <= 20 and sum(asked) <= 120


# -- who checks ---------------------------------------------------------------------------------


def test_a_search_checks_its_task(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="^task toy: errors"):
        groupnas.search(SPACE, ErrorsBelowZero(), "even", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_training_checks_its_task(tmp_path: Path) -> None:
    split = groupnas.engine.split.split_by_source(Toy().sources, 0.3, 0)
    settings = groupnas.Training(epochs=1, batch_size=4, weights=Optimizer(lr=0.01))
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(128, 3))
    with pytest.raises(InputError, match="^task toy: batch"):
        groupnas.train(network, TorchNoise(), settings, tmp_path / "run", split=split)
    assert not (tmp_path / "run").exists()
    task: Any = Toy()
    done = groupnas.train(network, task, settings, tmp_path / "run", split=split)
    assert done.result["epochs"] == 1


def test_a_comparison_checks_its_task(tmp_path: Path) -> None:
    settings = groupnas.Training(epochs=1, batch_size=4, weights=Optimizer(lr=0.01))
    with pytest.raises(InputError, match="^task toy: mean_output"):
        groupnas.compare(SPACE, OtherMean, ["even"], tmp_path / "c", training=settings, jobs=1)
    assert not (tmp_path / "c").exists()


def test_a_subset_of_more_samples_than_a_list_may_have() -> None:
    class Many(Toy):
        def __init__(self) -> None:
            super().__init__()
            self.sources = [f"source {i}" for i in range(100_002)]

    subset = TaskSubset(Many(), torch.arange(1, 100_002))
    assert len(subset.sources) == 100_001 and subset.sources[-1] == "source 100001"
