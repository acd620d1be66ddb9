"""Algorithm 1: which step sees which samples and changes which parameters, and what is recorded."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import groupnas
from groupnas.errors import InputError
from groupnas.nn import RELAXATIONS
from groupnas.strategies.masks.job import BilevelSearch

SGD: dict[str, Any] = {"name": "sgd", "lr": 0.5, "momentum": 0.0, "schedule": "constant"}


class Recorder:
    """A task that keeps, for every batch asked for, its indices and the state of the network.

    The step on a batch has been done when the next batch is asked for.
    """

    def __init__(self, task: Any) -> None:
        self._task = task
        self.search: BilevelSearch | None = None
        self.batches: list[tuple[set[int], bool]] = []
        self.losses: list[float] = []
        self.errors_seen: list[Tensor] = []
        self.logits: list[list[Tensor]] = []
        self.weights: list[list[Tensor]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def snapshot(self) -> None:
        assert self.search is not None
        net = self.search.net
        self.logits.append([p.detach().clone() for p in net.arch_parameters()])
        self.weights.append([p.detach().clone() for p in net.weight_parameters()])

    def batch(self, indices: Tensor, generator: torch.Generator | None = None) -> Any:
        self.snapshot()
        self.batches.append((set(indices.tolist()), generator is not None))
        return self._task.batch(indices, generator)

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        loss = self._task.loss(predicted, target)
        self.losses.append(loss.item())
        return loss

    def errors(self, predicted: Tensor, target: Tensor) -> Tensor:
        errors = self._task.errors(predicted, target)
        self.errors_seen.append(errors)
        return errors


@pytest.fixture
def recorded(
    make_search: Callable[..., BilevelSearch], shapes: Any
) -> Callable[..., tuple[BilevelSearch, Recorder]]:
    """Run a search's epochs under a recorder; the last state is recorded too."""

    def run(epochs: int = 3, **changes: Any) -> tuple[BilevelSearch, Recorder]:
        task = Recorder(shapes)
        search = task.search = make_search(task, **changes)
        for _ in range(epochs):
            search.run_epoch()
        task.snapshot()
        return search, task

    return run


def same(before: list[Tensor], after: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def sides(search: BilevelSearch, task: Recorder) -> list[str]:
    """The side of the split that each batch came from; every batch comes from one alone."""
    train, validation = (
        set(side.tolist()) for side in (search.split.train, search.split.validation)
    )
    found = []
    for indices, augmented in task.batches:
        assert augmented
        assert indices <= train or indices <= validation
        found.append("train" if indices <= train else "validation")
    return found


def test_masks_see_validation_and_weights_see_training_samples(recorded: Any) -> None:
    search, task = recorded()
    found = sides(search, task)
    # 70 training samples are 3 whole batches of 20; one warm-up epoch, two of search.
    assert found == ["train"] * 3 + ["validation", "train"] * 6
    for index, side in enumerate(found):
        logits_stay = same(task.logits[index], task.logits[index + 1])
        weights_stay = same(task.weights[index], task.weights[index + 1])
        assert (logits_stay, weights_stay) == ((True, False) if side == "train" else (False, True))


def test_warm_up_never_changes_logits(recorded: Any) -> None:
    search, task = recorded(epochs=1)
    assert same(task.logits[0], task.logits[-1])
    record = search.history[0]
    assert record["phase"] == "warmup" and record["changed"] == record["moved"] == 0
    assert record["mask_loss"] is record["error"] is record["mask_gradient"] is None


def test_mask_steps_may_be_rarer(recorded: Any) -> None:
    search, task = recorded(epochs=2, mask_every=2)
    step = ["validation", "train"]
    assert sides(search, task) == ["train"] * 3 + [*step, "train", *step]


def test_record_by_hand(recorded: Any) -> None:
    search, task = recorded(masks={"optimizer": {**SGD}, "temperature": {"start": 4.0, "end": 1.0}})
    last = search.history[-1]
    found = sides(search, task)
    pairs = list(zip(task.losses, found, strict=True))[-6:]
    for side, key in (("train", "train_loss"), ("validation", "mask_loss")):
        values = [loss for loss, of in pairs if of == side]
        assert last[key] == pytest.approx(sum(values) / 3, rel=1e-6)
    errors = torch.stack([e.mean(dim=0) for e in task.errors_seen[-3:]]).mean(dim=0)
    assert list(last["error"]) == ["disc", "square", "ring"]
    assert list(last["error"].values()) == pytest.approx(errors.tolist(), rel=1e-5)
    assert (last["epoch"], last["phase"]) == (3, "search")
    # the second of two search epochs begins half-way of an exponential fall from 4 to 1
    assert last["temperature"] == pytest.approx(2.0)
    steps = [
        torch.cat(
            [(a - b).flatten() for a, b in zip(task.logits[i], task.logits[i + 1], strict=True)]
        )
        for i, side in list(enumerate(found))[-6:]
        if side == "validation"
    ]
    gradient = sum(step.abs().mean().item() for step in steps) / 3 / SGD["lr"]
    assert last["mask_gradient"] == pytest.approx(gradient, rel=1e-3)


def test_record_of_the_masks_by_hand(recorded: Any) -> None:
    search, task = recorded()
    last, space = search.history[-1], search.space
    rows = torch.cat([logits.softmax(dim=1) for logits in task.logits[-1]]).double()
    entropy = -(rows * rows.log()).sum(dim=1).mean() / math.log(3)
    assert last["entropy"] == pytest.approx(entropy.item(), rel=1e-5)
    assert last["decided"] == pytest.approx((rows.amax(dim=1) >= 0.9).double().mean().item())

    def groups(logits: list[Tensor]) -> list[int]:
        return torch.cat([unit.argmax(dim=1) for unit in logits]).tolist()

    end, before = (groups(task.logits[i]) for i in (-1, 9))
    start = [index for unit in search.initial.assignments.values() for index in unit]
    assert start == [index % 3 for units in space.free_units.values() for index in range(units)]
    assert last["empty"] == [] and sum(last["channels"].values()) == len(end)
    assert last["changed"] > 0 and last["moved"] > 0  # or the rest would say nothing
    assert list(last["channels"].values()) == [end.count(group) for group in range(3)]
    changed = sum(a != b for a, b in zip(end, before, strict=True))
    moved = sum(a != b for a, b in zip(end, start, strict=True))
    assert last["changed"] == pytest.approx(changed / len(end))
    assert last["moved"] == pytest.approx(moved / len(end))
    grouping = search.net.grouping()
    assert last["resized"] == pytest.approx(grouping.resized(search.initial) / len(end))
    assert last["macs"] == dict(groupnas.flops(groupnas.Allocation(space, grouping)).per_group)
    assert list(last["sizes"]) == list(space.free_units)  # in network order, for pictures
    for unit, sizes in last["sizes"].items():
        assert sizes == [grouping.assignments[unit].count(group) for group in range(3)]
    assert last["health"] == [] or all(isinstance(f, str) for f in last["health"])


def test_same_seed_same_history(make_search: Any) -> None:
    def history(seed: int) -> list[Any]:
        torch.rand(7)  # what was drawn before does not matter
        search = make_search(seed=seed)
        for _ in range(3):
            search.run_epoch()
        return search.history

    assert history(3) == history(3)
    assert history(3) != history(4)


def test_state_goes_on_bit_for_bit(make_search: Any) -> None:
    whole = make_search(seed=1)
    for _ in range(3):
        whole.run_epoch()

    for stop in (0, 1, 2):
        first = make_search(seed=1)
        for _ in range(stop):
            first.run_epoch()
        buffer = io.BytesIO()
        torch.save(first.state_dict(), buffer)
        buffer.seek(0)
        second = make_search(seed=1)
        torch.rand(100)
        second.run_epoch()  # where it stands does not matter
        second.load_state_dict(torch.load(buffer, weights_only=True))
        while len(second.history) < second.total_epochs:
            second.run_epoch()
        assert second.history == whole.history
        assert second.net.grouping() == whole.net.grouping()
        assert second.initial == whole.initial
        for key, value in whole.net.state_dict().items():
            assert torch.equal(value, second.net.state_dict()[key]), key


def test_state_holds_tensors_and_plain_values_only(make_search: Any) -> None:
    search = make_search()
    search.run_epoch()
    search.run_epoch()

    def check(value: Any, where: str) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                assert type(key) in (str, int), where
                check(item, f"{where}.{key}")
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                check(item, f"{where}.{index}")
        else:
            plain = value is None or type(value) in (bool, int, float, str, torch.Tensor)
            assert plain or isinstance(value, Tensor), f"{where}: {type(value)}"

    check(dict(search.state_dict()), "state")


def test_steps_are_told(make_search: Any) -> None:
    told: list[tuple[int, int]] = []
    make_search().run_epoch(lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_masks_draw_anew_for_every_step(recorded: Any, shapes: Any) -> None:
    _, task = recorded(epochs=1)
    # the same weights and batch would give the same loss if the draw were the same
    assert len(set(task.losses)) == len(task.losses)


@pytest.mark.parametrize("side", ["training", "validation"])
def test_a_loss_that_is_not_finite(make_search: Any, shapes: Any, side: str) -> None:
    class Diverging(Recorder):
        def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
            assert self.search is not None
            training = self.batches[-1][0] <= set(self.search.split.train.tolist())
            lost = training == (side == "training") and bool(predicted.any())
            return super().loss(predicted, target) * (math.nan if lost else 1)

    task = Diverging(shapes)
    search = task.search = make_search(task)
    with pytest.raises(InputError, match=f"the {side} loss is nan: the run diverged"):
        search.run_epoch()
        search.run_epoch()
    # nothing of the epoch is recorded
    assert len(search.history) == (0 if side == "training" else 1)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("inputs", {"disc": 1, "square": 1}),
        ("inputs", {"square": 1, "disc": 1, "ring": 1}),
        ("outputs", {"disc": 3, "square": 3, "ring": 4}),
    ],
)
def test_a_task_that_does_not_fit(
    make_search: Any, shapes: Any, attribute: str, value: dict[str, int]
) -> None:
    task = Recorder(shapes)
    setattr(task, attribute, value)
    with pytest.raises(InputError, match=f"task shapes: {attribute}: space three_parts has "):
        make_search(task)


def test_every_relaxation_runs(make_search: Any) -> None:
    for relaxation in RELAXATIONS:
        search = make_search(masks={"relaxation": relaxation})
        while len(search.history) < search.total_epochs:
            record = search.run_epoch()
        assert math.isfinite(record["mask_loss"]) and math.isfinite(record["train_loss"])


@pytest.mark.parametrize("default_dtype", [torch.float64], indirect=True)
@pytest.mark.parametrize("order", [1, 2])
def test_a_task_of_float32_is_searched_in_the_default_dtype(
    make_search: Callable[..., BilevelSearch], default_dtype: torch.dtype, order: int
) -> None:
    search = make_search(order=order)
    search.run_epoch(), search.run_epoch()
    assert {p.dtype for p in search.net.parameters()} == {default_dtype}
    assert math.isfinite(search.history[-1]["mask_loss"])
    assert set(search.outcome()["validation_errors"]) == {"constant", "supernet", "derived"}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"order": 2},
        {"levels": 1, "masks": {"optimizer": None}},
        {"penalty": 0.1, "budget": {"total": 1.0, "tolerance": 0.5}},
        {"masks": {"relaxation": "gumbel_soft"}},
    ],
    ids=str,
)
def test_masks_behind_batchnorm_learn_in_every_kind_of_search(
    make_search: Any, shapes: Any, changes: dict[str, Any]
) -> None:
    behind = {**changes, "masks": {**changes.get("masks", {}), "place": "behind"}}
    searches = [make_search(**one) for one in (changes, behind)]
    for search in searches:
        for _ in range(2):
            search.run_epoch()
    sizes = [search.history[1]["mask_gradient"] for search in searches]
    assert 0 < sizes[1] != sizes[0]
    net, x = searches[1].net.eval(), shapes.batch(torch.arange(4))[0]
    torch.testing.assert_close(searches[1].network().eval()(x), net(x), rtol=1e-4, atol=1e-5)


def test_outputs_may_start_near_their_mean(make_search: Any, shapes: Any) -> None:
    x, _ = shapes.batch(torch.arange(8))
    mean = shapes.mean_output()
    off = {
        start: (make_search(initial_outputs=start).net.eval()(x) - mean).abs().mean().item()
        for start in ("random", "mean")
    }
    assert off["mean"] < 0.05 * off["random"]
