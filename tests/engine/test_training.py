"""Training: it learns, keeps the best, and a run that was stopped ends like one never stopped."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers import HOLDER, ROOT, full_disks
from torch import Tensor, nn

import groupnas
from groupnas.engine.observer import Observer
from groupnas.engine.optimizer import plateaus
from groupnas.engine.split import Split, Stream, split_by_source
from groupnas.engine.strategy import Optimizer
from groupnas.engine.training import Trained, Trainer, train
from groupnas.engine.training_settings import Training
from groupnas.errors import InputError
from groupnas.runs.folder import RunFolder

ADAM = Optimizer(lr=0.01, schedule="cosine")
SETTINGS = Training(epochs=3, batch_size=20, weights=ADAM, average=0.9)


def small(seed: int = 0) -> nn.Sequential:
    """A network for the shapes, with a BatchNorm."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(8 * 7 * 7, 9),
        )


@pytest.fixture
def split(shapes: Any) -> Split:
    return split_by_source(shapes.sources, 0.3, 0)


@pytest.fixture
def go(shapes: Any, split: Split, tmp_path: Path) -> Callable[..., Trained]:
    """Train the small network in ``tmp_path/run``; arguments replace the usual ones."""

    def run(**changes: Any) -> Trained:
        usual = {"network": small(), "task": shapes, "settings": SETTINGS, "split": split}
        return train(**{**usual, "out": tmp_path / "run", "seed": 1, **changes})

    return run


def files(folder: Path) -> dict[str, bytes]:
    kept = {file.name: file.read_bytes() for file in folder.iterdir()}
    del kept["timings.jsonl"]
    return kept


def assert_same_runs(found: Path, expected: Path) -> None:
    """Every file but the timings; of checkpoints the contents, since equal values may be shared."""
    for name in ("config.yaml", "split.json", "history.jsonl", "result.json"):
        assert (found / name).read_bytes() == (expected / name).read_bytes(), name
    states = [RunFolder(folder).load_checkpoint() for folder in (found, expected)]
    torch.testing.assert_close(*map(flat, states), rtol=0, atol=0)


def flat(value: Any, where: str = "") -> dict[str, Any]:
    """All leaves of nested containers by their path; others than numbers and tensors as text."""
    if isinstance(value, (dict, list, tuple)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, part in pairs for k, v in flat(part, f"{where}/{key}").items()}
    return {where: value} if isinstance(value, (Tensor, int, float)) else {f"{where}={value}": 0}


def errors_by_hand(network: nn.Module, task: Any, split: Split) -> float:
    """All of the validation side in one batch; every shape has as many outputs."""
    with torch.no_grad():
        x, target = task.batch(split.validation)
        return float(task.errors(network(x), target).double().mean())


def scripted(monkeypatch: pytest.MonkeyPatch, tell: Callable[[Trainer], Any]) -> None:
    """Have trainings measure on the validation side what ``tell`` says."""
    original = Trainer._errors

    def errors(self: Trainer, indices: Tensor) -> dict[str, float]:
        if indices is self.split.validation:
            return tell(self)  # type: ignore[no-any-return]
        return original(self, indices)

    monkeypatch.setattr(Trainer, "_errors", errors)


# -- learning -----------------------------------------------------------------------------------


def test_it_learns(go: Any, shapes: Any, split: Split) -> None:
    trained = go(settings=SETTINGS.model_copy(update={"epochs": 25}))
    first, last = trained.history[0], trained.history[-1]
    assert last["train_loss"] < first["train_loss"] / 3
    assert last["validation"]["mean"] < first["validation"]["mean"] * 0.6
    assert last["validation"]["mean"] < errors_by_hand(small().eval(), shapes, split) / 2
    assert set(last["train_error"]) == {"disc", "square", "ring", "mean"}


def test_training_errors_are_of_samples_as_they_are(go: Any, shapes: Any, split: Split) -> None:
    """Of as many as validate, by the network that validates, beside its validation errors."""
    trained = go(settings=SETTINGS.model_copy(update={"epochs": 1}))
    count = len(split.validation)
    shown = split.train[[place * len(split.train) // count for place in range(count)]]
    told = trained.history[0]["train_error"]["mean"]
    mine = errors_by_hand(trained.network, shapes, Split(split.validation, shown))
    assert told == pytest.approx(mine, rel=1e-4) and len(shown) == count


def test_the_network_given_back_has_the_errors_of_the_result(
    go: Any, shapes: Any, split: Split
) -> None:
    network = small()
    trained = go(network=network)
    assert trained.network is network and not network.training
    validation = trained.result["validation_errors"]
    assert validation["mean"] == pytest.approx(errors_by_hand(network, shapes, split), rel=1e-5)
    assert validation["mean"] == pytest.approx(
        sum(validation[part] for part in shapes.outputs) / 3, rel=1e-6
    )


def test_the_best_epoch_is_kept(go: Any, shapes: Any, split: Split) -> None:
    """Errors go down and up again."""
    wild = Training(epochs=8, batch_size=20, weights=Optimizer(lr=0.02))
    trained = go(settings=wild)
    means = [record["validation"]["mean"] for record in trained.history]
    best = trained.result["best_epoch"]
    assert means[best - 1] == min(means) < means[-1]
    assert errors_by_hand(trained.network, shapes, split) == pytest.approx(min(means), rel=1e-5)


def test_of_equal_epochs_the_first_is_kept(
    go: Any, monkeypatch: pytest.MonkeyPatch, shapes: Any, split: Split
) -> None:
    means, seen = iter([3.0, 1.0, 2.0, 1.0]), []

    def tell(trainer: Trainer) -> dict[str, float]:
        seen.append({k: v.clone() for k, v in trainer.averaged.module.state_dict().items()})
        return {"mean": next(means)}

    scripted(monkeypatch, tell)
    trained = go(settings=SETTINGS.model_copy(update={"epochs": 4}))
    assert trained.result["best_epoch"] == 2 and trained.result["validation_errors"]["mean"] == 1.0
    kept = trained.network.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in seen[1].items())
    assert any(not torch.equal(kept[name], value) for name, value in seen[3].items())


def test_an_epoch_without_a_number_is_never_the_best(
    go: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    means = iter([math.nan, 2.0, math.nan])
    scripted(monkeypatch, lambda _: {"mean": next(means)})
    assert go().result["best_epoch"] == 2


def test_validation_is_not_augmented_and_never_trains(
    go: Any, shapes: Any, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The check of the task draws a few batches of its own, of all samples.
    monkeypatch.setattr("groupnas.engine.training.check_task", lambda space, task: None)
    asked: dict[bool, set[int]] = {True: set(), False: set()}

    class Watched(type(shapes)):  # type: ignore[misc]
        def batch(self, indices: Tensor, generator: Any = None) -> Any:
            asked[generator is not None].update(indices.tolist())
            return super().batch(indices, generator)

    go(task=Watched(samples=100))
    assert asked[True] == set(split.train.tolist())
    plain = set(split.validation.tolist())  # and as many that train, for their errors
    assert plain < asked[False] and len(asked[False]) == 2 * len(plain)
    assert asked[False] - plain <= asked[True]


# -- against a loop written out -----------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.999])
def test_two_epochs_by_hand(shapes: Any, split: Split, decay: float) -> None:
    """Weights under warm-up and cosine, and their average, ramped up."""
    sgd = Optimizer(name="sgd", lr=0.1, momentum=0.0, schedule="cosine", end_lr=0.02, warmup=0.25)
    settings = Training(epochs=2, batch_size=20, weights=sgd, average=decay)
    trainer = Trainer(small(), shapes, settings, split, seed=4)
    for _ in range(2):
        trainer.run_epoch()

    network, mean = small().to(memory_format=torch.channels_last), {}  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(4)
    order: list[int] = []
    losses = []
    for step in range(6):  # 70 samples train: 3 batches of 20 an epoch
        if len(order) < 20:
            order = torch.randperm(70, generator=generator).tolist()
        batch, order = order[:20], order[20:]
        x, target = shapes.batch(split.train[batch], generator)
        loss = shapes.loss(network(x.to(memory_format=torch.channels_last)), target)
        losses.append(loss.item())
        rate = 0.02 + 0.08 * (1 + math.cos(math.pi * step / 6)) / 2
        if step == 0:
            rate = 0.0
        elif step == 1:  # a sixth of the run, of a quarter that warms up
            rate *= (1 / 6) / 0.25
        network.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter -= rate * parameter.grad
            share = min(decay, (1 + step) / (10 + step))
            for name, value in network.state_dict().items():
                if step == 0 or not value.is_floating_point():
                    mean[name] = value.clone()
                else:
                    mean[name] = share * mean[name] + (1 - share) * value

    for record, three in zip(trainer.history, (losses[:3], losses[3:]), strict=True):
        assert record["train_loss"] == pytest.approx(sum(three) / 3, rel=1e-5)
    torch.testing.assert_close(trainer.network.state_dict(), network.state_dict())
    torch.testing.assert_close(dict(trainer.averaged.module.state_dict()), mean)
    if decay == 0:
        for name, value in trainer.network.state_dict().items():
            assert torch.equal(trainer.averaged.module.state_dict()[name], value), name


def test_sampling_weights_reach_the_batches(shapes: Any, split: Split) -> None:
    weights = torch.zeros(len(split.train))
    weights[[3, 5]] = torch.tensor([1.0, 3.0])
    drawn: list[int] = []

    class Watched(type(shapes)):  # type: ignore[misc]
        def batch(self, indices: Tensor, generator: Any = None) -> Any:
            if generator is not None:
                drawn.extend(indices.tolist())
            return super().batch(indices, generator)

    settings = SETTINGS.model_copy(update={"epochs": 10})
    trainer = Trainer(small(), Watched(samples=100), settings, split, sampling=weights)
    for _ in range(10):
        trainer.run_epoch()
    rare, often = split.train[[3, 5]].tolist()
    assert len(drawn) == 600 and set(drawn) == {rare, often}
    assert drawn.count(often) / 600 == pytest.approx(0.75, abs=4 * math.sqrt(0.75 * 0.25 / 600))


# -- the folder ---------------------------------------------------------------------------------


def test_what_a_run_leaves_behind(go: Any, split: Split, shapes: Any, tmp_path: Path) -> None:
    trained = go(arguments={"colour": "blue"})
    folder = tmp_path / "run"
    assert {file.name for file in folder.iterdir()} == {
        ".lock",
        "checkpoint.pt",
        "config.yaml",
        "history.jsonl",
        "result.json",
        "split.json",
        "timings.jsonl",
    }
    lines = (folder / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == list(trained.history)
    assert [record["epoch"] for record in trained.history] == [1, 2, 3]
    assert json.loads((folder / "result.json").read_text()) == trained.result
    assert json.loads((folder / "split.json").read_text()) == split.sources(shapes.sources)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["seed"] == 1 and config["arguments"] == {"colour": "blue"}
    assert config["training"] == SETTINGS.model_dump(mode="json")
    assert config["task"]["fingerprint"] == shapes.fingerprint()


def test_the_same_seed_gives_the_same_files(go: Any, tmp_path: Path) -> None:
    first, second, other = (
        files(go(out=tmp_path / name, seed=seed).folder.path)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    for name in ("history.jsonl", "checkpoint.pt", "result.json"):
        assert first[name] == second[name] != other[name], name


def test_samples_become_numbers_of_the_network_s_kind(go: Any) -> None:
    trained = go(network=small().double())
    assert {p.dtype for p in trained.network.parameters()} == {torch.float64}
    assert all(record["train_loss"] > 0 for record in trained.history)


def test_the_callers_random_state_is_left_alone(go: Any) -> None:
    before = torch.get_rng_state()
    go()
    assert torch.equal(torch.get_rng_state(), before)


def test_observers_are_told_in_order(go: Any) -> None:
    told: list[Any] = []

    class Diary(Observer):
        def started(self, folder: Any, job: Any) -> None:
            told.append(("started", len(job.history), job.describe()))

        def stepped(self, done: int, total: int) -> None:
            told.append((done, total))

        def epoch_ended(self, record: dict[str, Any]) -> None:
            told.append(record["epoch"])

        def finished(self, result: dict[str, Any]) -> None:
            told.append(result)

    trained = go(observers=[Diary()])
    steps = [(1, 3), (2, 3), (3, 3)]
    line = "shapes: 70 samples train, 30 validate; 3 epochs, errors in px"
    assert told == [
        ("started", 0, [line]),
        *(event for epoch in (1, 2, 3) for event in [*steps, epoch]),
        trained.result,
    ]


# -- stopped, and gone on with ------------------------------------------------------------------


class Stop(Observer):
    """Stops a training, as Ctrl-C does, after so many steps or epochs."""

    def __init__(self, *, steps: int | None = None, epochs: int | None = None) -> None:
        self.steps, self.epochs, self.done = steps, epochs, 0

    def stepped(self, done: int, total: int) -> None:
        self.done += 1
        if self.done == self.steps:
            raise KeyboardInterrupt

    def epoch_ended(self, record: dict[str, Any]) -> None:
        if record["epoch"] == self.epochs:
            raise KeyboardInterrupt


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("stop", [{"epochs": 1}, {"epochs": 2}, {"steps": 2}, {"steps": 5}])
def test_a_resumed_run_ends_like_one_never_stopped(
    go: Any, stop: dict[str, int], weighted: bool, tmp_path: Path
) -> None:
    sampling = torch.arange(70.0) if weighted else None
    whole = go(out=tmp_path / "whole", sampling=sampling)
    with pytest.raises(KeyboardInterrupt):
        go(sampling=sampling, observers=[Stop(**stop)])
    # the network's first weights and the global random state do not matter any more
    torch.rand(7)
    again = go(network=small(seed=9), sampling=sampling, resume=True)
    assert again.history == whole.history and again.result == whole.result
    for name, value in whole.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], value), name
    assert_same_runs(tmp_path / "run", tmp_path / "whole")


def test_a_finished_run_resumed_gives_its_result_again(go: Any, tmp_path: Path) -> None:
    first = go()
    before = files(tmp_path / "run")
    again = go(network=small(seed=9), resume=True)
    assert again.result == first.result and files(tmp_path / "run") == before
    for name, value in first.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], value), name


def test_full_disk_at_every_write(go: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever write fails, what was there stays, and the run goes on once there is space."""
    whole = go(out=tmp_path / "whole").folder.path
    failed = 0
    for out in full_disks(lambda out: go(out=out), tmp_path, monkeypatch):
        failed += 1
        if RunFolder(out).exists:
            RunFolder(out).load_checkpoint()  # the latest whole one
        go(out=out, network=small(), resume=RunFolder(out).exists)
        assert_same_runs(out, whole)
    # 3 to start, 1 before the first epoch, 3 for each of 3 epochs, 1 result
    assert failed == 14


# -- refused ------------------------------------------------------------------------------------


def test_a_second_run_in_the_same_folder(go: Any, tmp_path: Path) -> None:
    go()
    before = files(tmp_path / "run")
    with pytest.raises(InputError, match="run: holds a run already; --resume goes on, another"):
        go()
    assert files(tmp_path / "run") == before


def test_no_run_to_resume(go: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run: does not exist; expected the folder of a training"):
        go(resume=True)
    assert not (tmp_path / "run").exists()


def test_another_setting_is_refused_by_name(
    go: Any, own_parts: Any, split: Split, tmp_path: Path
) -> None:
    go(arguments={"grouping": {"stem": [1, 2]}})
    before = files(tmp_path / "run")
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"seed": 2}, "seed = 1, not 2"),
        ({"settings": {"epochs": 4}}, "training.epochs = 3, not 4"),
        ({"settings": {"average": 0.0}}, "training.average = 0.9, not 0.0"),
        ({"settings": {"weights": Optimizer(lr=0.02)}}, "training.weights.lr = 0.01, not 0.02"),
        ({"task": own_parts.Shapes(samples=99)}, "task.samples = 100, not 99"),
        ({"task": own_parts.Shapes(samples=100, seed=1)}, "task.fingerprint = "),
        ({"arguments": {"grouping": {"stem": [2, 1]}}}, r"arguments.grouping.stem = \[1, 2\], not"),
        ({"arguments": {}}, "arguments.grouping = .*, not None"),
    )
    for changes, message in cases:
        if "settings" in changes:
            changes = {"settings": SETTINGS.model_copy(update=changes["settings"])}
        with pytest.raises(InputError, match=f"run: the run was started with {message}") as error:
            go(**{"arguments": {"grouping": {"stem": [1, 2]}}, **changes, "resume": True})
        assert "\n" not in str(error.value)
    assert files(tmp_path / "run") == before


def test_another_split_is_refused(go: Any, split: Split, tmp_path: Path) -> None:
    """Else sources that trained would choose the epoch."""
    with pytest.raises(KeyboardInterrupt):
        go(observers=[Stop(epochs=1)])
    before = files(tmp_path / "run")
    swapped = replace(split, train=split.validation, validation=split.train)
    with pytest.raises(InputError, match="split.json: the run was started with another split"):
        go(split=swapped, resume=True)
    assert files(tmp_path / "run") == before


def test_a_checkpoint_of_another_run(go: Any, tmp_path: Path) -> None:
    go()
    folder = RunFolder(tmp_path / "run")
    saved = folder.load_checkpoint()
    for state in ({"run": saved["run"]}, {**saved, "network": {}}):
        folder.save_checkpoint(state)
        with pytest.raises(InputError, match="checkpoint.pt: is damaged, or not of the run that"):
            go(resume=True)


def test_a_checkpoint_of_another_seed(go: Any, tmp_path: Path) -> None:
    """It fits, and would go on as a run that no file describes."""
    go()
    go(out=tmp_path / "other", seed=2)
    (tmp_path / "run/checkpoint.pt").write_bytes((tmp_path / "other/checkpoint.pt").read_bytes())
    before = files(tmp_path / "run")
    with pytest.raises(InputError, match="checkpoint.pt: is of another run than config.yaml"):
        go(resume=True)
    assert files(tmp_path / "run") == before


@pytest.mark.parametrize("resume", [False, True])
def test_two_processes_on_one_folder(go: Any, tmp_path: Path, resume: bool) -> None:
    if resume:
        go()
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "locked\n"
        before = {file.name for file in (tmp_path / "run").iterdir()}
        with pytest.raises(InputError, match="run: another run is writing to this folder"):
            go(resume=resume)
        assert {file.name for file in (tmp_path / "run").iterdir()} == before
        holder.send_signal(signal.SIGKILL)
    assert len(go(resume=resume).history) == 3


def test_a_loss_that_is_not_finite(go: Any, shapes: Any, tmp_path: Path) -> None:
    """The epochs before it stay, and so does the best of them."""

    class Diverging(type(shapes)):  # type: ignore[misc]
        steps = 0

        def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
            self.steps += 1
            loss: Tensor = super().loss(predicted, target)
            return loss * math.inf if self.steps == 8 else loss  # the check computes 3

    with pytest.raises(InputError, match="training loss is inf: the run diverged; lower weights"):
        go(task=Diverging(samples=100))
    state = RunFolder(tmp_path / "run").load_checkpoint()
    assert [record["epoch"] for record in state["history"]] == [1] and state["best"]
    assert not (tmp_path / "run/result.json").exists()


def test_a_device_that_is_not_there(go: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="device 'meta' cannot be used here"):
        go(device="meta")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"batch_size": 1}, {"average": 1.0}, {"average": -0.1}, {"lr": 0.1}]
)
def test_wrong_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"Training: {next(iter(wrong))}: "):
        Training(**{**SETTINGS.model_dump(), **wrong})


def test_the_stream_of_the_trainer_is_the_splits(shapes: Any, split: Split) -> None:
    trainer = Trainer(small(), shapes, SETTINGS, split, seed=4)
    stream = Stream(split.train, 20, torch.Generator().manual_seed(4))
    assert torch.equal(next(trainer.stream), next(stream))
    assert (trainer.steps, trainer.batch_size, trainer.total_epochs) == (3, 20, 3)


# -- what is kept -------------------------------------------------------------------------------


KEEPING = SETTINGS.model_copy(update={"epochs": 4, "keep": "groups", "average": 0.0})


@pytest.fixture
def grouped(shapes_space: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network: nn.Module = groupnas.Allocation.even(shapes_space).build()
            return network

    return build


def test_each_group_keeps_its_best_epoch(
    grouped: Callable[[], nn.Module], shapes: Any, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a history that is made by hand: disc is best in epoch 2, square in 3, ring in 1."""
    told = iter(
        {"disc": disc, "square": square, "ring": ring, "mean": 1.0}
        for disc, square, ring in ((5, 5, 1), (2, 6, 1), (3, 4, math.nan), (2, 4, 7))
    )
    scripted(monkeypatch, lambda _: next(told))
    job = Trainer(grouped(), shapes, KEEPING, split)
    answers = []
    x, _ = shapes.batch(split.validation)
    for _ in range(4):
        job.run_epoch()
        with torch.no_grad():
            answers.append(job.averaged.module.eval()(x))
    assert job.best_epochs == {"disc": 2, "square": 3, "ring": 1}
    network = grouped()
    network.load_state_dict(job.best)
    with torch.no_grad():
        found = network.eval()(x).split(3, dim=1)
    for part, (index, epoch) in zip(found, ((0, 2), (1, 3), (2, 1)), strict=True):
        torch.testing.assert_close(part, answers[epoch - 1].split(3, dim=1)[index])
        assert not torch.allclose(part, answers[3].split(3, dim=1)[index])


def test_kept_by_groups_and_resumed(
    go: Any, grouped: Any, shapes: Any, split: Split, tmp_path: Path
) -> None:
    class Killing(Observer):
        def epoch_ended(self, record: dict[str, Any]) -> None:
            if record["epoch"] == 2:
                raise KeyboardInterrupt

    whole = go(network=grouped(), settings=KEEPING, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        go(network=grouped(), settings=KEEPING, out=tmp_path / "stopped", observers=[Killing()])
    again = go(network=grouped(), settings=KEEPING, out=tmp_path / "stopped", resume=True)
    assert_same_runs(tmp_path / "stopped", tmp_path / "whole")
    assert again.result == whole.result
    errors, history = whole.result["validation_errors"], whole.history
    for name, epoch in whole.result["best_epochs"].items():
        assert errors[name] == pytest.approx(history[epoch - 1]["validation"][name], rel=1e-5)
        assert errors[name] <= min(r["validation"][name] for r in history) * (1 + 1e-5)
    assert errors["mean"] == pytest.approx(errors_by_hand(whole.network, shapes, split), rel=1e-5)


def test_groups_that_share_weights_are_kept_whole(go: Any) -> None:
    with pytest.raises(InputError, match="training.keep: groups: takes a network whose groups"):
        go(settings=KEEPING)
    wrong = {"epochs": 1, "batch_size": 2, "weights": ADAM, "keep": "parts"}
    with pytest.raises(InputError, match="keep: input should be 'whole' or 'groups'"):
        Training(**wrong)


def test_runs_from_before_the_setting_go_on(go: Any, tmp_path: Path) -> None:
    go()
    file = tmp_path / "run/config.yaml"
    config = yaml.safe_load(file.read_text())
    del config["training"]["keep"]
    file.write_text(yaml.safe_dump(config))
    assert len(go(resume=True).history) == 3


# -- rates that depend on the history, or on the row --------------------------------------------


def test_plateau_and_slow_rows_resumed(go: Any, tmp_path: Path) -> None:
    """Stopped in the middle of a plateau, it counts on from what is recorded."""
    wild = Optimizer(lr=0.3, schedule="plateau", factor=0.3, patience=0, slow={"0": 0.1})
    settings = Training(epochs=6, batch_size=20, weights=wild)
    whole = go(settings=settings, out=tmp_path / "whole")
    errors = [record["validation"]["mean"] for record in whole.history]
    assert any(later >= min(errors[:n]) for n, later in enumerate(errors[1:-1], 1))  # it fell
    for epochs in (1, 4):
        out = tmp_path / f"stopped-{epochs}"
        with pytest.raises(KeyboardInterrupt):
            go(settings=settings, out=out, observers=[Stop(epochs=epochs)])
        go(settings=settings, out=out, resume=True)
        assert_same_runs(out, tmp_path / "whole")
    rate = RunFolder(tmp_path / "whole").load_checkpoint()["optimizer"]["param_groups"]
    falls = plateaus(errors[:-1], 0)
    assert [group["lr"] for group in rate] == pytest.approx(
        [0.3 * 0.3**falls * 0.1, 0.3 * 0.3**falls]
    )


def test_a_row_that_the_network_has_not(go: Any, tmp_path: Path) -> None:
    slow = Optimizer(lr=0.05, slow={"trunk": 0.1})
    with pytest.raises(InputError, match="training.weights: slow: no row 'trunk' has weights; ch"):
        go(settings=SETTINGS.model_copy(update={"weights": slow}))
    assert not (tmp_path / "run").exists()


def test_runs_from_before_the_schedules_go_on(go: Any, tmp_path: Path) -> None:
    """What a plain schedule records is what it always did, to the letter."""
    go()
    recorded = yaml.safe_load((tmp_path / "run/config.yaml").read_text())["training"]["weights"]
    assert recorded == {
        "name": "adam",
        "lr": 0.01,
        "weight_decay": 0.0,
        "betas": [0.9, 0.999],
        "momentum": 0.9,
        "schedule": "cosine",
        "end_lr": 0.0,
        "warmup": 0.0,
    }
