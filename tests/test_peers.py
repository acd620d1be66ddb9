"""benchmarks/peers.py: the literature's networks have the literature's operations."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch
from helpers import load_script
from torch import nn

FILE = Path(__file__).parents[1] / "benchmarks" / "peers.py"


@pytest.fixture(scope="module")
def peers() -> ModuleType:
    return load_script(FILE)


@pytest.mark.parametrize("name", ["ResNet-50", "HRNet-W18", "hourglass"])
def test_published_operations(peers: ModuleType, name: str) -> None:
    macs, _ = peers.count(peers.PEERS[name])
    assert macs == pytest.approx(peers.PEERS[name].macs, rel=0.03)


def test_parameters(peers: ModuleType) -> None:
    # 25,557,032 of the paper's network, whose output of 1000 classes becomes one of 136 numbers
    assert peers.count(peers.PEERS["ResNet-50"])[1] == 25_557_032 - 2049 * (1000 - 136)
    assert peers.count(peers.PEERS["HRNet-W18"])[1] == pytest.approx(9.6e6, rel=0.01)
    assert peers.count(peers.PEERS["hourglass"])[1] == pytest.approx(24.1e6, rel=0.01)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("ResNet-50", (1, 136)),
        ("HRNet-W18", (1, 68, 64, 64)),
        ("hourglass", (1, 69, 64, 64)),
    ],
)
def test_outputs(peers: ModuleType, name: str, shape: tuple[int, ...]) -> None:
    peer = peers.PEERS[name]
    with torch.device("meta"):
        assert peer.make()(torch.zeros(1, 3, peer.side, peer.side)).shape == shape


def test_coordinates_and_the_boundary_are_seen(peers: ModuleType) -> None:
    seen = peers.CoordConv(lambda inputs: nn.Identity(), 1, 3)
    x = torch.full((1, 1, 3, 3), 7.0)
    boundary = torch.tensor([[[[0.0, 1, 0], [0, 0, 0], [0, 0, 1]]]])
    found = seen(x, boundary)[0]
    assert found[0].eq(7).all()
    assert found[1].tolist() == [[-1, 0, 1]] * 3
    assert found[2].tolist() == [[-1] * 3, [0] * 3, [1] * 3]
    assert found[3, 0, 0].item() == pytest.approx(1) and found[3, 1, 1].item() == 0
    assert found[4].tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert found[5].tolist() == [[0, -1, 0], [0, 0, 0], [0, 0, 1]]
