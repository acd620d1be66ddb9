"""The cascade with stub networks, whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from groupnas.errors import InputError
from groupnas.landmarks.cascade import Cascade, Stage
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.roles import FACE_LOOK, PART_LOOK, Role

MARKUP = MARKUPS[68]
DRAW = np.random.default_rng(0)
SHAPE = DRAW.uniform(-0.7, 0.7, (68, 2))  # what the global stub answers, in box units
PARTS = DRAW.uniform(-0.7, 0.7, (51, 2))  # what the local stub answers, in box units of its part
FACE, PART = FACE_LOOK, PART_LOOK
IMAGE = DRAW.integers(0, 256, (150, 200, 3), dtype=np.uint8)
BOXES = np.array([[30.0, 40, 90, 120], [100, 20, 190.5, 99.25], [-20, 60, 70, 170]])
# A batch of another size sums in another order; a pixel may then round to the next grey level
ROUNDING = 0.03


class Answers(nn.Module):
    """Says the same of every face, and remembers what it was shown."""

    def __init__(self, points: np.ndarray) -> None:
        super().__init__()
        self.points = nn.Parameter(torch.from_numpy(points).float().flatten())
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return self.points.expand(len(x), -1)


class Reads(nn.Module):
    """An answer that depends on every pixel."""

    def __init__(self, points: np.ndarray, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, points.size)
        nn.init.normal_(self.linear.weight, std=0.1 / features**0.5)
        self.linear.bias.data = torch.from_numpy(points).float().flatten()

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))


class Points(nn.Module):
    """Every point of a part lies at the centre of mass of what is bright in its crop."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        weight = (x - x.amin((2, 3), keepdim=True)) ** 2
        weight = weight / weight.sum((2, 3), keepdim=True)
        units = (2 * torch.arange(x.shape[-1]) + 1) / x.shape[-1] - 1
        both = torch.stack([(weight.sum(2) * units).sum(2), (weight.sum(3) * units).sum(2)], dim=2)
        return both[:, list(MARKUP.owners)].flatten(1)


def cascade_of(global_network: nn.Module, local_network: nn.Module, blend: float = 1.0) -> Cascade:
    stages = {
        "global": Stage(global_network.eval(), MARKUP, Role(look=FACE)),
        "local": Stage(local_network.eval(), MARKUP, Role(look=PART, blend=blend)),
    }
    return Cascade(MARKUP, stages, "landmarks", {})


@pytest.fixture
def known() -> Cascade:
    return cascade_of(Answers(SHAPE), Answers(PARTS))


@pytest.fixture
def reading() -> Cascade:
    torch.manual_seed(0)
    return cascade_of(Reads(SHAPE, 3 * 96 * 96), Reads(PARTS, 4 * 64 * 64))


def by_hand(box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The stubs' answers in the image, point by point."""
    x0, y0, x1, y1 = box
    half = max(max(x1 - x0, y1 - y0) * 1.15, 1) / 2
    initial = np.array([((x0 + x1) / 2 + half * u, (y0 + y1) / 2 + half * v) for u, v in SHAPE])
    points, answers = initial.copy(), iter(PARTS)
    for indices in MARKUP.parts.values():
        part = initial[list(indices)]
        (left, top), (right, bottom) = part.min(axis=0), part.max(axis=0)
        half = max(max(right - left, bottom - top) * 1.3, 1) / 2
        for index in indices:
            u, v = next(answers)
            points[index] = (left + right) / 2 + half * u, (top + bottom) / 2 + half * v
    return initial, points


def test_answers_are_mapped_back_exactly(known: Cascade) -> None:
    found = known.locate(IMAGE, BOXES)
    assert found.points.shape == found.initial.shape == (3, 68, 2)
    assert found.points.dtype == found.initial.dtype == np.float64
    for box, initial, points in zip(BOXES, found.initial, found.points, strict=True):
        expected = by_hand(box)
        np.testing.assert_allclose(initial, expected[0], atol=1e-4)
        np.testing.assert_allclose(points, expected[1], atol=1e-4)


def test_the_contour_is_the_global_stages(known: Cascade) -> None:
    found = known.locate(IMAGE, BOXES)
    contour, inner = list(MARKUP.contour), list(MARKUP.part_points)
    np.testing.assert_array_equal(found.points[:, contour], found.initial[:, contour])
    assert (found.points[:, inner] != found.initial[:, inner]).all()


def test_networks_are_shown_standardised_crops(known: Cascade) -> None:
    known.locate(IMAGE, BOXES)
    for stage, shape, regions in (
        (known.stages["global"], (3, 3, 96, 96), 1),
        (known.stages["local"], (3, 4, 64, 64), 4),
    ):
        (x,) = stage.network.seen  # type: ignore[misc]
        assert x.shape == shape and x.dtype == torch.float32
        each = x.reshape(3, regions, -1)
        torch.testing.assert_close(each.mean(2), torch.zeros(3, regions), atol=1e-4, rtol=0)
        torch.testing.assert_close(each.std(2), torch.ones(3, regions), atol=0.02, rtol=0)


@pytest.mark.parametrize("part", range(4))
def test_a_dot_in_a_part_is_found_where_it_is(part: int) -> None:
    box = np.array([61.5, 48.25, 163.0, 141.5])
    initial, _ = by_hand(box)
    indices = list(list(MARKUP.parts.values())[part])
    place = initial[indices].min(axis=0) * 0.6 + initial[indices].max(axis=0) * 0.4
    y, x = np.indices((200, 220))
    dot = np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 18)
    image = np.repeat((255 * dot).round().astype(np.uint8)[..., None], 3, axis=-1)
    found = cascade_of(Answers(SHAPE), Points()).locate(image, box[None])
    assert np.abs(found.points[0, indices] - place).max() < 0.1


def test_several_faces_are_as_one_by_one(reading: Cascade) -> None:
    together = reading.locate(IMAGE, BOXES)
    for number, box in enumerate(BOXES):
        alone = reading.locate(IMAGE, box[None])
        np.testing.assert_allclose(alone.points[0], together.points[number], atol=ROUNDING)
        np.testing.assert_allclose(alone.initial[0], together.initial[number], atol=1e-3)
    spread = np.ptp((together.initial - together.initial.mean(axis=1, keepdims=True)), axis=0)
    assert spread.max() > 1  # the answers do depend on the face


@pytest.mark.parametrize("batch", [1, 2, 4, 32])
def test_many_images_are_as_one_by_one(reading: Cascade, batch: int) -> None:
    other = np.ascontiguousarray(IMAGE[::-1, ::-1])
    pairs = [(IMAGE, BOXES[0]), (other, BOXES[1]), (IMAGE, BOXES[2]), (other, BOXES[0])]
    found = reading.locate_many(iter(pairs), batch)
    for number, (image, box) in enumerate(pairs):
        alone = reading.locate(image, box[None])
        np.testing.assert_allclose(found.points[number], alone.points[0], atol=ROUNDING)
        np.testing.assert_allclose(found.initial[number], alone.initial[0], atol=1e-3)
    assert len(found.points) == len(found.initial) == 4


def test_no_face_is_no_landmark(known: Cascade) -> None:
    assert known.locate(IMAGE, np.zeros((0, 4))).points.shape == (0, 68, 2)
    assert known.locate_many([]).initial.shape == (0, 68, 2)
    with pytest.raises(InputError, match="batch: expected at least 1, got 0"):
        known.locate_many([(IMAGE, BOXES[0])], batch=0)


@pytest.mark.parametrize(
    "box",
    [
        (50, 50, 51, 50.5),
        (-150, -140, 350, 290),
        (190, 140, 210, 160),
        (-60, -60, -10, -10),  # wholly outside: only the edge is seen
        (0, 0, 199, 1),
    ],
)
def test_odd_boxes_are_mapped_back_too(
    known: Cascade, box: tuple[float, ...], recwarn: pytest.WarningsRecorder
) -> None:
    found = known.locate(IMAGE, np.array([box]))
    initial, points = by_hand(np.array(box))
    np.testing.assert_allclose(found.initial[0], initial, atol=1e-3)
    np.testing.assert_allclose(found.points[0], points, atol=1e-3)
    assert not recwarn.list


def test_a_box_of_no_pixel_gives_points_near_it(known: Cascade) -> None:
    found = known.locate(IMAGE, np.array([[50, 50, 50.01, 50.01]]))
    assert np.abs(found.points - 50).max() < 1 and np.abs(found.initial - 50).max() < 1


def test_a_wild_estimate_costs_no_more_than_another() -> None:
    """Boxes of parts are held near the face; a crop of 100,000 pixels would not fit in memory."""
    wild = cascade_of(Answers(SHAPE * 1e4), Answers(PARTS))
    found = wild.locate(IMAGE, BOXES[:1])
    assert np.abs(found.initial).max() > 1e5
    inner = found.points[0, list(MARKUP.part_points)]
    # twice the face's square, 92, around its centre, (60, 80), and the margin of a part
    assert np.abs(inner - (60, 80)).max() < 1.3 * 2 * 92


@pytest.mark.parametrize(
    ("image", "boxes", "message"),
    [
        (IMAGE.astype(np.float32), BOXES, r"image: expected \(H, W, 3\) uint8, got .* float32"),
        (IMAGE[..., 0], BOXES, r"image: expected \(H, W, 3\) uint8, got \(150, 200\)"),
        (IMAGE[..., :1], BOXES, "image: expected"),
        (np.zeros((150, 200, 4), np.uint8), BOXES, "image: expected"),
        (IMAGE, BOXES[0], r"boxes: expected finite \(F, 4\), got shape \(4,\)"),
        (IMAGE, BOXES[:, :3], "boxes: expected finite"),
        (IMAGE, BOXES * np.nan, "boxes: expected finite"),
        (IMAGE, BOXES * np.inf, "boxes: expected finite"),
        (IMAGE, BOXES[:, [2, 1, 0, 3]], "boxes: expected x0 < x1 and y0 < y1"),
        (IMAGE, np.array([[1.0, 2, 1, 3]]), "boxes: expected x0 < x1"),
        (IMAGE, np.array([[1, 2, 1e7, 1e7]]), "far outside the image of 200 x 150 pixels"),
        (IMAGE, np.array([[-1e18, 2, 5, 7]]), "far outside the image"),
    ],
)
def test_what_no_face_can_have_is_refused(
    known: Cascade, image: np.ndarray, boxes: np.ndarray, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        known.locate(image, boxes)


def test_blend_is_the_share_of_the_local_answer_and_leaves_the_contour_alone() -> None:
    image, boxes = np.zeros((80, 90, 3), np.uint8), np.array([[20.0, 15.0, 60.0, 65.0]])
    whole = cascade_of(Answers(SHAPE), Answers(PARTS)).locate(image, boxes)
    third = cascade_of(Answers(SHAPE), Answers(PARTS), blend=0.3).locate(image, boxes)
    members, contour = list(MARKUP.part_points), list(MARKUP.contour)
    between = 0.3 * whole.points[:, members] + 0.7 * whole.initial[:, members]
    np.testing.assert_allclose(third.points[:, members], between, atol=1e-9)
    np.testing.assert_array_equal(third.points[:, contour], whole.points[:, contour])
    np.testing.assert_array_equal(third.initial, whole.initial)


@pytest.mark.parametrize("lost", [0, 1])
def test_what_a_network_that_diverged_answers_stays_so(lost: int) -> None:
    """Whoever asked can say of which face; nothing in between stumbles over it."""
    answers = [SHAPE.copy(), PARTS.copy()]
    answers[lost][20] = np.nan
    first, second = map(Answers, answers)
    found = cascade_of(first, second, blend=0.5).locate(IMAGE, BOXES)
    assert np.isnan(found.points).any(axis=(1, 2)).all()
    assert np.isnan(found.initial).any() == (lost == 0)
