"""Training in fewer bits: float32 is untouched, bfloat16 learns, weights stay what they were."""

from __future__ import annotations

import torch
from torch import nn

from groupnas.engine.precision import forward


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.ReLU6(), nn.Flatten(), nn.Linear(8 * 36, 3)
    )


def test_float32_is_the_network_itself() -> None:
    net, x = network().eval(), torch.randn(4, 2, 8, 8)
    assert torch.equal(forward(net, x, "float32"), net(x))


def test_bfloat16_is_close_and_its_gradients_are_float32() -> None:
    net, x = network(), torch.randn(16, 2, 8, 8)
    exact = net(x)
    rounded = forward(net, x, "bfloat16")
    assert rounded.dtype == torch.float32
    # 8 bits of mantissa: near, and not the same
    assert 0 < (rounded - exact).abs().max() < 0.05 * exact.abs().max()
    rounded.square().mean().backward()
    for parameter in net.parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is not None and parameter.grad.dtype == torch.float32
        assert parameter.grad.abs().sum() > 0


def test_bfloat16_learns() -> None:
    net, x = network(), torch.randn(16, 2, 8, 8)
    target = torch.randn(16, 3)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    losses = []
    for _ in range(40):
        loss = (forward(net, x, "bfloat16") - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
