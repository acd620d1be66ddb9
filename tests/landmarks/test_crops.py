"""Boxes, patches and crops of regions against hand-made images."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from groupnas.errors import InputError
from groupnas.landmarks.augment import Augmentation, no_placement, resample
from groupnas.landmarks.cascade import Stage
from groupnas.landmarks.crops import (
    FACE_CROPS,
    PART_CROPS,
    CropSettings,
    cut_patches,
    cut_square,
    extents,
    whole_face,
)
from groupnas.landmarks.frames import around
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.roles import Gaze, Role
from groupnas.landmarks.sources import Photos
from groupnas.landmarks.task import standardise

MARKUP = MARKUPS[68]
Face = tuple[np.ndarray, np.ndarray]


def test_boxes_by_hand() -> None:
    points = np.zeros((68, 2))
    points[list(MARKUP.parts["nose"])] = [(10 + i, 20 + 5 * i) for i in range(9)]
    boxes = extents(points, MARKUP)
    np.testing.assert_array_equal(boxes[2], (10, 20, 18, 60))
    frame = around(boxes, margin=1.5)
    centres, sides = frame.origin, frame.side
    np.testing.assert_allclose(centres[2], (14, 40))
    assert sides[2] == 60  # the longer side, 40, times 1.5
    # any leading dimensions
    np.testing.assert_array_equal(extents(np.stack([points, points + 1]), MARKUP)[1], boxes + 1)


def test_a_square_on_whole_pixels_is_a_copy() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)
    # pixels 8..15 and 4..11: their middle is 11.5, 7.5 in pixel centres
    patch = cut_square(image, np.array([11.5, 7.5]), 8, 8)
    np.testing.assert_array_equal(patch, image[None, 4:12, 8:16])


def test_edges_are_repeated_outside() -> None:
    image = np.arange(100, dtype=np.uint8).reshape(10, 10)
    (patch,) = cut_square(image, np.array([-0.5, -0.5]), 8, 8)
    np.testing.assert_array_equal(patch[4:, 4:], image[:4, :4])
    assert (patch[:4, :4] == 0).all()
    np.testing.assert_array_equal(patch[4:, 0], image[:4, 0])
    far = cut_square(image, np.array([60.0, 60.0]), 8, 8)
    assert (far == image[-1, -1]).all()


def test_reduction_averages() -> None:
    rows, columns = np.indices((400, 400))
    checkers = ((rows + columns) % 2 * 255).astype(np.uint8)
    patch = cut_square(checkers, np.array([200.0, 200.0]), 320, 40)
    assert patch.astype(float).std() < 3  # without antialiasing it would be 127
    assert abs(patch.mean() - 127.5) < 2


def test_a_gradient_keeps_its_place() -> None:
    ramp = np.tile(np.arange(200, dtype=np.uint8), (200, 1))
    (patch,) = cut_square(ramp, np.array([90.3, 100.0]), 112, 56)
    # pixel i of the patch is centred at 90.3 - 56 + (i + 0.5) * 2 in pixel-centre coordinates
    expected = 90.3 - 56 + (np.arange(56) + 0.5) * 2
    np.testing.assert_allclose(patch[30], expected, atol=0.51)


def test_points_are_in_box_units(face: Face) -> None:
    grey, points = face
    parts = cut_patches(grey, points, MARKUP, PART_CROPS)
    frame = around(extents(points, MARKUP), PART_CROPS.margin)
    centres, sides = frame.origin, frame.side
    mouth = parts.points[-20:]
    np.testing.assert_allclose(
        mouth * sides[3] / 2 + centres[3], points[list(MARKUP.parts["mouth"])], atol=1e-4
    )
    assert np.abs(mouth).max() == pytest.approx(1 / 1.3, abs=1e-6)
    np.testing.assert_allclose(parts.box_size, sides, rtol=1e-6)
    # 1.25 x 64 x 1.4
    assert parts.pixels.shape == (4, 1, 112, 112) and parts.pixels.dtype == np.uint8


def test_a_given_box_replaces_the_extent(face: Face) -> None:
    grey, points = face
    whole = whole_face(MARKUP)
    assert whole.part_points == tuple(range(68)) and whole.contour == ()
    box = np.array([20.0, 30.0, 120.0, 110.0])
    cut = cut_patches(np.stack([grey] * 3, axis=-1), points, whole, FACE_CROPS, box=box)
    assert cut.pixels.shape == (1, 3, 180, 180)  # 1.25 x 96 x 1.5
    assert cut.box_size == pytest.approx(115)  # 100 x 1.15
    np.testing.assert_allclose(cut.points, (points - (70, 70)) / 57.5, atol=1e-6)


def test_the_mirrored_whole_face_swaps_the_markups_pairs() -> None:
    for markup in MARKUPS.values():
        whole = whole_face(markup)
        assert whole.part_flip == markup.flip
        assert whole.flipped_parts == (0,)
        assert set(whole.owners) == {0}


@pytest.mark.parametrize("colour", [False, True])
def test_grey_and_rgb(colour: bool) -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    image[..., 0], image[..., 2] = 200, 100
    cut = cut_square(image, np.array([9.5, 9.5]), 8, 8, colour)
    if colour:
        assert cut.shape == (3, 8, 8)
        assert [int(channel[0, 0]) for channel in cut] == [200, 0, 100]
    else:
        assert cut.shape == (1, 8, 8)
        assert abs(int(cut[0, 0, 0]) - (0.299 * 200 + 0.114 * 100)) <= 1  # ITU-R 601


@pytest.mark.parametrize("settings", [PART_CROPS, FACE_CROPS])
def test_augmentation_leaves_neither_the_patch_nor_the_crop(settings: CropSettings) -> None:
    augmentation = Augmentation()
    angle, shift = math.radians(augmentation.rotation), 2 * augmentation.translation
    turned = math.cos(angle) + math.sin(angle)  # reach of a turned corner (1, 1) along an axis
    if settings is PART_CROPS:
        assert augmentation.scale[1] * turned / settings.margin + shift <= 1
    furthest = (1 + shift) * turned / augmentation.scale[0]
    assert furthest <= settings.cover * (1 - 1 / settings.pixels)  # up to the last pixel's centre


DOTS = [(0.0, 0.0), (-0.8, 0.3), (0.55, -0.7), (0.9, 0.9)]  # in box units


@pytest.mark.parametrize("settings", [PART_CROPS, FACE_CROPS], ids=["parts", "face"])
@pytest.mark.parametrize("dot", DOTS)
@pytest.mark.parametrize("side", [61.3, 180.0, 402.7])
def test_training_and_inference_see_a_point_in_the_same_place(
    settings: CropSettings, dot: tuple[float, float], side: float
) -> None:
    """A dot painted in the image lies where its box units say, in both crops."""
    centre = np.array([251.3, 248.9])
    place = centre + np.array(dot) * side / 2
    y, x = np.indices((500, 500))
    radius = max(side / settings.size, 1) * 1.8
    weight = np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * radius**2))
    image = np.repeat((255 * weight).round().astype(np.uint8)[..., None], 3, axis=-1)
    reach = side / settings.margin / 2
    box = np.array([*(centre - reach), *(centre + reach)])
    points = np.tile(place, (68, 1))
    markup = whole_face(MARKUP)
    cut = cut_patches(image, points, markup, settings, box=box)
    np.testing.assert_allclose(cut.points[0], dot, atol=1e-4)
    patch = torch.from_numpy(cut.pixels)[None]
    training = resample(patch, no_placement(1, 1), settings.cover, settings.size)
    sees = Sees()
    stage = Stage(sees, MARKUP, Role(look=Gaze.at("box", settings)))
    photo = Photos([image])
    stage.locate(photo, stage.frames(photo, box[None], None), None)
    crops = standardise(training)[0, 0].numpy(), sees.input[0, 0].numpy()
    for crop in crops:
        mass = (crop - crop.min()) ** 2
        row, column = np.indices(mass.shape)
        seen = np.array([(mass * column).sum(), (mass * row).sum()]) / mass.sum()
        expected = (np.array(dot) + 1) * settings.size / 2 - 0.5
        assert np.abs(seen - expected).max() < 0.12
    # the patch is a little coarser than the image, no more
    assert np.corrcoef(crops[0].ravel(), crops[1].ravel())[0, 1] > 0.97


class Sees(torch.nn.Module):
    """Remembers what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1, 136))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.input = x
        return self.nothing.expand(len(x), -1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda points: points + 1000, "far outside the image of 160 x 160"),
        (lambda points: points * 0 + 5, "the points of left_eye lie within one pixel"),
    ],
)
def test_landmarks_that_do_not_fit_are_refused(face: Face, change: object, reason: str) -> None:
    grey, points = face
    with pytest.raises(InputError, match=f"a.jpg: .*{reason}"):
        cut_patches(grey, change(points), MARKUP, PART_CROPS, name="a.jpg")  # type: ignore[operator]


@pytest.mark.parametrize(
    ("colour", "grey"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29), ((9, 9, 9), 9)]
)
def test_grey_is_that_of_itu_r_601(colour: tuple[int, int, int], grey: int) -> None:
    image = np.full((20, 20, 3), colour, np.uint8)  # 0.299 R + 0.587 G + 0.114 B
    patch = cut_square(image, np.array([9.5, 9.5]), 10.0, 4)
    np.testing.assert_array_equal(patch, np.full((1, 4, 4), grey))
