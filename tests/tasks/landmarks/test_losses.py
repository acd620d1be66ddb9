"""Wing loss against values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from groupnas.tasks.landmarks.losses import wing_loss


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (0.0, 0.0),
        (2.0, 10 * math.log(2)),
        (-2.0, 10 * math.log(2)),
        (10.0, 10 * math.log(6)),
        (15.0, 15 - (10 - 10 * math.log(6))),
    ],
)
def test_values(error: float, expected: float) -> None:
    assert wing_loss(torch.tensor([error]), torch.tensor([0.0])).item() == pytest.approx(expected)


def test_mean_over_coordinates() -> None:
    loss = wing_loss(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.zeros(2, 2))
    assert loss.item() == pytest.approx(10 * math.log(2) / 4)


def test_gradient() -> None:
    predicted = torch.tensor([-30.0, -1.0, 0.0, 1.0, 30.0], dtype=torch.double, requires_grad=True)
    wing_loss(predicted, torch.zeros(5, dtype=torch.double)).backward()
    assert predicted.grad is not None
    # w / (epsilon + |x|) inside, 1 outside
    expected = torch.tensor([-1, -10 / 3, 0, 10 / 3, 1], dtype=torch.double) / 5
    torch.testing.assert_close(predicted.grad, expected)
