"""The landmark task: shapes, targets, errors, reproducibility."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from groupnas.errors import InputError
from groupnas.landmarks.augment import Augmentation
from groupnas.landmarks.data.synthetic import FACES
from groupnas.landmarks.load import load_landmarks, spread
from groupnas.landmarks.task import LandmarkTask, standardise
from groupnas.task import Task

EVERYONE = torch.arange(6)


@pytest.fixture(scope="module")
def task() -> LandmarkTask:
    return load_landmarks(FACES, None, limit=6, cache=False)


def test_it_is_a_task(task: LandmarkTask) -> None:
    assert isinstance(task, Task)
    assert dict(task.inputs) == {"left_eye": 1, "right_eye": 1, "nose": 1, "mouth": 1}
    assert dict(task.outputs) == {"left_eye": 22, "right_eye": 22, "nose": 18, "mouth": 40}
    assert len(task.sources) == len(set(task.sources)) == 6


def test_batch(task: LandmarkTask) -> None:
    crops, target = task.batch(torch.tensor([4, 1]), torch.Generator().manual_seed(1))
    assert crops.shape == (2, 4, 64, 64) and crops.dtype == torch.float32
    assert target.points.shape == (2, 102) and target.points.dtype == torch.float32
    assert target.percent.shape == (2, 4)
    torch.testing.assert_close(crops.mean((2, 3)), torch.zeros(2, 4), atol=1e-4, rtol=0)
    torch.testing.assert_close(crops.std((2, 3)), torch.ones(2, 4), atol=0.02, rtol=0)


def test_the_order_of_indices_is_kept(task: LandmarkTask) -> None:
    together, _ = task.batch(EVERYONE)
    alone, _ = task.batch(torch.tensor([3]))
    torch.testing.assert_close(together[3:4], alone)


def test_same_generator_same_bits(task: LandmarkTask) -> None:
    global_state = torch.get_rng_state()
    one, two, other = (
        task.batch(EVERYONE, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )
    assert torch.equal(one[0], two[0]) and torch.equal(one[1].points, two[1].points)
    assert not torch.equal(one[0], other[0])
    assert torch.equal(torch.get_rng_state(), global_state)


def test_perfect_predictions_cost_nothing(task: LandmarkTask) -> None:
    _, target = task.batch(EVERYONE, torch.Generator())
    assert task.loss(target.points, target) == 0
    assert torch.equal(task.errors(target.points, target), torch.zeros(6, 4))


def test_errors_are_percent_of_the_interocular_distance(task: LandmarkTask) -> None:
    """A shift of 5 image pixels, made in the image, is 500 / distance for every part."""
    _, target = task.batch(EVERYONE)
    box = torch.from_numpy(task.patches.box_size)
    move = (5 / (box / 2)).repeat_interleave(torch.tensor([11, 11, 9, 20]), dim=1)
    moved = target.points.unflatten(1, (-1, 2)) + torch.stack([move * 0.6, move * 0.8], dim=-1)
    expected = 500 / torch.from_numpy(task.patches.normaliser)
    torch.testing.assert_close(
        task.errors(moved.flatten(1), target), expected[:, None].expand(6, 4), rtol=1e-4, atol=0
    )


def test_a_smaller_face_makes_the_same_distance_count_more(task: LandmarkTask) -> None:
    half = LandmarkTask("half", task.patches, Augmentation(scale=(0.5, 0.5), flip=0.0))
    _, plain = task.batch(EVERYONE)
    _, small = half.batch(EVERYONE, torch.Generator())
    torch.testing.assert_close(small.percent, 2 * plain.percent)


def test_target_moves_to_a_device(task: LandmarkTask) -> None:
    _, target = task.batch(EVERYONE)
    moved = task.to(target, torch.device("meta"))
    assert moved.points.is_meta and moved.percent.is_meta


def test_networks_start_from_the_same_bits_as_ever(task: LandmarkTask) -> None:
    """A mean's last bits follow from how its numbers lie in memory; trainings go on from them."""
    draw, patches = np.random.default_rng(0), task.patches
    points = draw.uniform(-1, 1, (30, *patches.points.shape[1:])).astype(np.float32)
    many = dataclasses.replace(
        patches,
        points=points,
        pixels=patches.pixels[[0] * 30],
        box_size=patches.box_size[[0] * 30],
        normaliser=patches.normaliser[[0] * 30],
        sources=tuple(map(str, range(30))),
    )
    found = LandmarkTask("many", many).mean_output()
    assert found is not None and found.equal(torch.from_numpy(points).mean(dim=0).flatten())


def test_fingerprint_tells_data_apart(task: LandmarkTask) -> None:
    patches = task.patches
    assert task.fingerprint() == LandmarkTask("again", patches).fingerprint()
    pixels = patches.pixels.copy()
    pixels[0, 0, 0, 0, 0] ^= 1
    others = [
        dataclasses.replace(patches, pixels=pixels),
        dataclasses.replace(patches, points=patches.points + 1e-3),
        dataclasses.replace(patches, sources=("x", *patches.sources[1:])),
    ]
    prints = {LandmarkTask("other", other).fingerprint() for other in others}
    assert len(prints | {task.fingerprint()}) == 4


def test_a_flat_crop_becomes_zero() -> None:
    assert torch.equal(standardise(torch.full((1, 1, 3, 8, 8), 200.0)), torch.zeros(1, 3, 8, 8))


def test_spread() -> None:
    assert spread(range(10), 3) == [0, 3, 6]
    assert spread(range(3), 5) == [0, 1, 2]
    assert spread(range(3), None) == [0, 1, 2]
    with pytest.raises(InputError, match="limit must be at least 1, got 0"):
        spread(range(3), 0)


@pytest.mark.parametrize("field", ["points", "box_size", "normaliser"])
def test_what_is_not_known_is_refused(task: LandmarkTask, field: str) -> None:
    patches = copy.deepcopy(task.patches)
    getattr(patches, field)[1] = float("nan")
    with pytest.raises(
        InputError, match=f"^t: sample 1, from {patches.sources[1]}: expected finite"
    ):
        LandmarkTask("t", patches)
