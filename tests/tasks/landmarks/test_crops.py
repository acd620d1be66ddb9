"""Part boxes and patches against hand-made images."""

from __future__ import annotations

import math

import numpy as np
import pytest

from groupnas.errors import InputError
from groupnas.tasks.landmarks.augment import Augmentation
from groupnas.tasks.landmarks.crops import CropSettings, cut_parts, cut_square, part_boxes
from groupnas.tasks.landmarks.markup import MARKUPS

MARKUP = MARKUPS[68]
Face = tuple[np.ndarray, np.ndarray]


def test_boxes_by_hand() -> None:
    points = np.zeros((68, 2))
    points[list(MARKUP.parts["nose"])] = [(10 + i, 20 + 5 * i) for i in range(9)]
    centres, sides = part_boxes(points, MARKUP, margin=1.5)
    np.testing.assert_allclose(centres[2], (14, 40))
    assert sides[2] == 60  # the longer side, 40, times 1.5


def test_a_square_on_whole_pixels_is_a_copy() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)
    # pixels 8..15 and 4..11: their middle is 11.5, 7.5 in pixel centres
    patch = cut_square(image, np.array([11.5, 7.5]), 8, 8)
    np.testing.assert_array_equal(patch, image[4:12, 8:16])


def test_edges_are_repeated_outside() -> None:
    image = np.arange(100, dtype=np.uint8).reshape(10, 10)
    patch = cut_square(image, np.array([-0.5, -0.5]), 8, 8)
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
    patch = cut_square(ramp, np.array([90.3, 100.0]), 112, 56)
    # pixel i of the patch is centred at 90.3 - 56 + (i + 0.5) * 2 in pixel-centre coordinates
    expected = 90.3 - 56 + (np.arange(56) + 0.5) * 2
    np.testing.assert_allclose(patch[30], expected, atol=0.51)


def test_points_are_in_box_units(face: Face) -> None:
    grey, points = face
    parts = cut_parts(grey, points, MARKUP, CropSettings())
    centres, sides = part_boxes(points, MARKUP, CropSettings().margin)
    mouth = parts.points[-20:]
    np.testing.assert_allclose(
        mouth * sides[3] / 2 + centres[3], points[list(MARKUP.parts["mouth"])], atol=1e-4
    )
    assert np.abs(mouth).max() == pytest.approx(1 / 1.25, abs=1e-6)
    assert parts.pixels.shape == (4, 112, 112) and parts.pixels.dtype == np.uint8
    assert parts.interocular == pytest.approx(math.dist(points[36], points[45]))


def test_augmentation_leaves_neither_the_patch_nor_the_crop() -> None:
    crops, augmentation = CropSettings(), Augmentation()
    angle, shift = math.radians(augmentation.rotation), augmentation.translation / 32
    turned = math.cos(angle) + math.sin(angle)  # reach of a turned corner (1, 1) along an axis
    assert turned / crops.margin + shift <= 1
    furthest = (1 + shift) * turned / augmentation.scale[0]
    assert furthest <= crops.cover * (1 - 1 / crops.pixels)  # up to the last pixel's centre


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
        cut_parts(grey, change(points), MARKUP, CropSettings(), name="a.jpg")  # type: ignore[operator]
