"""What a search is worth: BatchNorm statistics of its own, and errors on the validation side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import groupnas
from groupnas.engine.evaluate import mean_errors, recalibrate
from groupnas.spaces.derive import derive
from groupnas.strategies.masks.errors import final_errors
from groupnas.strategies.masks.job import BilevelSearch


@pytest.fixture
def searched(make_search: Callable[..., BilevelSearch]) -> BilevelSearch:
    search = make_search()
    while len(search.history) < search.total_epochs:
        search.run_epoch()
    return search


def of(search: BilevelSearch, side: Tensor) -> tuple[Any, Tensor, int, torch.device]:
    """What evaluation asks for besides a network."""
    return search.task, side, search.batch_size, search.device


def errors_of(search: BilevelSearch) -> dict[str, dict[str, float]]:
    return final_errors(search.net, search.task, search.split, search.batch_size, search.device)


def norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def test_recalibrated_statistics_are_the_means_over_the_training_side(
    searched: BilevelSearch,
) -> None:
    network = groupnas.derive(searched.net)
    recalibrate(network, *of(searched, searched.split.train))

    # The first BatchNorm's input, from the network's own first layer, batch by batch.
    block: Any = next(iter(network.blocks.values()))
    layer = block[0]
    assert isinstance(layer[1], nn.BatchNorm2d)
    means, variances = [], []
    for indices in searched.split.train[:60].split(20):  # 70 samples: the last 10 fill no batch
        with torch.no_grad():
            y = layer[0](searched.load(indices)[0])
        means.append(y.mean(dim=(0, 2, 3)))
        variances.append(y.var(dim=(0, 2, 3), unbiased=True))
    torch.testing.assert_close(layer[1].running_mean, torch.stack(means).mean(dim=0))
    torch.testing.assert_close(layer[1].running_var, torch.stack(variances).mean(dim=0))


def test_recalibration_leaves_the_rest_as_it_was(searched: BilevelSearch) -> None:
    network = groupnas.derive(searched.net)
    before = [norm.momentum for norm in norms(network)]
    weights = {name: p.clone() for name, p in network.named_parameters()}
    recalibrate(network, *of(searched, searched.split.train))
    assert [norm.momentum for norm in norms(network)] == before
    assert not any(norm.training for norm in norms(network))
    assert all(torch.equal(weights[name], p) for name, p in network.named_parameters())
    # a second time changes nothing: what was there before does not matter
    once = [norm.running_mean.clone() for norm in norms(network)]
    for norm in norms(network):
        norm.running_mean.fill_(7.0)
    recalibrate(network, *of(searched, searched.split.train))
    assert all(torch.equal(a, n.running_mean) for a, n in zip(once, norms(network), strict=True))


def test_recalibration_when_the_training_side_is_smaller_than_a_batch(
    make_search: Callable[..., BilevelSearch], own_parts: Any
) -> None:
    search = make_search(own_parts.Shapes(samples=6))
    search.run_epoch()
    network = groupnas.derive(search.net)
    recalibrate(network, *of(search, search.split.train))
    assert all(norm.num_batches_tracked == 1 for norm in norms(network))


def test_final_errors_change_nothing(searched: BilevelSearch) -> None:
    before = {key: value.clone() for key, value in searched.net.state_dict().items()}
    modes = [module.training for module in searched.net.modules()]
    pinned = [mask.pinned for mask in searched.net.channel_masks().values()]
    momenta = [norm.momentum for norm in norms(searched.net)]
    errors_of(searched)
    after = searched.net.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert [module.training for module in searched.net.modules()] == modes
    assert [mask.pinned for mask in searched.net.channel_masks().values()] == pinned
    assert [norm.momentum for norm in norms(searched.net)] == momenta


def test_final_errors_repeat(searched: BilevelSearch) -> None:
    state = torch.get_rng_state()
    first = errors_of(searched)
    torch.set_rng_state(state)
    assert errors_of(searched) == first


def test_derived_error_is_that_of_the_pinned_supernet(searched: BilevelSearch) -> None:
    errors = errors_of(searched)["derived"]
    net = searched.net
    net.set_grouping(net.grouping())
    # the same augmented batches as the derived network saw
    recalibrate(net, *of(searched, searched.split.train), torch.Generator().manual_seed(0))
    net.eval()
    pinned = mean_errors(net, *of(searched, searched.split.validation))
    assert pinned == pytest.approx(errors, rel=1e-4)
    assert list(errors) == ["disc", "square", "ring", "mean"]


def test_mean_errors_by_hand(searched: BilevelSearch) -> None:
    class Zero(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.zeros(len(x), 9)

    _, truth = searched.task.batch(searched.split.validation)
    expected = truth.abs().mean(dim=(0, 2)) * 8  # px: half of 16 pixels
    found = mean_errors(Zero(), *of(searched, searched.split.validation))
    assert [found[g] for g in ("disc", "square", "ring")] == pytest.approx(expected.tolist())
    assert found["mean"] == pytest.approx(expected.mean().item())  # three outputs each


def test_constant_error_by_hand(searched: BilevelSearch) -> None:
    network = derive(searched.net)
    recalibrate(network, *of(searched, searched.split.train), torch.Generator().manual_seed(0))
    pixels, truth = searched.task.batch(searched.split.validation)
    with torch.no_grad():
        mean = network.eval()(pixels).mean(dim=0)
    expected = (truth.flatten(1) - mean).abs().mean().item() * 8  # three outputs each, in px
    assert errors_of(searched)["constant"]["mean"] == pytest.approx(expected, rel=1e-4)
