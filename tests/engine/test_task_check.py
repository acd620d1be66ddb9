"""What a task does wrong is found before anything runs; each mistake is made here, alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import groupnas
from groupnas.engine.strategy import Optimizer
from groupnas.engine.task_check import check_task
from groupnas.errors import InputError
from groupnas.spaces.schema import SpaceFile
from groupnas.spaces.space import SearchSpace
from groupnas.task import Task, TaskParts, TaskSubset

FILE = {
    "format": 1,
    "title": "two parts",
    "input": [8, 8],
    "groups": ["a", "b"],
    "inputs": {"a": 1, "b": 1},
    "outputs": {"a": 2, "b": 1},
    "layers": [
        {"name": "stem", "op": "conv3x3", "c": 4, "s": 4},
        {"name": "out", "op": "linear"},
    ],
}
COUNT = 20
SPACE = SearchSpace.from_file(SpaceFile.model_validate(FILE), "pair")


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
        self.sources: Any = [f"photo {i // 2}" for i in range(COUNT)]
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


def complaint(task: Any, space: SearchSpace | None = SPACE) -> str:
    with pytest.raises(InputError) as caught:
        check_task(space, task)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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


@pytest.mark.parametrize("task", [Toy, Float64Error, Endless, NumpyTyped, TwoSamples, TargetIsNone])
def test_what_is_right_passes(task: Callable[[], Any]) -> None:
    check_task(SPACE, task())
    check_task(None, task())


def test_a_program_that_computes_in_float64() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        check_task(SPACE, Toy())
        assert "expected inputs (8, 2, 8, 8) float64, of 8" in complaint(Singles())
    finally:
        torch.set_default_dtype(torch.float32)


def test_views_of_a_task_pass(shapes_space: SearchSpace, shapes: Any) -> None:
    check_task(shapes_space, shapes)
    check_task(shapes_space, TaskSubset(shapes, torch.arange(5, 95, 3)))
    check_task(None, TaskParts(shapes, ["ring"]))


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
ERRORS = "errors(predicted, target): expected (8, 2) floats, of every sample and part; got a tensor"

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
    "outputs: space pair has {'a': 2, 'b': 1}, the task {'a': 2, 'b': 2}",
    outputs={"a": 2, "b": 2},
)
attribute(
    "InputsInOtherOrder",
    "inputs: space pair has in this order: {'a': 1, 'b': 1}, the task {'b': 1, 'a': 1}",
    inputs={"b": 1, "a": 1},
)
attribute("SizeIsTrue", "inputs: expected names and whole numbers", inputs={"a": True, "b": 1})
attribute("SourcesAreText", "sources: expected a list of names", sources="photo 1")
attribute("SourcesAreNumbers", "sources: expected names, got 0 for sample 0", sources=range(COUNT))
attribute("SourcesAreNone", "sources: expected a list of names", sources=None)
attribute("NoSamples", "sources: expected at least 2 samples, got none", sources=[])
attribute("OneSource", "sources: all 20 samples are of 'x'; expected 2", sources=["x"] * COUNT)
attribute(
    "SourcesTooShort",
    "sources: names 15 samples, but batch has one at 15, too; expected one name for every sample",
    sources=[f"photo {i}" for i in range(15)],
)
attribute(
    "SourcesTooLong",
    "sources: names 25 samples, but batch has none at 24 (IndexError); expected one name",
    sources=[f"photo {i}" for i in range(25)],
)


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
    gaps = 0

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


@mistake(f"{ERRORS} of shape (8, 2), int64")
class ErrorsAreCounts(_Errors):
    def of(self, errors: Any) -> Any:
        return (errors > 1).long()


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
            raise InputError("photo.png: is damaged")

    assert complaint(Damaged()) == "photo.png: is damaged"


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
    task: Task = Toy()
    done = groupnas.train(network, task, settings, tmp_path / "run", split=split)
    assert done.result["epochs"] == 1


def test_a_comparison_checks_its_task(tmp_path: Path) -> None:
    settings = groupnas.Training(epochs=1, batch_size=4, weights=Optimizer(lr=0.01))
    with pytest.raises(InputError, match="^task toy: mean_output"):
        groupnas.compare(SPACE, OtherMean, ["even"], tmp_path / "c", training=settings, jobs=1)
    assert not (tmp_path / "c").exists()
