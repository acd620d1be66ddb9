"""groupnas.nn.indices: channel numbers are no quantities, whatever becomes of tensors."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from groupnas.nn import ChannelMask, FLGConv2d, GatheredGroupConv2d, KroneckerConv2d
from groupnas.nn.indices import KeepsIndices

GROUPS = [3, 0, 1, 3, 0, 2, 1]
INPUTS, OUTPUTS = [[3, 0], [4, 2, 1]], [[5], [0, 4, 2]]
X = torch.randn(2, 5, 6, 6, generator=torch.Generator().manual_seed(0))


def pinned() -> ChannelMask:
    mask = ChannelMask(7, 4)
    mask.pin(GROUPS)
    return mask


def gathered() -> GatheredGroupConv2d:
    torch.manual_seed(0)
    return GatheredGroupConv2d(INPUTS, OUTPUTS, 5, 6, 3, padding=1)


def averaged(module: Any) -> Any:
    mean = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for _ in range(10):
        mean.update_parameters(module)
    return mean.module


def by_way_of_meta(module: Any) -> Any:
    twin = copy.deepcopy(module).to("meta").to_empty(device="cpu")
    twin.load_state_dict(module.state_dict())
    return twin


def assigned_on_meta(module: Any) -> Any:
    twin = copy.deepcopy(module).to("meta")
    twin.load_state_dict(module.state_dict(), assign=True)
    return twin


WAYS: list[Callable[[Any], Any]] = [
    copy.deepcopy,
    lambda module: pickle.loads(pickle.dumps(module)),
    lambda module: module.half().float(),
    lambda module: module.share_memory(),
    averaged,
    by_way_of_meta,
    assigned_on_meta,
]
NAMES = ["deepcopy", "pickle", "half", "shared", "averaged", "to_empty", "assign"]


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_pinned_groups_stay_what_they_are(way: Callable[[Any], Any]) -> None:
    mask = way(pinned())
    assert mask.pinned and mask.chosen == tuple(GROUPS)
    assert mask.discrete().tolist() == mask().argmax(dim=1).tolist() == GROUPS


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_channels_stay_where_they_are(way: Callable[[Any], Any]) -> None:
    layer = way(gathered())
    own = copy.deepcopy(layer)
    x = X.clone()
    expected = torch.zeros(2, 6, 6, 6)
    for (inputs, outputs), part in zip(own.groups, own.conv.parts, strict=True):
        expected[:, list(outputs)] = part(x[:, list(inputs)])
    torch.testing.assert_close(layer(x), expected + own.bias[:, None, None])


@pytest.mark.parametrize(
    "layer", [gathered(), FLGConv2d(8, 8, 3, 4).derive(), KroneckerConv2d(8, 8, 3).derive()]
)
def test_there_is_no_buffer_to_average(layer: KeepsIndices) -> None:
    assert not list(layer.buffers()) and not list(pinned().buffers())


def test_what_is_kept_in_inference_mode_can_be_trained_with() -> None:
    x = X.clone().requires_grad_()
    with torch.inference_mode():
        layer, numbers = gathered(), KeepsIndices()
        numbers.keep("order", [1, 0])
    assert not numbers.kept("order", torch.device("cpu")).is_inference()
    layer(x).square().sum().backward()  # its weights are inference tensors, its orders are not
    assert x.grad is not None and x.grad.ne(0).any()


def test_a_shallow_copy_is_pinned_and_released_by_itself() -> None:
    mask = ChannelMask(7, 4)
    twin = copy.copy(mask)
    twin.pin(GROUPS)
    third = copy.copy(twin)
    third.release()
    assert (mask.pinned, twin.pinned, third.pinned) == (False, True, False)
    assert twin.discrete().tolist() == GROUPS


def test_numbers_go_where_they_are_asked_for() -> None:
    with torch.device("meta"):
        layer = gathered()
    assert layer.kept("in_order", torch.device("cpu")).tolist() == [3, 0, 4, 2, 1]
    assert layer.kept("in_order", torch.device("meta")).is_meta
