"""Augmented pixels: each change does what it says, by hand or by scipy, and no more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from groupnas.errors import InputError
from groupnas.landmarks.augment import Augmentation
from groupnas.landmarks.crops import FACE_CROPS, PART_CROPS, cut_patches, stack_patches, whole_face
from groupnas.landmarks.data.synthetic import draw_face
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.pixels import blurred, disturb
from groupnas.landmarks.task import LandmarkTask, standardise

EVERYTHING: dict[str, Any] = {
    "erase": 0.5,
    "blur": 1.5,
    "noise": 10.0,
    "brightness": 0.4,
    "contrast": 0.4,
    "saturation": 0.4,
    "pca": 0.05,
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def crops() -> Tensor:
    """Two faces of three colour regions, neither black nor white anywhere."""
    return 80 + 90 * torch.rand(2, 3, 3, 24, 24, generator=generator(9))


def changed(crops: Tensor, seed: int = 0, **settings: Any) -> Tensor:
    return disturb(crops, Augmentation(**settings), generator(seed))


def test_nothing_to_do_draws_nothing(crops: Tensor) -> None:
    source = generator()
    before = source.get_state()
    assert disturb(crops, Augmentation(), source) is crops
    assert torch.equal(source.get_state(), before)


@pytest.mark.parametrize("key", EVERYTHING)
def test_each_change_is_the_generators(crops: Tensor, key: str) -> None:
    kept = crops.clone()
    one, two, other = (changed(crops, seed, **{key: EVERYTHING[key]}) for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert torch.equal(crops, kept)
    assert one.shape == crops.shape and one.min() >= 0 and one.max() <= 255
    assert not torch.equal(one, crops)


def test_changes_grow_with_their_setting(crops: Tensor) -> None:
    for key in ("blur", "noise", "brightness", "contrast", "saturation", "pca"):
        little, much = (
            (changed(crops, **{key: share * EVERYTHING[key]}) - crops).abs().mean()
            for share in (0.3, 1)
        )
        assert 0 < little < much / 2, key


# -- erasing ------------------------------------------------------------------------------------


def test_erased_is_one_rectangle_of_one_colour() -> None:
    crops = torch.full((200, 2, 3, 40, 40), -1.0)
    found = changed(crops, erase=0.5, erased=(0.1, 0.3))
    shares, aspects = [], []
    for crop in found.flatten(0, 1):
        gone = (crop != -1).any(dim=0)
        assert torch.equal(gone, (crop != -1).all(dim=0))
        if not gone.any():
            continue
        rows, columns = gone.any(dim=1), gone.any(dim=0)
        assert torch.equal(gone, rows[:, None] & columns[None])  # a box of whole rows and columns
        for inside in (rows, columns):
            places = inside.nonzero()[:, 0]
            assert len(places) == places[-1] - places[0] + 1  # without a gap
        colour = crop[:, gone]
        assert torch.equal(colour, colour[:, :1].expand_as(colour))
        assert len(set(colour[:, 0].tolist())) == 3 and colour.min() >= 0 and colour.max() <= 255
        shares.append(gone.float().mean().item())
        aspects.append(rows.sum().item() / columns.sum().item())
    assert 0.4 < len(shares) / 400 < 0.6
    assert 0.08 < min(shares) < 0.12 and 0.27 < max(shares) < 0.33
    assert np.mean(shares) == pytest.approx(0.2, abs=0.02)
    assert 0.25 < min(aspects) < 0.4 and 2.5 < max(aspects) < 4


# -- light --------------------------------------------------------------------------------------


def test_brightness_is_a_factor(crops: Tensor) -> None:
    factors = changed(crops, brightness=0.4) / crops
    first = factors[..., :1, :1, :1]
    torch.testing.assert_close(factors, first.expand_as(factors))
    assert first.min() >= 0.6 and first.max() <= 1.4 and len(first.unique()) == 6


def test_contrast_keeps_the_mean_grey(crops: Tensor) -> None:
    def grey(pixels: Tensor) -> Tensor:
        return 0.299 * pixels[:, :, 0] + 0.587 * pixels[:, :, 1] + 0.114 * pixels[:, :, 2]

    found = changed(crops, contrast=0.4)
    before, after = (grey(pixels).mean(dim=(2, 3)) for pixels in (crops, found))
    torch.testing.assert_close(before, after)
    ratio = found.std(dim=(3, 4)) / crops.std(dim=(3, 4))
    torch.testing.assert_close(ratio, ratio[..., :1].expand_as(ratio))  # all colours alike
    assert 0.6 <= ratio.min() < ratio.max() <= 1.4


def test_saturation_keeps_every_grey(crops: Tensor) -> None:
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    found = changed(crops, saturation=0.4)
    torch.testing.assert_close((found * weights).sum(dim=2), (crops * weights).sum(dim=2))
    assert (found - crops).abs().max() > 1
    grey = crops.mean(dim=2, keepdim=True).expand_as(crops)  # without colours nothing changes
    torch.testing.assert_close(changed(grey, saturation=0.4), grey)


def test_pca_shifts_along_the_axes(crops: Tensor) -> None:
    """Covariance of the shifts: sigma squared times axes, figures squared, axes."""
    many = crops[:1, :1].expand(4000, 3, -1, -1, -1)[..., :1, :1]
    shift = (changed(many, pca=0.1) - many)[..., 0, 0].flatten(0, 1)
    axes = np.array(
        [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
    )
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-3)
    expected = 0.1**2 * axes @ np.diag(np.square([55.46, 4.794, 1.148])) @ axes.T
    np.testing.assert_allclose(np.cov(shift.numpy().T), expected, rtol=0.06)
    assert shift.mean(dim=0).abs().max() < 4 * 3.2 / 12000**0.5


def test_what_standardising_leaves_of_light(crops: Tensor) -> None:
    """Nothing of brightness and contrast, unless pixels end up black or white; colours remain."""
    plain = standardise(crops)
    for key in ("brightness", "contrast"):
        settings: dict[str, Any] = {key: 0.3}
        seen = standardise(changed(crops, **settings))
        torch.testing.assert_close(seen, plain, atol=2e-3, rtol=0)  # eps is a grey level
        assert (standardise(changed(crops + 80, seed=3, brightness=0.5)) - plain).abs().max() > 0.1
    assert (standardise(changed(crops, saturation=0.3)) - plain).abs().max() > 0.1
    assert (standardise(changed(crops, pca=0.1)) - plain).abs().max() > 0.01


# -- lens and sensor ----------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.5])
def test_blur_is_that_of_scipy(crops: Tensor, sigma: float) -> None:
    reach = 8
    found = blurred(crops, torch.full((2, 3), sigma), reach)
    expected = gaussian_filter(
        crops.double().numpy(), sigma, mode="nearest", radius=reach, axes=(-2, -1)
    )
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-3)


def test_each_crop_has_a_blur_of_its_own(crops: Tensor) -> None:
    sigma = torch.tensor([[0.0, 1.0, 2.0], [0.5, 0.0, 1.5]])
    found = blurred(crops, sigma, 6)
    assert torch.equal(found[0, 0], crops[0, 0]) and torch.equal(found[1, 1], crops[1, 1])
    alone = blurred(crops[:1, 2:], sigma[:1, 2:], 6)
    torch.testing.assert_close(found[:1, 2:], alone)
    flat = torch.full((1, 1, 1, 5, 5), 7.0)
    torch.testing.assert_close(blurred(flat, torch.full((1, 1), 9.0), 27), flat)


def test_noise_is_white() -> None:
    crops = torch.full((300, 1, 3, 12, 12), 128.0)
    noise = changed(crops, noise=20.0) - crops
    spread = noise.flatten(1).std(dim=1)
    assert spread.max() < 23 and spread.min() < 2
    assert spread.mean() == pytest.approx(10, abs=1.5)  # of a sigma between 0 and 20
    rows = noise.flatten(1)
    assert abs((rows[:, 1:] * rows[:, :-1]).mean() / rows.square().mean()) < 0.02


# -- in the task --------------------------------------------------------------------------------


def task(colour: bool, **settings: Any) -> LandmarkTask:
    whole, crops = whole_face(MARKUPS[68]), FACE_CROPS if colour else PART_CROPS
    cut = []
    for seed in range(2):
        image, points = draw_face(seed)
        image = np.stack([image, image // 2, 255 - image], axis=-1) if image.ndim == 2 else image
        cut.append(cut_patches(image, points, whole, crops))
    patches = stack_patches(cut, np.ones(2), ["0", "1"], whole, crops)
    return LandmarkTask("test", patches, Augmentation(**settings))


def test_the_task_draws_it_after_the_placement() -> None:
    """The same placement and points as without, and no change where nothing is drawn."""
    plain, busy = task(True), task(True, **EVERYTHING)
    both = torch.arange(2)
    crops, target = plain.batch(both, generator(4))
    other, same = busy.batch(both, generator(4))
    assert torch.equal(target.points, same.points) and not torch.equal(crops, other)
    assert torch.equal(plain.batch(both)[0], busy.batch(both)[0])
    assert len({each.fingerprint() for each in (plain, busy, task(True, blur=1.0))}) == 3


@pytest.mark.parametrize("key", ["saturation", "pca"])
def test_grey_crops_have_no_colours(key: str) -> None:
    with pytest.raises(InputError, match=f"augmentation.{key}: grey crops have no colours"):
        task(False, **{key: 0.1})
    grey = {name: value for name, value in EVERYTHING.items() if name not in ("saturation", "pca")}
    crops, _ = task(False, **grey).batch(torch.arange(2), generator())
    assert torch.isfinite(crops).all()


def test_what_is_not_done_is_not_told() -> None:
    """Fingerprints of runs from before there were these settings."""
    assert repr(Augmentation()) == (
        "Augmentation(scale=(0.95, 1.05), rotation=6.0, translation=0.046875, flip=0.5)"
    )
    assert repr(Augmentation(blur=1.0, flip=0.0)) == (
        "Augmentation(scale=(0.95, 1.05), rotation=6.0, translation=0.046875, flip=0.0, blur=1.0)"
    )
