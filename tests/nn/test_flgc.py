"""groupnas.nn.flgc: FLGC's layer by its formula, its gradient, dead groups, and its export."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from groupnas.errors import InputError
from groupnas.nn import FLGConv2d

# The largest entries put inputs 0, 2 into group 0, input 1 into group 1; outputs 1, 3 into group 0,
# output 0 into group 1 and output 2 into group 2, which reads nothing.
S = torch.tensor([[2.0, 0.5, -1.0], [0.1, 0.4, 0.2], [1.5, 1.0, 0.0]], dtype=torch.float64)
T = torch.tensor(
    [[0.0, 1.0, 0.5], [0.3, 0.2, 0.1], [-1.0, 0.0, 2.0], [0.9, 0.8, 0.0]], dtype=torch.float64
)
KEPT = torch.tensor([[0, 1, 0], [1, 0, 1], [0, 0, 0], [1, 0, 1]], dtype=torch.float64)
X = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0)).double()


def by_hand() -> FLGConv2d:
    torch.manual_seed(0)
    layer = FLGConv2d(3, 4, 3, groups=3, padding=1).double()
    with torch.no_grad():
        layer.S.copy_(S)
        layer.T.copy_(T)
        assert layer.bias is not None
        layer.bias.normal_()
    return layer


@pytest.mark.parametrize("training", [True, False])
def test_the_formula(training: bool) -> None:
    layer = by_hand().train(training)
    expected = F.conv2d(X, layer.weight * KEPT[:, :, None, None], layer.bias, padding=1)
    torch.testing.assert_close(layer(X), expected)
    assert torch.equal(layer(X), layer(X))


def test_the_gradient_reaches_rows_by_their_largest_entry_alone() -> None:
    layer = by_hand()
    layer(X).square().sum().backward()
    # the derivative by B(S): of the weight's, summed over the window and the outputs of the group
    gated = (layer.weight * KEPT[:, :, None, None]).detach().requires_grad_()
    F.conv2d(X, gated, layer.bias, padding=1).square().sum().backward()
    assert gated.grad is not None and layer.S.grad is not None
    pair = (gated.grad * layer.weight).sum(dim=(2, 3))  # dL/d(B(T) B(S)^T)
    p = S.softmax(dim=1)
    for i, best in enumerate([0, 1, 0]):
        outputs = [o for o, g in enumerate([1, 0, 2, 0]) if g == best]
        entry = pair[outputs, i].sum()
        for j in range(3):
            expected = entry * p[i, best] * (float(j == best) - p[i, j])
            torch.testing.assert_close(layer.S.grad[i, j], expected)


def test_initialisation_is_gaussian_and_untied() -> None:
    torch.manual_seed(0)
    layer = FLGConv2d(300, 400, 1, groups=8)
    assert layer.S.shape == (300, 8) and layer.T.shape == (400, 8)
    for logits in (layer.S, layer.T):
        assert logits.mean().item() == pytest.approx(0, abs=0.06)
        assert logits.std().item() == pytest.approx(1, rel=0.05)


def test_groups_as_index_lists() -> None:
    layer = by_hand()
    assert layer.inputs == [[0, 2], [1], []]
    assert layer.outputs == [[1, 3], [0], [2]]
    assert layer.dead == [2]


@pytest.mark.parametrize("stride", [1, 2])
def test_derived_computes_the_same(stride: int) -> None:
    layer = by_hand().eval()
    layer.stride = (stride, stride)
    plain = layer.derive()
    torch.testing.assert_close(plain(X), layer(X))
    assert not plain.training
    # 9 weights for each pair that is kept, and a bias for each output, the one cut off included
    assert sum(p.numel() for p in plain.parameters()) == 9 * int(KEPT.sum()) + 4


def test_nothing_left_to_derive() -> None:
    layer = FLGConv2d(2, 2, 1, groups=2)
    with torch.no_grad():
        layer.S.copy_(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        layer.T.copy_(torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
    assert layer.dead == [0, 1]
    with pytest.raises(InputError, match="no group has both inputs and outputs"):
        layer.derive()


def test_masks_that_say_nothing_are_not_derived() -> None:
    with torch.device("meta"):
        layer = FLGConv2d(4, 4, (3, 1), 2, padding=(1, 0))
    assert layer(torch.empty(1, 4, 5, 5, device="meta")).shape == (1, 4, 5, 5)
    with pytest.raises(InputError, match="S: is on the meta device and has no values"):
        layer.derive()
    layer = by_hand()
    torch.nn.init.constant_(layer.T, float("nan"))
    with pytest.raises(InputError, match=r"T: some are not a number \(NaN\)"):
        layer.derive()


def test_a_layer_from_the_meta_device_is_drawn_as_any_other() -> None:
    with torch.device("meta"):
        layer = FLGConv2d(8, 8, 3, 2)
    layer.to_empty(device="cpu")
    for one in (layer, FLGConv2d(8, 8, 3, 2)):
        torch.manual_seed(0)
        one.reset_parameters()
        assert one.S.std() > 0.5
    with torch.device("meta"):  # whatever the surroundings, where the weights are
        plain = layer.derive()
    x = torch.randn(1, 8, 5, 5)
    torch.testing.assert_close(plain(x), layer(x))
