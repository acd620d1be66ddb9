"""Criteria against values computed by hand; D-Loss against equation 9 and its limits."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from groupnas.errors import InputError
from groupnas.landmarks.losses import LOSSES, AdaptiveLoss, LandmarkLoss, neighbours_among
from groupnas.landmarks.markup import MARKUPS

EVERY = pytest.mark.parametrize("name", LOSSES)
NEIGHBOURS = MARKUPS[68].neighbours
alphas = st.floats(0, 2)
seeds = st.integers(0, 10**6)


def faces(seed: int, count: int = 2) -> tuple[Tensor, Tensor]:
    """Predictions and targets ``(B, 68, 2)`` in pixels, with errors from tiny to large."""
    generator = torch.Generator().manual_seed(seed)
    target = 64 * torch.rand(count, 68, 2, dtype=torch.double, generator=generator)
    spread = 10 ** (4 * torch.rand(count, 68, 1, dtype=torch.double, generator=generator) - 2)
    error = spread * torch.randn(count, 68, 2, dtype=torch.double, generator=generator)
    return target + error, target


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
    assert LandmarkLoss()(torch.tensor([error]), torch.tensor([0.0])).item() == pytest.approx(
        expected
    )


def test_mean_over_coordinates() -> None:
    loss = LandmarkLoss()(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.zeros(2, 2))
    assert loss.item() == pytest.approx(10 * math.log(2) / 4)


def test_gradient() -> None:
    predicted = torch.tensor([-30.0, -1.0, 0.0, 1.0, 30.0], dtype=torch.double, requires_grad=True)
    LandmarkLoss()(predicted, torch.zeros(5, dtype=torch.double)).backward()
    assert predicted.grad is not None
    # w / (epsilon + |x|) inside, 1 outside
    expected = torch.tensor([-1, -10 / 3, 0, 10 / 3, 1], dtype=torch.double) / 5
    torch.testing.assert_close(predicted.grad, expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("smooth_l1", [0.125, 0.5, 2.5]), ("l1", [0.5, 1, 3]), ("l2", [0.25, 1, 9])],
)
def test_other_criteria_by_hand(name: str, expected: list[float]) -> None:
    for sign in (-1, 1):
        assert LOSSES[name](sign * torch.tensor([0.5, 1.0, 3.0])).tolist() == expected


@EVERY
@given(seed=seeds)
def test_alpha_1_is_the_conventional_loss(name: str, seed: int) -> None:
    predicted, target = faces(seed)
    plain = LOSSES[name](predicted - target).mean()
    assert LandmarkLoss(name, 1.0, NEIGHBOURS)(predicted, target) == plain
    assert LandmarkLoss(name)(predicted, target) == plain
    nearly = LandmarkLoss(name, 1 - 1e-9, NEIGHBOURS)(predicted, target)
    torch.testing.assert_close(nearly, plain, rtol=1e-6, atol=0)


def equation_9(name: str, alpha: float, predicted: Tensor, target: Tensor) -> float:
    """PicassoNet's formula, point by point."""
    total = 0.0
    for face, truth in zip(predicted, target, strict=True):
        for point, (previous, following) in enumerate(NEIGHBOURS):
            ray = truth[following] - truth[previous]
            angle = math.atan2(ray[1], ray[0])
            x, y = (face[point] - truth[point]).tolist()
            along = x * math.cos(angle) + y * math.sin(angle)
            across = y * math.cos(angle) - x * math.sin(angle)
            f_t, f_n = LOSSES[name](torch.tensor([along, across], dtype=torch.double)).tolist()
            total += alpha * f_t + (2 - alpha) * f_n
    return total / target[..., 0].numel() / 2  # two directions


@given(seed=seeds, alpha=alphas)
def test_equation_9_for_l2(seed: int, alpha: float) -> None:
    predicted, target = faces(seed, 1)
    loss = LandmarkLoss("l2", alpha, NEIGHBOURS)(predicted, target).item()
    assert loss == pytest.approx(equation_9("l2", alpha, predicted, target), rel=1e-9, abs=1e-6)


@EVERY
@given(seed=seeds, alpha=alphas, upright=st.booleans())
def test_equation_9_where_boundaries_run_along_an_axis(
    name: str, seed: int, alpha: float, upright: bool
) -> None:
    predicted, target = faces(seed, 1)
    error = predicted - target
    target[..., int(not upright)] = 7.0
    predicted = target + error
    loss = LandmarkLoss(name, alpha, NEIGHBOURS)(predicted, target).item()
    assert loss == pytest.approx(equation_9(name, alpha, predicted, target), rel=1e-9)


@EVERY
@given(seed=seeds, alpha=alphas)
def test_never_negative_at_any_point(name: str, seed: int, alpha: float) -> None:
    predicted, target = faces(seed, 1)
    loss = LandmarkLoss(name, alpha, NEIGHBOURS)
    for point in range(68):
        alone = target.clone()
        alone[:, point] = predicted[:, point]
        assert loss(alone, target) >= -1e-12
    assert loss(target, target) == 0


@pytest.mark.parametrize("name", ["wing", "smooth_l1", "l1"])
def test_errors_across_cost_more_below_1_and_less_above(name: str) -> None:
    # A straight diagonal boundary; the middle point is off by (1, 1) / sqrt 2 or (1, -1) / sqrt 2.
    target = torch.tensor([[[0.0, 0.0], [5.0, 5.0], [10.0, 10.0]]])
    neighbours = ((0, 1), (0, 2), (1, 2))
    along, across = (
        target + 0.5**0.5 * torch.tensor([[0.0, 0.0], [1.0, sign], [0.0, 0.0]])
        for sign in (1.0, -1.0)
    )
    unit = float(LOSSES[name](torch.tensor(1.0))) / 6
    for alpha in (0.6, 1.5):
        loss = LandmarkLoss(name, alpha, neighbours)
        plain = LandmarkLoss(name)(along, target).item()
        assert loss(along, target).item() == pytest.approx(plain - (1 - alpha) * unit, rel=1e-4)
        assert loss(across, target).item() == pytest.approx(plain + (1 - alpha) * unit, rel=1e-4)


@EVERY
def test_without_a_tangent_it_is_the_conventional_loss(name: str) -> None:
    predicted, target = faces(1)
    pupils = tuple((point, point) for point in range(68))
    plain = LandmarkLoss(name)(predicted, target)
    assert LandmarkLoss(name, 0.6, pupils)(predicted, target) == plain
    coinciding = torch.zeros_like(target)
    plain = LandmarkLoss(name)(predicted, coinciding)
    assert LandmarkLoss(name, 0.6, NEIGHBOURS)(predicted, coinciding) == plain


@EVERY
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
def test_gradient_is_finite_at_zero_error_and_points_home(name: str, alpha: float) -> None:
    predicted, target = faces(2)
    predicted[0] = target[0]
    target[1, 40:] = 3.0  # coinciding neighbours
    predicted.requires_grad_(True)
    loss = LandmarkLoss(name, alpha, NEIGHBOURS)
    before = loss(predicted, target)
    before.backward()
    assert predicted.grad is not None and predicted.grad.isfinite().all()
    assert not predicted.grad[0].any()
    with torch.no_grad():
        assert loss(predicted - 1e-4 * predicted.grad, target) < before


@pytest.mark.parametrize("name", ["wing", "l2"])
def test_gradient_against_finite_differences(name: str) -> None:
    predicted, target = faces(3, 1)
    loss = LandmarkLoss(name, 0.6, NEIGHBOURS)
    assert torch.autograd.gradcheck(lambda p: loss(p, target), predicted.requires_grad_(True))


@given(seed=seeds)
def test_a_mirrored_face_has_the_same_loss(seed: int) -> None:
    predicted, target = faces(seed)
    flip = list(MARKUPS[68].flip)
    mirror = torch.tensor([-1.0, 1.0], dtype=torch.double)
    loss = LandmarkLoss("wing", 0.6, NEIGHBOURS)
    mirrored = loss(predicted[:, flip] * mirror, target[:, flip] * mirror)
    torch.testing.assert_close(mirrored, loss(predicted, target))


def test_neighbours_among_the_outputs_of_a_network() -> None:
    markup = MARKUPS[68]
    table = neighbours_among(markup.neighbours, markup.part_points)
    assert len(table) == 51
    # Part points begin with the left brow 17-21, then its eye 36-41.
    assert table[0] == (0, 1) and table[4] == (3, 4)
    assert table[5] == (10, 6) and table[10] == (9, 5)
    assert neighbours_among(((0, 1), (0, 2), (1, 2)), (2, 1)) == ((1, 0), (1, 0))
    assert neighbours_among(((0, 1), (0, 2), (1, 2)), (0,)) == ((0, 0),)


def test_width_and_epsilon_of_the_wing() -> None:
    loss = LandmarkLoss(width=5.0, epsilon=0.5)
    value = loss(torch.tensor([[[1.0, 0.0]]]), torch.zeros(1, 1, 2)).item()
    assert value == pytest.approx(5 * math.log(3) / 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "wings"}, r"no such loss 'wings'; did you mean 'wing'\?"),
        ({"alpha": 2.5}, "alpha: expected 0 to 2, got 2.5"),
        ({"alpha": math.nan}, "alpha: expected 0 to 2, got nan"),
        ({"alpha": 0.6, "neighbours": None}, "needs the points' neighbours"),
        ({"width": 0}, "width of the wing loss: expected pixels above 0"),
        ({"epsilon": -1.0}, "epsilon of the wing loss"),
    ],
)
def test_wrong_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LandmarkLoss(**{"neighbours": NEIGHBOURS, **settings})  # type: ignore[arg-type]


# -- adaptive -----------------------------------------------------------------------------------

Z = torch.tensor([-1.0, 1.0, 2.0, 6.0], dtype=torch.double)[:, None, None]


def test_adaptive_by_hand() -> None:
    """Mean 2, standard deviation 2.54951; three of these weights come from absolute errors."""
    loss, z = AdaptiveLoss(1.0), Z.clone().requires_grad_()
    expected = [0.000476745, 0.0781200, 1, 0.0000372433]
    assert loss.weights(Z).flatten().tolist() == pytest.approx(expected, rel=1e-5)
    found = loss(z, torch.zeros_like(z))
    assert found.item() == pytest.approx(0.519705, abs=1e-6)
    (gradient,) = torch.autograd.grad(found, z)
    torch.testing.assert_close(gradient, loss.weights(Z) * Z.sign() / 4)


def test_relative_weights_depend_on_no_unit() -> None:
    loss = AdaptiveLoss()
    found = loss(Z, torch.zeros_like(Z))
    assert found.item() == pytest.approx(1.05836, abs=1e-5)
    torch.testing.assert_close(loss.weights(10 * Z), loss.weights(Z))
    torch.testing.assert_close(loss(10 * Z, torch.zeros_like(Z)), 10 * found)


def test_a_unit_is_so_many_pixels() -> None:
    torch.testing.assert_close(AdaptiveLoss(32.0).weights(Z), AdaptiveLoss(1.0).weights(Z / 32))
    assert AdaptiveLoss(110.0).weights(Z).min() > 0.999  # as of box units: plain L1
    assert AdaptiveLoss(1).weights(4 * Z).median() < 1e-4


def test_coordinates_have_weights_of_their_own() -> None:
    """One unit for all, the root mean square of both deviations; the calm one weighs more."""
    both = torch.cat([Z, 0.1 * Z], dim=2)
    unit = (6.5 * (1 + 0.01) / 2) ** 0.5
    expected = [
        math.exp(-(scale**2) * 6.5**0.5 * abs(z - 2) / unit**2)
        for z in (-1, 1, 2, 6)
        for scale in (1, 0.1)
    ]
    found = AdaptiveLoss().weights(both)
    assert found.flatten().tolist() == pytest.approx(expected)
    assert (found[..., 1] >= found[..., 0]).all()


@pytest.mark.parametrize("unit", ["relative", 1.0])
def test_without_a_deviation_it_is_l1(unit: float) -> None:
    loss = AdaptiveLoss(unit)
    for error in (torch.full((3, 2, 2), 4.0), torch.randn(1, 5, 2), torch.zeros(2, 2, 2)):
        assert torch.equal(loss.weights(error), torch.ones_like(error))
        assert loss(error, torch.zeros_like(error)) == error.abs().mean()


@pytest.mark.parametrize("unit", ["box", 0, -1.0, math.nan, math.inf, None])
def test_a_unit_that_is_none(unit: object) -> None:
    with pytest.raises(InputError, match="unit: expected relative, or pixels above 0"):
        AdaptiveLoss(unit)  # type: ignore[arg-type]
