"""Networks laid out for int8: dense, in whole multiples, and the same function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from groupnas.deploy.dense import DensePlanner
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.spaces import SearchSpace, load_space
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.derive import derive
from groupnas.spaces.supernet import Supernet

THREE_PARTS = Path(__file__).parents[2] / "examples/three_parts.yaml"


def test_any_network_stays_the_same_function(
    space: SearchSpace, randomised: Callable[..., Any]
) -> None:
    network = derive(randomised(Supernet(space, init="normal")).eval()).eval()
    torch.manual_seed(2)
    x = torch.randn(2, *network.input_shape)
    with torch.no_grad():
        expected, found = network(x), DensePlanner()(network)(x)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max().clamp(min=1)


def test_no_groups_and_whole_multiples() -> None:
    space = load_space(str(THREE_PARTS))
    network = Allocation(space, Grouping.random(space, 4)).build().eval()
    dense = DensePlanner()(network)
    assert network.input_shape == dense.input_shape == (3, 16, 16)
    convolutions = [m for m in dense.modules() if isinstance(m, torch.nn.Conv2d)]
    shapes = [(m.in_channels, m.out_channels, m.groups) for m in convolutions]
    assert shapes[:3] == [(4, 16, 1), (16, 32, 1), (32, 32, 32)]  # 12 and 2 x 12 channels
    assert all(outputs % 16 == 0 for _, outputs, _ in shapes)
    (last,) = [m for m in dense.modules() if isinstance(m, torch.nn.Linear)]
    assert last.out_features == 9


def test_parts_that_share_channels_have_no_layout(randomised: Callable[..., Any]) -> None:
    space = load_space(str(THREE_PARTS))
    network = Allocation.even(space).build()
    network.groups = ()
    with pytest.raises(InputError, match="groups share channels"):
        DensePlanner()(network)
