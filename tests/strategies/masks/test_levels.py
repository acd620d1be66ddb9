"""One level: masks and weights in the same steps, on training samples alone, by one optimiser."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from groupnas.engine.strategy import load_strategy
from groupnas.errors import InputError
from groupnas.schema import preset_names, validate
from groupnas.strategies.masks.job import BilevelSearch
from groupnas.strategies.masks.settings import MaskSearch

SGD = {"name": "sgd", "lr": 0.1, "momentum": 0.0, "weight_decay": 0.5}
SINGLE: dict[str, Any] = {
    "levels": 1,
    "weights": SGD,
    "masks": {"relaxation": "flgc", "init": "normal", "optimizer": None},
}


class Seen:
    """A task that keeps which samples were asked for."""

    def __init__(self, task: Any) -> None:
        self._task = task
        self.indices: list[set[int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def batch(self, indices: Tensor, generator: torch.Generator | None = None) -> Any:
        self.indices.append(set(indices.tolist()))
        return self._task.batch(indices, generator)


def logits(search: BilevelSearch) -> list[Tensor]:
    return [p.detach().clone() for p in search.net.arch_parameters()]


def test_masks_learn_from_training_samples_in_the_weights_steps(
    make_search: Callable[..., BilevelSearch], shapes: Any
) -> None:
    task = Seen(shapes)
    search = make_search(task, **SINGLE)
    start = logits(search)
    warm_up = search.run_epoch()
    # not even decayed while only weights are trained
    assert all(torch.equal(a, b) for a, b in zip(start, logits(search), strict=True))
    record = search.run_epoch()
    assert all(not torch.equal(a, b) for a, b in zip(start, logits(search), strict=True))
    train = set(search.split.train.tolist())
    assert len(task.indices) == 6 and all(indices <= train for indices in task.indices)
    assert warm_up["steps"] == record["steps"] == 3
    assert record["mask_loss"] is None and record["mask_gradient"] > 0
    assert list(record["error"]) == ["disc", "square", "ring"] and warm_up["error"] is None


def test_one_step_by_hand(make_search: Callable[..., BilevelSearch]) -> None:
    search = make_search(**SINGLE)
    search.net.train()
    stream, rng = search.train_stream.state_dict(), search._data_rng.get_state()
    x, target = search._next_batch(search.train_stream)
    parameters = [*search.net.weight_parameters(), *search.net.arch_parameters()]
    loss = search.task.loss(search.net(x), target)
    slopes = torch.autograd.grad(loss, parameters)
    expected = [
        (p - 0.1 * (slope + 0.5 * p)).detach() for p, slope in zip(parameters, slopes, strict=True)
    ]
    search.train_stream.load_state_dict(stream)
    search._data_rng.set_state(rng)
    from groupnas.engine.job import Means

    search._joint_step(Means())
    for found, value in zip(parameters, expected, strict=True):
        torch.testing.assert_close(found.detach(), value)


def test_state_goes_on_bit_for_bit(make_search: Callable[..., BilevelSearch]) -> None:
    settings = {**SINGLE, "weights": {**SGD, "momentum": 0.9}}
    whole, half = make_search(**settings), make_search(**settings)
    for _ in range(3):
        whole.run_epoch()
    for _ in range(2):
        half.run_epoch()
    buffer = io.BytesIO()
    torch.save(half.state_dict(), buffer)
    buffer.seek(0)
    other = make_search(**settings)
    other.run_epoch()  # where it stands does not matter
    other.load_state_dict(torch.load(buffer, weights_only=True))
    other.run_epoch()
    assert other.history == whole.history and other.allocation() == whole.allocation()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": 1}, "masks.optimizer: with levels: 1, weights is the one optimiser"),
        ({**SINGLE, "levels": 2}, "masks.optimizer: missing; with two levels"),
        ({**SINGLE, "order": 2}, "order: must be 1 with levels: 1, got 2"),
        ({**SINGLE, "mask_every": 3}, "mask_every: must be 1 with levels: 1, got 3"),
        ({"levels": 3}, "levels: "),
        ({"penalty": -1.0}, "penalty: .*greater than or equal to 0"),
    ],
)
def test_settings_that_contradict(
    brief: Callable[..., MaskSearch], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=f"test: {message}"):
        brief(**changes)


def test_flgc_is_the_published_search_and_its_presets_are_bilevel() -> None:
    flgc = load_strategy("flgc")
    assert isinstance(flgc, MaskSearch)
    assert (flgc.levels, flgc.masks.relaxation, flgc.masks.init) == (1, "flgc", "normal")
    assert flgc.weights.name == "sgd" and flgc.weights.weight_decay > 0
    assert flgc.masks.optimizer is None and flgc.budget is None and flgc.warmup_epochs == 0
    assert preset_names("strategies", "flgc") == ["single", "quick", "sgd", "brief"]
    for preset, name in (("quick", "adam"), ("sgd", "sgd")):
        bilevel = load_strategy(f"flgc:{preset}")
        assert isinstance(bilevel, MaskSearch) and bilevel.masks.optimizer is not None
        assert bilevel.levels == 2 and bilevel.masks.optimizer.name == name
        assert bilevel.weights.name == "adam" and bilevel.weights.weight_decay == 0


def test_gumbel_as_published_is_a_preset() -> None:
    paper, ours = load_strategy("gumbel:paper"), load_strategy("gumbel")
    assert isinstance(paper, MaskSearch) and isinstance(ours, MaskSearch)
    assert (paper.epochs, paper.levels, paper.order) == (500, 2, 1)
    assert paper.masks.relaxation == "gumbel_hard"
    assert paper.masks.temperature.start == paper.masks.temperature.end == 1
    assert (paper.masks.init, paper.masks.place) == ("ones", "before")
    assert (ours.masks.place, ours.initial_outputs) == ("behind", "mean")


def test_settings_survive_a_config_file(brief: Callable[..., MaskSearch]) -> None:
    for settings in (brief(**SINGLE), brief(order=2, penalty=0.5)):
        assert validate(MaskSearch, settings.model_dump(mode="json"), "config") == settings
