"""Geometry of the augmentation: pixels and points move together."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from groupnas.landmarks.augment import (
    Augmentation,
    draw_placement,
    no_placement,
    place,
    place_points,
    resample,
)
from groupnas.landmarks.crops import PART_CROPS, cut_patches, stack_patches
from groupnas.landmarks.data.synthetic import draw_face
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.task import LandmarkTask

MARKUP = MARKUPS[68]
CROP = PART_CROPS.size


def task_of(images: list[np.ndarray], points: list[np.ndarray], **kwargs: object) -> LandmarkTask:
    cut = [cut_patches(i, p, MARKUP, PART_CROPS) for i, p in zip(images, points, strict=True)]
    names = [str(number) for number in range(len(cut))]
    return LandmarkTask(
        "test",
        stack_patches(cut, np.ones(len(cut)), names, MARKUP, PART_CROPS),
        Augmentation(**kwargs),  # type: ignore[arg-type]
    )


def image_with_dot(points: np.ndarray, which: int) -> np.ndarray:
    """Black, 480 x 480, with one soft dot on a landmark."""
    y, x = np.indices((480, 480))
    distance = (x - points[which, 0]) ** 2 + (y - points[which, 1]) ** 2
    return (255 * np.exp(-distance / (2 * 2.2**2))).round().astype(np.uint8)


def brightest(crop: torch.Tensor) -> torch.Tensor:
    """Centre of the dot in pixel-centre coordinates: its centre of mass, squared to be local."""
    weight = (crop - crop.min()) ** 2
    y, x = torch.meshgrid(torch.arange(CROP), torch.arange(CROP), indexing="ij")
    return torch.stack([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.fixture(scope="module")
def dots() -> LandmarkTask:
    """For each part point one face, with a dot on that point."""
    points = (draw_face(1)[1] + 0.5) * 3 - 0.5
    images = [image_with_dot(points, which) for which in MARKUP.part_points]
    return task_of(images, [points] * len(images))


@pytest.fixture(scope="module")
def sheared(dots: LandmarkTask) -> LandmarkTask:
    return LandmarkTask("sheared", dots.patches, Augmentation(shear=0.2))


@pytest.mark.parametrize("seed", [None, *range(12)])
@pytest.mark.parametrize("kind", ["dots", "sheared"])
def test_a_dot_on_a_landmark_stays_on_it(
    kind: str, seed: int | None, request: pytest.FixtureRequest
) -> None:
    dots: LandmarkTask = request.getfixturevalue(kind)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    faces = len(dots.sources)
    flipped = torch.zeros(faces, dtype=torch.bool)
    if seed is not None:
        again = torch.Generator().manual_seed(seed)
        flipped = draw_placement(faces, 4, dots.augmentation, again).flipped
        assert flipped.any() and not flipped.all()
    crops, target = dots.batch(torch.arange(faces), generator)
    for face in range(faces):
        place = MARKUP.part_flip[face] if flipped[face] else face
        seen = brightest(crops[face, MARKUP.owners[place]])
        expected = (target.points[face].unflatten(0, (-1, 2))[place] + 1) * CROP / 2 - 0.5
        assert (seen - expected).norm() < 0.1, MARKUP.part_points[face]


def test_flipping_is_what_the_mirrored_image_would_give() -> None:
    grey, points = draw_face(3)
    mirrored = points[list(MARKUP.flip)] * (-1, 1) + (grey.shape[1] - 1, 0)
    both = task_of(
        [grey, grey[:, ::-1]], [points, mirrored], flip=1.0, scale=(1, 1), rotation=0, translation=0
    )
    crops, target = both.batch(torch.tensor([0]), torch.Generator())
    expected_crops, expected = both.batch(torch.tensor([1]))
    torch.testing.assert_close(target.points, expected.points, atol=1e-5, rtol=0)
    torch.testing.assert_close(target.percent, expected.percent)
    assert (crops - expected_crops).abs().max() < 0.05  # a grey level or so of rounding


def test_flipping_twice_is_the_identity() -> None:
    generator = torch.Generator().manual_seed(0)
    patches = torch.rand(2, 4, 3, 32, 32, generator=generator)
    points = torch.rand(2, 51, 2, generator=generator) * 2 - 1
    swap, order = list(MARKUP.flipped_parts), list(MARKUP.part_flip)
    owners = torch.tensor(MARKUP.owners)
    mirror = place(torch.ones(2, 4), torch.zeros(2, 4), torch.zeros(2, 4, 2), torch.ones(2) > 0)
    once, twice = patches, points
    for _ in range(2):
        once = resample(once[:, swap], mirror, cover=1.0, pixels=32)
        twice = place_points(twice[:, order], mirror, owners)
    torch.testing.assert_close(once, patches, atol=1e-4, rtol=0)
    torch.testing.assert_close(twice, points)


def test_no_placement_of_a_patch_without_surplus_is_a_copy() -> None:
    patches = torch.randint(0, 256, (2, 3, 1, 16, 16), dtype=torch.uint8)
    crops = resample(patches, no_placement(2, 3), cover=1.0, pixels=16)
    torch.testing.assert_close(crops, patches.float(), atol=1e-3, rtol=0)


def test_placement_by_hand() -> None:
    angle = torch.tensor([[math.pi / 2]])
    turned = place(torch.tensor([[0.5]]), angle, torch.tensor([[[0.1, 0.2]]]), torch.tensor([True]))
    moved = place_points(torch.tensor([[[1.0, 0.0]]]), turned, torch.tensor([0]))
    # mirrored to (-1, 0), a quarter turn takes x to y: (0, -1), halved, shifted
    torch.testing.assert_close(moved, torch.tensor([[[0.1, -0.3]]]))


def test_shear_by_hand() -> None:
    angle, shear = torch.tensor([[math.pi / 2]]), torch.tensor([[0.1]])
    nowhere, mirrored = torch.zeros(1, 1, 2), torch.tensor([True])
    turned = place(torch.tensor([[2.0]]), angle, nowhere, mirrored, shear)
    moved = place_points(torch.tensor([[[1.0, 0.5]]]), turned, torch.tensor([0]))
    # mirrored to (-1, 0.5), sheared to (-0.95, 0.5), turned to (-0.5, -0.95), doubled
    torch.testing.assert_close(moved, torch.tensor([[[-1.0, -1.9]]]))
    assert turned.linear.det().item() == pytest.approx(-4)


def test_shear_draws_last_and_only_if_asked() -> None:
    plain, sheared = Augmentation(), Augmentation(shear=0.1)
    one, two = (torch.Generator().manual_seed(0) for _ in range(2))
    without, drawn = draw_placement(500, 4, plain, one), draw_placement(500, 4, sheared, two)
    assert not torch.equal(one.get_state(), two.get_state())
    assert torch.equal(without.shift, drawn.shift)
    sheared_by = (without.linear.inverse() @ drawn.linear)[..., 0, 1]
    assert -0.1 <= sheared_by.min() < -0.098 and 0.098 < sheared_by.max() <= 0.1001


def test_draws_fill_their_ranges() -> None:
    settings = Augmentation()
    drawn = draw_placement(4000, 4, settings, torch.Generator().manual_seed(0))
    angle = torch.atan2(-drawn.linear[..., 0, 1], drawn.linear[..., 1, 1]).rad2deg()
    for values, low, high in (
        (drawn.scale, 0.95, 1.05),
        (angle, -6.0, 6.0),
        (drawn.shift * 32, -3.0, 3.0),
    ):
        span = high - low
        assert low - 1e-4 <= values.min() < low + 0.01 * span
        assert high - 0.01 * span < values.max() <= high + 1e-4
        assert abs(values.mean() - (low + high) / 2) < 0.02 * span
    assert 0.45 < drawn.flipped.float().mean() < 0.55
    scale = drawn.linear.det().abs().sqrt()
    torch.testing.assert_close(scale, drawn.scale)
