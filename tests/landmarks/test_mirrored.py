"""Looking twice: mirrored faces get mirrored points, whatever the networks know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from groupnas.landmarks.augment import Augmentation
from groupnas.landmarks.cascade import Cascade, Stage
from groupnas.landmarks.crops import (
    PART_CROPS,
    CropSettings,
    cut_patches,
    stack_patches,
    whole_face,
)
from groupnas.landmarks.data.synthetic import draw_face
from groupnas.landmarks.frames import around
from groupnas.landmarks.markup import MARKUPS, Markup
from groupnas.landmarks.mirrored import Mirrored, looking_twice, mirror_crops, mirror_points
from groupnas.landmarks.roles import Gaze, Role
from groupnas.landmarks.sources import Photos
from groupnas.landmarks.task import LandmarkTask

SIZE = 32
# Squares as large as their crops, on whole pixels: nothing is resampled, so mirroring is exact
CROPS = CropSettings(margin=1.0, size=SIZE, colour=False)


def lopsided(markup: Markup) -> nn.Module:
    """A network with preferences for one side."""
    torch.manual_seed(0)
    regions, points = len(markup.parts), len(markup.part_points)
    first = nn.Conv2d(regions, 6, 5, stride=2)
    return nn.Sequential(first, nn.ReLU(), nn.Flatten(), nn.Linear(6 * 14**2, 2 * points)).eval()


def mirrored_image(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[:, ::-1])


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("points", [68, 98, 106])
def test_a_mirrored_face_gets_mirrored_points(points: int, whole: bool) -> None:
    role = Role(look=Gaze.at("box" if whole else "extents", CROPS))
    markup = role.look.regions(MARKUPS[points])
    image = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    corners = np.array([(8, 9), (41, 11), (30, 20), (32, 44)][: len(markup.parts)])
    boxes = np.concatenate([corners - 0.5, corners - 0.5 + SIZE], axis=1)
    other = boxes[list(markup.flipped_parts)][:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (119, 0, 119, 0)
    once = Stage(lopsided(markup), MARKUPS[points], role)
    twice = replace(once, network=Mirrored(once.network, markup))
    found = []
    for stage in (once, twice):
        here, there = (
            stage.locate(Photos([seen]), around(where[None], 1.0), np.zeros((1, points, 2)))[0][0]
            for seen, where in ((image, boxes), (mirrored_image(image), other))
        )
        there = there[list(markup.flip)] * (-1, 1) + (119, 0)
        members = list(markup.part_points)
        found.append((here[members], there[members]))
    assert np.abs(found[0][0] - found[0][1]).max() > 1  # once, it does have its preferences
    np.testing.assert_allclose(found[1][0], found[1][1], atol=2e-5)
    np.testing.assert_allclose(found[1][0], (found[0][0] + found[0][1]) / 2, atol=2e-5)


def test_crops_and_points_mirror_as_the_augmentation_does() -> None:
    markup = MARKUPS[68]
    cut = [cut_patches(*draw_face(seed), markup, PART_CROPS) for seed in range(3)]
    patches = stack_patches(cut, np.ones(3), list("abc"), markup, PART_CROPS)
    always = Augmentation(scale=(1, 1), rotation=0, translation=0, flip=1.0)
    task, everyone = LandmarkTask("test", patches, always), torch.arange(3)
    crops, target = task.batch(everyone)
    flipped, moved = task.batch(everyone, torch.Generator())
    torch.testing.assert_close(mirror_points(target.points, markup), moved.points)
    assert (mirror_crops(crops, markup) - flipped).abs().max() < 1e-3
    torch.testing.assert_close(mirror_points(moved.points, markup), target.points)
    assert torch.equal(mirror_crops(mirror_crops(crops, markup), markup), crops)


def test_colour_channels_stay_together() -> None:
    markup = MARKUPS[68]  # its parts 0 and 1 are the eyes
    crops = torch.arange(12.0)[None, :, None, None].expand(1, 12, 1, 2) + torch.tensor([0.0, 0.5])
    seen = mirror_crops(crops, markup)
    assert seen[0, :, 0, 0].tolist() == [3.5, 4.5, 5.5, 0.5, 1.5, 2.5, *np.arange(6.5, 12)]


def test_a_whole_cascade_looks_twice() -> None:
    """On a symmetric picture its points are symmetric."""
    markup = MARKUPS[68]
    stages = {
        name: Stage(lopsided(gaze.regions(markup)), markup, Role(look=gaze))
        for name, gaze in (("global", Gaze.at("box", CROPS)), ("local", Gaze.at("extents", CROPS)))
    }
    cascade = Cascade(markup, stages, "landmarks", {})
    half = np.random.default_rng(1).integers(0, 256, (60, 30, 3), dtype=np.uint8)
    image = np.concatenate([half, half[:, ::-1]], axis=1)
    box = np.array([[13.5, 10.5, 45.5, 42.5]])
    for each, symmetric in ((cascade, False), (looking_twice(cascade), True)):
        points = each.locate(image, box).initial[0]
        mirrored = points[list(markup.flip)] * (-1, 1) + (59, 0)
        assert np.allclose(points, mirrored, atol=1e-4) is symmetric
    twice = looking_twice(cascade)
    assert isinstance(twice.stages["local"].network, Mirrored)
    assert not twice.stages["local"].network.training
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(
            cascade.locate(image, box).points, twice.locate(image, box).points, atol=0.1
        )


@pytest.mark.parametrize("whole", [True, False])
def test_the_graph_looks_twice_as_well(in_onnx: Any, whole: bool) -> None:
    markup = whole_face(MARKUPS[68]) if whole else MARKUPS[68]
    network = Mirrored(lopsided(markup), markup).eval()
    crops = torch.randn(
        2, len(markup.parts), SIZE, SIZE, generator=torch.Generator().manual_seed(0)
    )
    found, _ = in_onnx(network, crops)
    with torch.no_grad():
        torch.testing.assert_close(found, network(crops), atol=1e-5, rtol=0)
        assert (found - network.network(crops)).abs().max() > 0.01
