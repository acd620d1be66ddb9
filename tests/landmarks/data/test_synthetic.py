"""Drawn faces: the same every time, ordered as 300W's, drawn where their landmarks say."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from groupnas.errors import InputError
from groupnas.landmarks.data import _synthetic_canvas as canvas
from groupnas.landmarks.data import _synthetic_shape as shape
from groupnas.landmarks.data.synthetic import FACES, draw_face

# Part ranges of 300W's 68 points, written here again so that a slip in the package shows.
JAW = list(range(0, 17))
LEFT_EYE = [*range(17, 22), *range(36, 42)]
RIGHT_EYE = [*range(22, 27), *range(42, 48)]
NOSE = list(range(27, 36))
MOUTH = list(range(48, 68))
LIDS_AND_LIPS = list(range(36, 68))
MIRRORED = [
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40, 54, 53, 52, 51, 50, 49, 48,
    59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
]  # fmt: skip


@pytest.fixture(scope="module")
def faces() -> tuple[np.ndarray, np.ndarray]:
    images, points = zip(*(draw_face(index, seed=7) for index in range(500)), strict=True)
    return np.stack(images), np.stack(points)


@pytest.fixture(scope="module")
def untilted() -> np.ndarray:
    """``(200, 68, 2)``: faces in their own frame, before any turn of the head."""
    return np.stack([_own_frame(index)[:, :2] for index in range(200)])


def _own_frame(index: int) -> np.ndarray:
    rng = np.random.default_rng([7, index])
    return shape.landmarks(shape.Identity.sample(rng), shape.Expression.sample(rng))


def test_a_face_is_a_grey_image_and_68_points() -> None:
    image, points = draw_face(0, size=96)
    assert image.shape == (96, 96) and image.dtype == np.uint8
    assert points.shape == (68, 2) and points.dtype == np.float64


def test_a_face_depends_on_its_seed_and_index_alone(faces: tuple[np.ndarray, np.ndarray]) -> None:
    images, points = faces
    np.random.seed(1)  # noqa: NPY002 - the global generator must not matter
    again = draw_face(5, seed=7)
    assert np.array_equal(again[0], images[5]) and np.array_equal(again[1], points[5])
    for other in (draw_face(6, seed=7), draw_face(5, seed=8), draw_face(7, seed=5)):
        assert not np.array_equal(other[0], images[5])
        assert not np.allclose(other[1], points[5])


def test_another_process_draws_the_same_bits() -> None:
    code = (
        "import hashlib; from groupnas.landmarks.data.synthetic import draw_face;"
        "image, points = draw_face(3, seed=11);"
        "print(hashlib.sha256(image.tobytes() + points.tobytes()).hexdigest())"
    )
    theirs = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    image, points = draw_face(3, seed=11)
    assert theirs.stdout.strip() == hashlib.sha256(image.tobytes() + points.tobytes()).hexdigest()


def test_the_size_scales_the_face_and_leaves_it_the_same() -> None:
    small, large = draw_face(2, size=80), draw_face(2, size=160)
    # The same place in both images: (x + 0.5) / size.
    np.testing.assert_allclose((small[1] + 0.5) / 80, (large[1] + 0.5) / 160, atol=1e-12)
    halved = np.asarray(Image.fromarray(large[0]).reduce(2), float)
    assert np.corrcoef(halved.ravel(), small[0].ravel().astype(float))[0, 1] > 0.97


def test_points_lie_inside_and_fill_about_half_the_image(
    faces: tuple[np.ndarray, np.ndarray],
) -> None:
    points = faces[1]
    assert points.min() > 20 and points.max() < 159 - 10
    side = np.ptp(points, axis=1).max(axis=1) / 160
    assert side.min() >= 0.5 - 1e-9 and side.max() <= 0.6 + 1e-9


def test_left_is_left_in_the_image(faces: tuple[np.ndarray, np.ndarray]) -> None:
    points = faces[1]
    assert (points[:, 36:42, 0].mean(1) < points[:, 42:48, 0].mean(1)).all()
    assert (points[:, 36, 0] < points[:, 39, 0]).all()
    assert (points[:, 42, 0] < points[:, 45, 0]).all()
    assert (points[:, 48, 0] < points[:, 54, 0]).all()
    # From top to bottom: brows, eyes, nose, mouth, chin.
    middles = [points[:, part, 1].mean(1) for part in (range(17, 27), range(36, 48), NOSE, MOUTH)]
    assert (np.diff(np.stack([*middles, points[:, 8, 1]]), axis=0) > 0).all()


def test_before_turns_every_chain_runs_as_in_300w(untilted: np.ndarray) -> None:
    x, y = untilted[..., 0], untilted[..., 1]
    for first, last in ((0, 16), (17, 26), (31, 35), (48, 54), (60, 64)):
        assert (np.diff(x[:, first : last + 1], axis=1) > 0).all(), first
    for chain in ([54, 55, 56, 57, 58, 59, 48], [64, 65, 66, 67, 60], [45, 46, 47, 42]):
        assert (np.diff(x[:, chain], axis=1) < 0).all(), chain
    assert (np.diff(y[:, [27, 28, 29, 30, 33]], axis=1) > 0).all()
    assert (y[:, [37, 38, 43, 44]] < y[:, [41, 40, 47, 46]]).all()  # upper lids over lower lids
    assert (y[:, [61, 62, 63]] <= y[:, [67, 66, 65]]).all()


def test_a_symmetric_face_is_its_own_mirror_image() -> None:
    who = shape.Identity.sample(np.random.default_rng(0))
    calm = shape.Expression(
        eye_open=(1, 1), brow_raise=(0.02, 0.02), frown=0.5, mouth_open=0.1, smile=0.4,
        pucker=0.2, skew=0, shift=0, gaze=(0, 0),
    )  # fmt: skip
    face = shape.landmarks(who, calm)
    np.testing.assert_allclose(face[MIRRORED] * [-1, 1, 1], face, atol=1e-12)


def test_the_outer_mouth_contains_the_inner_mouth(faces: tuple[np.ndarray, np.ndarray]) -> None:
    for points in faces[1]:
        zoomed = (points[MOUTH] - points[MOUTH].min(axis=0)) * 16 + 16
        outer = Image.new("1", (int(zoomed[:, 0].max()) + 17, int(zoomed[:, 1].max()) + 17))
        ImageDraw.Draw(outer).polygon(zoomed[:12].ravel().tolist(), fill=1)
        inside = np.asarray(outer)
        x, y = np.rint(zoomed[12:]).astype(int).T
        assert inside[y, x].all()


def test_the_mouth_varies_most_and_the_nose_least(faces: tuple[np.ndarray, np.ndarray]) -> None:
    residual = {
        name: _procrustes_residual(faces[1][:300, part])
        for name, part in (("l", LEFT_EYE), ("r", RIGHT_EYE), ("nose", NOSE), ("mouth", MOUTH))
    }
    eyes = residual["l"], residual["r"]
    assert residual["mouth"] > 1.5 * max(eyes)
    assert min(eyes) > 1.5 * residual["nose"]


def _procrustes_residual(points: np.ndarray) -> float:
    """Variance that similarity transforms to the mean shape leave; sizes are set to 1."""
    shapes = points[..., 0] + 1j * points[..., 1]
    shapes = shapes - shapes.mean(axis=1, keepdims=True)
    shapes /= np.linalg.norm(shapes, axis=1, keepdims=True)
    mean = shapes[0]
    for _ in range(10):
        aligned = shapes * (shapes.conj() @ mean)[:, None]
        mean = aligned.mean(axis=0) / np.linalg.norm(aligned.mean(axis=0))
    return float((np.abs(aligned - mean) ** 2).sum(axis=1).mean())


def test_edges_are_where_the_landmarks_are(faces: tuple[np.ndarray, np.ndarray]) -> None:
    images, points = faces[0][:150].astype(float), faces[1][:150]
    down, right = np.gradient(images, axis=(1, 2))
    strength = np.hypot(down, right)
    which = np.arange(len(images))[:, None]
    x, y = np.rint(points).astype(int).transpose(2, 0, 1)
    at_points = strength[which, y, x].mean(axis=0)
    # Elsewhere on the face, where skin is textured, shaded and has moles.
    rng = np.random.default_rng(0)
    low, high = points.min(axis=1)[:, None], points.max(axis=1)[:, None]
    elsewhere = np.rint(low + (high - low) * rng.uniform(0, 1, (150, 200, 2))).astype(int)
    by_chance = strength[which, elsewhere[..., 1], elsewhere[..., 0]].mean()
    assert at_points[LIDS_AND_LIPS].mean() > 1.8 * by_chance
    assert at_points[JAW].mean() > 1.2 * by_chance


def test_the_canvas_paints_where_it_is_told() -> None:
    """A disc's centre of mass lies at its centre, to a tenth of a pixel."""
    for centre in ((0.5, 0.5), (0.313, 0.641), (0.707, 0.222)):
        board = canvas.Canvas(100, 1.0)
        board.fill(np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]]), 0)
        board.fill(canvas.oval(np.array(centre), (0.1, 0.15), np.eye(2)), 255)
        disc = board.develop()
        row, column = np.mgrid[:100, :100]
        found = np.array([(disc * column).sum(), (disc * row).sum()]) / disc.sum()
        np.testing.assert_allclose(found, np.array(centre) * 100 - 0.5, atol=0.1)


def test_a_smooth_curve_passes_its_points_and_keeps_lines_straight() -> None:
    corners = np.random.default_rng(0).normal(size=(6, 2))
    np.testing.assert_allclose(canvas.smooth(corners, 4)[::4], corners, atol=1e-12)
    line = np.arange(5.0)[:, None] * [2.0, -1.0]
    np.testing.assert_allclose(
        canvas.smooth(line, 10), np.linspace(0, 4, 41)[:, None] * [2.0, -1.0], atol=1e-12
    )


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"index": -1}, "index"),
        ({"index": 0, "seed": -2}, "seed"),
        ({"index": 0, "size": 8}, "size"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments: dict[str, int], name: str) -> None:
    with pytest.raises(InputError, match=f"{name} must be at least .*, got {arguments[name]}"):
        draw_face(**arguments)


def test_the_data_set_is_of_the_drawn_faces() -> None:
    splits = {split: FACES.faces(Path(), split, False) for split in FACES.subsets}
    assert {split: len(faces) for split, faces in splits.items()} == {"train": 1000, "test": 200}
    names = [face.name for faces in splits.values() for face in faces]
    assert len(set(names)) == len(names)
    for seed, (split, index) in enumerate((("train", 37), ("test", 5))):
        face = splits[split][index]
        grey, points = draw_face(index, seed)
        np.testing.assert_array_equal(face.points, points)
        image = FACES.read(face)
        assert image.shape == (160, 160, 3)
        assert (image == grey[..., None]).all()
        assert not face.points.flags.writeable  # they are kept for the next who asks
